package pipelines_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// maxPasses is how many passes the reconciler of the example may need after something went wrong.
const maxPasses = 3

// reconciled is a repository that the reconciler of the example works on.
type reconciled struct {
	*reconciler

	srv  *pipelinestest.Server
	repo *pipelinestest.Repository
	want desired
}

// newReconciled makes a repository in which something of each kind is missing, something differs, and something is as desired.
func newReconciled(t *testing.T) *reconciled {
	t.Helper()
	srv := pipelinestest.NewServer(pipelinestest.WithInProcess())
	t.Cleanup(srv.Close)
	w := &reconciled{srv: srv, repo: srv.AddRepository("acme", "site"), want: wantedOfAll()}
	w.reconciler = &reconciler{written: written{key: []byte("key"), sums: map[string][]byte{}}, secrets: map[string]string{}}
	w.restart(srv.Transport())
	w.repo.AddVariable(pipelines.Variable{Key: "LEVEL", Value: "debug"})
	w.repo.AddVariable(pipelines.Variable{Key: "REGION", Value: "eu"})
	w.repo.AddVariable(pipelines.Variable{Key: "OLD", Value: "1"})
	w.repo.AddVariable(pipelines.Variable{Key: "TOKEN", Value: "unknown", Secured: true})
	w.repo.AddEnvironment("Production", pipelines.EnvironmentProduction).AddVariable(pipelines.Variable{Key: "URL", Value: "http://example.com"})
	w.repo.AddSchedule(pipelines.Schedule{Target: w.want.schedules[0].Target, CronPattern: w.want.schedules[0].CronPattern})
	w.repo.AddKnownHost(pipelines.KnownHost{Hostname: "git.example.com", PublicKey: &pipelines.SSHPublicKey{KeyType: "ssh-ed25519", Key: "AAAA"}})
	w.repo.SetKeyPair(pipelines.KeyPair{PrivateKey: "old", PublicKey: "ssh-rsa old"})
	srv.ClearRequests()
	return w
}

// restart makes another client, which knows nothing of what the last one did. What a program stores stays.
func (w *reconciled) restart(way http.RoundTripper) {
	w.client = w.srv.Client(pipelines.WithHTTPClient(&http.Client{Transport: way}))
}

// writes are the requests since they were cleared that may change something.
func (w *reconciled) writes() []string {
	var all []string
	for _, req := range w.srv.Requests() {
		if req.Method != http.MethodGet {
			all = append(all, req.String())
		}
	}
	return all
}

// requireConverges makes passes, a minute apart, until one succeeds without a write. The state must then be the desired one.
func (w *reconciled) requireConverges(t *testing.T, about string) {
	t.Helper()
	var err error
	for n := 0; ; n++ {
		w.srv.ClearRequests()
		time.Sleep(time.Minute)
		if err = w.pass(t.Context(), w.repo.Repo(), w.want); err == nil && len(w.writes()) == 0 {
			break
		}
		require.Less(t, n, maxPasses, "%s: error %v, writes %v", about, err, w.writes())
	}
	require.Len(t, w.srv.Requests(), 9, about)
	w.requireDesired(t, about)
}

// variablesOf are variables as one line each, in the order of their keys.
func variablesOf(all []pipelines.Variable) []string {
	var lines []string
	for _, v := range all {
		lines = append(lines, fmt.Sprintln(v.Key, v.Value, v.Secured))
	}
	slices.Sort(lines)
	return lines
}

func wantedLines(all []pipelines.VariableRequest) []string {
	var lines []string
	for _, v := range all {
		lines = append(lines, fmt.Sprintln(v.Key, v.Value, v.Secured != nil && *v.Secured))
	}
	slices.Sort(lines)
	return lines
}

func (w *reconciled) requireDesired(t *testing.T, about string) {
	t.Helper()
	r, want := w.repo, w.want
	require.Equal(t, want.enabled, r.PipelinesEnabled(), about)
	require.Equal(t, want.keyPair.PrivateKey, r.KeyPair().PrivateKey, about)
	require.Equal(t, wantedLines(want.variables), variablesOf(r.Variables()), about)

	require.Len(t, r.KnownHosts(), len(want.knownHosts), about)
	require.Equal(t, want.knownHosts[0].Key, r.KnownHosts()[0].PublicKey.Key, about)

	require.Len(t, r.Environments(), len(want.environments), about)
	for _, e := range want.environments {
		there := r.AddEnvironment(e.Name, e.EnvironmentType) // which is there already
		require.Equal(t, wantedLines(e.variables), variablesOf(there.Variables()), "%s: %s", about, e.Name)
		for _, model := range r.Environments() {
			require.True(t, model.Name != e.Name || model.Restrictions.AdminOnly == *e.AdminOnly, about)
		}
	}
	require.Len(t, r.Schedules(), len(want.schedules), about)
	for _, request := range want.schedules {
		found := slices.IndexFunc(r.Schedules(), func(s pipelines.Schedule) bool { return request.Matches(&s) })
		require.GreaterOrEqual(t, found, 0, about)
		require.Equal(t, *request.Enabled, r.Schedules()[found].Enabled, about)
	}
	require.Len(t, r.Runners(), len(want.runners), about)
	require.Equal(t, w.secrets[r.Runners()[0].UUID], r.Runners()[0].OAuthClient.Secret, "%s: the runner can be started", about)
	require.True(t, new(r.Runners()[0]).HasLabels(want.runners[0].Labels), about)
}

// requestsOfAPass counts those of the first pass when nothing goes wrong.
func requestsOfAPass(t *testing.T) int {
	t.Helper()
	n := 0
	synctest.Test(t, func(t *testing.T) {
		w := newReconciled(t)
		require.NoError(t, w.pass(t.Context(), w.repo.Repo(), w.want))
		n = len(w.srv.Requests())
		w.requireDesired(t, "the first pass")
		w.requireConverges(t, "the second pass")
	})
	require.Greater(t, n, 20)
	return n
}

func TestTheReconcilerSurvivesTheLossOfAnyResponse(t *testing.T) {
	for i := range requestsOfAPass(t) {
		synctest.Test(t, func(t *testing.T) {
			w := newReconciled(t)
			w.srv.Inject(pipelinestest.Fault{Drop: pipelinestest.DropAfter, Skip: i, Times: 1})
			_ = w.pass(t.Context(), w.repo.Repo(), w.want) // which may fail: the next passes finish it
			lost := w.srv.Requests()[i].String()
			w.requireConverges(t, fmt.Sprintf("the response to request %d (%s) is lost", i, lost))
		})
	}
}

var errCrashed = errors.New("the program has crashed")

func TestTheReconcilerSurvivesACrashAfterAnyRequest(t *testing.T) {
	t.Parallel()
	for i := range requestsOfAPass(t) {
		synctest.Test(t, func(t *testing.T) {
			w := newReconciled(t)
			ctx, crash := context.WithCancelCause(t.Context())
			var last string
			w.restart(roundTripper(func(req *http.Request) (*http.Response, error) {
				if len(w.srv.Requests()) > i {
					return nil, errCrashed
				}
				resp, err := w.srv.Transport().RoundTrip(req)
				if len(w.srv.Requests()) > i {
					last = req.Method + " " + req.URL.Path
					crash(errCrashed)
					if err == nil {
						resp.Body.Close()
					}
					return nil, errCrashed
				}
				return resp, err
			}))
			require.ErrorIs(t, w.pass(ctx, w.repo.Repo(), w.want), errCrashed)
			require.Len(t, w.srv.Requests(), i+1)
			w.restart(w.srv.Transport())
			require.NotEmpty(t, last)
			_ = w.pass(t.Context(), w.repo.Repo(), w.want) // at once: what was created may not be listed yet
			w.requireConverges(t, fmt.Sprintf("crash after request %d (%s)", i, last))
		})
	}
}

// edits are what a person may do in the browser meanwhile.
var edits = map[string]func(t *testing.T, w *reconciled, c *pipelines.Client){
	"changes a variable": func(_ *testing.T, w *reconciled, _ *pipelines.Client) {
		w.repo.AddVariable(pipelines.Variable{Key: "LEVEL", Value: "trace"})
	},
	"creates the variable": func(_ *testing.T, w *reconciled, _ *pipelines.Client) {
		w.repo.AddEnvironment("Staging", pipelines.EnvironmentStaging).AddVariable(pipelines.Variable{Key: "URL", Value: "hers", Secured: true})
	},
	"secures a variable": func(_ *testing.T, w *reconciled, _ *pipelines.Client) {
		w.repo.AddVariable(pipelines.Variable{Key: "REGION", Value: "hers", Secured: true})
	},
	"opens a secured variable": func(_ *testing.T, w *reconciled, _ *pipelines.Client) {
		w.repo.AddVariable(pipelines.Variable{Key: "TOKEN", Value: "hers"})
	},
	"uses an old variable again": func(_ *testing.T, w *reconciled, _ *pipelines.Client) {
		w.repo.AddVariable(pipelines.Variable{Key: "OLD", Value: "2"})
	},
	"deletes the schedules": func(t *testing.T, _ *reconciled, c *pipelines.Client) {
		t.Helper()
		for s, err := range c.Schedules.List(t.Context(), repo, nil).All() {
			require.NoError(t, err)
			require.NoError(t, c.Schedules.Delete(t.Context(), repo, s.UUID))
		}
	},
	"switches the schedules": func(t *testing.T, _ *reconciled, c *pipelines.Client) {
		t.Helper()
		for s, err := range c.Schedules.List(t.Context(), repo, nil).All() {
			require.NoError(t, err)
			require.NoError(t, second(c.Schedules.Update(t.Context(), repo, s.UUID, pipelines.ScheduleUpdate{Enabled: new(!s.Enabled)})))
		}
	},
	"deletes the environments": func(t *testing.T, _ *reconciled, c *pipelines.Client) {
		t.Helper()
		for e, err := range c.Deployments.ListEnvironments(t.Context(), repo, nil).All() {
			require.NoError(t, err)
			require.NoError(t, c.Deployments.DeleteEnvironment(t.Context(), repo, e.UUID))
		}
	},
	"restricts the environments": func(t *testing.T, _ *reconciled, c *pipelines.Client) {
		t.Helper()
		for e, err := range c.Deployments.ListEnvironments(t.Context(), repo, nil).All() {
			require.NoError(t, err)
			update := pipelines.EnvironmentUpdate{AdminOnly: new(!e.Restrictions.AdminOnly)}
			require.NoError(t, c.Deployments.UpdateEnvironment(t.Context(), repo, e.UUID, update))
		}
	},
	"deletes the known hosts": func(t *testing.T, _ *reconciled, c *pipelines.Client) {
		t.Helper()
		for h, err := range c.SSH.ListKnownHosts(t.Context(), repo, nil).All() {
			require.NoError(t, err)
			require.NoError(t, c.SSH.DeleteKnownHost(t.Context(), repo, h.UUID))
		}
	},
	"sets another key pair": func(_ *testing.T, w *reconciled, _ *pipelines.Client) {
		w.repo.SetKeyPair(pipelines.KeyPair{PrivateKey: "hers", PublicKey: "ssh-rsa hers"})
	},
	"disables Pipelines": func(t *testing.T, _ *reconciled, c *pipelines.Client) {
		t.Helper()
		require.NoError(t, second(c.Config.Update(t.Context(), repo, pipelines.ConfigUpdate{Enabled: new(false)})))
	},
	"deletes the runners": func(t *testing.T, _ *reconciled, c *pipelines.Client) {
		t.Helper()
		for r, err := range c.Runners.InRepository(repo).List(t.Context(), nil).All() {
			require.NoError(t, err)
			require.NoError(t, c.Runners.InRepository(repo).Delete(t.Context(), r.UUID))
		}
	},
}

func TestTheReconcilerSurvivesASecondEditorBeforeAnyRequest(t *testing.T) {
	n := requestsOfAPass(t)
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range n {
				synctest.Test(t, func(t *testing.T) {
					w := newReconciled(t)
					seen := 0
					w.restart(roundTripper(func(req *http.Request) (*http.Response, error) {
						if seen++; seen == i+1 {
							edit(t, w, w.srv.Client())
						}
						return w.srv.Transport().RoundTrip(req)
					}))
					_ = w.pass(t.Context(), w.repo.Repo(), w.want)
					w.requireConverges(t, fmt.Sprintf("somebody %s before request %d", name, i))
				})
			}
		})
	}
}

func TestTheReconcilerSaysThatAVariableWasEditedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newReconciled(t)
		lists := 0
		w.restart(roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodGet && req.URL.Path == "/2.0/repositories/acme/site/pipelines_config/variables" {
				if lists++; lists == 2 {
					edits["uses an old variable again"](t, w, nil)
				}
			}
			return w.srv.Transport().RoundTrip(req)
		}))
		err := w.pass(t.Context(), w.repo.Repo(), w.want)
		require.ErrorIs(t, err, pipelines.ErrPlanStale)
		require.ErrorContains(t, err, `"OLD" has another value`)
		require.Len(t, w.repo.Variables(), 4, "nothing of that plan is done")
		require.Len(t, w.repo.Schedules(), 2, "the rest of the pass is")
		w.requireConverges(t, "after an edit")
	})
}

// The arithmetic of docs/reconciling.md.
func TestAQuietPassOverThreeHundredRepositoriesIsNineRequestsForEach(t *testing.T) {
	t.Parallel()
	srv := pipelinestest.NewServer(pipelinestest.WithInProcess())
	defer srv.Close()
	r := &reconciler{client: srv.Client(), written: written{key: []byte("key"), sums: map[string][]byte{}}, secrets: map[string]string{}}
	want := wantedOfAll()
	want.variables = nil
	for i := range 8 {
		want.variables = append(want.variables, pipelines.VariableRequest{Key: fmt.Sprint("TOKEN_", i), Value: fmt.Sprint("s3cret-", i), Secured: new(true)})
	}
	var repos []pipelines.Repo
	for i := range 300 {
		repos = append(repos, srv.AddRepository("acme", fmt.Sprint("site-", i)).Repo())
		require.NoError(t, r.pass(t.Context(), repos[i], want))
	}
	srv.ClearRequests()
	for _, one := range repos {
		require.NoError(t, r.pass(t.Context(), one, want))
	}
	require.Len(t, srv.Requests(), 2700)
	for _, req := range srv.Requests() {
		require.Equal(t, http.MethodGet, req.Method)
	}
}

// So is this: a Read for each variable lists the environment's variables until it is found, a Plan lists them once.
func TestReadingTwoHundredAndFiftyVariablesOneByOneIsFourHundredAndFiftyRequests(t *testing.T) {
	srv := pipelinestest.NewServer(pipelinestest.WithInProcess())
	defer srv.Close()
	e := srv.AddRepository("acme", "site").AddEnvironment("Staging", pipelines.EnvironmentStaging)
	all := wanted(250)
	for _, one := range all {
		e.AddVariable(pipelines.Variable{Key: one.Key, Value: one.Value, Secured: *one.Secured})
	}
	set := srv.Client().Variables.InEnvironment(repo, e.UUID())
	for _, one := range all {
		_, err := set.GetByKey(t.Context(), one.Key)
		require.NoError(t, err)
	}
	require.Len(t, srv.Requests(), 450)
	srv.ClearRequests()
	plan, err := set.Plan(t.Context(), all, &pipelines.SyncOptions{Secured: pipelines.SecuredIfMissing})
	require.NoError(t, err)
	require.True(t, plan.Empty())
	require.Len(t, srv.Requests(), 3)
}

func TestTheReconcilerRewritesASecretWhoseLastWriteMayHaveTakenEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newReconciled(t)
		require.NoError(t, w.pass(t.Context(), w.repo.Repo(), w.want))

		before := w.want.variables
		w.want.variables = []pipelines.VariableRequest{before[0], before[1], {Key: "TOKEN", Value: "s3cret-3", Secured: new(true)}}
		w.srv.Inject(pipelinestest.Fault{Method: http.MethodPut, Drop: pipelinestest.DropAfter})
		require.Error(t, w.pass(t.Context(), w.repo.Repo(), w.want))
		w.srv.ClearFaults()

		w.want.variables = before // somebody has taken the change back
		w.requireConverges(t, "the response to a write is lost, then the old value is wanted again")
	})
}
