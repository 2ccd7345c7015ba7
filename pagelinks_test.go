package pipelines_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// linked is a list of 250 runs whose pages link to the next by a text of the test's own: %d is the number of that page, HOST the
// server's host. It answers only the question that it was asked first.
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
		answerJSON(`{"size":1,"values":[{"build_number":666}]}`)(w, req) // what another question finds
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
	answerJSON(fmt.Sprintf(`{"page":%d,"pagelen":100,"size":250,"values":[%s]%s}`, page, strings.Join(values, ","), next))(w, req)
}

const listPath = "/2.0/repositories/acme/site/pipelines"

func TestAListWhoseLinkLostItsQuestionPutsItBack(t *testing.T) {
	options := &pipelines.ListPipelinesOptions{
		Sort: pipelines.SortNewestFirst, Branch: "a&b +c/ä", Status: []pipelines.PipelineStatus{"PASSED", "FAILED", "HALTED"},
	}
	question := url.Values{
		"sort": {"-created_on"}, "target.branch": {"a&b +c/ä"}, "status": {"PASSED", "FAILED", "HALTED"}, "pagelen": {"100"},
		"fields": {"values.build_number,next,size,page"}, "x": {"1", "2"},
	}
	without := func(keys ...string) string {
		q := url.Values{}
		for key, values := range question {
			q[key] = values
		}
		for _, key := range keys {
			q.Del(key)
		}
		return q.Encode()
	}
	for name, query := range map[string]string{
		"all of it":                        "page=%d",
		"all of it, behind a cursor":       "ctx=after%d",
		"sort":                             without("sort") + "&page=%d",
		"a filter":                         without("target.branch") + "&page=%d",
		"fields and pagelen":               "page=%d&" + without("fields", "pagelen"),
		"what the caller has added":        "page=%d&" + without("x"),
		"all values of a filter but one":   "page=%d&status=HALTED&" + without("status"),
		"the text of a filter":             "page=%d&target.branch=&" + without("target.branch"),
		"nothing, in another order":        "x=1&x=2&target.branch=a%26b%20%2Bc%2F%c3%a4&status=PASSED&status=FAILED&status=HALTED&page=%d&" + without("x", "target.branch", "status"),
		"nothing but the list's own order": "page=%d&" + without(),
	} {
		query = strings.ReplaceAll(strings.ReplaceAll(query, "%", "%%"), "%%d", "%d")
		for _, parallel := range []int{0, 2, 4} {
			t.Run(fmt.Sprintf("%s, %d at once", name, parallel), func(t *testing.T) {
				srv := record(t, linked{next: "http://HOST" + listPath + "?" + query, question: question}.ServeHTTP)
				runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, options, pipelines.WithQuery("fields", "values.build_number"),
					pipelines.WithQuery("x", "1"), pipelines.WithQuery("x", "2")).Parallel(parallel).Collect()
				require.NoError(t, err)
				require.Equal(t, upTo(250), numbers(runs))
				require.Len(t, srv.seen(), 3)
			})
		}
	}
}

func TestWhatALinkSaysItselfIsKept(t *testing.T) {
	for _, parallel := range []int{0, 4} {
		srv := record(t, func(w http.ResponseWriter, req *http.Request) {
			q := req.URL.Query()
			if q.Get("page") == "" {
				answerJSON(fmt.Sprintf(`{"size":3,"values":[{"build_number":1},{"build_number":2}],"next":"http://%s%s?page=2&pagelen=2&sort=created_on&status=ERROR&opaque=%%2B%%20"}`, req.Host, listPath))(w, req)
				return
			}
			answerJSON(`{"size":3,"values":[{"build_number":3}]}`)(w, req)
		})
		runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, &pipelines.ListPipelinesOptions{
			Sort: pipelines.SortNewestFirst, Branch: "main", Status: []pipelines.PipelineStatus{"PASSED", "FAILED"},
		}).Parallel(parallel).Collect()
		require.NoError(t, err)
		require.Equal(t, upTo(3), numbers(runs))
		got, err := url.ParseQuery(srv.seen()[1].Query)
		require.NoError(t, err)
		require.Equal(t, url.Values{
			"page": {"2"}, "pagelen": {"2"}, "sort": {"created_on"}, "status": {"ERROR"}, "opaque": {"+ "}, "target.branch": {"main"},
		}, got)
	}
}

func TestALinkWhoseFieldsLeaveTheNextPageOutGetsThemBack(t *testing.T) {
	for _, parallel := range []int{0, 4} {
		srv := record(t, linked{next: "http://HOST" + listPath + "?page=%d&fields=values.build_number"}.ServeHTTP)
		runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil, pipelines.WithQuery("fields", "values.uuid")).Parallel(parallel).Collect()
		require.NoError(t, err)
		require.Len(t, runs, 250)
		for _, req := range srv.seen()[1:] {
			q, err := url.ParseQuery(req.Query)
			require.NoError(t, err)
			require.Equal(t, "values.build_number,next,size,page", q.Get("fields"))
		}
	}
}

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

func TestEveryListPutsBackWhatItsLinkLost(t *testing.T) {
	question := url.Values{"pagelen": {"100"}, "sort": {"name"}, "fields": {"values,next,size,page"}}
	for _, parallel := range []int{0, 3} {
		srv := record(t, linked{next: "http://HOST/2.0/inner?page=%d", question: question}.ServeHTTP)
		c := newClient(t, srv.base())
		for name, read := range everyList(t.Context(), c, parallel, pipelines.WithQuery("sort", "name"), pipelines.WithQuery("fields", "values")) {
			n, err := read()
			require.NoError(t, err, name)
			require.Equal(t, 250, n, name)
		}
	}
}

func TestALinkToAnotherOriginIsAskedOfOurOwn(t *testing.T) {
	foreign := record(t, answerJSON(`{"values":[{"build_number":666}]}`))
	question := url.Values{"pagelen": {"100"}, "sort": {"-created_on"}}
	for name, next := range map[string]string{
		"of an inner host":                 "http://bitbucket-pipelines.prod.internal/rest/pipelines?page=%d",
		"of a host that exists":            foreign.URL + "/2.0/pipelines?page=%d&sort=created_on&pagelen=10",
		"that is https":                    "https://HOST" + listPath + "?page=%d&pagelen=100",
		"of another port":                  "http://127.0.0.1:1" + listPath + "?page=%d",
		"without a scheme":                 "//inner" + listPath + "?page=%d",
		"with credentials":                 "http://user:pass@HOST" + listPath + "?page=%d",
		"of a gateway's other path":        "http://HOST/inner/pipelines?page=%d",
		"that leaves the API by its dots":  "http://HOST/2.0/../inner/pipelines?page=%d",
		"whose query is malformed":         "http://HOST" + listPath + "?page=%d&target.branch=50%%off",
		"of an inner host, and malformed":  "http://inner" + listPath + "?page=%d&target.branch=50%%off",
		"that is opaque":                   "http:HOST/2.0/x?page=%d",
		"that is relative to the request":  "?page=%d",
		"that is relative to its parent":   "pipelines?page=%d",
		"that is relative to the origin":   listPath + "?page=%d",
		"with another spelling of origin":  "HTTP://HOST" + listPath + "?page=%d",
		"with UUIDs in the place of slugs": "http://HOST/2.0/repositories/%%7Bw%%7D/%%7Br%%7D/pipelines?page=%d",
	} {
		for _, parallel := range []int{0, 4} {
			t.Run(fmt.Sprintf("%s, %d at once", name, parallel), func(t *testing.T) {
				srv := record(t, linked{next: next, question: question}.ServeHTTP)
				runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, &pipelines.ListPipelinesOptions{Sort: pipelines.SortNewestFirst}).
					Parallel(parallel).Collect()
				require.NoError(t, err)
				require.Equal(t, upTo(250), numbers(runs))
				require.Len(t, srv.seen(), 3)
				require.Empty(t, foreign.seen())
				for i, req := range srv.seen() {
					require.Equal(t, "Bearer t0ken", req.Header.Get("Authorization"))
					if i > 0 && strings.Contains(req.Path, "%7B") {
						require.Contains(t, name, "UUIDs")
						continue
					}
					require.Equal(t, listPath, req.Path)
				}
			})
		}
	}
}

func TestALinkThatCannotBeFollowedComesAfterTheItemsOfItsPage(t *testing.T) {
	foreign := record(t, answerJSON(`{"values":[{"build_number":666}]}`))
	for name, tc := range map[string]struct{ next, says string }{
		"to another origin, without a page":   {foreign.URL + "/2.0/x?ctx=abc", "another origin"},
		"to another origin, with no number":   {foreign.URL + "/2.0/x?page=two", "another origin"},
		"to another origin, back to page 1":   {foreign.URL + "/2.0/x?page=1", "read before"},
		"to another origin, to page 2 again":  {foreign.URL + "/2.0/x?page=2", "read before"},
		"to another origin, to page 0":        {foreign.URL + "/2.0/x?page=0", "read before"},
		"to another origin, to a page below":  {foreign.URL + "/2.0/x?page=-3", "read before"},
		"to what is no part of the API":       {"http://HOST/other?ctx=abc", "outside the API"},
		"that does not parse":                 {"http://[::1", "malformed"},
		"whose query is malformed":            {"http://HOST" + listPath + "?ctx=%%zz", "malformed"},
		"to the page itself":                  {"http://HOST" + listPath + "?page=2&pagelen=100", "read before"},
		"to the page itself, in another way":  {"?pagelen=10&page=2", "read before"},
		"to the page before":                  {"http://HOST" + listPath + "?page=1&pagelen=100", "read before"},
		"to the page before, without a page":  {"http://HOST" + listPath + "/?pagelen=100", "read before"},
		"to the page before, at another path": {"http://HOST/2.0/repositories/%%7Bw%%7D/%%7Br%%7D/pipelines?page=1", "read before"},
		"to nowhere":                          {"#", "read before"},
	} {
		for _, parallel := range []int{0, 4} {
			t.Run(fmt.Sprintf("%s, %d at once", name, parallel), func(t *testing.T) {
				good := linked{next: "http://HOST" + listPath + "?page=%d"}
				bad := linked{next: tc.next}
				if !strings.Contains(tc.next, "%d") {
					bad.next = strings.ReplaceAll(tc.next, "%%", "%")
				}
				srv := record(t, func(w http.ResponseWriter, req *http.Request) {
					if req.URL.Query().Get("page") == "2" {
						bad.ServeHTTP(w, req)
						return
					}
					good.ServeHTTP(w, req)
				})
				pager := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(parallel)
				runs, err := pager.Collect()
				require.ErrorContains(t, err, tc.says)
				require.Equal(t, upTo(200), numbers(runs), "the items of the page with the bad link come first")
				require.Empty(t, foreign.seen())
				if parallel == 0 {
					require.Len(t, srv.seen(), 2)
				}
				var told []string
				for page, err := range pager.Pages() {
					if err != nil {
						require.Nil(t, page)
						told = append(told, "error")
						continue
					}
					told = append(told, fmt.Sprint(page.Number))
				}
				require.Equal(t, []string{"1", "2", "error"}, told)
			})
		}
	}
}

func TestALinkBackToTheFirstRequestIsNotFollowed(t *testing.T) {
	const query = "pagelen=100&sort=-created_on&status=PASSED&status=FAILED&target.branch=a%20b"
	for name, next := range map[string]string{
		"as it was sent":               "http://HOST" + listPath + "?pagelen=100&sort=-created_on&status=PASSED&status=FAILED&target.branch=a+b",
		"escaped in another way":       "http://HOST" + listPath + "?target%2Ebranch=a%20b&status=%50ASSED&status=FAILED&sort=%2Dcreated_on&pagelen=100",
		"with page 1":                  "http://HOST" + listPath + "?" + query + "&page=1",
		"with page 01":                 "http://HOST" + listPath + "?" + query + "&page=01",
		"without its question":         "http://HOST" + listPath,
		"with a slash at its end":      "http://HOST" + listPath + "/?page=1",
		"with another page length":     "http://HOST" + listPath + "?pagelen=10",
		"with a fragment":              "http://HOST" + listPath + "?" + query + "#top",
		"relative":                     "?" + query,
		"in another spelling of host":  "HTTP://HOST:80" + listPath,
		"with UUIDs for slugs":         "http://HOST/2.0/repositories/%7Bw%7D/%7Br%7D/pipelines?page=1",
		"at an inner host":             "http://inner" + listPath + "?page=1",
		"with an escape in its path":   "http://HOST/2.0/repositories/%61cme/site/pipelines?" + query,
		"with spaces around the link ": "  http://HOST" + listPath + "?" + query + "  ",
	} {
		for _, parallel := range []int{0, 4} {
			t.Run(fmt.Sprintf("%s, %d at once", name, parallel), func(t *testing.T) {
				host := "api.example"
				var mu sync.Mutex
				sent := 0
				hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
					mu.Lock()
					defer mu.Unlock()
					sent++
					return respond(req, 200, fmt.Sprintf(`{"size":250,"values":[{"build_number":1}],"next":%q}`, strings.ReplaceAll(next, "HOST", host))), nil
				})}
				runs, err := newClient(t, "http://"+host+"/2.0", pipelines.WithHTTPClient(hc)).Pipelines.List(t.Context(), repo, &pipelines.ListPipelinesOptions{
					Sort: pipelines.SortNewestFirst, Branch: "a b", Status: []pipelines.PipelineStatus{"PASSED", "FAILED"},
				}).Parallel(parallel).Collect()
				require.ErrorContains(t, err, "read before")
				require.Equal(t, []int{1}, numbers(runs), "nothing comes twice")
				require.Equal(t, 1, sent)
			})
		}
	}
}

func TestAPageThatComesAgainBehindALinkIsFoundOut(t *testing.T) {
	for _, parallel := range []int{0, 4} {
		srv := record(t, book{n: 250, ignores: true}.ServeHTTP)
		runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(parallel).Collect()
		require.ErrorContains(t, err, "came again")
		require.Equal(t, upTo(100), numbers(runs), "nothing comes twice")
	}
}

func TestALinkWithATokenForEachPageIsFollowedAsItIs(t *testing.T) {
	for _, parallel := range []int{0, 2, 4} {
		srv := record(t, func(w http.ResponseWriter, req *http.Request) {
			q := req.URL.Query()
			page := max(1, len(q.Get("token"))+1)
			if page > 1 && q.Get("page") != strconv.Itoa(page) {
				answer(400, "text/plain", "a token of another page")(w, req)
				return
			}
			next := ""
			if page < 5 {
				next = fmt.Sprintf(`,"next":"http://%s%s?page=%d&token=%s"`, req.Host, listPath, page+1, strings.Repeat("x", page))
			}
			answerJSON(fmt.Sprintf(`{"size":5,"page":%d,"values":[{"build_number":%d}]%s}`, page, page, next))(w, req)
		})
		runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(parallel).Collect()
		require.NoError(t, err)
		require.Equal(t, upTo(5), numbers(runs))
	}
}

func TestAParallelListThatEndsWithABadLinkLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a bubble fails if a goroutine outlives it
		good, bad := linked{next: "http://HOST" + listPath + "?page=%d"}, linked{next: "http://[::1"}
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			serve := good.ServeHTTP
			switch req.URL.Query().Get("page") {
			case "2":
				serve = bad.ServeHTTP
			case "3":
				<-req.Context().Done()
				return nil, req.Context().Err()
			}
			return hosts{"http://api.example": serve}.RoundTrip(req)
		})}
		runs, err := newClient(t, "http://api.example/2.0", pipelines.WithHTTPClient(hc)).Pipelines.List(t.Context(), repo, nil).Parallel(8).Collect()
		require.ErrorContains(t, err, "malformed")
		require.Equal(t, upTo(200), numbers(runs))
	})
}

func TestPagesAreCountedWhereTheServiceDoesNot(t *testing.T) {
	for _, parallel := range []int{0, 4} {
		srv := record(t, func(w http.ResponseWriter, req *http.Request) {
			page := max(1, len(req.URL.Query().Get("ctx"))+1)
			next := ""
			if page < 4 {
				next = fmt.Sprintf(`,"next":"?ctx=%s"`, strings.Repeat("x", page))
			}
			answerJSON(fmt.Sprintf(`{"values":[{"build_number":%d}]%s}`, page, next))(w, req)
		})
		n := 0
		for page, err := range newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(parallel).Pages() {
			require.NoError(t, err)
			n++
			require.Equal(t, n, page.Number)
		}
		require.Equal(t, 4, n)
	}
}

func TestAParallelListIsTheSameListWhateverItsLinksAre(t *testing.T) {
	links := []string{
		"", "?page=%d", "http://inner/x?page=%d", "http://api.example/2.0/x?page=%d", "?page=%d&token=%d", "?ctx=after%d", "?page=1", "http://[::1", "/other?page=%d",
		"http://api.example" + listPath + "?page=%d&sort=x", "https://api.example" + listPath + "?page=9",
	}
	for seed := range 300 {
		random := rand.New(rand.NewPCG(1, uint64(seed)))
		var shown []int
		var next []string
		sum, usual := 0, links[random.IntN(len(links))]
		for range 1 + random.IntN(6) {
			shown = append(shown, max(0, 5-random.IntN(4)*random.IntN(3)))
			sum += shown[len(shown)-1]
			if random.IntN(5) == 0 {
				usual = links[random.IntN(len(links))]
			}
			next = append(next, usual)
		}
		next[len(next)-1] = ""
		size := sum + []int{0, 0, 1, 3, 5, 12, -2}[random.IntN(7)]
		beyond := []string{"an empty page", "null", "404", "another object"}[random.IntN(4)]
		hc := &http.Client{Transport: hosts{"http://api.example": func(w http.ResponseWriter, req *http.Request) {
			q := req.URL.Query()
			page, _ := strconv.Atoi(q.Get("page") + strings.TrimPrefix(q.Get("ctx"), "after"))
			if page = max(1, page); page > len(shown) {
				noPages[beyond](w, req)
				return
			}
			var values []string
			for i := range shown[page-1] {
				values = append(values, fmt.Sprintf(`{"build_number":%d}`, page*100+i))
			}
			link := strings.ReplaceAll(next[page-1], "%d", strconv.Itoa(page+1))
			answerJSON(fmt.Sprintf(`{"size":%d,"values":[%s],"next":%q}`, size, strings.Join(values, ","), link))(w, req)
		}}}
		list := newClient(t, "http://api.example/2.0", pipelines.WithHTTPClient(hc)).Pipelines.List(t.Context(), repo, &pipelines.ListPipelinesOptions{PageLen: 5})
		want, wantErr := list.Collect()
		once := make(map[int]bool)
		for _, run := range want {
			require.False(t, once[run.BuildNumber], "seed %d: run %d comes twice, links %q, shown %v", seed, run.BuildNumber, next, shown)
			once[run.BuildNumber] = true
		}
		for _, parallel := range []int{2, 3, 8} {
			got, err := list.Parallel(parallel).Collect()
			require.Equal(t, numbers(want), numbers(got), "seed %d, links %q", seed, next)
			require.Equal(t, fmt.Sprint(wantErr), fmt.Sprint(err), "seed %d, links %q", seed, next)
		}
	}
}
