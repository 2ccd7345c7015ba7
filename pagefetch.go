package pipelines

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// fetched is the result of one request. The goroutine that ranges publishes it, so that pages which were fetched ahead reach
// [WithResponse] and [WithRawBody] in order.
type fetched[T any] struct {
	url  *url.URL // of the request
	page *Page[T]
	err  error

	panicked any  // what the goroutine that fetched panicked with; nil: nothing
	stepwise bool // no page is requested before it is needed

	resp     *http.Response
	respInto **http.Response // of WithResponse; nil: not wanted
	raw      []byte
	rawInto  *[]byte // of WithRawBody; nil: not wanted
}

func (f *fetched[T]) publish() {
	if f.respInto != nil {
		*f.respInto = f.resp
	}
	if f.rawInto != nil {
		*f.rawInto = f.raw
	}
}

// capture makes the call store response and body in f instead of the caller's variables.
func (f *fetched[T]) capture(k *call) {
	if f.respInto = k.into; f.respInto != nil {
		k.into = &f.resp
	}
	if f.rawInto = k.raw; f.rawInto != nil {
		k.raw = &f.raw
	}
}

// errNotAPage says that the service sent a JSON object that is not a page. It is no [shapeError], because the object may be a message of the
// moment, such as that of a maintenance: the next poll may bring the page.
var errNotAPage = errors.New("the service sent an object that is not a page of a list")

// early is told of a page while it arrives, once for each attempt to get it.
type early struct {
	arriving func(page *url.URL, body []byte) // what is known before the page is decoded: first without its body, then with it
	decoded  func()                           // it is decoded, or can't be
}

// fetch requests the page that a link leads to. If e isn't nil, it is told of the page.
func (p *Pager[T]) fetch(ctx context.Context, link pageLink, e *early) (f fetched[T]) {
	k, err := p.newCall(ctx, link)
	if err != nil {
		f.err = err
		return f
	}
	f.capture(k)
	f.stepwise = k.polls || k.stepwise
	if f.url, err = k.requestURL(); err != nil {
		f.err = k.wrap(err)
		return f
	}
	if e != nil && !f.stepwise {
		k.arriving, k.decoded = func(body []byte) { e.arriving(f.url, body) }, e.decoded
	}
	body, err := p.send(ctx, k)
	switch {
	case err != nil:
		f.err = err
	case !p.isPage(body, link, f.url.Query()):
		f.err = k.wrap(errNotAPage)
	default:
		f.page = body.page()
	}
	return f
}

func (p *Pager[T]) newCall(ctx context.Context, link pageLink) (*call, error) {
	at := p.at
	at.query = mergeQuery(at.query, url.Values{"pagelen": {strconv.Itoa(p.pageLen)}})
	k, err := p.client.newCall(ctx, at, nil, p.opts)
	if err != nil {
		return nil, err
	}
	addPagingFields(k.extraQuery)
	if !k.extraQuery.Has("fields") {
		addPagingFields(k.at.query)
	}
	if link.url != nil { // it has the parameters of the options already
		k.url, k.extraQuery = link.url, nil
	}
	return k, nil
}

func (p *Pager[T]) send(ctx context.Context, k *call) (*pageBody[T], error) {
	var body bareBody[T]
	if p.at.op.bareOK {
		return &body.pageBody, k.sendJSON(ctx, &body)
	}
	return &body.pageBody, k.sendJSON(ctx, &body.pageBody)
}

// isPage reports whether a body is a page of the list, and not something else that was sent in its place. A caller would take that for
// an empty list, and create anew what it doesn't find.
func (p *Pager[T]) isPage(body *pageBody[T], link pageLink, query url.Values) bool {
	switch {
	case body.Values != nil, body.Next != "":
		return true
	case link.url != nil:
		return false
	}
	return body.Size != nil || p.at.op.emptyOK || omitsValues(query)
}

// pageBody is the JSON form of a page. All members but the values may be missing.
type pageBody[T any] struct {
	Values   []*T   `json:"values"`
	Page     int    `json:"page"`
	PageLen  int    `json:"pagelen"`
	Size     *int   `json:"size"`
	Next     string `json:"next"`
	Previous string `json:"previous"`
}

func (b *pageBody[T]) page() *Page[T] {
	page := &Page[T]{Values: b.Values, Number: b.Page, PageLen: b.PageLen, Size: -1, Next: b.Next, Previous: b.Previous}
	// Drop nulls so that callers need no nil check.
	page.Values = slices.DeleteFunc(page.Values, func(value *T) bool { return value == nil })
	if b.Size != nil && *b.Size >= 0 {
		page.Size = *b.Size
	}
	return page
}

// bareBody is a page, an array of items, or a single item.
type bareBody[T any] struct{ pageBody[T] }

// UnmarshalJSON implements [encoding/json.Unmarshaler].
func (b *bareBody[T]) UnmarshalJSON(data []byte) error {
	if jsontext.Value(data).Kind() == '[' {
		return models.Unmarshal(data, &b.Values)
	}
	if err := models.Unmarshal(data, &b.pageBody); err != nil || b.Values != nil || b.Size != nil {
		return err
	}
	var one *T
	err := models.Unmarshal(data, &one)
	b.Values = []*T{one}
	return err
}

// pagingFields are the members that lead to the next page.
var pagingFields = []string{"next", "size", "page", "pagelen"}

// addPagingFields asks for the members that lead to the next page, if the parameter fields would leave them out of a partial
// response. It reports whether it changed the query. It doesn't change the query's slices, which a Pager's calls share.
func addPagingFields(query url.Values) bool {
	values := make([]string, 0, len(query["fields"]))
	for _, value := range query["fields"] {
		if value = keepPagingFields(value); value != "" {
			values = append(values, value)
		}
	}
	fields := strings.Split(strings.Join(values, ","), ",")
	if slices.ContainsFunc(fields, namesField) {
		for _, member := range pagingFields {
			if !slices.Contains(fields, member) && !slices.Contains(fields, "*") {
				values[0] += "," + member
			}
		}
	}
	if slices.Equal(values, query["fields"]) {
		return false
	}
	if query["fields"] = values; len(values) == 0 {
		query.Del("fields")
	}
	return true
}

// keepPagingFields drops the elements of fields that remove what leads to the next page.
func keepPagingFields(fields string) string {
	all := slices.DeleteFunc(strings.Split(fields, ","), func(field string) bool {
		member, removed := strings.CutPrefix(strings.TrimSpace(field), "-")
		return removed && slices.Contains(pagingFields, member)
	})
	return strings.Join(all, ",")
}

// omitsValues reports whether a query asks for pages without their items.
func omitsValues(query url.Values) bool {
	if query.Get("pagelen") == "0" {
		return true
	}
	limited := false
	for _, field := range fieldsOf(query) {
		member, _, nested := strings.Cut(strings.TrimSpace(field), ".")
		switch {
		case member == "-values" && !nested:
			return true
		case member == "*" || member == "values":
			return false
		case namesField(member):
			limited = true
		}
	}
	return limited
}

// requires returns an error if the caller's options leave one of these members out of the pages.
func (p *Pager[T]) requires(members ...string) error {
	k, err := p.newCall(p.ctx, pageLink{})
	if err != nil {
		return err
	}
	return k.requires(members...)
}

// requires returns an error if the query leaves one of these members out of the response.
func (k *call) requires(members ...string) error {
	query := mergeQuery(k.at.query, k.extraQuery)
	for _, member := range members {
		if member == "values" && omitsValues(query) || member != "values" && leavesOut(query, member) {
			return k.wrap(invalidArgument("the query leaves %s out of the response", member))
		}
	}
	return nil
}

// checkFields returns an error if the caller's options leave one of these members out of the response to an operation.
func (c *Client) checkFields(ctx context.Context, at endpoint, opts []CallOption, members ...string) error {
	k, err := c.newCall(ctx, at, nil, opts)
	if err != nil {
		return err
	}
	return k.requires(members...)
}

// collectWith returns all items, for callers to whom a missing item means that it doesn't exist. It is an error if the caller's options
// leave one of these members out of the pages.
func (p *Pager[T]) collectWith(members ...string) ([]*T, error) {
	if err := p.requires(members...); err != nil {
		return nil, err
	}
	var all []*T
	for page, err := range p.Pages() {
		if err != nil {
			return all, err
		}
		all = append(all, page.Values...)
	}
	return all, nil
}

// leavesOut reports whether the parameter fields leaves a member out of a partial response.
func leavesOut(query url.Values, member string) bool {
	limited, named := false, false
	for _, field := range fieldsOf(query) {
		field = strings.TrimSpace(field)
		removed, isRemoved := strings.CutPrefix(field, "-")
		if isRemoved && covers(removed, member) {
			return true
		}
		limited = limited || namesField(field)
		named = named || covers(strings.TrimPrefix(field, "+"), member)
	}
	return limited && !named
}

// covers reports whether an element of the parameter fields includes a member: by its name, or as part of another.
func covers(field, member string) bool {
	field = strings.TrimSuffix(field, ".*")
	return field == "*" || field == member || strings.HasPrefix(member, field+".")
}

// fieldsOf returns the elements of the parameter fields.
func fieldsOf(query url.Values) []string {
	return strings.Split(strings.Join(query["fields"], ","), ",")
}

// namesField reports whether an element of the parameter fields limits the response to the member that it names. "+a" and "-a"
// only add or remove a member.
func namesField(field string) bool {
	return field != "" && !strings.HasPrefix(field, "+") && !strings.HasPrefix(field, "-")
}
