package pipelines_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestFollowLogOfNothingIsNotFound(t *testing.T) {
	for name, tc := range map[string]struct {
		handle http.HandlerFunc
		is     error
		after  time.Duration
		most   int
	}{
		"of a step that does not exist":               {serve(404, "application/json", `{"error":{"message":"no"}}`), pipelines.ErrNotFound, 10 * time.Second, 7},
		"of a step that was skipped":                  {noLog(neverRan), pipelines.ErrNotFound, 0, 3},
		"of a step that was stopped before it ran":    {noLog(stopped), pipelines.ErrNotFound, 0, 3},
		"of a step that has run and has none":         {noLog(ranStep), pipelines.ErrNotFound, time.Minute, 12},
		"of a step that the credentials may not see":  {serve(403, "text/plain", ""), pipelines.ErrForbidden, 0, 1},
		"of a step that exists but may not be looked": {sequence(serve(404, "text/plain", ""), serve(403, "text/plain", "")), pipelines.ErrForbidden, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, tc.handle, func(t *testing.T, c *pipelines.Client, asked func() int) {
				start := time.Now()
				r, err := c.Steps.FollowLog(t.Context(), repo, "8", "{s}", nil)
				require.Nil(t, r)
				require.ErrorIs(t, err, tc.is)
				require.Equal(t, tc.after, time.Since(start))
				require.LessOrEqual(t, asked(), tc.most)
			})
		})
	}
}

func TestFollowLogFindsAStepThatIsNotFoundAtFirst(t *testing.T) {
	start := time.Time{}
	inBubble(t, func(w http.ResponseWriter, req *http.Request) {
		if time.Since(start) < 9*time.Second {
			serve(404, "text/html", "<html>")(w, req)
			return
		}
		stubborn(ranStep, 1, "all")(w, req)
	}, func(t *testing.T, c *pipelines.Client, asked func() int) {
		start = time.Now()
		r, err := c.Steps.FollowLog(t.Context(), repo, "8", "{s}", nil)
		require.NoError(t, err)
		defer r.Close()
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, "all", string(got))
		require.Equal(t, 9*time.Second, time.Since(start))
		require.LessOrEqual(t, asked(), 9)
	})
}

func TestFollowLogWaitsForALogThatIsOnItsWayToStorage(t *testing.T) {
	for name, tc := range map[string]struct {
		follow time.Duration // since the step's start, which takes a minute
		away   time.Duration
		fault  pipelinestest.Fault
		found  bool
	}{
		"after the end, for some seconds":           {2 * time.Minute, 7 * time.Second, pipelinestest.Fault{Status: 404}, true},
		"after the end, for long":                   {2 * time.Minute, 50 * time.Second, pipelinestest.Fault{Status: 404}, true},
		"after the end, not found in storage":       {2 * time.Minute, 30 * time.Second, pipelinestest.Fault{Status: 404, Storage: true}, true},
		"after the end, for too long":               {2 * time.Minute, time.Hour, pipelinestest.Fault{Status: 404}, false},
		"from the beginning, for some seconds":      {0, 7 * time.Second, pipelinestest.Fault{Status: 404}, true},
		"from the beginning, for long":              {0, 50 * time.Second, pipelinestest.Fault{Status: 404}, true},
		"from the beginning, not found in storage":  {0, 30 * time.Second, pipelinestest.Fault{Status: 404, Storage: true}, true},
		"from the beginning, for too long":          {0, time.Hour, pipelinestest.Fault{Status: 404}, false},
		"from the beginning, too long, and storage": {0, time.Hour, pipelinestest.Fault{Status: 404, Storage: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
				r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: time.Minute, Log: lines("b", 100)}}})
				run := start(t, c)
				end := time.Now().Add(time.Minute)
				step, err := c.Steps.List(t.Context(), repo, run.UUID, nil).First()
				require.NoError(t, err)
				tc.fault.Match = func(req *http.Request) bool {
					isLog := strings.HasSuffix(req.URL.Path, "/log") || tc.fault.Storage
					return isLog && !time.Now().Before(end) && time.Since(end.Add(max(0, tc.follow-time.Minute))) < tc.away
				}
				srv.Inject(tc.fault)
				time.Sleep(tc.follow)
				srv.ClearRequests()
				begin := time.Now()
				got, err := followed(t, c, run.UUID, step.UUID)
				if tc.found {
					require.NoError(t, err)
					require.Equal(t, lines("b", 100), got)
					require.Less(t, time.Since(begin), max(0, time.Minute-tc.follow)+tc.away*3/2+10*time.Second)
				} else {
					require.ErrorIs(t, err, pipelines.ErrNotFound)
					if tc.follow > 0 {
						require.Equal(t, time.Minute, time.Since(begin))
					}
					require.Less(t, time.Since(begin), max(0, time.Minute-tc.follow)+95*time.Second)
				}
				require.LessOrEqual(t, len(srv.Requests()), 60, "the storage's share included")
			})
		})
	}
}

// followed reads what FollowLog gives; an error of its own is one of reading.
func followed(t *testing.T, c *pipelines.Client, pipeline, step string) (string, error) {
	t.Helper()
	r, err := c.Steps.FollowLog(t.Context(), repo, pipeline, step, nil)
	if err != nil {
		return "", err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	n, again := r.Read(make([]byte, 1))
	require.Zero(t, n)
	if err != nil {
		require.Equal(t, err, again, "the end stays the end")
	} else {
		require.Equal(t, io.EOF, again)
	}
	return string(got), err
}

// replaced serves a step that runs for a minute, whose log is served as given.
func replaced(start *time.Time, log http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		switch {
		case strings.HasSuffix(req.URL.Path, "/log"):
			log(w, req)
		case time.Since(*start) < time.Minute:
			serveJSON(`{"uuid":"{s}","state":{"name":"IN_PROGRESS"}}`)(w, req)
		default:
			serveJSON(ranStep)(w, req)
		}
	}
}

func TestFollowLogOfALogThatWasReplacedIsAnError(t *testing.T) {
	content := noise(4_000)
	for name, then := range map[string]http.HandlerFunc{
		"by a shorter one":                serveLog(noise(500), ""),
		"by one of 500 bytes, says a 416": pastEnd("bytes */500"),
		"by a longer one, says a 416":     pastEnd("bytes */5000"),
		"by a shorter one, whole":         whole(noise(500), true),
		"by a shorter one of no length":   whole(noise(500), false),
		"by another, whole":               whole(bytes.Repeat([]byte("x"), 9_000), true),
		"by another of no length":         whole(bytes.Repeat([]byte("x"), 9_000), false),
	} {
		t.Run(name, func(t *testing.T) {
			var start time.Time
			inBubble(t, replaced(&start, sequence(serveLog(content, ""), then)), func(t *testing.T, c *pipelines.Client, asked func() int) {
				start = time.Now()
				got, err := followed(t, c, "8", "{s}")
				require.ErrorContains(t, err, "has changed since its beginning was read")
				require.Equal(t, string(content), got)
				require.Less(t, time.Since(start), 10*time.Second, "it isn't tried again")
				require.LessOrEqual(t, asked(), 5)
			})
		})
	}
}

func TestFollowLogTakesARangePastTheEndForNoNews(t *testing.T) {
	content := noise(4_000)
	for name, contentRange := range map[string]string{"of the size that is known": "bytes */4000", "that says nothing else": "", "of nonsense": "bytes */x"} {
		t.Run(name, func(t *testing.T) {
			var start time.Time
			log := sequence(serveLog(content[:1_000], ""), serveLog(content, ""), pastEnd(contentRange))
			inBubble(t, replaced(&start, log), func(t *testing.T, c *pipelines.Client, _ func() int) {
				start = time.Now()
				got, err := followed(t, c, "8", "{s}")
				require.NoError(t, err)
				require.Equal(t, string(content), got)
			})
		})
	}
}

func TestFollowLogFromAnOffsetReadsALogThatLiesCompressed(t *testing.T) {
	content := text(100_000)
	stored := zip(t, content, 1)
	gzipped := withHeaders(serveLog(stored, ""), "Content-Encoding", "gzip")
	for _, offset := range []int64{10, 60_000, 99_999, 100_000, 200_000} {
		for name, delay := range map[string]time.Duration{"from the beginning": 0, "at the end": 50 * time.Second, "afterwards": 2 * time.Minute} {
			t.Run(fmt.Sprint(offset, " ", name), func(t *testing.T) {
				var start time.Time
				inBubble(t, moving(&start, content, gzipped), func(t *testing.T, c *pipelines.Client, _ func() int) {
					start = time.Now()
					time.Sleep(delay)
					r, err := c.Steps.FollowLog(t.Context(), repo, "8", "{s}", &pipelines.FollowOptions{Offset: offset})
					require.NoError(t, err)
					defer r.Close()
					got, err := io.ReadAll(r)
					require.NoError(t, err)
					want := content[min(offset, 100_000):]
					require.True(t, bytes.Equal(want, got), "got %d bytes, want %d", len(got), len(want))
				})
			})
		}
	}
}

// growing is a log that grows by a byte a second, and the step that writes it.
type growing struct {
	start   time.Time
	begins  time.Duration // when the log exists
	ends    time.Duration
	content []byte
	lost    int // how many requests for the log fail in between

	mu          sync.Mutex
	transferred int
	requests    []string
}

type countingWriter struct {
	http.ResponseWriter
	status, n int
}

func (w *countingWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.status < 300 {
		w.n += len(p)
	}
	return w.ResponseWriter.Write(p)
}

func (g *growing) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	age := time.Since(g.start)
	isLog := strings.HasSuffix(req.URL.Path, "/log")
	g.requests = append(g.requests, fmt.Sprintf("%s %v", map[bool]string{true: "log", false: "step"}[isLog], age))
	switch {
	case !isLog && age < g.begins:
		serveJSON(`{"state":{"name":"PENDING"}}`)(w, req)
	case !isLog && age < g.ends:
		serveJSON(`{"state":{"name":"IN_PROGRESS"}}`)(w, req)
	case !isLog:
		serveJSON(`{"state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`)(w, req)
	case age < g.begins:
		serve(404, "application/json", `{"error":{"message":"no log"}}`)(w, req)
	case g.lost > 0 && age > g.begins:
		g.lost--
		serve(404, "application/json", `{"error":{"message":"no log"}}`)(w, req)
	default:
		n := min(len(g.content), int((min(age, g.ends)-g.begins)/time.Second))
		counter := &countingWriter{ResponseWriter: w}
		serveLog(g.content[:n], "")(counter, req)
		g.transferred += counter.n
	}
}

func TestFollowLogWaitsForALogToReachItsOffset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &growing{start: time.Now(), ends: time.Minute, content: noise(3600)}
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(&http.Client{Transport: hosts{"http://api.example": g.ServeHTTP}}))
		for _, offset := range []int64{5, 40, 60} {
			g.start = time.Now().Add(-10 * time.Second)
			r, err := c.Steps.FollowLog(t.Context(), repo, "8", "{s}", &pipelines.FollowOptions{Offset: offset})
			require.NoError(t, err)
			got, err := io.ReadAll(r)
			require.NoError(t, err)
			require.Equal(t, string(g.content[min(offset, 60):60]), string(got))
			require.Equal(t, len(got), g.transferred, "each byte once, and none before the offset")
			g.transferred = 0
			require.NoError(t, r.Close())
		}
	})
}

// moving is a step that runs for a minute, and whose log then lies compressed in storage.
func moving(start *time.Time, content []byte, stored http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		age := time.Since(*start)
		state := `"state":{"name":"IN_PROGRESS"}`
		if age >= time.Minute {
			state = `"state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}`
		}
		step := `{"uuid":"{s}","name":"A","started_on":"2026-01-01T00:00:00Z",` + state + `}`
		switch {
		case strings.HasSuffix(req.URL.Path, "/log") && age >= time.Minute:
			stored(w, req)
		case strings.HasSuffix(req.URL.Path, "/log"):
			serveLog(content[:len(content)*int(age/time.Second)/60], "")(w, req)
		case strings.HasSuffix(req.URL.Path, "/steps"):
			serveJSON(`{"values":[`+step+`]}`)(w, req)
		case strings.Contains(req.URL.Path, "/steps/"):
			serveJSON(step)(w, req)
		default:
			serveJSON(`{`+state+`}`)(w, req)
		}
	}
}

func TestALogThatGoesCompressedIntoStorageIsFollowedToItsEnd(t *testing.T) {
	content := text(100_000)
	stored := zip(t, content, 1)
	encoded := func(handle http.HandlerFunc) http.HandlerFunc { return withHeaders(handle, "Content-Encoding", "gzip") }
	for name, handle := range map[string]http.HandlerFunc{
		"with ranges": encoded(serveLog(stored, "")), "with ranges and an ETag": encoded(serveLog(stored, `"v1"`)), "without ranges": encoded(whole(stored, true)),
		"with a cut": sequence(encoded(whole(stored[:len(stored)/2], false)), encoded(whole(stored, true))),
	} {
		for late, delay := range map[string]time.Duration{"from the beginning": 0, "at the end": 50 * time.Second, "afterwards": 2 * time.Minute} {
			t.Run(fmt.Sprint(name, ", ", late), func(t *testing.T) {
				var start time.Time
				inBubble(t, moving(&start, content, handle), func(t *testing.T, c *pipelines.Client, _ func() int) {
					start = time.Now()
					time.Sleep(delay)
					got, err := followed(t, c, "8", "{s}")
					require.NoError(t, err)
					require.True(t, bytes.Equal(content, []byte(got)), "got %d bytes, want %d", len(got), len(content))
				})
				inBubble(t, moving(&start, content, handle), func(t *testing.T, c *pipelines.Client, _ func() int) {
					start = time.Now()
					time.Sleep(delay)
					seen, err := collect(t, t.Context(), c, "8")
					require.NoError(t, err)
					require.True(t, bytes.Equal(content, seen.logs["A"].Bytes()), "got %d bytes, want %d", seen.logs["A"].Len(), len(content))
				})
			})
		}
	}
}

func TestFollowLogReadsAGrowingLogToItsEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		begins, ends time.Duration
		offset       int64
		lost         int
	}{
		"that exists already":       {0, time.Minute, 0, 0},
		"that begins later":         {30 * time.Second, 90 * time.Second, 0, 0},
		"that grows for an hour":    {0, time.Hour, 0, 0},
		"from an offset":            {0, time.Minute, 20, 0},
		"that is away for a moment": {0, time.Minute, 0, 2},
		"that is finished":          {0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &growing{start: time.Now(), begins: tc.begins, ends: tc.ends, content: noise(3600), lost: tc.lost}
				c := newClient(t, "http://api.example", pipelines.WithHTTPClient(&http.Client{Transport: hosts{"http://api.example": g.ServeHTTP}}))
				r, err := c.Steps.FollowLog(t.Context(), repo, "8", "{s}", &pipelines.FollowOptions{Offset: tc.offset})
				require.NoError(t, err)
				defer r.Close()
				got, err := io.ReadAll(r)
				require.NoError(t, err)
				want := g.content[tc.offset:int((tc.ends-tc.begins)/time.Second)]
				require.True(t, bytes.Equal(want, got), "%d bytes, not %d", len(got), len(want))
				require.Equal(t, len(want), g.transferred, "each byte once")
				if tc.ends == 0 {
					require.Equal(t, g.start, time.Now(), "nothing to wait for")
				}
				require.Less(t, time.Since(g.start), tc.ends+time.Minute)
				require.LessOrEqual(t, len(g.requests), 60+int(tc.ends/(15*time.Second))+1)
			})
		})
	}
}

func TestFollowLogEndsWhereItIsClosedOrItsContextEnds(t *testing.T) {
	for name, end := range map[string]func(io.Closer, context.CancelFunc){
		"closed":    func(r io.Closer, _ context.CancelFunc) { _ = r.Close() },
		"cancelled": func(_ io.Closer, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &growing{start: time.Now(), ends: time.Hour, content: noise(3600)}
				c := newClient(t, "http://api.example", pipelines.WithHTTPClient(&http.Client{Transport: hosts{"http://api.example": g.ServeHTTP}}))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r, err := c.Steps.FollowLog(ctx, repo, "8", "{s}", nil)
				require.NoError(t, err)
				defer r.Close()
				done := make(chan error, 1)
				go func() {
					_, err := io.ReadAll(r)
					done <- err
				}()
				time.Sleep(time.Minute)
				synctest.Wait()
				end(r, cancel)
				want := map[string]error{"closed": fs.ErrClosed, "cancelled": context.Canceled}[name]
				require.ErrorIs(t, <-done, want)
				require.Equal(t, time.Minute, time.Since(g.start), "at once")
			})
		})
	}
}

func TestFollowLogGivesUpWhereTheServiceDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &growing{start: time.Now(), ends: time.Hour, content: noise(3600)}
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(&http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			if time.Since(g.start) > time.Minute {
				return respond(req, 503, ""), nil
			}
			return hosts{"http://api.example": g.ServeHTTP}.RoundTrip(req)
		})}))
		r, err := c.Steps.FollowLog(t.Context(), repo, "8", "{s}", nil)
		require.NoError(t, err)
		defer r.Close()
		got, err := io.ReadAll(r)
		require.ErrorIs(t, err, pipelines.ErrServer)
		require.NotEmpty(t, got)
	})
}

func TestFollowLogFindsALogThatComesWithTheStepsEnd(t *testing.T) {
	step := `{"state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`
	srv := record(t, stubborn(step, 2, "all"))
	r, err := newClient(t, srv.base()).Steps.FollowLog(t.Context(), repo, "1", "{s}", nil)
	require.NoError(t, err)
	defer r.Close()
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "all", string(got))
}

func TestFollowLogOfAStepThatEndsWithoutALogIsNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		hc := &http.Client{Transport: hosts{"http://api.example": func(w http.ResponseWriter, req *http.Request) {
			switch {
			case strings.HasSuffix(req.URL.Path, "/log"):
				serve(404, "text/plain", "")(w, req)
			case time.Since(begin) < time.Minute:
				serveJSON(`{"state":{"name":"PENDING"}}`)(w, req)
			default:
				serveJSON(`{"state":{"name":"COMPLETED","result":{"name":"STOPPED"}}}`)(w, req)
			}
		}}}
		r, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Steps.FollowLog(t.Context(), repo, "1", "{s}", nil)
		require.NoError(t, err)
		defer r.Close()
		_, err = io.ReadAll(r)
		require.ErrorIs(t, err, pipelines.ErrNotFound)
	})
}

func TestFollowLogOfAFinishedStepOutlastsAMomentsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const step = `{"state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`
		missing, down := serve(404, "text/plain", ""), serve(503, "text/plain", "")
		logs := sequence(missing, down, down, down, serveLog([]byte("all"), ""))
		hc := &http.Client{Transport: hosts{"http://api.example": func(w http.ResponseWriter, req *http.Request) {
			if strings.HasSuffix(req.URL.Path, "/log") {
				logs(w, req)
				return
			}
			serveJSON(step)(w, req)
		}}}
		r, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Steps.FollowLog(t.Context(), repo, "1", "{s}", nil)
		require.NoError(t, err)
		require.NotNil(t, r)
		defer r.Close()
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, "all", string(got))
	})
}
