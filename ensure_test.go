package pipelines_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// These tests prove that Schedules.Set, SSH.SetKnownHost and Deployments.SetEnvironment leave one resource as it is wanted, whatever fails
// and whoever else is at work.

// ensuredKind is a kind of resource that has a method to set it.
type ensuredKind struct {
	name   string
	path   string // of the list
	set    func(context.Context, *pipelines.Client, ...pipelines.CallOption) (uuid string, err error)
	add    func(*pipelinestest.Repository) // one that is not as wanted
	state  func(*pipelinestest.Repository) string
	wanted string // the state as it is wanted
}

var (
	nightlyOff  = pipelines.ScheduleRequest{Target: pipelines.BranchTarget("main").With(pipelines.CustomSelector("nightly")), CronPattern: "0 15 2 * * ? *", Enabled: new(false)}
	adminOnlyEU = pipelines.EnvironmentRequest{Name: "EU", EnvironmentType: pipelines.EnvironmentProduction, AdminOnly: new(true)}
)

func ensuredKinds() []ensuredKind {
	return []ensuredKind{{
		"schedule", "/repositories/{workspace}/{repo_slug}/pipelines_config/schedules",
		func(ctx context.Context, c *pipelines.Client, opts ...pipelines.CallOption) (string, error) {
			return uuidOf(c.Schedules.Set(ctx, repo, nightlyOff, opts...))
		},
		func(r *pipelinestest.Repository) {
			r.AddSchedule(pipelines.Schedule{Target: nightlyOff.Target, CronPattern: nightlyOff.CronPattern, Enabled: true})
		},
		func(r *pipelinestest.Repository) string {
			var all []string
			for _, s := range r.Schedules() {
				all = append(all, fmt.Sprint(s.Target.Selector.Pattern, " ", s.CronPattern, " ", s.Enabled))
			}
			return strings.Join(all, "; ")
		},
		"nightly 0 15 2 * * ? * false",
	}, {
		"known host", "/repositories/{workspace}/{repo_slug}/pipelines_config/ssh/known_hosts",
		func(ctx context.Context, c *pipelines.Client, opts ...pipelines.CallOption) (string, error) {
			return uuidOf(c.SSH.SetKnownHost(ctx, repo, trustedHost, opts...))
		},
		func(r *pipelinestest.Repository) {
			r.AddKnownHost(pipelines.KnownHost{Hostname: trustedHost.Hostname, PublicKey: &pipelines.SSHPublicKey{KeyType: trustedHost.KeyType, Key: "BBBB"}})
		},
		func(r *pipelinestest.Repository) string {
			var all []string
			for _, h := range r.KnownHosts() {
				all = append(all, h.Hostname+" "+h.PublicKey.KeyType+" "+h.PublicKey.Key)
			}
			return strings.Join(all, "; ")
		},
		"example.com ssh-ed25519 AAAA",
	}, {
		"environment", "/repositories/{workspace}/{repo_slug}/environments",
		func(ctx context.Context, c *pipelines.Client, opts ...pipelines.CallOption) (string, error) {
			return uuidOf(c.Deployments.SetEnvironment(ctx, repo, adminOnlyEU, opts...))
		},
		func(r *pipelinestest.Repository) { r.AddEnvironment("EU", pipelines.EnvironmentProduction) },
		func(r *pipelinestest.Repository) string {
			var all []string
			for _, e := range r.Environments() {
				all = append(all, fmt.Sprint(e.Name, " ", e.EnvironmentType.Name, " ", e.Restrictions.AdminOnly))
			}
			return strings.Join(all, "; ")
		},
		"EU Production true",
	}}
}

// uuidOf returns the UUID of what a method returned.
func uuidOf[T pipelines.Schedule | pipelines.KnownHost | pipelines.Environment](one *T, err error) (string, error) {
	if one == nil {
		return "", err
	}
	switch v := any(*one).(type) {
	case pipelines.Schedule:
		return v.UUID, err
	case pipelines.KnownHost:
		return v.UUID, err
	case pipelines.Environment:
		return v.UUID, err
	}
	return "", err
}

// ensuring is a kind of resource on a server of its own.
type ensuring struct {
	ensuredKind
	t    *testing.T
	srv  *pipelinestest.Server
	repo *pipelinestest.Repository
}

// ensureEach runs a test for each kind in a bubble, with a repository that lacks the resource, and with one that has it otherwise.
func ensureEach(t *testing.T, test func(*ensuring), opts ...pipelinestest.ServerOption) {
	t.Helper()
	for _, kind := range ensuredKinds() {
		for _, start := range []string{"missing", "different"} {
			t.Run(kind.name+" that is "+start, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := pipelinestest.NewServer(opts...)
					e := &ensuring{kind, t, srv, srv.AddRepository("acme", "site")}
					if start == "different" {
						kind.add(e.repo)
					}
					test(e)
				})
			})
		}
	}
}

// client returns a client that shares nothing with others, as that of another process. way may be nil.
func (e *ensuring) client(way http.RoundTripper) *pipelines.Client {
	if way == nil {
		way = e.srv.Transport()
	}
	return e.srv.Client(pipelines.WithHTTPClient(&http.Client{Transport: way}))
}

// writes returns how many requests changed something.
func (e *ensuring) writes() (n int) {
	for _, r := range e.srv.Requests() {
		if r.Method != http.MethodGet {
			n++
		}
	}
	return n
}

// requireSettled requires that all is as wanted, and that a further pass of another process changes nothing.
func (e *ensuring) requireSettled(about ...any) {
	e.t.Helper()
	require.Equal(e.t, e.wanted, e.state(e.repo), about...)
	e.srv.ClearFaults()
	e.srv.ClearRequests()
	_, err := e.set(e.t.Context(), e.client(nil))
	require.NoError(e.t, err, about...)
	require.Len(e.t, e.srv.Requests(), 1, about...)
	require.Equal(e.t, e.wanted, e.state(e.repo), about...)
}

func TestSetLeavesOneResourceAsWanted(t *testing.T) {
	ensureEach(t, func(e *ensuring) {
		id, err := e.set(e.t.Context(), e.client(nil))
		require.NoError(e.t, err)
		require.Equal(e.t, e.wanted, e.state(e.repo))
		e.requireSettled()

		readOnly := e.srv.Client(pipelines.WithHTTPClient(&http.Client{Transport: e.srv.Transport()}), pipelines.WithReadOnly())
		again, err := e.set(e.t.Context(), readOnly)
		require.NoError(e.t, err)
		require.Equal(e.t, id, again)
	})
}

func TestSetChangesWhatIsThereInsteadOfCreatingAnother(t *testing.T) {
	ensureEach(t, func(e *ensuring) {
		before := e.state(e.repo)
		readOnly := e.srv.Client(pipelines.WithHTTPClient(&http.Client{Transport: e.srv.Transport()}), pipelines.WithReadOnly())
		_, err := e.set(e.t.Context(), readOnly)
		require.ErrorIs(e.t, err, pipelines.ErrReadOnly)
		require.Equal(e.t, before, e.state(e.repo))
		_, err = e.set(e.t.Context(), e.client(nil))
		require.NoError(e.t, err)
		if before != "" {
			require.Empty(e.t, e.srv.RequestsTo(http.MethodPost, e.path))
		}
	})
}

// The answer to each request is lost in turn, or the request itself.
func TestSetLeavesOneResourceWhicheverAnswerIsLost(t *testing.T) {
	lost := map[string]pipelinestest.Fault{
		"answer":           {Drop: pipelinestest.DropAfter},
		"request":          {Drop: pipelinestest.DropBefore},
		"end of an answer": {Cut: true},
		"refusal":          {Status: http.StatusServiceUnavailable},
		"answer, timeout":  {Latency: 5 * time.Second},
	}
	for name, fault := range lost {
		for _, once := range []bool{true, false} {
			for skip := range 4 {
				t.Run(fmt.Sprint(name, " after ", skip, " requests, once ", once), func(t *testing.T) {
					ensureEach(t, func(e *ensuring) {
						struck := fault
						if struck.Skip = skip; once {
							struck.Times = 1
						}
						e.srv.Inject(struck)
						if _, err := e.set(e.t.Context(), e.client(nil)); once && err != nil {
							require.ErrorIs(e.t, err, pipelines.ErrOutcomeUnknown)
						}
						e.srv.ClearFaults()
						if e.state(e.repo) != e.wanted {
							_, err := e.set(e.t.Context(), e.client(nil))
							require.NoError(e.t, err)
						}
						time.Sleep(time.Minute)
						e.requireSettled()
					})
				})
			}
		}
	}
}

// crashing ends the program once n requests were sent: no later one is, and the last answer isn't read.
func crashing(inner http.RoundTripper, n int, crash func()) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := inner.RoundTrip(req)
		if n--; n == 0 {
			crash()
			if err == nil {
				resp.Body.Close()
			}
			return nil, context.Canceled
		}
		return resp, err
	})
}

func TestSetIsFinishedByTheNextProcessAfterACrash(t *testing.T) {
	for n := 1; n < 5; n++ {
		t.Run(fmt.Sprint("after request ", n), func(t *testing.T) {
			ensureEach(t, func(e *ensuring) {
				ctx, cancel := context.WithCancel(e.t.Context())
				defer cancel()
				_, _ = e.set(ctx, e.client(crashing(e.srv.Transport(), n, cancel)))
				_, err := e.set(e.t.Context(), e.client(nil))
				require.NoError(e.t, err)
				e.requireSettled()
			})
		})
	}
}

// editing lets somebody else edit once n requests were sent.
func editing(inner http.RoundTripper, n int, edit func()) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := inner.RoundTrip(req)
		if n--; n == 0 {
			edit()
		}
		return resp, err
	})
}

// deleteAll deletes what is there, as somebody else does.
func (e *ensuring) deleteAll() {
	ctx, c := e.t.Context(), e.client(nil)
	for _, s := range e.repo.Schedules() {
		require.NoError(e.t, c.Schedules.Delete(ctx, repo, s.UUID))
	}
	for _, h := range e.repo.KnownHosts() {
		require.NoError(e.t, c.SSH.DeleteKnownHost(ctx, repo, h.UUID))
	}
	for _, one := range e.repo.Environments() {
		require.NoError(e.t, c.Deployments.DeleteEnvironment(ctx, repo, one.UUID))
	}
}

func TestSetCreatesWhatSomebodyElseDeletesMeanwhile(t *testing.T) {
	for n := 1; n < 4; n++ {
		t.Run(fmt.Sprint("after request ", n), func(t *testing.T) {
			ensureEach(t, func(e *ensuring) {
				_, err := e.set(e.t.Context(), e.client(editing(e.srv.Transport(), n, e.deleteAll)))
				if e.state(e.repo) != e.wanted { // it was deleted after it had been set, or while it was
					_, err = e.set(e.t.Context(), e.client(nil))
				}
				require.NoError(e.t, err)
				e.requireSettled()
			})
		})
	}
}

func TestSetAdoptsWhatSomebodyElseCreatesMeanwhile(t *testing.T) {
	ensureEach(t, func(e *ensuring) {
		if e.state(e.repo) != "" {
			return
		}
		id, err := e.set(e.t.Context(), e.client(editing(e.srv.Transport(), 1, func() { e.add(e.repo) })))
		if e.name != "schedule" { // the service refuses a second one
			require.NoError(e.t, err)
			e.requireSettled()
			return
		}
		require.ErrorIs(e.t, err, pipelines.ErrConflict, "two programs that create one at the same time notice it")
		all := e.repo.Schedules()
		require.Len(e.t, all, 2)
		require.Equal(e.t, all[1].UUID, id, "the one that this program has created")
		require.False(e.t, all[1].Enabled)
		require.ErrorContains(e.t, err, all[0].UUID+", "+all[1].UUID)
	})
}

// lateList shows what is created five seconds late.
type lateList struct {
	inner   http.RoundTripper
	list    string // the last one before the creation
	created time.Time
}

func (l *lateList) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet && time.Since(l.created) < 5*time.Second {
		resp := respond(req, http.StatusOK, l.list)
		resp.Header.Set("Content-Type", "application/json")
		resp.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		return resp, nil
	}
	if req.Method == http.MethodPost {
		l.created = time.Now()
	}
	resp, err := l.inner.RoundTrip(req)
	if err == nil && req.Method == http.MethodGet {
		body, _ := io.ReadAll(resp.Body)
		l.list, resp.Body = string(body), io.NopCloser(strings.NewReader(string(body)))
	}
	return resp, err
}

func TestSetCreatesNoSecondOneThoughTheListIsLate(t *testing.T) {
	for _, drop := range []pipelinestest.Drop{pipelinestest.NoDrop, pipelinestest.DropAfter} {
		t.Run(fmt.Sprint("drop ", drop), func(t *testing.T) {
			ensureEach(t, func(e *ensuring) {
				e.srv.Inject(pipelinestest.Fault{Method: http.MethodPost, Times: 1, Drop: drop})
				late := &lateList{inner: e.srv.Transport(), created: time.Now().Add(-time.Hour)}
				for range 3 { // other processes, which remember nothing
					_, err := e.set(e.t.Context(), e.client(late))
					require.NoError(e.t, err)
				}
				require.LessOrEqual(e.t, len(e.srv.RequestsTo(http.MethodPost, "")), 1)
				e.requireSettled()
			})
		})
	}
}

func TestSetReturnsAnUnknownOutcomeThatStaysUnknown(t *testing.T) {
	ensureEach(t, func(e *ensuring) {
		e.srv.Inject(pipelinestest.Fault{Method: http.MethodPost, Drop: pipelinestest.DropBefore})
		before, start := e.state(e.repo), time.Now()
		_, err := e.set(e.t.Context(), e.client(nil))
		if before != "" && e.name != "environment" { // changed by a PUT
			require.NoError(e.t, err)
			return
		}
		require.ErrorIs(e.t, err, pipelines.ErrOutcomeUnknown)
		require.Equal(e.t, 15*time.Second, time.Since(start))
		require.Equal(e.t, 1, e.writes(), "it is not sent again")
		require.Equal(e.t, before, e.state(e.repo))

		e.srv.Inject(pipelinestest.Fault{Method: http.MethodGet, Skip: 1, Status: http.StatusForbidden})
		_, err = e.set(e.t.Context(), e.client(nil))
		require.ErrorIs(e.t, err, pipelines.ErrOutcomeUnknown)
		require.ErrorIs(e.t, err, pipelines.ErrForbidden, "it couldn't look either")
		e.srv.ClearFaults()

		e.srv.Inject(pipelinestest.Fault{Method: http.MethodPost, Drop: pipelinestest.DropBefore})
		ctx, cancel := context.WithTimeout(e.t.Context(), 2*time.Second)
		defer cancel()
		_, err = e.set(ctx, e.client(nil))
		require.ErrorIs(e.t, err, pipelines.ErrOutcomeUnknown)
		require.ErrorIs(e.t, err, context.DeadlineExceeded)
	})
}

func TestSetTakesACreationForDoneThoughItIsNotListed(t *testing.T) {
	ensureEach(t, func(e *ensuring) {
		if e.state(e.repo) != "" {
			return
		}
		e.srv.Inject(pipelinestest.Fault{Method: http.MethodGet, Skip: 1, Status: http.StatusForbidden})
		id, err := e.set(e.t.Context(), e.client(nil))
		require.NoError(e.t, err)
		require.NotEmpty(e.t, id)
		require.Equal(e.t, e.wanted, e.state(e.repo))
	})
}

func TestSetRefusesWhatIsThereTwice(t *testing.T) {
	for _, kind := range ensuredKinds() {
		t.Run(kind.name, func(t *testing.T) {
			body := map[string]string{
				"schedule":    `"cron_pattern":"0 15 2 * * ? *","target":{"ref_type":"branch","ref_name":"main","selector":{"type":"custom","pattern":"nightly"}}`,
				"known host":  `"hostname":"example.com","public_key":{"key_type":"ssh-ed25519","key":"CCCC"}`,
				"environment": `"name":"EU"`,
			}[kind.name]
			srv := record(t, serveJSON(`{"values":[{"uuid":"{1}",`+body+`},{"uuid":"{2}",`+body+`}]}`))
			_, err := kind.set(t.Context(), newClient(t, srv.base()))
			require.ErrorIs(t, err, pipelines.ErrConflict)
			require.ErrorContains(t, err, "{1}, {2}")
			srv.requireSent(t, 1)

			srv = record(t, sequence(serveJSON(`{"values":[{"uuid":"{1}",`+body+`},{"uuid":"{1}",`+body+`}]}`), serve(403, "text/plain", "")))
			_, err = kind.set(t.Context(), newClient(t, srv.base()))
			require.ErrorIs(t, err, pipelines.ErrForbidden, "one that a changing list repeats is one, which is changed")
		})
	}
}

// What is listed without what it is recognized by may be the one.
func TestSetCreatesNothingBesideOneThatItCannotRecognize(t *testing.T) {
	for _, kind := range ensuredKinds() {
		for _, listed := range map[string][]string{
			"schedule": {
				`{"uuid":"{1}","cron_pattern":"0 15 2 * * ? *"}`, `{"uuid":"{1}","target":{"ref_name":"main"}}`,
				`{"cron_pattern":"0 15 2 * * ? *","target":{"ref_type":"branch","ref_name":"main","selector":{"type":"custom","pattern":"nightly"}}}`,
			},
			"known host":  {`{"uuid":"{1}"}`, `{"uuid":"{1}","hostname":"example.com"}`, `{"uuid":"{1}","hostname":"example.com","public_key":{"key":"AAAA"}}`},
			"environment": {`{"uuid":"{1}","environment_type":{"name":"Production"}}`, `{"name":"EU"}`},
		}[kind.name] {
			srv := record(t, serveJSON(`{"values":[`+listed+`]}`))
			_, err := kind.set(t.Context(), newClient(t, srv.base()))
			require.ErrorContains(t, err, "is listed without what tells", listed)
			srv.requireSent(t, 1, listed)
		}
	}
}

func TestSetRefusesPartialResponsesThatLackWhatItGoesBy(t *testing.T) {
	members := map[string][]string{
		"schedule":    {"values", "values.uuid", "values.target", "values.cron_pattern", "values.enabled"},
		"known host":  {"values", "values.uuid", "values.hostname", "values.public_key"},
		"environment": {"values", "values.uuid", "values.name", "values.environment_type", "values.restrictions"},
	}
	inner := map[string][]string{
		"schedule": {"values.target.ref_name", "values.target.ref_type", "values.target.selector", "values.target.selector.pattern"},
	}
	for _, kind := range ensuredKinds() {
		for _, member := range slices.Concat(members[kind.name], inner[kind.name]) {
			srv := record(t, serveJSON(`{"values":[]}`))
			_, err := kind.set(t.Context(), newClient(t, srv.base()), pipelines.WithQuery("fields", "-"+member))
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument, member)
			srv.requireSent(t, 0, member)
		}
		ensureEach(t, func(e *ensuring) {
			partial := pipelines.WithQuery("fields", strings.Join(members[e.name], ",")+",uuid,enabled")
			_, err := e.set(e.t.Context(), e.client(nil), partial)
			require.NoError(e.t, err)
			e.requireSettled()
		})
	}
}

// inflict makes a fault of the fault matrix strike after some requests, and returns the way to the server.
func (e *ensuring) inflict(f fault, skip int, stays bool) http.RoundTripper {
	if f.server != nil {
		injected := *f.server
		if injected.Skip = skip; !stays {
			injected.Times = 1
		}
		e.srv.Inject(injected)
		return e.srv.Transport()
	}
	n := 0
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		next := func() (*http.Response, error) { return e.srv.Transport().RoundTrip(req) }
		if n++; n <= skip || n > skip+1 && !stays {
			return next()
		}
		return f.wire(req, next)
	})
}

// The faults of the fault matrix strike each request of each Set, once and for good.
func TestEverySetWithstandsEveryFault(t *testing.T) {
	t.Parallel()
	for _, f := range matrixFaults() {
		for skip := range 4 {
			for _, stays := range []bool{false, true} {
				if f.inStorage {
					continue
				}
				t.Run(fmt.Sprint(f.title(stays), ", after ", skip), func(t *testing.T) {
					ensureEach(t, func(e *ensuring) { e.withstand(f, skip, stays) })
				})
			}
		}
	}
}

func (e *ensuring) withstand(f fault, skip int, stays bool) {
	ctx := e.t.Context()
	if f.deadline {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, matrixDeadline)
		defer cancel()
	}
	opts := []pipelines.Option{
		pipelines.WithHTTPClient(&http.Client{Transport: e.inflict(f, skip, stays)}), pipelines.WithRetry(matrixRetries), pipelines.WithStallTimeout(matrixStall),
	}
	if f.deadToken {
		opts = append(opts, newTokens())
	}
	_, err := e.set(ctx, e.srv.Client(opts...))
	if err == nil {
		require.Equal(e.t, e.wanted, e.state(e.repo))
	}
	require.NotErrorIs(e.t, err, pipelines.ErrNotFound)
	require.NotErrorIs(e.t, err, pipelines.ErrConflict)
	e.srv.ClearFaults()
	_, err = e.set(e.t.Context(), e.client(nil))
	require.NoError(e.t, err)
	e.requireSettled()
}
