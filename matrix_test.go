package pipelines_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// The fault matrix carries every operation out under every fault, against a server that keeps state, and checks three things: how often
// the request was sent, which of the two states the server is in that one effect at most leads to, and what the call returns.

// fault is what goes wrong. What it says of the struck request's fate is what a caller can't see and the test can.
type fault struct {
	name   string
	server *pipelinestest.Fault // what the server does
	wire   tampering            // what happens between client and server

	is   error  // what the caller's error is, if the fault stays
	says string // and what it says

	refused   bool // the request certainly had no effect, and the client can tell
	notAgain  bool // likewise, but a write isn't sent again all the same
	final     bool // it is sent again once, whatever MaxAttempts is
	deadToken bool // the client has its tokens from a source
	applied   bool // the request took effect
	inBody    bool // the fault lies in the response's JSON, so that a response without any doesn't have it
	untrue    bool // the response claims an effect that there wasn't
	deadline  bool // the call's context ends meanwhile
	progress  bool // each attempt gets further than the one before
	inStorage bool // where the API redirects to
	shape     bool // the response is well-formed JSON of another shape
	creation  bool // only of creations
}

// tampering stands between the client and the server: next sends the request on.
type tampering func(req *http.Request, next func() (*http.Response, error)) (*http.Response, error)

const (
	matrixStall    = 30 * time.Second
	matrixDeadline = 10 * time.Second
	tooLate        = time.Hour
	htmlPage       = "<!DOCTYPE html><title>Something went wrong</title>"
	matrixLog      = "+ go test ./...\nok\n+ go vet ./...\nok\n"
)

// matrixRetries waits for the quota once.
var matrixRetries = pipelines.RetryPolicy{MaxAttempts: 3, MaxQuotaWait: time.Nanosecond}

// matrixFaults are all faults that there are.
func matrixFaults() []fault {
	return slices.Concat(statusFaults(false), refusalFaults(), connectionFaults(), lateFaults(), bodyFaults(), statusFaults(true), storageFaults())
}

// statusFaults are refusals and failures in the forms in which services and proxies write them. None of them has an effect.
func statusFaults(inStorage bool) []fault {
	var all []fault
	for _, status := range []int{429, 500, 502, 503, 504} {
		for _, form := range []struct{ name, contentType, body string }{
			{"text", "text/plain", "try again later"},
			{"a web page", "text/html", htmlPage},
			{"a web page called JSON", "application/json", htmlPage},
		} {
			f := fault{
				name:   fmt.Sprintf("%d with %s", status, form.name),
				server: &pipelinestest.Fault{Status: status, Header: http.Header{"Content-Type": {form.contentType}}, Body: form.body},
				is:     pipelines.ErrServer, inStorage: inStorage,
			}
			if status == http.StatusTooManyRequests {
				f.is, f.refused, f.final = pipelines.ErrRateLimited, true, !inStorage
			}
			all = append(all, f)
		}
	}
	return all
}

// refusalFaults are refusals that the client knows what to do about. None of them has an effect.
func refusalFaults() []fault {
	timeout := &pipelinestest.Fault{Status: http.StatusRequestTimeout, Body: "Request Timeout"}
	return []fault{
		{name: "408", server: timeout, says: "408 Request Timeout", notAgain: true},
		{name: "401 to a token that the service forgot", wire: forgetToken, is: pipelines.ErrUnauthorized, refused: true, final: true, deadToken: true},
	}
}

func forgetToken(req *http.Request, _ func() (*http.Response, error)) (*http.Response, error) {
	return respond(req, http.StatusUnauthorized, `{"type":"error","error":{"message":"Access token expired."}}`), nil
}

func connectionFaults() []fault {
	before, after := &pipelinestest.Fault{Drop: pipelinestest.DropBefore}, &pipelinestest.Fault{Drop: pipelinestest.DropAfter}
	return []fault{
		{name: "connection refused", wire: refuseConnection, is: syscall.ECONNREFUSED, refused: true},
		{name: "connection dropped before the effect", server: before, is: syscall.ECONNRESET},
		{name: "connection dropped after the effect", server: after, is: syscall.ECONNRESET, applied: true},
		{name: "502 after the effect", wire: failAfterwards, is: pipelines.ErrServer, applied: true},
	}
}

// lateFaults are responses that come too late: the caller's deadline has passed, or the connection is taken for dead.
func lateFaults() []fault {
	return []fault{
		{name: "deadline before the effect", server: &pipelinestest.Fault{Latency: tooLate}, is: context.DeadlineExceeded, deadline: true},
		{name: "deadline after the effect", wire: withholdResponse, is: context.DeadlineExceeded, deadline: true, applied: true},
		{name: "silence before the effect", server: &pipelinestest.Fault{Latency: tooLate}, says: "stalled"},
		{name: "silence after the effect", wire: withholdResponse, says: "stalled", applied: true},
	}
}

func bodyFaults() []fault {
	const unreadable = "its body cannot be read"
	all := []fault{
		{name: "body cut off at its beginning", server: &pipelinestest.Fault{Cut: true}, is: io.ErrUnexpectedEOF},
		{name: "body cut in the middle", server: &pipelinestest.Fault{Cut: true, After: 9}, is: io.ErrUnexpectedEOF},
		{name: "body that stalls at its beginning", server: &pipelinestest.Fault{Stall: true}, says: "stalled"},
		{name: "body that stalls in the middle", server: &pipelinestest.Fault{Stall: true, After: 9}, says: "stalled"},
		{name: "body that stalls until the deadline", server: &pipelinestest.Fault{Stall: true}, is: context.DeadlineExceeded, deadline: true},
		{name: "2xx with a web page", wire: replaceBody("text/html", htmlPage), says: unreadable},
		{name: "2xx with a web page called JSON", wire: replaceBody("application/json", htmlPage), says: unreadable},
		{name: "2xx with null", wire: replaceBody("application/json", "null"), says: unreadable, shape: true},
		{name: "2xx with half of an object", wire: replaceBody("application/json", `{"uuid":`), says: unreadable},
		{name: "2xx with a number", wire: replaceBody("application/json", "42"), says: unreadable, shape: true},
		{name: "2xx with a text", wire: replaceBody("application/json", `"maintenance"`), says: unreadable, shape: true},
		{name: "2xx that names nothing created", wire: replaceBody("application/json", `{"message":"maintenance"}`), says: unreadable, shape: true, creation: true},
	}
	for i := range all {
		all[i].inBody, all[i].applied = true, true
	}
	return append(all, fault{
		name:   "2xx of a proxy that passes nothing on",
		server: &pipelinestest.Fault{Status: http.StatusOK, Header: http.Header{"Content-Type": {"text/html"}}, Body: htmlPage},
		says:   unreadable, inBody: true, untrue: true,
	})
}

// storageFaults strike what the API redirects to: the content of logs.
func storageFaults() []fault {
	all := []fault{
		{name: "connection dropped", server: &pipelinestest.Fault{Drop: pipelinestest.DropBefore}, is: syscall.ECONNRESET},
		{name: "silence", server: &pipelinestest.Fault{Latency: tooLate}, says: "stalled"},
		{name: "deadline", server: &pipelinestest.Fault{Latency: tooLate}, is: context.DeadlineExceeded, deadline: true},
		{name: "body cut off at its beginning", server: &pipelinestest.Fault{Cut: true}, is: io.ErrUnexpectedEOF},
		{name: "body that stalls at its beginning", server: &pipelinestest.Fault{Stall: true}, says: "stalled"},
		{name: "body that stalls until the deadline", server: &pipelinestest.Fault{Stall: true}, is: context.DeadlineExceeded, deadline: true},
		{name: "body cut in the middle", server: &pipelinestest.Fault{Cut: true, After: int64(len(matrixLog)+1) / 2}, progress: true},
		{name: "body that stalls in the middle", server: &pipelinestest.Fault{Stall: true, After: int64(len(matrixLog)+1) / 2}, progress: true},
	}
	for i := range all {
		all[i].inStorage = true
	}
	return all
}

func refuseConnection(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

func failAfterwards(req *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
	resp, err := next()
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	return respond(req, http.StatusBadGateway, htmlPage), nil
}

// withholdResponse lets the server respond, and withholds the response.
func withholdResponse(req *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
	resp, err := next()
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	<-req.Context().Done()
	return nil, req.Context().Err()
}

// replaceBody replaces the body of a response that has one.
func replaceBody(contentType, body string) tampering {
	return func(_ *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
		resp, err := next()
		if err != nil || resp.ContentLength == 0 || resp.StatusCode > 299 {
			return resp, err
		}
		resp.Body.Close()
		resp.Header.Set("Content-Type", contentType)
		resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		return resp, nil
	}
}

// matrixOperations are all operations, and the second method that starts a run.
func matrixOperations(t *testing.T) []documentedOperation {
	t.Helper()
	all := documentedOperations(t)
	i := slices.IndexFunc(all, func(o documentedOperation) bool { return o.id == "createPipelineForRepository" })
	onDemand := all[i]
	onDemand.sdk, onDemand.do = "Pipelines.RunOnDemand", func(s session) (any, error) {
		return s.Pipelines.RunOnDemand(s.ctx, s.repo(), pipelines.OnDemandRequest{
			RunRequest: pipelines.RunRequest{Target: pipelines.BranchTarget("main")}, YAML: []byte("pipelines: {}"),
		})
	}
	return append(all, onDemand)
}

// once reports whether the operation must not take effect twice. Stopping a run twice stops it once as long as the run hasn't ended in
// between, and on a clock that stands still it hasn't.
func (o documentedOperation) once() bool {
	return o.method == http.MethodPost && o.id != "stopPipeline"
}

// readsLog reports whether the API redirects the operation to storage.
func (o documentedOperation) readsLog() bool { return strings.HasSuffix(o.sdk, "Log") }

// readsJSON reports whether the operation decodes the response's body.
func (o documentedOperation) readsJSON() bool {
	return !o.readsLog() && (o.status == http.StatusOK || o.status == http.StatusCreated)
}

// public reports whether the operation is sent without credentials.
func (o documentedOperation) public() bool { return strings.HasPrefix(o.sdk, "OIDC.") }

// concerns reports whether the operation can meet the fault.
func (f fault) concerns(o documentedOperation) bool {
	switch {
	case f.inStorage:
		return o.readsLog()
	case f.untrue: // only a body that should be JSON shows the lie
		return o.readsJSON()
	case f.deadToken:
		return !o.public()
	case f.creation:
		return o.once()
	}
	return true
}

// expect says how often the operation is sent, and whether it fails. The fault stays, or strikes the first attempt only.
func (f fault) expect(o documentedOperation, stays bool) (sends int, fails bool) {
	switch {
	case f.inBody && !o.readsJSON():
		return 1, false
	case f.endsTheCall() || f.mayHaveTakenEffect(o):
		return 1, true
	case f.deadToken && stays && o.id == "createRepositoryPipelineSchedule":
		return 4, true // 401 may mean that there are too many schedules: the list tells, and is refused twice too
	case f.progress || !stays:
		return 2, false
	case f.final:
		return 2, true
	}
	return matrixRetries.MaxAttempts, true
}

// endsTheCall reports whether another attempt has no time left or would bring the same.
func (f fault) endsTheCall() bool { return f.deadline || f.shape }

// mayHaveTakenEffect reports whether the client can't know that an operation which must not take effect twice had none.
func (f fault) mayHaveTakenEffect(o documentedOperation) bool { return o.once() && !f.refused }

// leavesOutcomeUnknown reports whether the error is an ErrOutcomeUnknown.
func (f fault) leavesOutcomeUnknown(o documentedOperation) bool {
	return f.mayHaveTakenEffect(o) && !f.notAgain
}

// world is a server where every operation succeeds. Its clock stands still, however long a fault takes, so that what it sends and keeps
// can be compared to the byte.
type world struct {
	srv     *pipelinestest.Server
	later   atomic.Bool // the clock stands at an hour later
	repo    *pipelinestest.Repository
	owners  []variableOwner
	runners []interface{ Runners() []pipelines.Runner }
	params  map[string]string
}

// variableOwner has the variables whose paths contain something.
type variableOwner struct {
	path string
	seed interface {
		AddVariable(pipelines.Variable) *pipelines.Variable
		Variables() []pipelines.Variable
	}
}

const (
	seededRunner   = "{11111111-aaaa-4bbb-8ccc-dddddddddddd}"
	seededService  = "{22222222-aaaa-4bbb-8ccc-dddddddddddd}"
	seededTestCase = "{33333333-aaaa-4bbb-8ccc-dddddddddddd}"
)

// newWorld seeds a server in the same way each time, down to the UUIDs.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	srv := pipelinestest.NewServer(pipelinestest.WithInProcess(), pipelinestest.WithClock(w.now))
	w.srv, w.repo = srv, srv.AddRepository("acme", "site")
	workspace, environment := srv.AddWorkspace("acme"), w.repo.AddEnvironment("Staging", pipelines.EnvironmentStaging)
	w.owners = []variableOwner{
		{"/deployments_config/", environment}, {"/repositories/", w.repo}, {"/workspaces/", workspace},
		{"/teams/", srv.AddTeam("devs")}, {"/users/", srv.AddUser("ada")},
	}
	for _, owner := range w.owners {
		owner.seed.AddVariable(pipelines.Variable{Key: "OLD", Value: "old"})
	}
	runner := pipelines.Runner{UUID: seededRunner, Name: "builder"}
	w.repo.AddRunner(runner)
	workspace.AddRunner(runner)
	w.runners = append(w.runners, w.repo, workspace)
	w.repo.SetKeyPair(pipelines.KeyPair{PrivateKey: "old", PublicKey: "ssh-rsa BBBB"})
	schedule := w.repo.AddSchedule(pipelines.Schedule{Enabled: true})
	require.NoError(t, w.repo.FireSchedule(schedule.UUID))
	host := w.repo.AddKnownHost(pipelines.KnownHost{Hostname: "old.example.com", PublicKey: &pipelines.SSHPublicKey{KeyType: "ssh-ed25519", Key: "AAAA"}})
	w.params = map[string]string{
		"workspace": "acme", "repo_slug": "site", "username": "devs", "selected_user": "ada",
		"environment_uuid": environment.UUID(), "schedule_uuid": schedule.UUID, "known_host_uuid": host.UUID,
		"runner_uuid": seededRunner, "log_uuid": seededService, "test_case_uuid": seededTestCase,
		"cache_uuid": w.repo.AddCache("node & npm", []byte("modules")).UUID,
	}
	w.run(t)
	return w
}

func (w *world) now() time.Time {
	moment := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	if w.later.Load() {
		return moment.Add(time.Hour)
	}
	return moment
}

// run adds a run that has ended, and one that goes on for longer than any test.
func (w *world) run(t *testing.T) {
	t.Helper()
	ended := w.repo.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{
		Log: matrixLog, Deployment: "Staging", Services: map[string]string{seededService: matrixLog},
		TestReport: &pipelinestest.TestReport{Cases: []pipelines.TestCase{
			{UUID: seededTestCase, Name: "adds", Reason: &pipelines.TestCaseReason{Message: "2 is not 3"}},
		}},
	}}}, w.now())
	steps, err := w.srv.Client().Steps.List(t.Context(), w.repo.Repo(), ended.UUID, nil).Collect()
	require.NoError(t, err)
	w.params["pipeline_uuid"], w.params["step_uuid"] = ended.UUID, steps[0].UUID
	w.params["deployment_uuid"] = w.repo.Deployments()[0].UUID
	w.params["running"] = w.repo.AddRun(pipelinestest.Script{Pending: 1000 * time.Hour}, w.now()).UUID
	w.srv.ClearRequests()
}

// paramsOf are the operation's parameters in this world, where each owner has a variable.
func (w *world) paramsOf(o documentedOperation) []string {
	var params []string
	for _, name := range o.params {
		switch {
		case name == "pipeline_uuid" && o.id == "stopPipeline":
			name = "running"
		case name == "variable_uuid":
			i := slices.IndexFunc(w.owners, func(owner variableOwner) bool { return strings.Contains(o.path, owner.path) })
			params = append(params, w.owners[i].seed.Variables()[0].UUID)
			continue
		}
		params = append(params, w.params[name])
	}
	return params
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

// state is all that the operations can change, once it has come to rest. It is looked at last: the next build number shows only where it
// is taken.
func (w *world) state(t *testing.T) string {
	t.Helper()
	w.later.Store(true)
	defer w.later.Store(false)
	r := w.repo
	all := []any{r.Pipelines(), r.Schedules(), r.Environments(), r.Deployments(), r.Caches(), r.KnownHosts(), r.PipelinesEnabled()}
	for _, owner := range w.owners {
		for _, v := range owner.seed.Variables() {
			all = append(all, v.UUID, v.Key, v.Value, v.Secured)
		}
	}
	for _, set := range w.runners {
		all = append(all, set.Runners())
	}
	if pair := r.KeyPair(); pair != nil {
		all = append(all, pair.PublicKey, pair.PrivateKey)
	}
	all = append(all, r.AddPipeline(pipelines.Pipeline{}).BuildNumber)
	return encoded(t, all)
}

// call carries the operation out in this world.
func (w *world) call(ctx context.Context, o documentedOperation, way http.RoundTripper, opts ...pipelines.Option) (any, error) {
	client := w.srv.Client(append([]pipelines.Option{
		pipelines.WithHTTPClient(&http.Client{Transport: way}), pipelines.WithRetry(matrixRetries), pipelines.WithStallTimeout(matrixStall),
	}, opts...)...)
	return o.do(session{client, ctx, w.paramsOf(o)})
}

// newTokens is a source of tokens, each another.
func newTokens() pipelines.Option {
	n := 0
	return pipelines.WithTokenSource(tokenSource(func() (*oauth2.Token, error) {
		n++
		return &oauth2.Token{AccessToken: fmt.Sprintf("token-%d", n), Expiry: time.Now().Add(time.Hour)}, nil
	}))
}

// tamperer is a transport that counts what is sent to the API, and tampers with it.
type tamperer struct {
	inner         http.RoundTripper
	with          tampering // nil: nothing
	stays         bool      // not only the first time
	sends, passed atomic.Int32
}

func (x *tamperer) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasPrefix(req.URL.Host, "storage.") {
		return x.inner.RoundTrip(req)
	}
	next := func() (*http.Response, error) {
		x.passed.Add(1)
		return x.inner.RoundTrip(req)
	}
	first := x.sends.Add(1) == 1
	if x.with == nil || !first && !x.stays {
		return next()
	}
	return x.with(req, next)
}

// row is an operation, and how it goes when nothing goes wrong.
type row struct {
	documentedOperation
	before, after string // states of the server
	result        string
	shared        *world // for an operation that only reads
}

func newRow(t *testing.T, o documentedOperation) row {
	t.Helper()
	w := newWorld(t)
	result, err := w.call(t.Context(), o, w.srv.Transport())
	require.NoError(t, err)
	r := row{documentedOperation: o, before: newWorld(t).state(t), result: encoded(t, result), shared: w}
	if o.method == http.MethodGet {
		r.after = r.before
		return r
	}
	r.after, r.shared = w.state(t), nil
	require.NotEqual(t, r.before, r.after, "the effect shows")
	return r
}

// world is where the next cell takes place. Making one takes longer than anything else.
func (r row) world(t *testing.T) *world {
	t.Helper()
	if r.shared == nil {
		return newWorld(t)
	}
	r.shared.srv.ClearFaults()
	r.shared.srv.ClearRequests()
	return r.shared
}

// cell is one operation under one fault.
type cell struct {
	row
	fault
	stays bool
}

// inflict makes the world suffer the fault, and returns the way there.
func (c cell) inflict(w *world) *tamperer {
	if c.server != nil {
		injected := *c.server
		injected.Storage = c.inStorage
		if !c.inStorage {
			injected.Method, injected.Path = c.method, c.path
		}
		if !c.stays {
			injected.Times = 1
		}
		w.srv.Inject(injected)
	}
	return &tamperer{inner: w.srv.Transport(), with: c.wire, stays: c.stays}
}

func (c cell) check(t *testing.T) {
	ctx, w := t.Context(), c.world(t)
	way := c.inflict(w)
	if c.deadline {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, matrixDeadline)
		defer cancel()
	}
	var opts []pipelines.Option
	if c.deadToken {
		opts = append(opts, newTokens())
	}
	result, err := w.call(ctx, c.documentedOperation, way, opts...)
	sends, fails := c.expect(c.documentedOperation, c.stays)
	about := c.report(int(way.sends.Load()), err)
	require.EqualValues(t, sends, way.sends.Load(), about)
	c.checkArrivals(t, w, int(way.passed.Load()), about)
	if fails {
		c.checkError(t, err, about)
	} else {
		require.NoError(t, err, about)
		require.Equal(t, c.result, encoded(t, result), about)
	}
	c.checkState(t, w, about)
}

// report is what each failure says: operation, fault and mode, what was sent and returned, and what was expected.
func (c cell) report(sent int, err error) string {
	sends, _ := c.expect(c.documentedOperation, c.stays)
	return fmt.Sprintf("%s (%s %s)\nunder %s:\nsent %d times, want %d\nreturned error %v\nwant %s\nwant %s", c.sdk, c.method, c.path,
		c.title(c.stays), sent, sends, err, c.wantedError(), c.wantedEffect())
}

func (c cell) wantedError() string {
	if _, fails := c.expect(c.documentedOperation, c.stays); !fails {
		return "no error"
	}
	wanted := "an error"
	if c.is != nil {
		wanted += fmt.Sprintf(" that is %q", c.is)
	}
	if c.says != "" {
		wanted += fmt.Sprintf(" that says %q", c.says)
	}
	if c.leavesOutcomeUnknown(c.documentedOperation) {
		wanted += ", of an unknown outcome"
	}
	return wanted
}

// takesEffect reports whether the operation takes effect, by its struck attempt or by a later one.
func (c cell) takesEffect() bool {
	_, fails := c.expect(c.documentedOperation, c.stays)
	return c.applied || !fails
}

func (c cell) wantedEffect() string {
	if c.takesEffect() && c.shared == nil {
		return "its effect once"
	}
	return "no effect"
}

// checkState compares the state of the server. Two effects would be a third state.
func (c cell) checkState(t *testing.T, w *world, about string) {
	t.Helper()
	switch {
	case w == c.shared: // compared when all is over
	case c.takesEffect():
		require.Equal(t, c.after, w.state(t), about)
	default:
		require.Equal(t, c.before, w.state(t), about)
	}
}

// checkArrivals checks what the server received.
func (c cell) checkArrivals(t *testing.T, w *world, passed int, about string) {
	t.Helper()
	arrived, stored := w.srv.Requests(), 0
	for _, r := range arrived {
		if r.Storage {
			stored++
		}
		require.Equal(t, r.Storage || c.public(), r.Header.Get("Authorization") == "", "credentials of %v\n%s", r, about)
	}
	require.Len(t, w.srv.RequestsTo(c.method, c.path), passed, about)
	require.Len(t, arrived, passed+stored, "it goes nowhere else\n%s", about)
	if c.inStorage {
		require.Equal(t, passed, stored, about)
	}
}

func (c cell) checkError(t *testing.T, err error, about string) {
	t.Helper()
	require.Error(t, err, about)
	if c.is != nil {
		require.ErrorIs(t, err, c.is, about)
	}
	require.ErrorContains(t, err, c.says, about)
	require.Equal(t, c.leavesOutcomeUnknown(c.documentedOperation), errors.Is(err, pipelines.ErrOutcomeUnknown), about)
	require.NotErrorIs(t, err, pipelines.ErrNotFound, about)
}

func TestEveryOperationWithstandsEveryFault(t *testing.T) {
	operations, faults := matrixOperations(t), matrixFaults()
	cells := 0
	for _, o := range operations {
		concerning := slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return !f.concerns(o) })
		cells += 2 * len(concerning)
		t.Run(o.sdk, func(t *testing.T) {
			t.Parallel()
			newRow(t, o).check(t, concerning)
		})
	}
	t.Logf("%d operations x %d faults x 2 modes, where they meet: %d cells", len(operations), len(faults), cells)
}

func (r row) check(t *testing.T, faults []fault) {
	for _, f := range faults {
		for _, stays := range []bool{false, true} {
			t.Run(f.title(stays), func(t *testing.T) {
				synctest.Test(t, cell{r, f, stays}.check)
			})
		}
	}
	if r.shared != nil {
		require.Equal(t, r.before, r.shared.state(t), "reading changes nothing")
	}
}

func (f fault) title(stays bool) string {
	where, when := "the API", "once"
	if f.inStorage {
		where = "the storage"
	}
	if stays {
		when = "always"
	}
	return f.name + " at " + where + ", " + when
}

// overSilence carries the operation out over a connection that has just fallen silent.
func (r row) overSilence(t *testing.T, w *world) {
	secure, proxy := silentServer(t, w.srv.Handler())
	way := roundTripper(func(req *http.Request) (*http.Response, error) {
		if strings.HasPrefix(req.URL.Host, "storage.") {
			return w.srv.Transport().RoundTrip(req)
		}
		return secure.RoundTrip(req)
	})
	call := func(o documentedOperation) error {
		_, err := w.call(t.Context(), o, way, pipelines.WithBaseURL("https://"+proxy.Addr().String()+"/2.0"), pipelines.WithStallTimeout(2*time.Second))
		return err
	}
	if r.sdk == "OIDC.GetKeys" { // making the key may take longer than a stall
		assert.NoError(t, w.srv.RotateSigningKey())
	}
	warm, err := http.NewRequest(http.MethodGet, "https://"+proxy.Addr().String()+"/", http.NoBody)
	if !assert.NoError(t, err) {
		return
	}
	resp, err := secure.RoundTrip(warm)
	if !assert.NoError(t, err) {
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	assert.Equal(t, 1, proxy.fallSilent())

	err = call(r.documentedOperation)
	if r.once() {
		assert.ErrorIs(t, err, pipelines.ErrOutcomeUnknown, r.sdk)
		err = call(r.documentedOperation)
	}
	assert.NoError(t, err, r.sdk)
	assert.Equal(t, 2, proxy.conns(), "%s: connections", r.sdk)
	if err == nil {
		assert.Equal(t, r.after, w.state(t), "%s: took effect once", r.sdk)
	}
}

// TestEveryOperationLeavesASilentHTTP2Connection is the column of the fault matrix that needs connections.
func TestEveryOperationLeavesASilentHTTP2Connection(t *testing.T) {
	t.Parallel()
	for _, o := range matrixOperations(t) {
		r, w := newRow(t, o), newWorld(t)
		synctest.Test(t, func(t *testing.T) { r.overSilence(t, w) })
	}
}
