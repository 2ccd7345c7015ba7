package pipelines_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

var mainBranch = pipelines.RunRequest{Target: pipelines.BranchTarget("main")}

func TestHeadersThatMakeNetHTTPSendAWriteAgainAreRefused(t *testing.T) {
	srv := record(t, answerJSON(`{}`))
	c := newClient(t, srv.base())
	for _, name := range []string{"Idempotency-Key", "x-idempotency-key"} {
		_, err := c.Pipelines.Run(t.Context(), repo, mainBranch, pipelines.WithHeader(name, ""))
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
		_, err = c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithHeader(name, "x"))
		require.NoError(t, err, "reading twice does no harm")
	}
	require.Len(t, srv.seen(), 2)
}

func TestErrorsNeverRepeatWhatTheRequestKeptSecret(t *testing.T) {
	const secret = "hunter2=\n<second line of it>"
	variable := pipelines.VariableRequest{Key: "K", Value: secret, Secured: new(true)}
	run := pipelines.RunRequest{Target: pipelines.BranchTarget("main"), Variables: []pipelines.VariableRequest{variable}}
	calls := map[string]func(*pipelines.Client) error{
		"Run": func(c *pipelines.Client) error { _, err := c.Pipelines.Run(t.Context(), repo, run); return err },
		"RunOnDemand": func(c *pipelines.Client) error {
			_, err := c.Pipelines.RunOnDemand(t.Context(), repo, pipelines.OnDemandRequest{RunRequest: run, YAML: []byte("x")})
			return err
		},
		"Create": func(c *pipelines.Client) error {
			_, err := c.Variables.InRepository(repo).Create(t.Context(), variable)
			return err
		},
		"Update": func(c *pipelines.Client) error {
			_, err := c.Variables.InRepository(repo).Update(t.Context(), "{v}", pipelines.VariableUpdate{Value: new(secret)})
			return err
		},
		"SetKeyPair": func(c *pipelines.Client) error {
			_, err := c.SSH.SetKeyPair(t.Context(), repo, pipelines.KeyPair{PrivateKey: secret, PublicKey: "p"})
			return err
		},
	}
	quoted := `hunter2\u003d\n\u003csecond line of it\u003e`
	for echo, body := range map[string]string{
		"in the message":      `{"error":{"message":"bad hunter2=\n<second line of it>!"}}`,
		"in the detail":       `{"error":{"message":"bad","detail":"` + quoted + `"}}`,
		"in the fields":       `{"error":{"message":"bad","fields":{"value":["` + quoted + `"]}}}`,
		"in the data":         `{"error":{"message":"bad","data":{"key":"a.b","arguments":{"value":["` + quoted + `"]}}}}`,
		"as text":             "you sent " + secret,
		"as text, in the URL": "you sent " + url.QueryEscape(secret),
		"a line of it":        "you sent <second line of it>",
	} {
		for name, call := range calls {
			srv := record(t, answer(400, "application/json", body))
			err := call(newClient(t, srv.base()))
			var e *pipelines.APIError
			require.ErrorAs(t, err, &e)
			shown := err.Error() + string(e.Body) + fmt.Sprint(e.Message, e.Detail, e.Fields, e.Data)
			for _, part := range []string{"hunter2", "second line"} {
				assert.NotContains(t, shown, part, "%s %s", name, echo)
			}
		}
	}
}

func TestCredentialsAreMaskedInEverySpelling(t *testing.T) {
	e := apiError(t, 401, http.Header{"Content-Type": {"application/json"}}, `{"error":{"message":"Unknown token ATATT3x\u003d1234"}}`,
		pipelines.WithBasicAuth("a@b.c", "ATATT3x=1234"))
	require.NotContains(t, e.Error()+string(e.Body), "1234")
}

func TestSignedLinksShowNowhere(t *testing.T) {
	var log bytes.Buffer
	logger := pipelines.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	redirectTo := func(location string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
	}
	t.Run("of a redirect that does not parse", func(t *testing.T) {
		srv := record(t, redirectTo("https://storage.test:bad/x?Signature=S3CRET"))
		_, err := newClient(t, srv.base(), logger).Steps.GetLog(t.Context(), repo, "1", "{s}", nil)
		require.ErrorContains(t, err, "redirect refused")
		require.NotContains(t, err.Error(), "S3CRET")
		require.Len(t, srv.seen(), 1)
	})
	t.Run("that the storage host repeats", func(t *testing.T) {
		storage := record(t, func(w http.ResponseWriter, req *http.Request) {
			answer(403, "text/plain", "The link "+req.URL.String()+" has expired")(w, req)
		})
		srv := record(t, redirectTo(storage.URL+"/x?Signature=S3CRET"))
		_, err := newClient(t, srv.base(), logger).Steps.GetLog(t.Context(), repo, "1", "{s}", nil)
		var e *pipelines.APIError
		require.ErrorAs(t, err, &e)
		require.NotContains(t, err.Error()+string(e.Body), "S3CRET")
		require.Equal(t, 1, strings.Count(err.Error(), "attempts"), err)
	})
	t.Run("of a transport that is a client itself", func(t *testing.T) {
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Post", URL: req.URL.String(), Err: &url.Error{Op: "Post", URL: req.URL.String(), Err: errors.New("boom")}}
		})}
		_, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc), logger).Pipelines.Get(t.Context(), repo, "1", pipelines.WithQuery("x", "S3CRET"))
		require.ErrorContains(t, err, "GET /repositories/acme/site/pipelines/1: boom")
		require.NotContains(t, err.Error(), "S3CRET")
	})
	require.NotContains(t, log.String(), "S3CRET")
}

func TestTransportsThatMisbehaveDoNoHarm(t *testing.T) {
	t.Run("neither response nor error", func(t *testing.T) {
		hc := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, nil })} //nolint:nilnil // the point
		_, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Pipelines.Get(t.Context(), repo, "1")
		require.ErrorContains(t, err, "neither a response nor an error")
	})
	t.Run("traces half of what it does", func(t *testing.T) {
		sent := 0
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			sent++
			httptrace.ContextClientTrace(req.Context()).GetConn("api.example:80")
			return respond(req, 201, "{"), nil
		})}
		_, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Pipelines.Run(t.Context(), repo, mainBranch)
		require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
		require.Equal(t, 1, sent)
	})
	t.Run("changes the request", func(t *testing.T) {
		var seen []string
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			seen = append(seen, req.Header.Get("Authorization"))
			req.URL.Host = "elsewhere.example"
			return nil, errors.New("boom")
		})}
		_, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Pipelines.Get(t.Context(), repo, "1")
		require.Error(t, err)
		require.Equal(t, []string{"Bearer t0ken", "Bearer t0ken", "Bearer t0ken"}, seen)
	})
}

func TestAProxyThatCannotBeAskedLeavesNothingUnknown(t *testing.T) {
	hc := &http.Client{Transport: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New("no proxy today") }}}
	_, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Pipelines.Run(t.Context(), repo, mainBranch)
	require.ErrorContains(t, err, "no proxy today")
	require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)

	source := tokenSource(func() (*oauth2.Token, error) { return &oauth2.Token{AccessToken: "a", TokenType: "x\ny"}, nil })
	srv := record(t, answerJSON(`{}`))
	_, err = newClient(t, srv.base(), pipelines.WithTokenSource(source)).Pipelines.Run(t.Context(), repo, mainBranch)
	require.ErrorContains(t, err, "type is not a word")
	require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	require.Empty(t, srv.seen())
}

func TestARetryAfterOfAGoodAnswerIsNoReasonToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent, err := waits(t, pipelines.RetryPolicy{MaxAttempts: 2}, func(_ int, req *http.Request) *http.Response {
			resp := respond(req, 200, "{")
			resp.Header.Set("Retry-After", "31536000")
			return resp
		})
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Len(t, sent, 2)
		require.Less(t, sent[1], time.Second)
	})
}

func TestRunsAnsweredWithoutAPipelineAreUnknown(t *testing.T) {
	for _, body := range []string{"null", " null ", "", "<html>"} {
		srv := record(t, answer(201, "application/json", body))
		_, err := newClient(t, srv.base()).Pipelines.Run(t.Context(), repo, mainBranch)
		require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown, body)
	}
	srv := record(t, answer(204, "", ""))
	_, err := newClient(t, srv.base()).Pipelines.Run(t.Context(), repo, mainBranch)
	require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
}

func TestDoTakesAnAnswerThatDoesNotClaimToHaveContent(t *testing.T) {
	out := map[string]any{"kept": true}
	for _, method := range []string{"GET", "PUT", "POST", "DELETE"} {
		for _, status := range []int{200, 202} {
			srv := record(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = nil
				w.WriteHeader(status)
			})
			require.NoError(t, newClient(t, srv.base()).Do(t.Context(), method, "/a", nil, &out))
		}
	}
	head := record(t, answerJSON(`{"a":1}`))
	require.NoError(t, newClient(t, head.base()).Do(t.Context(), "HEAD", "/a", nil, &out))
	require.Equal(t, map[string]any{"kept": true}, out)
}

func TestAHangingTokenSourceIsAskedOnce(t *testing.T) {
	release := make(chan struct{})
	var asked atomic.Int32
	source := tokenSource(func() (*oauth2.Token, error) {
		asked.Add(1)
		<-release
		return &oauth2.Token{AccessToken: "a"}, nil
	})
	srv := record(t, answerJSON(`{}`))
	c := newClient(t, srv.base(), pipelines.WithTokenSource(source))
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err := c.Pipelines.Get(ctx, repo, "1")
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	require.EqualValues(t, 1, asked.Load())
	close(release)
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
}

func TestTheOriginIsComparedWithoutUnicodesFolding(t *testing.T) {
	var got []string
	hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		got = append(got, req.Header.Get("Authorization"))
		resp := respond(req, 200, `{}`)
		if len(got) == 1 {
			resp = respond(req, 302, "")
			resp.Header.Set("Location", "https://api.bitbuc\u212aet.org/x")
		}
		return resp, nil
	})}
	c, err := pipelines.NewClient(pipelines.WithToken("t0ken"), pipelines.WithHTTPClient(hc))
	require.NoError(t, err)
	_, err = c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	require.Equal(t, []string{"Bearer t0ken", ""}, got)
}

func TestATrickledErrorBodyEndsWithTheStallTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			pr, pw := io.Pipe()
			go func() {
				for {
					time.Sleep(time.Second)
					if _, err := pw.Write([]byte("x")); err != nil {
						return
					}
				}
			}()
			context.AfterFunc(req.Context(), func() { pr.CloseWithError(req.Context().Err()) })
			return &http.Response{StatusCode: 400, Header: http.Header{}, Body: pr, Request: req}, nil
		})}
		start := time.Now()
		_, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Pipelines.Get(t.Context(), repo, "1")
		require.ErrorIs(t, err, pipelines.ErrInvalidRequest)
		require.LessOrEqual(t, time.Since(start), time.Minute)
		time.Sleep(2 * time.Second) // the writer finds out
	})
}

func TestACookieJarAddsItsCookiesOnceToEachAttempt(t *testing.T) {
	srv := record(t, sequence(drop, drop, answerJSON(`{}`)))
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	u, err := url.Parse(srv.URL)
	require.NoError(t, err)
	jar.SetCookies(u, []*http.Cookie{{Name: "a", Value: "1"}})
	_, err = newClient(t, srv.base(), pipelines.WithHTTPClient(&http.Client{Jar: jar})).Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	for _, req := range srv.seen() {
		require.Equal(t, "a=1", req.Header.Get("Cookie"))
	}
}

func TestNilContextsAreRefused(t *testing.T) {
	srv := record(t, answerJSON(`{}`))
	c := newClient(t, srv.base())
	var none context.Context
	_, err := c.Pipelines.Wait(none, repo, "1", nil)
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	for _, err := range c.Pipelines.Watch(none, repo, "1", nil) {
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	}
	_, err = c.Steps.FollowLog(none, repo, "1", "{s}", nil)
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	_, err = c.Pipelines.List(none, repo, nil).Parallel(4).Collect()
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	_, err = c.Caches.Download(none, repo, "{c}", io.Discard)
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	require.Empty(t, srv.seen())
}

func TestAPartialResponseKeepsWhatLeadsToTheNextPage(t *testing.T) {
	for fields, want := range map[string]string{"values.uuid": "values.uuid,next,size,page", "-values.links": "-values.links", "+values.x": "+values.x"} {
		srv := record(t, book{n: 250}.ServeHTTP)
		runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil, pipelines.WithQuery("fields", fields)).Collect()
		require.NoError(t, err)
		require.Len(t, runs, 250)
		for _, req := range srv.seen() {
			q, err := url.ParseQuery(req.Query)
			require.NoError(t, err)
			require.Equal(t, want, q.Get("fields"))
		}
	}
}

func TestWithResponseOfAParallelListTellsOfThePageAtHand(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Page", req.URL.Query().Get("page"))
		book{n: 1000}.ServeHTTP(w, req)
	})
	var resp *http.Response
	n := 0
	for page, err := range newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil, pipelines.WithResponse(&resp)).Parallel(4).Pages() {
		require.NoError(t, err)
		if n++; n > 1 {
			require.Equal(t, fmt.Sprint(page.Number), resp.Header.Get("X-Page"))
		}
	}
	require.Equal(t, 10, n)
}

func TestListsThatLeadNowhereEnd(t *testing.T) {
	n := 0
	empty := record(t, func(w http.ResponseWriter, req *http.Request) {
		n++
		answerJSON(fmt.Sprintf(`{"values":[],"next":"http://%s/2.0/p?page=%d"}`, req.Host, n))(w, req)
	})
	_, err := newClient(t, empty.base()).Pipelines.List(t.Context(), repo, nil).Collect()
	require.ErrorContains(t, err, "have no items")
	for page := range map[string]bool{"": true, `"page":-1,`: true} {
		same := record(t, answerJSON(`{`+page+`"size":6,"values":[{"build_number":1},{"build_number":2}]}`))
		runs, err := newClient(t, same.base()).Pipelines.List(t.Context(), repo, nil).Collect()
		require.ErrorContains(t, err, "the one before came again")
		require.Len(t, runs, 2)
	}
}

func TestPiecesOfALogWhoseSizeNobodyTellsAreAllRead(t *testing.T) {
	content := noise(1000)
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		var from int
		_, _ = fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-", &from)
		if from >= len(content) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		to := min(from+300, len(content))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", from, to-1))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(content[from:to])
	})
	for _, o := range []pipelines.LogOptions{{Offset: 10}, {Offset: 10, Length: 500}} {
		got, err := io.ReadAll(openLog(t, newClient(t, srv.base()), &o))
		require.NoError(t, err)
		want := content[10:]
		if o.Length > 0 {
			want = content[10:510]
		}
		require.True(t, bytes.Equal(want, got), "%d of %d bytes", len(got), len(want))
	}
}

func TestATailThatIsTooLongIsCut(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 0-99/100")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(noise(100))
	})
	got, err := io.ReadAll(openLog(t, newClient(t, srv.base()), &pipelines.LogOptions{Tail: 10}))
	require.NoError(t, err)
	require.Equal(t, noise(100)[90:], got)
}

func TestALogThatBreaksAfterItsLastByteIsWhole(t *testing.T) {
	content := noise(500)
	breaks := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(content)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	srv := record(t, sequence(breaks, whole(content, true)))
	got, err := io.ReadAll(openLog(t, newClient(t, srv.base()), nil))
	require.NoError(t, err)
	require.Equal(t, content, got)
}

func TestWatchReadsTheLogOfAStepThatRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		hc := &http.Client{Transport: hosts{"http://api.example": func(w http.ResponseWriter, req *http.Request) {
			age := time.Since(begin)
			state, result, run, log := "IN_PROGRESS", "", 2, "second\n"
			switch {
			case age < 10*time.Second:
				state, result, run, log = "COMPLETED", `,"result":{"name":"FAILED"}`, 1, "first\n"
			case age > 40*time.Second:
				state, result = "COMPLETED", `,"result":{"name":"SUCCESSFUL"}`
			}
			switch {
			case strings.HasSuffix(req.URL.Path, "/log"):
				serveLog([]byte(log), "")(w, req)
			case strings.HasSuffix(req.URL.Path, "/steps"):
				answerJSON(fmt.Sprintf(`{"values":[{"uuid":"{s}","name":"A","run_number":%d,"state":{"name":%q%s}}]}`, run, state, result))(w, req)
			case age > 40*time.Second:
				answerJSON(`{"state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`)(w, req)
			default:
				answerJSON(`{"state":{"name":"IN_PROGRESS"}}`)(w, req)
			}
		}}}
		seen, err := collect(t, t.Context(), newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)), "1")
		require.NoError(t, err)
		require.Equal(t, "first\nsecond\n", seen.logs["A"].String())
		require.Equal(t, []string{"A FAILED", "A IN_PROGRESS", "A SUCCESSFUL"}, seen.steps)
	})
}

// stubborn serves a pipeline that has ended, whose one step reads as given and whose log comes at the n-th asking.
func stubborn(step string, n int, log string) http.HandlerFunc {
	asked := 0
	return func(w http.ResponseWriter, req *http.Request) {
		switch {
		case strings.HasSuffix(req.URL.Path, "/log"):
			if asked++; asked < n {
				answer(404, "text/plain", "")(w, req)
				return
			}
			serveLog([]byte(log), "")(w, req)
		case strings.HasSuffix(req.URL.Path, "/steps"):
			answerJSON(`{"values":[`+step+`]}`)(w, req)
		case strings.Contains(req.URL.Path, "/steps/"):
			answerJSON(step)(w, req)
		default:
			answerJSON(`{"state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`)(w, req)
		}
	}
}

func TestWatchLosesNoEndOfALog(t *testing.T) {
	const done = `"state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}`
	for name, tc := range map[string]struct {
		step  string
		asked int
		want  string
	}{
		"of a step in a state that nobody knows": {`{"uuid":"{s}","name":"A","state":{"name":"TIMED_OUT"}}`, 1, "all"},
		"that is away for a moment":              {`{"uuid":"{s}","name":"A","started_on":"2026-01-01T00:00:00Z",` + done + `}`, 3, "all"},
		"that never was":                         {`{"uuid":"{s}","name":"A","started_on":"2026-01-01T00:00:00Z",` + done + `}`, 99, ""},
		"of a step without a UUID":               {`{"name":"A",` + done + `}`, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hc := &http.Client{Transport: hosts{"http://api.example": stubborn(tc.step, tc.asked, "all")}}
				seen, err := collect(t, t.Context(), newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)), "1")
				require.NoError(t, err)
				require.Equal(t, []string{"SUCCESSFUL"}, seen.pipeline)
				require.Len(t, seen.steps, 1)
				if tc.want == "" {
					require.Empty(t, seen.logs)
					return
				}
				require.Equal(t, tc.want, seen.logs["A"].String())
			})
		})
	}
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
				answer(404, "text/plain", "")(w, req)
			case time.Since(begin) < time.Minute:
				answerJSON(`{"state":{"name":"PENDING"}}`)(w, req)
			default:
				answerJSON(`{"state":{"name":"COMPLETED","result":{"name":"STOPPED"}}}`)(w, req)
			}
		}}}
		r, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Steps.FollowLog(t.Context(), repo, "1", "{s}", nil)
		require.NoError(t, err)
		defer r.Close()
		_, err = io.ReadAll(r)
		require.ErrorIs(t, err, pipelines.ErrNotFound)
	})
}

func TestAQuotaThatIsUsedUpIsWaitedForAndNotBeaten(t *testing.T) {
	for name, follow := range map[string]func(*testing.T, *pipelines.Client, string){
		"by Wait": func(t *testing.T, c *pipelines.Client, id string) {
			t.Helper()
			p, err := c.Pipelines.Wait(t.Context(), repo, id, nil)
			require.NoError(t, err)
			require.True(t, p.State.Succeeded())
		},
		"by Watch": func(t *testing.T, c *pipelines.Client, id string) {
			t.Helper()
			seen, err := collect(t, t.Context(), c, id)
			require.NoError(t, err)
			require.Equal(t, lines("b", 100), seen.logs["Build"].String())
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := pipelinestest.NewServer(pipelinestest.WithQuota(40))
				defer srv.Close()
				r := srv.AddRepository("acme", "site")
				r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: 3 * time.Hour, Log: lines("b", 100)}}})
				c := srv.Client()
				follow(t, c, start(t, c).UUID)
				refused := 0
				for _, req := range srv.Requests() {
					if req.Status == http.StatusTooManyRequests {
						refused++
					}
				}
				require.Positive(t, refused)
				require.LessOrEqual(t, refused, 3*12+1, "one look each five minutes")
			})
		})
	}
}

func TestAServiceThatAsksToWaitForYearsIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			resp := respond(req, 429, "")
			resp.Header.Set("Retry-After", "999999999999")
			return resp, nil
		})}
		start := time.Now()
		_, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Pipelines.Wait(t.Context(), repo, "1", nil)
		require.ErrorIs(t, err, pipelines.ErrRateLimited)
		require.Zero(t, time.Since(start))
	})
}

func TestWatchOfManyStepsKeepsItsBudget(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		var script pipelinestest.Script
		for i := range 120 {
			script.Steps = append(script.Steps, pipelinestest.Step{Name: fmt.Sprint(i), Duration: time.Second, Log: "x\n", Parallel: i > 0})
		}
		r.Script("", script)
		id := start(t, c).UUID
		time.Sleep(time.Minute)
		srv.ClearRequests()
		begin := time.Now()
		for _, err := range c.Pipelines.Watch(t.Context(), repo, id, nil) {
			require.NoError(t, err)
		}
		sent := 0.0
		for _, req := range srv.Requests() {
			if !req.Storage {
				sent++
				require.LessOrEqual(t, sent, 60.5+240*req.Time.Sub(begin).Hours(), "steps that end together make no exception")
			}
		}
		require.Greater(t, sent, 120.0)
	})
}

func TestNothingIsLeftBehind(t *testing.T) {
	content := noise(100_000)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/log") {
			sequence(cut(5_000, whole(content, false)))(w, req)
			return
		}
		book{n: 1000}.ServeHTTP(w, req)
	}))
	before := runtime.NumGoroutine()
	c := newClient(t, srv.URL)
	for range 20 {
		for range c.Pipelines.List(t.Context(), repo, nil).Parallel(8).All() {
			break
		}
		log, err := c.Steps.GetLog(t.Context(), repo, "1", "{s}", &pipelines.LogOptions{Offset: 3})
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, log)
		require.Error(t, err)
		require.NoError(t, log.Close())
	}
	c.CloseIdleConnections()
	srv.Close()
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before }, 5*time.Second, time.Millisecond)
}

func TestAStopWhoseAnswerWasLostHasSucceeded(t *testing.T) {
	refused := answer(400, "application/json", `{"error":{"message":"Bad request","detail":"already complete"}}`)
	for state, succeeds := range map[string]bool{"STOPPED": true, "SUCCESSFUL": false} {
		get := answerJSON(`{"state":{"name":"COMPLETED","result":{"name":"` + state + `"}}}`)
		srv := record(t, sequence(drop, refused, get))
		err := newClient(t, srv.base()).Pipelines.Stop(t.Context(), repo, "1")
		require.Equal(t, succeeds, err == nil, err)
		require.Len(t, srv.seen(), 3)
	}
	srv := record(t, refused)
	err := newClient(t, srv.base()).Pipelines.Stop(t.Context(), repo, "1")
	require.ErrorIs(t, err, pipelines.ErrInvalidRequest)
	require.Len(t, srv.seen(), 1, "nothing was lost, so there is nothing to look up")
}

func TestAWebPageIsNoSuccess(t *testing.T) {
	srv := record(t, answer(200, "text/html; charset=utf-8", "<html>Sign in to the network"))
	c := newClient(t, srv.base())
	require.ErrorContains(t, c.Pipelines.Stop(t.Context(), repo, "1"), "it is a web page")
	require.ErrorContains(t, c.Caches.Delete(t.Context(), repo, "{c}"), "it is a web page")
	require.ErrorIs(t, c.Deployments.UpdateEnvironment(t.Context(), repo, "{e}", pipelines.EnvironmentUpdate{Name: new("x")}), pipelines.ErrOutcomeUnknown)
}

func TestFollowLogOfAFinishedStepOutlastsAMomentsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const step = `{"state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`
		missing, down := answer(404, "text/plain", ""), answer(503, "text/plain", "")
		logs := sequence(missing, down, down, down, serveLog([]byte("all"), ""))
		hc := &http.Client{Transport: hosts{"http://api.example": func(w http.ResponseWriter, req *http.Request) {
			if strings.HasSuffix(req.URL.Path, "/log") {
				logs(w, req)
				return
			}
			answerJSON(step)(w, req)
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

func TestASecretThatBeginsLikeAnotherIsMaskedWhole(t *testing.T) {
	srv := record(t, answer(400, "application/json", `{"error":{"message":"bad hunter2-and-more"}}`))
	_, err := newClient(t, srv.base()).Pipelines.Run(t.Context(), repo, pipelines.RunRequest{
		Target: pipelines.BranchTarget("main"),
		Variables: []pipelines.VariableRequest{
			{Key: "A", Value: "hunter2", Secured: new(true)}, {Key: "B", Value: "hunter2-and-more", Secured: new(true)},
		},
	})
	require.ErrorIs(t, err, pipelines.ErrInvalidRequest)
	require.NotContains(t, err.Error(), "and-more")
}

func TestAStorageHostThatQuotesTheSignatureShowsNothingOfIt(t *testing.T) {
	storage := record(t, answer(403, "application/xml", "<Error><SignatureProvided>S3CRET/SIGNATURE=</SignatureProvided></Error>"))
	srv := record(t, http.RedirectHandler(storage.URL+"/x?Expires=9&Signature=S3CRET%2FSIGNATURE%3D", http.StatusTemporaryRedirect).ServeHTTP)
	_, err := newClient(t, srv.base()).Steps.GetLog(t.Context(), repo, "1", "{s}", nil)
	var e *pipelines.APIError
	require.ErrorAs(t, err, &e)
	require.NotContains(t, err.Error()+string(e.Body), "S3CRET")
	require.Contains(t, string(e.Body), "SignatureProvided", "what is no secret stays")
}

func TestARefererOfTheUserIsSent(t *testing.T) {
	srv := record(t, answerJSON(`{}`))
	_, err := newClient(t, srv.base()).Pipelines.Get(t.Context(), repo, "1", pipelines.WithHeader("Referer", "https://tool.example"))
	require.NoError(t, err)
	require.Equal(t, "https://tool.example", srv.only(t).Header.Get("Referer"))
}
