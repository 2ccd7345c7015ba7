package pipelines_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestACallWaitsAMinuteForAUsedUpQuota(t *testing.T) {
	for name, circuit := range map[string]pipelines.Option{"with the circuit": nil, "without it": pipelines.WithoutQuotaCircuit()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, back := range []time.Duration{time.Second, 10 * time.Second, 59 * time.Second} {
					start := time.Now()
					c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
						if time.Since(start) < back {
							return respond(req, 429, "Rate limit for this resource has been exceeded"), nil
						}
						return respond(req, 201, `{"uuid":"{u}"}`), nil
					}, circuit)
					_, err := c.Pipelines.Run(t.Context(), repo, mainBranch)
					require.NoError(t, err, "the quota is back after %v", back)
					require.LessOrEqual(t, time.Since(start), time.Minute)
				}
				var sent int
				start := time.Now()
				c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
					sent++
					return respond(req, 429, ""), nil
				}, circuit)
				_, err := c.Pipelines.Get(t.Context(), repo, "1")
				require.ErrorIs(t, err, pipelines.ErrRateLimited)
				require.Equal(t, time.Minute, time.Since(start))
				require.Less(t, sent, 25)
				var e *pipelines.APIError
				require.ErrorAs(t, err, &e)
				require.Equal(t, sent, e.Attempts)
			})
		})
	}
}

func TestRefusalsOfTheQuotaUseUpNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		statuses := []int{429, 503, 429, 429, 503, 429}
		c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
			if len(statuses) == 0 {
				return respond(req, 200, `{"build_number":1}`), nil
			}
			resp := respond(req, statuses[0], "")
			statuses = statuses[1:]
			return resp, nil
		}, pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 3, MaxQuotaWait: time.Hour}))
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		require.NoError(t, err)
	})
}

func TestACallOfOneAttemptDoesNotWaitForTheQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, sent := time.Now(), 0
		c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
			sent++
			return respond(req, 429, ""), nil
		}, pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 1, MaxQuotaWait: time.Hour}))
		for range 3 {
			_, err := c.Pipelines.Get(t.Context(), repo, "1")
			require.ErrorIs(t, err, pipelines.ErrRateLimited)
		}
		require.Equal(t, 3, sent, "requests sent")
		require.Zero(t, time.Since(start))
	})
}

func TestARetryAfterBeyondWhatACallMayWaitReturnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
			resp := respond(req, 429, "")
			resp.Header.Set("Retry-After", "40")
			return resp, nil
		})
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		require.ErrorIs(t, err, pipelines.ErrRateLimited)
		require.Equal(t, 40*time.Second, time.Since(start), "a second wait of 40 s would make more than a minute")
	})
}

// waits responds in process, so that the time between attempts can be measured on a bubble's clock.
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

func TestARetryAfterDateCountsFromTheResponsesOwnDate(t *testing.T) {
	for name, test := range map[string]struct {
		date, after string
		want        time.Duration
	}{
		"a clock that is behind":      {"Thu, 01 Jan 1990 00:00:00 GMT", "Thu, 01 Jan 1990 00:00:20 GMT", 20 * time.Second},
		"a clock that is ahead":       {"Fri, 01 Jan 2100 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:07 GMT", 7 * time.Second},
		"no Date":                     {"", "Sat, 01 Jan 2000 00:00:30 GMT", 30 * time.Second},
		"a number with a fraction":    {"", "29.997", 29997 * time.Millisecond},
		"a number, and a Date beside": {"Thu, 01 Jan 1990 00:00:00 GMT", "5", 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent, err := waits(t, pipelines.RetryPolicy{MaxAttempts: 2}, func(_ int, req *http.Request) *http.Response {
					resp := respond(req, 503, "")
					resp.Header.Set("Retry-After", test.after)
					resp.Header.Set("Date", test.date)
					return resp
				})
				require.ErrorIs(t, err, pipelines.ErrServer)
				require.Equal(t, []time.Duration{0, test.want}, sent)
			})
		})
	}
}

func TestARequestTimeoutIsRetriedWhereTheRequestMayBeRepeated(t *testing.T) {
	srv := record(t, serve(408, "text/plain", "Request Timeout"))
	c := newClient(t, srv.base())
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	var e *pipelines.APIError
	require.ErrorAs(t, err, &e)
	require.Equal(t, 408, e.StatusCode)
	srv.requireSent(t, 3)
	_, err = c.Pipelines.Run(t.Context(), repo, mainBranch)
	require.ErrorAs(t, err, &e)
	require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	srv.requireSent(t, 4, "a run that timed out is not sent again")
}

func TestPlainHTTPWhereTLSWasExpectedIsNotRetried(t *testing.T) {
	srv := record(t, serveJSON(`{}`))
	conns := 0
	hc := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conns++
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}}
	c := newClient(t, strings.Replace(srv.base(), "http:", "https:", 1), pipelines.WithHTTPClient(hc))
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.ErrorIs(t, err, http.ErrSchemeMismatch)
	require.Equal(t, 1, conns)
	_, err = c.Pipelines.Run(t.Context(), repo, mainBranch)
	require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	require.Equal(t, 2, conns)
}

func TestAClientTimeoutBeforeAnythingIsSentIsNoUnknownOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		hc := &http.Client{Timeout: time.Second, Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			sent++
			return respond(req, 429, ""), nil
		})}
		waiting := limiterFunc(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		c, err := pipelines.NewClient(pipelines.WithBaseURL("http://api.example"), pipelines.WithHTTPClient(hc),
			pipelines.WithLimiter(waiting), pipelines.WithRetry(quick))
		require.NoError(t, err)
		_, err = c.Pipelines.Run(t.Context(), repo, mainBranch)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
		require.Zero(t, sent)
	})
}

func TestAKeptConnectionThatIsDeadAndARefusedDialAreNoUnknownOutcome(t *testing.T) {
	srv := httptest.NewServer(serveJSON(`{"build_number":1}`))
	defer srv.Close()
	refuse := false
	dialed := 0
	hc := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialed++
		if refuse {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &brokenConn{Conn: conn, broken: &refuse}, err
	}}}
	c := newClient(t, srv.URL, pipelines.WithHTTPClient(hc))
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	refuse = true
	_, err = c.Pipelines.Run(t.Context(), repo, mainBranch)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	require.Equal(t, 1+quick.MaxAttempts, dialed)
}

// brokenConn fails to write anything once it is broken.
type brokenConn struct {
	net.Conn
	broken *bool
}

func (c *brokenConn) Write(p []byte) (int, error) {
	if *c.broken {
		return 0, syscall.EPIPE
	}
	return c.Conn.Write(p)
}

func TestOutcomeIsUnknownWhereATransportReportsNothing(t *testing.T) {
	for name, err := range map[string]error{"lost": io.ErrUnexpectedEOF, "reset": syscall.ECONNRESET} {
		t.Run(name, func(t *testing.T) {
			sent := 0
			transport := &http.Transport{}
			transport.RegisterProtocol("http", roundTripper(func(*http.Request) (*http.Response, error) {
				sent++
				return nil, err
			}))
			c := newClient(t, "http://api.example", pipelines.WithHTTPClient(&http.Client{Transport: transport}))
			_, got := c.Pipelines.Run(t.Context(), repo, mainBranch)
			require.ErrorIs(t, got, pipelines.ErrOutcomeUnknown)
			require.Equal(t, 1, sent, "requests sent")
		})
	}
}

// TestRetryTable proves the request table: how often each kind of call is sent when every attempt fails in the same way, and
// what comes back.
func TestRetryTable(t *testing.T) {
	faults := []struct {
		name      string
		handle    http.HandlerFunc
		refused   bool  // it can't have taken effect
		is        error // what the error is besides
		needsBody bool  // a call that reads no response doesn't meet the fault
	}{
		{name: "429", handle: serve(429, "text/plain", "Rate limit for this resource has been exceeded"), refused: true, is: pipelines.ErrRateLimited},
		{name: "500", handle: serve(500, "application/json", `{"error":{"message":"oops","id":"f00"}}`), is: pipelines.ErrServer},
		{name: "502", handle: serve(502, "text/html", "<html>"), is: pipelines.ErrServer},
		{name: "503", handle: serve(503, "text/plain", ""), is: pipelines.ErrServer},
		{name: "504", handle: serve(504, "text/plain", ""), is: pipelines.ErrServer},
		{name: "dropped connection", handle: drop, is: io.EOF},
		{name: "body cut off", handle: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"build_`)
		}, is: io.ErrUnexpectedEOF},
		{name: "body that is not JSON", handle: serve(200, "text/html", "<html>"), needsBody: true},
		{name: "body that ends early", handle: serve(200, "application/json", `{"a":`), needsBody: true},
		{name: "empty body", handle: serve(200, "application/json", ""), needsBody: true},
	}
	for _, fault := range faults {
		for _, verb := range verbs {
			t.Run(fault.name+" of "+verb.name, func(t *testing.T) {
				if fault.needsBody && verb.name == "stop" {
					return
				}
				srv := record(t, fault.handle)
				err := verb.call(t.Context(), newClient(t, srv.base()))
				require.Error(t, err)
				if fault.is != nil {
					require.ErrorIs(t, err, fault.is)
				}
				if verb.once && !fault.refused {
					srv.requireSent(t, 1)
					require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
					return
				}
				require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
				if fault.refused { // which uses up time, and no attempt
					require.Greater(t, len(srv.seen()), quick.MaxAttempts)
					return
				}
				srv.requireSent(t, quick.MaxAttempts)
				require.ErrorContains(t, err, "3 attempts")
			})
		}
	}
}

// TestRetryOfRequestsThatStall is TestRetryTable for a silence, which would be told from a busy machine only by a long timeout.
func TestRetryOfRequestsThatStall(t *testing.T) {
	for name, fault := range map[string]pipelinestest.Fault{
		"response that never comes": {Latency: time.Hour},
		"body that stalls":          {Status: http.StatusOK, Body: `{"a":{}}`, After: 5, Stall: true},
	} {
		for _, verb := range verbs {
			t.Run(name+" of "+verb.name, func(t *testing.T) {
				bubble(t, func(t *testing.T, srv *pipelinestest.Server, _ *pipelinestest.Repository, _ *pipelines.Client) {
					srv.Inject(fault)
					err := verb.call(t.Context(), srv.Client(pipelines.WithRetry(quick)))
					if verb.once {
						require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
						require.Len(t, srv.Requests(), 1)
						return
					}
					require.ErrorContains(t, err, "stalled (after 3 attempts)")
					require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
					require.Len(t, srv.Requests(), quick.MaxAttempts)
				})
			})
		}
	}
}

// TestRetryOfRequestsThatWereNeverSent counts attempts that end before the request goes out.
func TestRetryOfRequestsThatWereNeverSent(t *testing.T) {
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
				require.EqualValues(t, quick.MaxAttempts, attempts.Load(), "attempts")
			})
		}
	}
}

func TestOtherStatusesAreNotRetried(t *testing.T) {
	for status, kind := range map[int]error{
		400: pipelines.ErrInvalidRequest, 401: pipelines.ErrUnauthorized, 403: pipelines.ErrForbidden, 404: pipelines.ErrNotFound,
		409: pipelines.ErrConflict, 410: pipelines.ErrGone, 422: pipelines.ErrInvalidRequest, 501: pipelines.ErrServer, 304: nil, 402: nil,
	} {
		for _, verb := range verbs {
			t.Run(fmt.Sprint(status, " of ", verb.name), func(t *testing.T) {
				srv := record(t, serve(status, "text/plain", ""))
				err := verb.call(t.Context(), newClient(t, srv.base()))
				var e *pipelines.APIError
				require.ErrorAs(t, err, &e)
				require.Equal(t, status, e.StatusCode)
				require.Equal(t, 1, e.Attempts)
				require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
				if kind != nil {
					require.ErrorIs(t, err, kind)
				}
				srv.requireSent(t, 1)
			})
		}
	}
}

func TestACertificateThatIsNotTrustedIsNotRetried(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	attempts := 0
	c := newClient(t, srv.URL, pipelines.WithLimiter(limiterFunc(func(context.Context) error { attempts++; return nil })))
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.ErrorContains(t, err, "certificate")
	require.Equal(t, 1, attempts, "attempts")
}

func TestARetryThatSucceedsIsNoError(t *testing.T) {
	srv := record(t, sequence(drop, serve(503, "text/html", "<html>"), serveJSON(`{"build_number":5}`)))
	p, err := newClient(t, srv.base()).Pipelines.Get(t.Context(), repo, "5")
	require.NoError(t, err)
	require.Equal(t, 5, p.BuildNumber)
	srv.requireSent(t, 3)
}

func TestARetryStartsDecodingFromNothing(t *testing.T) {
	srv := record(t, sequence(serveJSON(`{"uuid":"{stale}","build_number":4,`), serveJSON(`{"build_number":5}`)))
	p, err := newClient(t, srv.base()).Pipelines.Get(t.Context(), repo, "5")
	require.NoError(t, err)
	require.Equal(t, &pipelines.Pipeline{BuildNumber: 5}, p)
}

func TestARetrySendsTheWholeBodyAgain(t *testing.T) {
	srv := record(t, sequence(serve(429, "text/plain", ""), serve(201, "application/json", `{"build_number":1}`)))
	_, err := newClient(t, srv.base()).Pipelines.Run(t.Context(), repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	require.NoError(t, err)
	seen := srv.seen()
	require.Len(t, seen, 2)
	require.Equal(t, `{"target":{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main"}}`, seen[0].Body)
	require.Equal(t, seen[0].Body, seen[1].Body)
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

func TestARetryAfterThatIsTooLongReturnsAtOnce(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"61": 61 * time.Second, "31536000": 365 * 24 * time.Hour, "99999999999999999999999": 10 * 365 * 24 * time.Hour,
	} {
		t.Run(header, func(t *testing.T) {
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
				require.Equal(t, []time.Duration{0}, sent, "requests sent")
			})
		})
	}
}

func TestARetryAfterThatIsInvalidIsIgnored(t *testing.T) {
	for _, header := range []string{"", "-5", "soon", "Mon, 01 Jan 1990 00:00:00 GMT", "NaN", "-Inf"} {
		t.Run(fmt.Sprintf("%q", header), func(t *testing.T) {
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
		})
	}
}

func TestALongerQuotaWaitAlsoWaitsForLongerRetryAfters(t *testing.T) {
	for _, tc := range []struct {
		name       string
		policy     pipelines.RetryPolicy
		retryAfter string
		want       time.Duration // until the call succeeds; 0: it fails at once
	}{
		{"defaults, a minute", pipelines.RetryPolicy{}, "60", time.Minute},
		{"defaults, longer", pipelines.RetryPolicy{}, "61", 0},
		{"MaxQuotaWait alone", pipelines.RetryPolicy{MaxQuotaWait: 5 * time.Minute}, "120", 2 * time.Minute},
		{"MaxRetryAfter alone", pipelines.RetryPolicy{MaxRetryAfter: 10 * time.Minute}, "300", 5 * time.Minute},
		{"a shorter MaxRetryAfter", pipelines.RetryPolicy{MaxQuotaWait: 5 * time.Minute, MaxRetryAfter: time.Minute}, "120", 0},
		{"a shorter MaxQuotaWait", pipelines.RetryPolicy{MaxQuotaWait: time.Minute, MaxRetryAfter: 5 * time.Minute}, "120", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, sent := time.Now(), 0
				c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
					if sent++; sent > 1 {
						return respond(req, 200, "{}"), nil
					}
					resp := respond(req, 429, "")
					resp.Header.Set("Retry-After", tc.retryAfter)
					return resp, nil
				}, pipelines.WithRetry(tc.policy))
				_, err := c.Pipelines.Get(t.Context(), repo, "1")
				require.Equal(t, tc.want, time.Since(start))
				if tc.want == 0 {
					require.ErrorIs(t, err, pipelines.ErrRateLimited)
					return
				}
				require.NoError(t, err)
			})
		})
	}
}

func TestALongerQuotaWaitIsForTheQuotaOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent, err := waits(t, pipelines.RetryPolicy{MaxQuotaWait: 5 * time.Minute}, func(_ int, req *http.Request) *http.Response {
			resp := respond(req, 503, "")
			resp.Header.Set("Retry-After", "120")
			return resp
		})
		require.ErrorIs(t, err, pipelines.ErrServer)
		require.Len(t, sent, 1)
	})
}

func TestANegativeMaxRetryAfterWaitsForNone(t *testing.T) {
	for _, status := range []int{429, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent, err := waits(t, pipelines.RetryPolicy{MaxRetryAfter: -1}, func(_ int, req *http.Request) *http.Response {
					resp := respond(req, status, "")
					resp.Header.Set("Retry-After", "1")
					return resp
				})
				require.Error(t, err)
				require.Len(t, sent, 1)
			})
		})
	}
}

func TestARetryAfterOfASuccessIsNoReasonToWait(t *testing.T) {
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

func TestRetryWaitsGrowWithFullJitterUpToTheirBound(t *testing.T) {
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

func TestRetryWaitEndsWithTheContext(t *testing.T) {
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

func TestOutcomeIsUnknownWhereATransportDoesNotTrace(t *testing.T) {
	sent := 0
	hc := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		sent++
		return nil, errors.New("something went wrong")
	})}
	c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc))
	_, err := c.Pipelines.Run(t.Context(), repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	require.Equal(t, 1, sent, "requests sent")
}

func TestOutcomeIsUnknownWhereATransportSendsToAnotherHostAfterTheResponse(t *testing.T) {
	srv := record(t, serve(http.StatusCreated, "application/json", `{"uuid":"{u}","build_number":1}`))
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
	srv.requireSent(t, 2)
}
