package pipelines_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// viaFunc makes a client whose requests go to a function.
func viaFunc(t *testing.T, send roundTripper, opts ...pipelines.Option) *pipelines.Client {
	t.Helper()
	all := append([]pipelines.Option{pipelines.WithHTTPClient(&http.Client{Transport: send})}, opts...)
	c, err := pipelines.NewClient(append([]pipelines.Option{
		pipelines.WithBaseURL("http://api.example/2.0"), pipelines.WithToken("t0ken"),
	}, all...)...)
	require.NoError(t, err)
	return c
}

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
		require.Equal(t, 3, sent)
		require.Zero(t, time.Since(start))
	})
}

func TestARetryAfterBeyondWhatACallMayWaitComesBackAtOnce(t *testing.T) {
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
	srv := record(t, answer(408, "text/plain", "Request Timeout"))
	c := newClient(t, srv.base())
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	var e *pipelines.APIError
	require.ErrorAs(t, err, &e)
	require.Equal(t, 408, e.StatusCode)
	require.Len(t, srv.seen(), 3)
	_, err = c.Pipelines.Run(t.Context(), repo, mainBranch)
	require.ErrorAs(t, err, &e)
	require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	require.Len(t, srv.seen(), 4, "a run that timed out is not sent again")
}

// proxied makes a client that reaches an https API by way of a proxy.
func proxied(t *testing.T, proxy http.HandlerFunc) (*pipelines.Client, *atomic.Int32) {
	t.Helper()
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked.Add(1)
		proxy(w, req)
	}))
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	require.NoError(t, err)
	hc := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(u)}}
	return newClient(t, "https://api.example/2.0", pipelines.WithHTTPClient(hc)), &asked
}

func TestAProxyThatRefusesToConnectIsAskedOnce(t *testing.T) {
	for _, status := range []int{403, 407, 405, 404, 429, 502, 503} {
		c, asked := proxied(t, answer(status, "text/plain", ""))
		_, err := c.Pipelines.Run(t.Context(), repo, mainBranch)
		require.ErrorContains(t, err, "proxy refuses the connection: "+http.StatusText(status))
		require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
		require.EqualValues(t, 1, asked.Load(), "%d", status)
		_, err = c.Pipelines.Get(t.Context(), repo, "1")
		require.Error(t, err)
		require.EqualValues(t, 2, asked.Load(), "%d", status)
	}
}

func TestAProxyThatCannotBeUsedIsNoUnknownOutcome(t *testing.T) {
	asked := 0
	hc := &http.Client{Transport: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) {
		asked++
		return nil, errors.New("malformed proxy address")
	}}}
	c := newClient(t, "https://api.example/2.0", pipelines.WithHTTPClient(hc))
	_, err := c.Pipelines.Run(t.Context(), repo, mainBranch)
	require.ErrorContains(t, err, "malformed proxy address")
	require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	require.LessOrEqual(t, asked, 2, "once by net/http, once to find out that it was the reason")
}

func TestPlainHTTPWhereTLSWasAskedForIsNotTriedAgain(t *testing.T) {
	srv := record(t, answerJSON(`{}`))
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
	srv := httptest.NewServer(answerJSON(`{"build_number":1}`))
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

func TestATransportThatReportsNothingSendsAWriteOnce(t *testing.T) {
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
			require.Equal(t, 1, sent)
		})
	}
}

func TestTheResponseIsThereWhenTheContextEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
			resp := respond(req, 503, "")
			resp.Header.Set("Retry-After", "50")
			return resp, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var resp *http.Response
		_, err := c.Pipelines.Get(ctx, repo, "1", pipelines.WithResponse(&resp))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotNil(t, resp)
		require.Equal(t, 503, resp.StatusCode)
	})
}

func TestUnsecuredVariablesAreCreatedAsSuch(t *testing.T) {
	srv := record(t, answer(201, "application/json", `{"uuid":"{u}","key":"K"}`))
	c := newClient(t, srv.base())
	for _, set := range []*pipelines.VariableSet{
		c.Variables.InRepository(repo), c.Variables.InWorkspace("acme"), c.Variables.InTeam("acme"), c.Variables.InUser("acme"),
		c.Variables.InEnvironment(repo, "{e}"),
	} {
		_, err := set.Create(t.Context(), pipelines.VariableRequest{Key: "K", Value: "v"})
		require.NoError(t, err)
	}
	_, err := c.Pipelines.Run(t.Context(), repo, pipelines.RunRequest{
		Target: pipelines.BranchTarget("main"), Variables: []pipelines.VariableRequest{{Key: "K", Value: "v"}},
	})
	require.NoError(t, err)
	for i, req := range srv.seen() {
		require.Contains(t, req.Body, `{"key":"K","value":"v","secured":false}`, fmt.Sprint(i))
	}
}

func TestRequestsSayWhatIsFalseOrEmpty(t *testing.T) {
	srv := record(t, answer(201, "application/json", `{"uuid":"{u}","key":"K","name":"N"}`))
	c := newClient(t, srv.base())
	vars := c.Variables.InRepository(repo)
	for want, call := range map[string]func() error{
		`{"key":"K","value":"","secured":false}`: func() error { return second(vars.Create(t.Context(), pipelines.VariableRequest{Key: "K"})) },
		`{"value":"","secured":false}`: func() error {
			return second(vars.Update(t.Context(), "{u}", pipelines.VariableUpdate{Value: new(""), Secured: new(false)}))
		},
		`"enabled":false`: func() error {
			return second(c.Schedules.Create(t.Context(), repo, pipelines.ScheduleRequest{
				Target: pipelines.BranchTarget("main"), CronPattern: "0 0 12 * * ? *", Enabled: new(false),
			}))
		},
		`"restrictions":{"admin_only":false}`: func() error {
			return second(c.Deployments.CreateEnvironment(t.Context(), repo, pipelines.EnvironmentRequest{
				Name: "N", EnvironmentType: pipelines.EnvironmentTest, AdminOnly: new(false),
			}))
		},
		`{"change":{"restrictions":{"admin_only":false}}}`: func() error {
			return c.Deployments.UpdateEnvironment(t.Context(), repo, "{e}", pipelines.EnvironmentUpdate{AdminOnly: new(false)})
		},
		`{"labels":[]}`: func() error {
			return second(c.Runners.InRepository(repo).Update(t.Context(), "{r}", pipelines.RunnerUpdate{Labels: []string{}}))
		},
	} {
		t.Run(want, func(t *testing.T) {
			require.NoError(t, call())
			seen := srv.seen()
			require.Contains(t, seen[len(seen)-1].Body, want)
		})
	}
}

func TestAnObserverAndALoggerMayCallTheClientAfterARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *pipelines.Client
		start, calls, nested := time.Now(), 0, false
		call := func() { // from the attempt too for which all others wait
			if nested {
				return
			}
			nested, calls = true, calls+1
			_, err := c.Pipelines.Get(t.Context(), repo, "2")
			assert.NoError(t, err)
			nested = false
		}
		c = viaFunc(t, func(req *http.Request) (*http.Response, error) {
			if time.Since(start) < 20*time.Second || strings.HasSuffix(req.URL.Path, "/1") && time.Since(start) < 40*time.Second {
				return respond(req, 429, ""), nil
			}
			return respond(req, 200, `{"build_number":1}`), nil
		}, pipelines.WithObserver(func(pipelines.Attempt) { call() }), pipelines.WithLogger(slog.New(callingHandler{call})))
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		require.NoError(t, err)
		require.Greater(t, calls, 2)
	})
}

// callingHandler calls a function with each log line.
type callingHandler struct{ call func() }

func (h callingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h callingHandler) Handle(context.Context, slog.Record) error { h.call(); return nil }

func (h callingHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h callingHandler) WithGroup(string) slog.Handler { return h }

func TestATransportThatGivesTheSameRedirectAgainAndAgainEnds(t *testing.T) {
	var same *http.Response
	sent := 0
	c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
		sent++
		if same == nil {
			same = respond(req, 307, "")
			same.Header.Set("Location", "/2.0/again")
		}
		return same, nil
	}, pipelines.WithRetry(quick))
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.ErrorContains(t, err, "redirect refused")
	require.LessOrEqual(t, sent, 6)
}

func TestHostsThatUnicodeFoldsTogetherAreTwoOrigins(t *testing.T) {
	for _, pair := range [][2]string{{"σ.example", "ς.example"}, {"k.example", "\u212a.example"}, {"ss.example", "ß.example"}, {"É.example", "é.example"}} {
		var tokens []string
		c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
			tokens = append(tokens, req.Header.Get("Authorization"))
			if req.URL.Hostname() == pair[0] {
				resp := respond(req, 307, "")
				resp.Header.Set("Location", "http://"+pair[1]+"/log")
				return resp, nil
			}
			return respond(req, 200, `{}`), nil
		}, pipelines.WithBaseURL("http://"+pair[0]))
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		require.NoError(t, err)
		require.Equal(t, []string{"Bearer t0ken", ""}, tokens, "%v", pair)
	}
}

func TestCallOptionsMayBeUsedByManyGoroutines(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		page, _ := strconv.Atoi(req.URL.Query().Get("page"))
		answerJSON(fmt.Sprintf(`{"page":%d,"size":800,"values":[%s{"uuid":"{u}"}]}`, max(page, 1), strings.Repeat(`{"uuid":"{u}"},`, 99)))(w, req)
	})
	c := newClient(t, srv.base())
	opts := []pipelines.CallOption{pipelines.WithHeader("x-team", "blue"), pipelines.WithQuery("fields", "values.uuid")}
	all, err := c.Pipelines.List(t.Context(), repo, nil, opts...).Parallel(8).Collect()
	require.NoError(t, err)
	require.Len(t, all, 800)
	for _, req := range srv.seen() {
		require.Equal(t, "blue", req.Header.Get("X-Team"))
	}
}

func TestABodyIsTheCallersAgainOnceTheCallHasReturned(t *testing.T) {
	for name, call := range map[string]func(*pipelines.Client, []byte) error{
		"Do": func(c *pipelines.Client, body []byte) error {
			return c.Do(t.Context(), http.MethodPost, "/x", body, nil)
		},
		"RunOnDemand": func(c *pipelines.Client, body []byte) error {
			_, err := c.Pipelines.RunOnDemand(t.Context(), repo, pipelines.OnDemandRequest{RunRequest: mainBranch, YAML: body})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			var kept io.ReadCloser
			c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
				kept = req.Body
				return respond(req, 400, ""), nil
			})
			body := []byte("pipelines: {}")
			require.ErrorIs(t, call(c, body), pipelines.ErrInvalidRequest)
			copy(body, "XXXXXXXXXXXXX")
			sent, err := io.ReadAll(kept)
			require.NoError(t, err)
			require.Equal(t, "pipelines: {}", string(sent))
		})
	}
}

func TestAnEmptyBodyIsNotCalledJSON(t *testing.T) {
	srv := record(t, answerJSON(`{}`))
	c := newClient(t, srv.base())
	require.NoError(t, c.Do(t.Context(), http.MethodPost, "/x", []byte{}, nil))
	require.NoError(t, c.Do(t.Context(), http.MethodPost, "/x", nil, nil))
	for _, req := range srv.seen() {
		require.Empty(t, req.Header.Get("Content-Type"))
	}
}
