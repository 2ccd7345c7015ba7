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

// errNotAPage says that the service sent a JSON object that is not a page.
var errNotAPage = errors.New("the service sent an object that is not a page of a list")

// fetch requests the page that a link leads to.
func (p *Pager[T]) fetch(ctx context.Context, link pageLink) (f fetched[T]) {
	k, err := p.newCall(ctx, link)
	if err != nil {
		f.err = err
		return f
	}
	f.capture(k)
	if f.url, err = k.requestURL(); err != nil {
		f.err = k.wrap(err)
		return f
	}
	body, err := p.send(ctx, k)
	switch {
	case err != nil:
		f.err = err
	case link.url != nil && body.Values == nil && body.Next == "":
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

// addPagingFields asks for the members that lead to the next page, if the parameter fields would leave them out of a partial
// response. It reports whether it changed the query.
func addPagingFields(query url.Values) bool {
	fields := fieldsOf(query)
	if !slices.ContainsFunc(fields, namesField) {
		return false
	}
	changed := false
	for _, member := range []string{"next", "size", "page"} {
		if !slices.Contains(fields, member) && !slices.Contains(fields, "*") {
			query["fields"][0] += "," + member
			changed = true
		}
	}
	return changed
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

// fieldsOf returns the elements of the parameter fields.
func fieldsOf(query url.Values) []string {
	return strings.Split(strings.Join(query["fields"], ","), ",")
}

// namesField reports whether an element of the parameter fields limits the response to the member that it names. "+a" and "-a"
// only add or remove a member.
func namesField(field string) bool {
	return field != "" && !strings.HasPrefix(field, "+") && !strings.HasPrefix(field, "-")
}
