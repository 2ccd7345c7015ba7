package pipelines_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// inBubble runs a test on a fake clock against a handler, and counts its requests.
func inBubble(t *testing.T, handle http.HandlerFunc, test func(t *testing.T, c *pipelines.Client, asked func() int)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		counting := func(w http.ResponseWriter, req *http.Request) { n++; handle(w, req) }
		hc := &http.Client{Transport: hosts{"http://api.example": counting}}
		test(t, newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)), func() int { return n })
	})
}

// noLog answers for a step as given, whose log there is none of.
func noLog(step string) http.HandlerFunc { return stubborn(step, 1e9, "") }

const (
	ranStep  = `{"uuid":"{s}","name":"A","started_on":"2026-01-01T00:00:00Z","state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`
	stopped  = `{"uuid":"{s}","name":"A","state":{"name":"COMPLETED","result":{"name":"STOPPED"}}}`
	neverRan = `{"uuid":"{s}","name":"A","started_on":"2026-01-01T00:00:00Z","state":{"name":"COMPLETED","result":{"name":"NOT_RUN"}}}`
)

func TestFollowLogOfNothingIsNotFound(t *testing.T) {
	for name, tc := range map[string]struct {
		handle http.HandlerFunc
		is     error
		after  time.Duration
		most   int
	}{
		"of a step that does not exist":               {answer(404, "application/json", `{"error":{"message":"no"}}`), pipelines.ErrNotFound, 10 * time.Second, 7},
		"of a step that was skipped":                  {noLog(neverRan), pipelines.ErrNotFound, 0, 3},
		"of a step that was stopped before it ran":    {noLog(stopped), pipelines.ErrNotFound, 0, 3},
		"of a step that has run and has none":         {noLog(ranStep), pipelines.ErrNotFound, time.Minute, 12},
		"of a step that the credentials may not see":  {answer(403, "text/plain", ""), pipelines.ErrForbidden, 0, 1},
		"of a step that exists but may not be looked": {sequence(answer(404, "text/plain", ""), answer(403, "text/plain", "")), pipelines.ErrForbidden, 0, 2},
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
			answer(404, "text/html", "<html>")(w, req)
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
			answerJSON(`{"uuid":"{s}","state":{"name":"IN_PROGRESS"}}`)(w, req)
		default:
			answerJSON(ranStep)(w, req)
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
			answerJSON(`{"values":[`+step+`]}`)(w, req)
		case strings.Contains(req.URL.Path, "/steps/"):
			answerJSON(step)(w, req)
		default:
			answerJSON(`{`+state+`}`)(w, req)
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
