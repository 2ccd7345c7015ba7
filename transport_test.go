package pipelines_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// verbs are one call of each kind that the retry policy knows.
var verbs = []struct {
	name   string
	once   bool
	delete bool
	call   func(context.Context, *pipelines.Client) error
}{
	{name: "GET", call: func(ctx context.Context, c *pipelines.Client) error {
		_, err := c.Pipelines.Get(ctx, repo, "1")
		return err
	}},
	{name: "PUT", call: func(ctx context.Context, c *pipelines.Client) error {
		return c.Do(ctx, http.MethodPut, "/a", map[string]int{"a": 1}, &map[string]any{})
	}},
	{name: "DELETE", delete: true, call: func(ctx context.Context, c *pipelines.Client) error {
		return c.Do(ctx, http.MethodDelete, "/a", nil, &map[string]any{})
	}},
	{name: "stop", call: func(ctx context.Context, c *pipelines.Client) error {
		return c.Pipelines.Stop(ctx, repo, "1")
	}},
	{name: "run", once: true, call: func(ctx context.Context, c *pipelines.Client) error {
		_, err := c.Pipelines.Run(ctx, repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
		return err
	}},
	{name: "POST", once: true, call: func(ctx context.Context, c *pipelines.Client) error {
		return c.Do(ctx, http.MethodPost, "/a", map[string]int{"a": 1}, &map[string]any{})
	}},
}

// TestWhatIsSentAgain proves the request table: how often each kind of call is sent when every attempt fails in the same way, and
// what comes back.
func TestWhatIsSentAgain(t *testing.T) {
	faults := []struct {
		name      string
		handle    http.HandlerFunc
		refused   bool  // it can't have taken effect
		is        error // what the error is besides
		needsBody bool  // a call that reads no answer doesn't meet the fault
	}{
		{name: "429", handle: answer(429, "text/plain", "Rate limit for this resource has been exceeded"), refused: true, is: pipelines.ErrRateLimited},
		{name: "500", handle: answer(500, "application/json", `{"error":{"message":"oops","id":"f00"}}`), is: pipelines.ErrServer},
		{name: "502", handle: answer(502, "text/html", "<html>"), is: pipelines.ErrServer},
		{name: "503", handle: answer(503, "text/plain", ""), is: pipelines.ErrServer},
		{name: "504", handle: answer(504, "text/plain", ""), is: pipelines.ErrServer},
		{name: "dropped connection", handle: drop, is: io.EOF},
		{name: "body cut off", handle: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"build_`)
		}, is: io.ErrUnexpectedEOF},
		{name: "body that is not JSON", handle: answer(200, "text/html", "<html>"), needsBody: true},
		{name: "body that ends early", handle: answer(200, "application/json", `{"a":`), needsBody: true},
		{name: "empty body", handle: answer(200, "application/json", ""), needsBody: true},
		{name: "answer that never comes", handle: func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }},
		{name: "body that stalls", handle: func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.WriteString(w, `{"a":`)
			_ = http.NewResponseController(w).Flush()
			<-req.Context().Done()
		}},
	}
	for _, fault := range faults {
		for _, verb := range verbs {
			t.Run(fault.name+" of "+verb.name, func(t *testing.T) {
				if fault.needsBody && verb.name == "stop" {
					return
				}
				srv := record(t, fault.handle)
				c := newClient(t, srv.base(), pipelines.WithStallTimeout(30*time.Millisecond))
				err := verb.call(t.Context(), c)
				require.Error(t, err)
				if fault.is != nil {
					require.ErrorIs(t, err, fault.is)
				}
				if verb.once && !fault.refused {
					require.Len(t, srv.seen(), 1)
					require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
					return
				}
				require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
				if fault.refused { // which uses up time, and no attempt
					require.Greater(t, len(srv.seen()), quick.MaxAttempts)
					return
				}
				require.Len(t, srv.seen(), quick.MaxAttempts)
				require.ErrorContains(t, err, "3 attempts")
			})
		}
	}
}

// TestWhatWasNeverSentIsSentAgain counts attempts that end before the request goes out.
func TestWhatWasNeverSentIsSentAgain(t *testing.T) {
	noTLS, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer noTLS.Close()
	go func() {
		for {
			conn, err := noTLS.Accept()
			if err != nil {
				return
			}
			conn.Close() // in the middle of the handshake
		}
	}()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, base := range map[string]string{"dial": gone.URL, "TLS": "https://" + noTLS.Addr().String()} {
		for _, verb := range verbs {
			t.Run(name+" of "+verb.name, func(t *testing.T) {
				var attempts atomic.Int32
				c := newClient(t, base, pipelines.WithLimiter(limiterFunc(func(context.Context) error { attempts.Add(1); return nil })))
				err := verb.call(t.Context(), c)
				require.Error(t, err)
				require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
				require.EqualValues(t, quick.MaxAttempts, attempts.Load())
			})
		}
	}
}

func TestATransportThatDoesNotTraceCountsAsHavingSent(t *testing.T) {
	sent := 0
	hc := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		sent++
		return nil, errors.New("something went wrong")
	})}
	c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc))
	_, err := c.Pipelines.Run(t.Context(), repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	require.Equal(t, 1, sent)
}

func TestACertificateThatIsNotTrustedIsNotTriedAgain(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	attempts := 0
	c := newClient(t, srv.URL, pipelines.WithLimiter(limiterFunc(func(context.Context) error { attempts++; return nil })))
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.ErrorContains(t, err, "certificate")
	require.Equal(t, 1, attempts)
}

func TestAnEndOfTheContextAfterSendingLeavesTheOutcomeOfAWriteUnknown(t *testing.T) {
	for _, verb := range verbs {
		t.Run(verb.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			srv := record(t, func(_ http.ResponseWriter, req *http.Request) {
				cancel()
				<-req.Context().Done()
			})
			err := verb.call(ctx, newClient(t, srv.base()))
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, verb.once, errors.Is(err, pipelines.ErrOutcomeUnknown))
			require.Len(t, srv.seen(), 1)
		})
	}
}

func TestAContextThatHasEndedSendsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	srv := record(t, answerJSON(`{}`))
	for _, verb := range verbs {
		err := verb.call(ctx, newClient(t, srv.base()))
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	}
	require.Empty(t, srv.seen())
}

// sequence answers with one handler after the other, the last of them again and again.
func sequence(handlers ...http.HandlerFunc) http.HandlerFunc {
	var n atomic.Int32
	return func(w http.ResponseWriter, req *http.Request) {
		i := min(int(n.Add(1)), len(handlers)) - 1
		handlers[i](w, req)
	}
}

func TestDeleteThatFindsNothingAfterAnUnknownOutcomeHasSucceeded(t *testing.T) {
	notFound := answer(404, "application/json", `{"error":{"message":"gone"}}`)
	for name, tc := range map[string]struct {
		handlers []http.HandlerFunc
		succeeds bool
	}{
		"after a dropped connection": {[]http.HandlerFunc{drop, notFound}, true},
		"after a 500":                {[]http.HandlerFunc{answer(500, "text/plain", ""), notFound}, true},
		"at once":                    {[]http.HandlerFunc{notFound}, false},
		"after a 429":                {[]http.HandlerFunc{answer(429, "text/plain", ""), notFound}, false},
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, sequence(tc.handlers...))
			err := newClient(t, srv.base()).Do(t.Context(), http.MethodDelete, "/a", nil, nil)
			if tc.succeeds {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, pipelines.ErrNotFound)
			}
			require.Len(t, srv.seen(), len(tc.handlers))
		})
	}
}

func TestDeleteThatFindsNothingAfterAnAttemptThatWasNeverSentHasFailed(t *testing.T) {
	srv := record(t, answer(404, "text/plain", ""))
	first := true
	c := newClient(t, srv.base(), pipelines.WithLimiter(limiterFunc(func(context.Context) error {
		if first {
			first = false
			return errors.New("not now")
		}
		return nil
	})))
	require.ErrorIs(t, c.Do(t.Context(), http.MethodDelete, "/a", nil, nil), pipelines.ErrNotFound)
}

func TestGetThatFindsNothingAfterAnUnknownOutcomeHasFailed(t *testing.T) {
	srv := record(t, sequence(drop, answer(404, "text/plain", "")))
	_, err := newClient(t, srv.base()).Pipelines.Get(t.Context(), repo, "1")
	require.ErrorIs(t, err, pipelines.ErrNotFound)
}

func TestOtherAnswersAreNotTriedAgain(t *testing.T) {
	for status, kind := range map[int]error{
		400: pipelines.ErrInvalidRequest, 401: pipelines.ErrUnauthorized, 403: pipelines.ErrForbidden, 404: pipelines.ErrNotFound,
		409: pipelines.ErrConflict, 410: pipelines.ErrGone, 422: pipelines.ErrInvalidRequest, 501: pipelines.ErrServer, 304: nil, 402: nil,
	} {
		for _, verb := range verbs {
			srv := record(t, answer(status, "text/plain", ""))
			err := verb.call(t.Context(), newClient(t, srv.base()))
			var e *pipelines.APIError
			require.ErrorAs(t, err, &e)
			require.Equal(t, status, e.StatusCode)
			require.Equal(t, 1, e.Attempts)
			require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
			if kind != nil {
				require.ErrorIs(t, err, kind)
			}
			require.Len(t, srv.seen(), 1)
		}
	}
}

func TestARetryThatSucceedsIsNoError(t *testing.T) {
	srv := record(t, sequence(drop, answer(503, "text/html", "<html>"), answerJSON(`{"build_number":5}`)))
	p, err := newClient(t, srv.base()).Pipelines.Get(t.Context(), repo, "5")
	require.NoError(t, err)
	require.Equal(t, 5, p.BuildNumber)
	require.Len(t, srv.seen(), 3)
}

func TestARetryStartsDecodingFromNothing(t *testing.T) {
	srv := record(t, sequence(answerJSON(`{"uuid":"{stale}","build_number":4,`), answerJSON(`{"build_number":5}`)))
	p, err := newClient(t, srv.base()).Pipelines.Get(t.Context(), repo, "5")
	require.NoError(t, err)
	require.Equal(t, &pipelines.Pipeline{BuildNumber: 5}, p)
}

func TestTheBodyIsSentWholeWithEachAttempt(t *testing.T) {
	srv := record(t, sequence(answer(429, "text/plain", ""), answer(201, "application/json", `{"build_number":1}`)))
	_, err := newClient(t, srv.base()).Pipelines.Run(t.Context(), repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	require.NoError(t, err)
	seen := srv.seen()
	require.Len(t, seen, 2)
	require.Equal(t, `{"target":{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main"}}`, seen[0].Body)
	require.Equal(t, seen[0].Body, seen[1].Body)
}

// waits answers in process, so that the time between attempts can be measured on a bubble's clock.
func waits(t *testing.T, policy pipelines.RetryPolicy, respondTo func(n int, req *http.Request) *http.Response) (sent []time.Duration, err error) {
	t.Helper()
	start := time.Now()
	hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		sent = append(sent, time.Since(start))
		return respondTo(len(sent), req), nil
	})}
	c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc), pipelines.WithRetry(policy))
	_, err = c.Pipelines.Get(t.Context(), repo, "1")
	return sent, err
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for name, tc := range map[string]struct {
		header func() string
		want   time.Duration
	}{
		"in seconds": {func() string { return "17" }, 17 * time.Second},
		"as a date":  {func() string { return time.Now().Add(20 * time.Second).UTC().Format(http.TimeFormat) }, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent, err := waits(t, pipelines.RetryPolicy{}, func(n int, req *http.Request) *http.Response {
					if n > 1 {
						return respond(req, 200, `{}`)
					}
					resp := respond(req, 503, "")
					resp.Header.Set("Retry-After", tc.header())
					return resp
				})
				require.NoError(t, err)
				require.Equal(t, []time.Duration{0, tc.want}, sent)
			})
		})
	}
}

func TestARetryAfterThatIsTooLongComesBackAtOnce(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"61": 61 * time.Second, "31536000": 365 * 24 * time.Hour, "99999999999999999999999": 10 * 365 * 24 * time.Hour,
	} {
		synctest.Test(t, func(t *testing.T) {
			sent, err := waits(t, pipelines.RetryPolicy{}, func(_ int, req *http.Request) *http.Response {
				resp := respond(req, 429, "slow down")
				resp.Header.Set("Retry-After", header)
				return resp
			})
			require.ErrorIs(t, err, pipelines.ErrRateLimited)
			var e *pipelines.APIError
			require.ErrorAs(t, err, &e)
			require.Equal(t, want, e.RetryAfter)
			require.Equal(t, []time.Duration{0}, sent)
		})
	}
}

func TestARetryAfterThatSaysNothingIsIgnored(t *testing.T) {
	for _, header := range []string{"", "-5", "soon", "Mon, 01 Jan 1990 00:00:00 GMT", "NaN", "-Inf"} {
		synctest.Test(t, func(t *testing.T) {
			sent, err := waits(t, pipelines.RetryPolicy{MaxAttempts: 2, MinWait: time.Second}, func(_ int, req *http.Request) *http.Response {
				resp := respond(req, 503, "")
				resp.Header.Set("Retry-After", header)
				return resp
			})
			require.ErrorIs(t, err, pipelines.ErrServer)
			require.Len(t, sent, 2)
			require.LessOrEqual(t, sent[1], time.Second+1)
		})
	}
}

func TestWaitsGrowWithFullJitterUpToTheirBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := pipelines.RetryPolicy{MaxAttempts: 9, MinWait: time.Second, MaxWait: 20 * time.Second}
		longest := make([]time.Duration, 8)
		for range 100 {
			sent, err := waits(t, policy, func(_ int, req *http.Request) *http.Response { return respond(req, 503, "") })
			require.ErrorIs(t, err, pipelines.ErrServer)
			require.Len(t, sent, 9)
			for i := range longest {
				longest[i] = max(longest[i], sent[i+1]-sent[i])
			}
		}
		for i, got := range longest {
			bound := min(time.Second<<i, 20*time.Second)
			assert.LessOrEqual(t, got, bound+1)
			assert.Greater(t, got, bound/2, "a hundred draws come near the bound")
		}
	})
}

func TestAnEndOfTheContextEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			resp := respond(req, 429, "slow down")
			resp.Header.Set("Retry-After", "59")
			return resp, nil
		})}
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc), pipelines.WithRetry(pipelines.RetryPolicy{}))
		_, err := c.Pipelines.Run(ctx, repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, pipelines.ErrRateLimited, "the error tells what was waited for")
		require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
		require.Equal(t, 10*time.Second, time.Since(start))
	})
}

// hosts serves several origins in process: the key of each is "scheme://host".
type hosts map[string]http.HandlerFunc

func (h hosts) RoundTrip(req *http.Request) (*http.Response, error) {
	handle, ok := h[req.URL.Scheme+"://"+req.URL.Host]
	if !ok {
		return nil, fmt.Errorf("no host %s", req.URL.Host)
	}
	w := httptest.NewRecorder()
	seen := req.Clone(req.Context())
	if seen.Body == nil {
		seen.Body = http.NoBody
	}
	handle(w, seen)
	resp := w.Result()
	resp.Request = req
	return resp, nil
}

func TestCredentialsStayAtTheirOrigin(t *testing.T) {
	for name, tc := range map[string]struct {
		base, to string
		follows  bool
		sends    bool
	}{
		"the same origin":                {"https://api.example/2.0", "https://api.example/elsewhere", true, true},
		"the same origin, port spelt":    {"https://api.example/2.0", "https://API.example:443/elsewhere", true, true},
		"another host":                   {"https://api.example/2.0", "https://evil.example/x", true, false},
		"a subdomain":                    {"https://api.example/2.0", "https://sub.api.example/x", true, false},
		"the parent domain":              {"https://api.example/2.0", "https://example/x", true, false},
		"another port":                   {"https://api.example/2.0", "https://api.example:8443/x", true, false},
		"another scheme, to https":       {"http://api.example/2.0", "https://api.example/x", true, false},
		"another scheme, https to http":  {"https://api.example/2.0", "http://api.example/x", false, false},
		"credentials inside the URL":     {"https://api.example/2.0", "https://user:pass@evil.example/x", true, false},
		"a scheme that is not http":      {"https://api.example/2.0", "file:///etc/passwd", false, false},
		"a foreign host that sends back": {"https://api.example/2.0", "https://evil.example/back", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			var got []http.Header
			see := func(w http.ResponseWriter, req *http.Request) {
				got = append(got, req.Header)
				if req.URL.Path == "/back" {
					http.Redirect(w, req, "https://api.example/elsewhere", http.StatusFound)
					return
				}
				_, _ = io.WriteString(w, `{"build_number":9}`)
			}
			network := hosts{}
			for _, origin := range []string{
				"https://evil.example", "https://user:pass@evil.example", "https://sub.api.example", "https://example", "https://api.example:8443",
				"https://API.example:443", "http://api.example", "https://api.example",
			} {
				network[origin] = see
			}
			base, err := url.Parse(tc.base)
			require.NoError(t, err)
			network[base.Scheme+"://"+base.Host] = func(w http.ResponseWriter, req *http.Request) {
				if strings.HasPrefix(req.URL.Path, "/2.0/") {
					http.Redirect(w, req, tc.to, http.StatusTemporaryRedirect)
					return
				}
				see(w, req)
			}
			c := newClient(t, tc.base, pipelines.WithHTTPClient(&http.Client{Transport: network}))
			p, err := c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithHeader("X-Key", "s3cret"), pipelines.WithHeader("Cookie", "s3cret"))
			if !tc.follows {
				require.ErrorContains(t, err, "redirect refused")
				require.NotContains(t, err.Error(), "attempts", "another try would end the same")
				require.Empty(t, got)
				return
			}
			require.NoError(t, err)
			require.Equal(t, 9, p.BuildNumber)
			for _, header := range got {
				if tc.sends {
					assert.Equal(t, "Bearer t0ken", header.Get("Authorization"))
					assert.Equal(t, "s3cret", header.Get("X-Key"))
					continue
				}
				assert.Equal(t, "application/json", header.Get("Accept"))
				for _, secret := range []string{"Authorization", "X-Key", "Cookie", "Referer"} {
					assert.Empty(t, header.Get(secret), secret)
				}
			}
		})
	}
}

func TestRedirectsOverRealPortsLoseTheCredentials(t *testing.T) {
	storage := record(t, answerJSON(`{"build_number":9}`))
	api := record(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, storage.URL+"/x", http.StatusTemporaryRedirect)
	})
	_, err := newClient(t, api.base()).Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	require.Equal(t, "Bearer t0ken", api.only(t).Header.Get("Authorization"))
	require.Empty(t, storage.only(t).Header.Get("Authorization"))
}

func TestRedirectsOfWritesAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, verb := range verbs[1:] {
			elsewhere := record(t, answerJSON(`{}`))
			srv := record(t, func(w http.ResponseWriter, req *http.Request) {
				http.Redirect(w, req, elsewhere.URL, status)
			})
			var e *pipelines.APIError
			require.ErrorAs(t, verb.call(t.Context(), newClient(t, srv.base())), &e)
			require.Equal(t, status, e.StatusCode)
			require.Len(t, srv.seen(), 1)
			require.Empty(t, elsewhere.seen())
		}
	}
}

func TestARedirectLoopEnds(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, req.URL.Path+"x", http.StatusFound)
	})
	_, err := newClient(t, srv.base()).Pipelines.Get(t.Context(), repo, "1")
	require.ErrorContains(t, err, "more than 5 in a row")
	require.Len(t, srv.seen(), 6)
}

func TestErrorsShowNoURL(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, "http://127.0.0.1:1/log?X-Amz-Signature=s3cret", http.StatusTemporaryRedirect)
	})
	_, err := newClient(t, srv.base()).Pipelines.Get(t.Context(), repo, "1", pipelines.WithQuery("value", "s3cret"))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "s3cret")
}

func TestJSONIsDecodedTolerantly(t *testing.T) {
	for name, body := range map[string]string{
		"duplicate names":      `{"build_number":1,"build_number":2,"state":{"name":"COMPLETED"}}`,
		"invalid UTF-8":        "{\"build_number\":2,\"uuid\":\"\xff\xfe\",\"state\":{\"name\":\"COMPLETED\"}}",
		"unknown members":      `{"build_number":2,"what":{"is":["this",null]},"state":{"name":"COMPLETED","x":1}}`,
		"null for everything":  `{"build_number":2,"uuid":null,"creator":null,"created_on":null,"target":null,"variables":null,"labels":null,"expired":null,"state":{"name":"COMPLETED","stage":null}}`,
		"a byte more of space": " \n{\"build_number\":2,\"state\":{\"name\":\"COMPLETED\"}}\n ",
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, answer(200, "text/plain", body))
			p, err := newClient(t, srv.base()).Pipelines.Get(t.Context(), repo, "1")
			require.NoError(t, err)
			require.Equal(t, 2, p.BuildNumber)
			require.True(t, p.State.Done())
		})
	}
}

func TestAnAnswerThatIsTooLargeIsRefused(t *testing.T) {
	for name, compressed := range map[string]bool{"plain": false, "a gzip bomb": true} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, func(w http.ResponseWriter, req *http.Request) {
				out := io.Writer(w)
				if compressed {
					assert.Equal(t, "gzip", req.Header.Get("Accept-Encoding"))
					w.Header().Set("Content-Encoding", "gzip")
					zip := gzip.NewWriter(w)
					defer zip.Close()
					out = zip
				}
				for range 33 {
					_, _ = out.Write([]byte(strings.Repeat(" ", 1<<20)))
				}
			})
			_, err := newClient(t, srv.base()).Pipelines.Get(t.Context(), repo, "1")
			require.ErrorIs(t, err, pipelines.ErrResponseTooLarge)
			require.Len(t, srv.seen(), 1, "a second time it would be as large")
		})
	}
}

// An object of two bytes becomes a model of hundreds: what an answer would take in memory is bounded too.
func TestAnAnswerOfTooManyObjectsIsRefused(t *testing.T) {
	bodies := map[string]string{
		"a list of them":        `{"values":[{}` + strings.Repeat(`,{}`, 10<<20) + `]}`,
		"lists within a model":  `{"values":[{"setup_commands":[{}` + strings.Repeat(`,{}`, 10<<20) + `]}]}`,
		"nulls in their place":  `{"values":[{"setup_commands":[null` + strings.Repeat(`,null`, 1<<20) + `]}]}`,
		"a list of braces only": `{"values":[` + strings.Repeat("{", 10<<20),
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			srv := record(t, answerJSON(body))
			c := newClient(t, srv.base())
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := c.Steps.List(t.Context(), repo, "1", nil).Collect()
			runtime.ReadMemStats(&after)
			require.ErrorIs(t, err, pipelines.ErrResponseTooLarge)
			require.Len(t, srv.seen(), 1)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(256<<20), "the text itself, its copies included")
		})
	}
}

func TestAStalledConnectionIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			if n++; n == 1 {
				<-req.Context().Done()
				return nil, req.Context().Err()
			}
			return respond(req, 200, `{}`), nil
		})}
		start := time.Now()
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc))
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.Equal(t, time.Minute, time.Since(start).Truncate(time.Second))
	})
}

func TestATransportWithoutABodyDoesNoHarm(t *testing.T) {
	hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 404, Header: http.Header{}, Request: req}, nil
	})}
	_, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Pipelines.Get(t.Context(), repo, "1")
	require.ErrorIs(t, err, pipelines.ErrNotFound)
}

func TestATransportThatAsksAnotherHostAfterTheResponseHasSentTheRequest(t *testing.T) {
	srv := record(t, answer(http.StatusCreated, "application/json", `{"uuid":"{u}","build_number":1}`))
	gone := httptest.NewServer(nil)
	gone.Close()
	hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil || req.Method != http.MethodPost {
			return resp, err
		}
		resp.Body.Close()
		report, _ := http.NewRequestWithContext(req.Context(), http.MethodGet, gone.URL, http.NoBody)
		return http.DefaultTransport.RoundTrip(report)
	})}
	c := newClient(t, srv.base(), pipelines.WithHTTPClient(hc))
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	_, err = c.Pipelines.Run(t.Context(), repo, mainBranch)
	assert.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	require.Len(t, srv.seen(), 2)
}
