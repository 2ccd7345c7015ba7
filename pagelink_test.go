package pipelines_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestAListWhoseLinkLostItsQuestionPutsItBack(t *testing.T) {
	options := &pipelines.ListPipelinesOptions{
		Sort: pipelines.SortNewestFirst, Branch: "a&b +c/ä", Status: []pipelines.PipelineStatus{"PASSED", "FAILED", "HALTED"},
	}
	question := url.Values{
		"sort": {"-created_on"}, "target.branch": {"a&b +c/ä"}, "status": {"PASSED", "FAILED", "HALTED"}, "pagelen": {"100"},
		"fields": {"values.build_number,next,size,page,pagelen"}, "x": {"1", "2"},
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
				srv.requireSent(t, 3)
			})
		}
	}
}

func TestALinkKeepsItsOwnQuery(t *testing.T) {
	for _, parallel := range []int{0, 4} {
		t.Run(fmt.Sprint(parallel, " at once"), func(t *testing.T) {
			srv := record(t, func(w http.ResponseWriter, req *http.Request) {
				q := req.URL.Query()
				if q.Get("page") == "" {
					serveJSON(fmt.Sprintf(`{"size":3,"values":[{"build_number":1},{"build_number":2}],"next":"http://%s%s?page=2&pagelen=2&sort=created_on&status=ERROR&opaque=%%2B%%20"}`, req.Host, listPath))(w, req)
					return
				}
				serveJSON(`{"size":3,"values":[{"build_number":3}]}`)(w, req)
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
		})
	}
}

func TestALinkWhoseFieldsLeaveTheNextPageOutGetsThemBack(t *testing.T) {
	for _, parallel := range []int{0, 4} {
		t.Run(fmt.Sprint(parallel, " at once"), func(t *testing.T) {
			srv := record(t, linked{next: "http://HOST" + listPath + "?page=%d&fields=values.build_number"}.ServeHTTP)
			runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil, pipelines.WithQuery("fields", "values.uuid")).Parallel(parallel).Collect()
			require.NoError(t, err)
			require.Len(t, runs, 250)
			for _, req := range srv.seen()[1:] {
				q, err := url.ParseQuery(req.Query)
				require.NoError(t, err)
				require.Equal(t, "values.build_number,next,size,page,pagelen", q.Get("fields"))
			}
		})
	}
}

func TestEveryListPutsBackWhatItsLinkLost(t *testing.T) {
	question := url.Values{"pagelen": {"100"}, "sort": {"name"}, "fields": {"values,next,size,page,pagelen"}}
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

func TestALinkToAnotherOriginIsRequestedFromOurOwn(t *testing.T) {
	foreign := record(t, serveJSON(`{"values":[{"build_number":666}]}`))
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
				srv.requireSent(t, 3)
				foreign.requireSent(t, 0)
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
	foreign := record(t, serveJSON(`{"values":[{"build_number":666}]}`))
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
				foreign.requireSent(t, 0)
				if parallel == 0 {
					srv.requireSent(t, 2)
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
				require.Equal(t, 1, sent, "requests sent")
			})
		}
	}
}

func TestAPageThatComesAgainBehindALinkIsFoundOut(t *testing.T) {
	for _, parallel := range []int{0, 4} {
		t.Run(fmt.Sprint(parallel, " at once"), func(t *testing.T) {
			srv := record(t, book{n: 250, ignores: true}.ServeHTTP)
			runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(parallel).Collect()
			require.ErrorContains(t, err, "got the one before again")
			require.Equal(t, upTo(100), numbers(runs), "nothing comes twice")
		})
	}
}

func TestALinkWithATokenForEachPageIsFollowedAsItIs(t *testing.T) {
	for _, parallel := range []int{0, 2, 4} {
		t.Run(fmt.Sprint(parallel, " at once"), func(t *testing.T) {
			srv := record(t, func(w http.ResponseWriter, req *http.Request) {
				q := req.URL.Query()
				page := max(1, len(q.Get("token"))+1)
				if page > 1 && q.Get("page") != strconv.Itoa(page) {
					serve(400, "text/plain", "a token of another page")(w, req)
					return
				}
				next := ""
				if page < 5 {
					next = fmt.Sprintf(`,"next":"http://%s%s?page=%d&token=%s"`, req.Host, listPath, page+1, strings.Repeat("x", page))
				}
				serveJSON(fmt.Sprintf(`{"size":5,"page":%d,"values":[{"build_number":%d}]%s}`, page, page, next))(w, req)
			})
			runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(parallel).Collect()
			require.NoError(t, err)
			require.Equal(t, upTo(5), numbers(runs))
		})
	}
}

func TestLinksOfTheServiceAreNotTrusted(t *testing.T) {
	foreign := record(t, serveJSON(`{"values":[{"build_number":666}]}`))
	for name, tc := range map[string]struct{ next, says string }{
		"to another origin":          {foreign.URL + "/2.0/x", "another origin"},
		"to another scheme":          {"https://HOST/2.0/x", "another origin"},
		"to a file":                  {"file:///etc/passwd", "another origin"},
		"with credentials":           {"http://u:p@HOST/2.0/x", "another origin"},
		"to the same host, opaquely": {"http:HOST/2.0/x", "another origin"},
		"to the first page again":    {"http://HOST/2.0/repositories/acme/site/pipelines?page=2", "read before"},
		"that does not parse":        {"http://[::1", "malformed"},
	} {
		for _, parallel := range []int{0, 4} {
			t.Run(fmt.Sprintf("%s, %d at once", name, parallel), func(t *testing.T) {
				srv := record(t, func(w http.ResponseWriter, req *http.Request) {
					next := strings.ReplaceAll(tc.next, "HOST", req.Host)
					serveJSON(fmt.Sprintf(`{"values":[{"build_number":1}],"next":%q}`, next))(w, req)
				})
				_, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(parallel).Collect()
				require.ErrorContains(t, err, tc.says)
				require.LessOrEqual(t, len(srv.seen()), 2)
				foreign.requireSent(t, 0)
			})
		}
	}
}

func TestALinkToAPageOfLongAgoIsFound(t *testing.T) {
	n := 0
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		n++
		serveJSON(fmt.Sprintf(`{"values":[{}],"next":"http://%s/2.0/p?page=%d"}`, req.Host, n%12))(w, req)
	})
	_, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Collect()
	require.ErrorContains(t, err, "read before")
	srv.requireSent(t, 13)
}

func TestALinkMayBeRelativeToTheOrigin(t *testing.T) {
	srv := record(t, sequence(serveJSON(`{"values":[{}],"next":"/2.0/p?page=2"}`), serveJSON(`{"values":[{}]}`)))
	runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Collect()
	require.NoError(t, err)
	require.Len(t, runs, 2)
	require.Equal(t, "/2.0/p", srv.seen()[1].Path)
}
