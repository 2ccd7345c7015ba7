package pipelines_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// shelf is a list that says it has size runs and shows some of them: shown[i] of page i+1. What it serves past its last page is a
// test's own.
type shelf struct {
	size    int
	shown   []int
	beyond  http.HandlerFunc
	linked  bool // every page but the last links to the next
	members string
}

func (s shelf) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	page, _ := strconv.Atoi(req.URL.Query().Get("page"))
	page = max(1, page)
	if page > len(s.shown) {
		s.beyond(w, req)
		return
	}
	first := 1
	for _, n := range s.shown[:page-1] {
		first += n
	}
	var values []string
	for i := range s.shown[page-1] {
		values = append(values, fmt.Sprintf(`{"build_number":%d}`, first+i))
	}
	next := ""
	if s.linked && page < len(s.shown) {
		next = fmt.Sprintf(`,"next":"?page=%d"`, page+1)
	}
	serveJSON(fmt.Sprintf(`{"size":%d,%s"values":[%s]%s}`, s.size, s.members, strings.Join(values, ","), next))(w, req)
}

func (s shelf) total() int {
	sum := 0
	for _, n := range s.shown {
		sum += n
	}
	return sum
}

func TestAListThatEndsAPageOrMoreShortOfItsSizeIsAnError(t *testing.T) {
	for name, list := range map[string]shelf{
		"one page of three":                      {size: 250, shown: []int{100}},
		"two pages of four":                      {size: 350, shown: []int{100, 100}},
		"two pages of four, linked":              {size: 350, shown: []int{100, 100}, linked: true},
		"half of the items":                      {size: 200, shown: []int{100}},
		"small pages that nobody asked for":      {size: 5, shown: []int{2}},
		"pages of 50 where 100 are asked for":    {size: 150, shown: []int{50, 50}},
		"pages of 50, and the service says so":   {size: 100, shown: []int{50}, members: `"pagelen":50,`},
		"pages of 50, and the service says 100":  {size: 150, shown: []int{50, 50}, members: `"pagelen":100,`},
		"hidden items, and a page that is lost":  {size: 300, shown: []int{97, 98}},
		"a page that is all that the list shows": {size: 10_000, shown: []int{1}},
	} {
		for kind, beyond := range noPages {
			for _, parallel := range []int{0, 2, 8} {
				t.Run(fmt.Sprintf("%s, %s, %d at once", name, kind, parallel), func(t *testing.T) {
					list.beyond = beyond
					if kind == "an empty page that knows size" {
						list.beyond = serveJSON(fmt.Sprintf(`{"values":[],"pagelen":0,"size":%d}`, list.size))
					}
					srv := record(t, list.ServeHTTP)
					pager := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(parallel)
					for range 2 {
						runs, err := pager.Collect()
						require.Error(t, err)
						require.Equal(t, upTo(list.total()), numbers(runs), "what was read comes with the error")
						require.Contains(t, err.Error(), fmt.Sprintf("after %d of %d items", list.total(), list.size))
					}
				})
			}
		}
	}
}

func TestAListWhoseLastItemsAreHiddenIsComplete(t *testing.T) {
	for name, list := range map[string]shelf{
		"97 of 100":                          {size: 100, shown: []int{97}},
		"97 of 100, and the service says 97": {size: 100, shown: []int{97}, members: `"pagelen":97,`},
		"247 of 250":                         {size: 250, shown: []int{100, 100, 47}},
		"247 of 250, linked":                 {size: 250, shown: []int{100, 100, 47}, linked: true},
		"some on every page":                 {size: 300, shown: []int{97, 99, 98}},
		"most of a page":                     {size: 10, shown: []int{4}, members: `"pagelen":100,`},
		"some of a short page":               {size: 7, shown: []int{5}},
		"some of pages of 50":                {size: 100, shown: []int{50, 48}},
	} {
		for kind, beyond := range noPages {
			for _, parallel := range []int{0, 2, 8} {
				t.Run(fmt.Sprintf("%s, %s, %d at once", name, kind, parallel), func(t *testing.T) {
					list.beyond = beyond
					if kind == "an empty page that knows size" {
						list.beyond = serveJSON(fmt.Sprintf(`{"values":[],"pagelen":0,"size":%d}`, list.size))
					}
					srv := record(t, list.ServeHTTP)
					runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(parallel).Collect()
					require.NoError(t, err)
					require.Equal(t, upTo(list.total()), numbers(runs))
				})
			}
		}
	}
}

func TestAListWithAFailureInThePlaceOfAPageIsAnError(t *testing.T) {
	for kind, beyond := range noPages {
		for _, parallel := range []int{0, 4} {
			t.Run(fmt.Sprintf("%s, %d at once", kind, parallel), func(t *testing.T) {
				srv := record(t, shelf{size: 250, shown: []int{100, 100}, beyond: beyond}.ServeHTTP)
				runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(parallel).Collect()
				require.Equal(t, upTo(200), numbers(runs))
				if strings.HasPrefix(kind, "an empty page") { // the service says that there is no more, and less than a page is missing
					require.NoError(t, err)
					return
				}
				require.ErrorContains(t, err, "after 200 of 250 items")
			})
		}
	}
}

func TestAnObjectThatIsNoPageIsNoEmptyList(t *testing.T) {
	lists := map[string]func(c *pipelines.Client, opts ...pipelines.CallOption) error{
		"variables": func(c *pipelines.Client, opts ...pipelines.CallOption) error {
			_, err := c.Variables.InRepository(repo).List(t.Context(), nil, opts...).Collect()
			return err
		},
		"runs at once": func(c *pipelines.Client, opts ...pipelines.CallOption) error {
			_, err := c.Pipelines.List(t.Context(), repo, nil, opts...).Parallel(4).Collect()
			return err
		},
		"the first run": func(c *pipelines.Client, opts ...pipelines.CallOption) error {
			if _, err := c.Pipelines.List(t.Context(), repo, nil, opts...).First(); !errors.Is(err, pipelines.ErrEmptyList) {
				return err
			}
			return nil
		},
		"any path": func(c *pipelines.Client, opts ...pipelines.CallOption) error {
			_, err := pipelines.List[any](t.Context(), c, "/repositories/acme", opts...).Collect()
			return err
		},
	}
	for name, list := range lists {
		for _, body := range []string{`{}`, `{"values":null}`, `{"page":1,"pagelen":10}`, `{"type":"error","error":{"message":"no"}}`} {
			srv := record(t, serveJSON(body))
			require.ErrorContains(t, list(newClient(t, srv.base())), "an object that is not a page of a list", "%s: %s", name, body)
			srv.requireSent(t, 1)
		}
		for _, body := range []string{`{"values":[]}`, `{"size":0}`, `{"values":null,"size":0}`} {
			require.NoError(t, list(newClient(t, record(t, serveJSON(body)).base())), "%s: %s", name, body)
		}
	}
	withoutItems := newClient(t, record(t, serveJSON(`{"page":1}`)).base())
	require.NoError(t, lists["variables"](withoutItems, pipelines.WithQuery("fields", "page")), "as asked for")
}

func TestAListWhoseLinkedPageIsNotThereIsAnError(t *testing.T) {
	for _, kind := range []string{"null", "another object", "404", "no content"} {
		for _, parallel := range []int{0, 4} {
			for _, size := range []string{`"size":100,`, `"size":98,`, ``} {
				t.Run(fmt.Sprintf("%s, %d at once, %s", kind, parallel, size), func(t *testing.T) {
					srv := record(t, sequence(serveJSON(`{`+size+`"values":[{"build_number":1}],"next":"?page=2"}`), noPages[kind]))
					runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(parallel).Collect()
					require.Error(t, err, kind)
					require.Equal(t, []int{1}, numbers(runs))
				})
			}
		}
	}
}

func TestListsThatMissOneItemInEachHundredEndAfterTheirLastPage(t *testing.T) {
	srv := record(t, shelf{size: 300, shown: []int{99, 99, 99}, linked: true, beyond: noPages["404"]}.ServeHTTP)
	runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Collect()
	require.NoError(t, err)
	require.Len(t, runs, 297)
	srv.requireSent(t, 4)
}

func TestAListRemembersASizeThatOnlyItsFirstPageHas(t *testing.T) {
	for _, parallel := range []int{0, 2, 8} {
		t.Run(fmt.Sprint(parallel, " at once"), func(t *testing.T) {
			b := book{n: 350, noNext: true}
			srv := record(t, func(w http.ResponseWriter, req *http.Request) {
				page := b
				page.noSize = req.URL.Query().Get("page") != ""
				page.ServeHTTP(w, req)
			})
			runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(parallel).Collect()
			require.NoError(t, err)
			require.Equal(t, upTo(350), numbers(runs))
		})
	}
}

func TestAListGoesByItsNewestSize(t *testing.T) {
	for _, parallel := range []int{0, 4} {
		t.Run(fmt.Sprint(parallel, " at once"), func(t *testing.T) {
			srv := record(t, sequence(
				shelf{size: 200, shown: []int{100}}.ServeHTTP,
				serveJSON(`{"values":[],"size":100}`), // the others have been deleted meanwhile
			))
			runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(parallel).Collect()
			require.NoError(t, err)
			require.Equal(t, upTo(100), numbers(runs))
		})
	}
}

func TestAListLosesNothingToASizeThatIsTooSmallOrAbsurd(t *testing.T) {
	for _, parallel := range []int{0, 4} {
		for _, size := range []string{"0", "1", "-5", "9223372036854775807"} {
			t.Run(fmt.Sprintf("size %s, %d at once", size, parallel), func(t *testing.T) {
				srv := record(t, func(w http.ResponseWriter, req *http.Request) {
					switch req.URL.Query().Get("page") {
					case "":
						serveJSON(`{"size":`+size+`,"values":[{"build_number":1}],"next":"?page=2"}`)(w, req)
					case "2":
						serveJSON(`{"size":`+size+`,"values":[{"build_number":2}]}`)(w, req)
					default:
						serveJSON(`{"values":[]}`)(w, req)
					}
				})
				runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(parallel).Collect()
				require.Equal(t, upTo(2), numbers(runs))
				if len(size) > 2 {
					require.ErrorContains(t, err, "after 2 of 9223372036854775807 items")
				} else {
					require.NoError(t, err)
				}
			})
		}
	}
}

func TestAListByCursorIsNotRequestedByNumber(t *testing.T) {
	for size, ok := range map[int]bool{4: true, 5: true, 7: false} {
		for _, parallel := range []int{0, 4} {
			t.Run(fmt.Sprintf("size %d, %d at once", size, parallel), func(t *testing.T) {
				srv := record(t, func(w http.ResponseWriter, req *http.Request) {
					if req.URL.Query().Get("after") == "" { // a service that doesn't know page numbers
						serveJSON(fmt.Sprintf(`{"size":%d,"values":[{"build_number":1},{"build_number":2}],"next":"?after=x"}`, size))(w, req)
						return
					}
					serveJSON(fmt.Sprintf(`{"size":%d,"values":[{"build_number":3},{"build_number":4}]}`, size))(w, req)
				})
				runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(parallel).Collect()
				require.Equal(t, ok, err == nil, "%v", err)
				require.Equal(t, upTo(4), numbers(runs))
				srv.requireSent(t, 2)
			})
		}
	}
}

func TestAPartialListWithoutValuesIsOnePage(t *testing.T) {
	for _, query := range [][2]string{{"fields", "size"}, {"fields", "-values"}, {"pagelen", "0"}} {
		srv := record(t, func(w http.ResponseWriter, req *http.Request) {
			serveJSON(fmt.Sprintf(`{"size":250,"next":"http://%s%s?page=2"}`, req.Host, listPath))(w, req)
		})
		n := 0
		for page, err := range newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil, pipelines.WithQuery(query[0], query[1])).Pages() {
			require.NoError(t, err, "%v", query)
			require.Equal(t, 250, page.Size, "%v", query)
			n++
		}
		require.Equal(t, 1, n, "pages of %v", query)
		srv.requireSent(t, 1, "%v", query)
	}
}

func TestAListFromALaterPageOnIsComplete(t *testing.T) {
	for name, b := range map[string]book{
		"linked": {n: 250}, "without next": {n: 250, noNext: true}, "of fewer items than are asked for": {n: 125, noNext: true, maxLen: 50},
	} {
		for _, parallel := range []int{0, 4} {
			srv := record(t, b.ServeHTTP)
			runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil, pipelines.WithQuery("page", "2")).Parallel(parallel).Collect()
			require.NoError(t, err, name)
			pageLen := 100
			if b.maxLen > 0 {
				pageLen = b.maxLen
			}
			require.Equal(t, upTo(b.n)[pageLen:], numbers(runs), name)
		}
	}
	for _, page := range []string{"abc", "0"} {
		t.Run(page, func(t *testing.T) { // nobody knows how many items lie before it
			srv := record(t, shelf{size: 450, shown: []int{100}}.ServeHTTP)
			runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil, pipelines.WithQuery("page", page)).Collect()
			require.NoError(t, err)
			require.Len(t, runs, 100)
		})
	}
	srv := record(t, shelf{size: 450, shown: []int{100, 100, 100}, beyond: noPages["an empty page"]}.ServeHTTP)
	runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil, pipelines.WithQuery("page", "2")).Collect()
	require.ErrorContains(t, err, "after 300 of 450 items")
	require.Len(t, runs, 200)
}

func TestAListCountsItsPagesWhereTheServiceDoesNot(t *testing.T) {
	for _, parallel := range []int{0, 4} {
		t.Run(fmt.Sprint(parallel, " at once"), func(t *testing.T) {
			srv := record(t, func(w http.ResponseWriter, req *http.Request) {
				page := max(1, len(req.URL.Query().Get("ctx"))+1)
				next := ""
				if page < 4 {
					next = fmt.Sprintf(`,"next":"?ctx=%s"`, strings.Repeat("x", page))
				}
				serveJSON(fmt.Sprintf(`{"values":[{"build_number":%d}]%s}`, page, next))(w, req)
			})
			n := 0
			for page, err := range newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(parallel).Pages() {
				require.NoError(t, err)
				n++
				require.Equal(t, n, page.Number)
			}
			require.Equal(t, 4, n)
		})
	}
}

func TestListsThatLeadNowhereEnd(t *testing.T) {
	n := 0
	empty := record(t, func(w http.ResponseWriter, req *http.Request) {
		n++
		serveJSON(fmt.Sprintf(`{"values":[],"next":"http://%s/2.0/p?page=%d"}`, req.Host, n))(w, req)
	})
	_, err := newClient(t, empty.base()).Pipelines.List(t.Context(), repo, nil).Collect()
	require.ErrorContains(t, err, "have no items")
	for page := range map[string]bool{"": true, `"page":-1,`: true} {
		t.Run(fmt.Sprintf("%q", page), func(t *testing.T) {
			same := record(t, serveJSON(`{`+page+`"size":6,"values":[{"build_number":1},{"build_number":2}]}`))
			runs, err := newClient(t, same.base()).Pipelines.List(t.Context(), repo, nil).Collect()
			require.ErrorContains(t, err, "got the one before again")
			require.Len(t, runs, 2)
		})
	}
}

func TestAListThatAlwaysServesItsFirstPageIsFoundOut(t *testing.T) {
	srv := record(t, book{n: 250, noNext: true, ignores: true}.ServeHTTP)
	_, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Collect()
	require.ErrorContains(t, err, "requested page 2, got page 1")
	srv.requireSent(t, 2)
}
