package pipelines_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/seed-85ed9bfd/pipelines"
)

// book is a list of n pipelines, served page by page.
type book struct {
	n       int
	noNext  bool // the service leaves "next" out
	noSize  bool
	noLen   bool // the service leaves "pagelen" out
	cursor  bool // "next" carries no page number
	ignores bool // the page asked for is not looked at
	maxLen  int  // the service's own bound of a page; 0: none
}

func (b book) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	page, _ := strconv.Atoi(q.Get("page") + strings.TrimPrefix(q.Get("ctx"), "cursor"))
	pageLen, _ := strconv.Atoi(q.Get("pagelen"))
	if b.maxLen > 0 {
		pageLen = min(pageLen, b.maxLen)
	}
	if page == 0 || b.ignores {
		page = 1
	}
	var values []string
	for i := (page-1)*pageLen + 1; i <= min(b.n, page*pageLen); i++ {
		values = append(values, fmt.Sprintf(`{"build_number":%d}`, i))
	}
	members := []string{fmt.Sprintf(`"page":%d,"values":[%s]`, page, strings.Join(values, ","))}
	if !b.noLen {
		members = append(members, fmt.Sprintf(`"pagelen":%d`, pageLen))
	}
	if !b.noSize {
		members = append(members, fmt.Sprintf(`"size":%d`, b.n))
	}
	if !b.noNext && page*pageLen < b.n {
		q.Set("page", strconv.Itoa(page+1))
		if b.cursor {
			q.Del("page")
			q.Set("ctx", "cursor"+strconv.Itoa(page+1))
		}
		next := url.URL{Scheme: "http", Host: req.Host, Path: req.URL.Path, RawQuery: q.Encode()}
		members = append(members, fmt.Sprintf(`"next":%q`, next.String()))
	}
	serveJSON("{"+strings.Join(members, ",")+"}")(w, req)
}

func numbers(runs []*pipelines.Pipeline) []int {
	var all []int
	for _, run := range runs {
		all = append(all, run.BuildNumber)
	}
	return all
}

func upTo(n int) []int {
	var all []int
	for i := 1; i <= n; i++ {
		all = append(all, i)
	}
	return all
}

// noPages is what a service has been seen to send, or may send, in the place of a page past the end.
var noPages = map[string]http.HandlerFunc{
	"an empty page":                 serveJSON(`{"values":[],"pagelen":0}`),
	"an empty page that knows size": serveJSON(`{"values":[],"page":2,"pagelen":0,"size":250}`),
	"null":                          serveJSON(`null`),
	"an empty object":               serveJSON(`{}`),
	"another object":                serveJSON(`{"message":"maintenance"}`),
	"a page without values":         serveJSON(`{"values":null}`),
	"404":                           serve(404, "application/json", `{"type":"error","error":{"message":"Invalid page"}}`),
	"404 as a web page":             serve(404, "text/html", `<html></html>`),
	"no content":                    serve(204, "", ""),
	"an empty body":                 serveJSON(``),
}

// linked is a list of 250 runs whose pages link to the next by a text of the test's own: %d is the number of that page, HOST the
// server's host. It serves only the query of the first request.
type linked struct {
	next     string
	question url.Values // nil: any
}

func (l linked) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	page, _ := strconv.Atoi(q.Get("page") + strings.TrimPrefix(q.Get("ctx"), "after"))
	page = max(page, 1)
	q.Del("page")
	q.Del("ctx")
	if l.question != nil && q.Encode() != l.question.Encode() {
		serveJSON(`{"size":1,"values":[{"build_number":666}]}`)(w, req) // what another question finds
		return
	}
	var values []string
	for i := (page-1)*100 + 1; i <= min(250, page*100); i++ {
		values = append(values, fmt.Sprintf(`{"build_number":%d,"uuid":"{%d}"}`, i, i))
	}
	next := ""
	if page < 3 {
		link := strings.ReplaceAll(l.next, "HOST", req.Host)
		if strings.Contains(link, "%d") {
			link = fmt.Sprintf(link, page+1)
		}
		next = fmt.Sprintf(`,"next":%q`, link)
	}
	serveJSON(fmt.Sprintf(`{"page":%d,"pagelen":100,"size":250,"values":[%s]%s}`, page, strings.Join(values, ","), next))(w, req)
}

const listPath = "/2.0/repositories/acme/site/pipelines"

// everyList is each list of the package, read whole.
func everyList(ctx context.Context, c *pipelines.Client, parallel int, opts ...pipelines.CallOption) map[string]func() (int, error) {
	return map[string]func() (int, error){
		"pipelines":              readWhole(c.Pipelines.List(ctx, repo, nil, opts...), parallel),
		"steps":                  readWhole(c.Steps.List(ctx, repo, "1", nil, opts...), parallel),
		"test cases":             readWhole(c.Steps.ListTestCases(ctx, repo, "1", "{s}", nil, opts...), parallel),
		"test case reasons":      readWhole(c.Steps.ListTestCaseReasons(ctx, repo, "1", "{s}", "{t}", nil, opts...), parallel),
		"repository variables":   readWhole(c.Variables.InRepository(repo).List(ctx, nil, opts...), parallel),
		"workspace variables":    readWhole(c.Variables.InWorkspace("acme").List(ctx, nil, opts...), parallel),
		"environment variables":  readWhole(c.Variables.InEnvironment(repo, "{e}").List(ctx, nil, opts...), parallel),
		"environments":           readWhole(c.Deployments.ListEnvironments(ctx, repo, nil, opts...), parallel),
		"deployments":            readWhole(c.Deployments.List(ctx, repo, nil, opts...), parallel),
		"schedules":              readWhole(c.Schedules.List(ctx, repo, nil, opts...), parallel),
		"executions":             readWhole(c.Schedules.ListExecutions(ctx, repo, "{s}", nil, opts...), parallel),
		"known hosts":            readWhole(c.SSH.ListKnownHosts(ctx, repo, nil, opts...), parallel),
		"caches":                 readWhole(c.Caches.List(ctx, repo, nil, opts...), parallel),
		"runners":                readWhole(c.Runners.InRepository(repo).List(ctx, nil, opts...), parallel),
		"runners of a workspace": readWhole(c.Runners.InWorkspace("acme").List(ctx, nil, opts...), parallel),
	}
}

func readWhole[T any](pager *pipelines.Pager[T], parallel int) func() (int, error) {
	return func() (int, error) {
		all, err := pager.Parallel(parallel).Collect()
		return len(all), err
	}
}
