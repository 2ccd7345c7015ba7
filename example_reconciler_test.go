package pipelines_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// desired is what a repository should have. A program reads it from files, and refuses one that doesn't say whether a schedule is
// enabled and whether only administrators may deploy: Enabled and AdminOnly are never nil.
type desired struct {
	enabled      bool // whether Pipelines is
	keyPair      pipelines.KeyPair
	knownHosts   []pipelines.KnownHostRequest
	variables    []pipelines.VariableRequest
	environments []desiredEnvironment
	schedules    []pipelines.ScheduleRequest
	runners      []pipelines.RunnerRequest
}

type desiredEnvironment struct {
	pipelines.EnvironmentRequest
	variables []pipelines.VariableRequest
}

// reconciler makes repositories have what is desired. What it remembers a program stores, so that it is there after a restart.
type reconciler struct {
	client  *pipelines.Client
	written written           // the secured values, as HMACs
	secrets map[string]string // of the runners that it has created, by UUID
}

// pass makes one pass over a repository. A kind that fails keeps no other from being tried: the next pass finishes the rest.
func (r *reconciler) pass(ctx context.Context, repo pipelines.Repo, want desired) error {
	return errors.Join(
		r.config(ctx, repo, want.enabled),
		r.keyPair(ctx, repo, want.keyPair),
		r.knownHosts(ctx, repo, want.knownHosts),
		r.variables(ctx, repo.String(), r.client.Variables.InRepository(repo), want.variables),
		r.environments(ctx, repo, want.environments),
		r.schedules(ctx, repo, want.schedules),
		r.runners(ctx, repo, want.runners),
	)
}

func (r *reconciler) config(ctx context.Context, repo pipelines.Repo, enabled bool) error {
	there, err := r.client.Config.Get(ctx, repo)
	if errors.Is(err, pipelines.ErrNotFound) { // never enabled
		there, err = &pipelines.Config{}, nil
	}
	if err != nil || there.Enabled == enabled {
		return err
	}
	_, err = r.client.Config.Update(ctx, repo, pipelines.ConfigUpdate{Enabled: &enabled})
	return err
}

// keyPair compares the public keys: the private one can't be read.
func (r *reconciler) keyPair(ctx context.Context, repo pipelines.Repo, want pipelines.KeyPair) error {
	there, err := r.client.SSH.GetKeyPair(ctx, repo)
	if errors.Is(err, pipelines.ErrNotFound) {
		there, err = &pipelines.KeyPair{}, nil
	}
	if err != nil || strings.TrimSpace(there.PublicKey) == strings.TrimSpace(want.PublicKey) {
		return err
	}
	_, err = r.client.SSH.SetKeyPair(ctx, repo, want)
	return err
}

// only returns the one item that matches. If there are several, it returns none, so that a Set method says which they are.
func only[T any](there []*T, match func(*T) bool) *T {
	i := slices.IndexFunc(there, match)
	if i < 0 || slices.ContainsFunc(there[i+1:], match) {
		return nil
	}
	return there[i]
}

func (r *reconciler) knownHosts(ctx context.Context, repo pipelines.Repo, want []pipelines.KnownHostRequest) error {
	there, err := r.client.SSH.ListKnownHosts(ctx, repo, nil).Collect()
	if err != nil {
		return err
	}
	var all []error
	for _, host := range want {
		if one := only(there, host.Matches); one == nil || one.PublicKey.Key != host.Key {
			_, err := r.client.SSH.SetKnownHost(ctx, repo, host)
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// variables writes the secured values that it hasn't written before, and nothing where somebody has edited since it looked.
func (r *reconciler) variables(ctx context.Context, scope string, set *pipelines.VariableSet, want []pipelines.VariableRequest) error {
	plan, err := set.Plan(ctx, want, &pipelines.SyncOptions{
		Prune: true, Verify: true,
		Rewrite: func(_ pipelines.Variable, wanted pipelines.VariableRequest) bool {
			return !r.written.has(scope, wanted)
		},
	})
	if err != nil {
		return err
	}
	r.written.forget(scope, plan)
	err = set.Apply(ctx, plan)
	undone := map[string]bool{}
	if failed, ok := errors.AsType[*pipelines.SyncError](err); ok {
		for _, change := range slices.Concat(failed.Failed, failed.Left) {
			undone[change.Key] = true
		}
	} else if err != nil { // such as an ErrPlanStale: nothing was done
		return err
	}
	for _, one := range want {
		if !undone[one.Key] {
			r.written.add(scope, one)
		}
	}
	return err
}

func (r *reconciler) environments(ctx context.Context, repo pipelines.Repo, want []desiredEnvironment) error {
	there, err := r.client.Deployments.ListEnvironments(ctx, repo, nil).Collect()
	if err != nil {
		return err
	}
	var all []error
	for _, environment := range want {
		one := only(there, func(e *pipelines.Environment) bool { return e.Name == environment.Name })
		if one == nil || one.EnvironmentType == nil || one.EnvironmentType.Name != environment.EnvironmentType ||
			one.Restrictions == nil || one.Restrictions.AdminOnly != *environment.AdminOnly {
			if one, err = r.client.Deployments.SetEnvironment(ctx, repo, environment.EnvironmentRequest); err != nil {
				all = append(all, err)
				continue
			}
		}
		set := r.client.Variables.InEnvironment(repo, one.UUID)
		all = append(all, r.variables(ctx, repo.String()+" "+one.UUID, set, environment.variables))
	}
	return errors.Join(all...)
}

func (r *reconciler) schedules(ctx context.Context, repo pipelines.Repo, want []pipelines.ScheduleRequest) error {
	there, err := r.client.Schedules.List(ctx, repo, nil).Collect()
	if err != nil {
		return err
	}
	var all []error
	for _, schedule := range want {
		if one := only(there, schedule.Matches); one == nil || one.Enabled != *schedule.Enabled {
			_, err := r.client.Schedules.Set(ctx, repo, schedule)
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// runners goes by their names, which are its own. An unregistered one whose secret it doesn't have was created by a request whose
// response it lost. Nobody can start that runner, so it is deleted.
func (r *reconciler) runners(ctx context.Context, repo pipelines.Repo, want []pipelines.RunnerRequest) error {
	set := r.client.Runners.InRepository(repo)
	there, err := set.List(ctx, nil).Collect()
	if err != nil {
		return err
	}
	var all []error
	for _, runner := range want {
		all = append(all, r.runner(ctx, set, there, runner))
	}
	return errors.Join(all...)
}

func (r *reconciler) runner(
	ctx context.Context, set *pipelines.RunnerSet, there []*pipelines.Runner, want pipelines.RunnerRequest,
) error {
	for _, one := range there {
		switch {
		case one.Name != want.Name:
		case one.State.Status == pipelines.RunnerUnregistered && r.secrets[one.UUID] == "":
			if err := set.Delete(ctx, one.UUID); err != nil {
				return err
			}
		case one.HasLabels(want.Labels):
			return nil
		default:
			_, err := set.Update(ctx, one.UUID, pipelines.RunnerUpdate{Labels: want.Labels})
			return err
		}
	}
	created, err := set.Create(ctx, want)
	if err == nil {
		r.secrets[created.UUID] = created.OAuthClient.Secret
	}
	return err
}

// plain is a variable that everybody may read. A nil Secured would leave it secured where somebody has secured it.
func plain(key, value string) pipelines.VariableRequest {
	return pipelines.VariableRequest{Key: key, Value: value, Secured: new(false)}
}

// wantedOfAll is something of each kind.
func wantedOfAll() desired {
	nightly := pipelines.ScheduleRequest{Target: pipelines.BranchTarget("main"), CronPattern: "0 0 2 * * ? *", Enabled: new(true)}
	weekly := pipelines.ScheduleRequest{
		Target: pipelines.BranchTarget("main").With(pipelines.CustomSelector("clean")), CronPattern: "0 0 3 ? * 1 *", Enabled: new(false),
	}
	return desired{
		enabled:    true,
		keyPair:    pipelines.KeyPair{PrivateKey: "-----BEGIN RSA PRIVATE KEY-----", PublicKey: "ssh-rsa AAAA"},
		knownHosts: []pipelines.KnownHostRequest{{Hostname: "git.example.com", KeyType: "ssh-ed25519", Key: "AAAAC3Nz"}},
		variables: []pipelines.VariableRequest{
			plain("LEVEL", "info"), plain("REGION", "eu"), {Key: "TOKEN", Value: "s3cret-1", Secured: new(true)},
		},
		environments: []desiredEnvironment{
			{
				pipelines.EnvironmentRequest{Name: "Staging", EnvironmentType: pipelines.EnvironmentStaging, AdminOnly: new(false)},
				[]pipelines.VariableRequest{plain("URL", "https://staging.example.com")},
			},
			{
				pipelines.EnvironmentRequest{Name: "Production", EnvironmentType: pipelines.EnvironmentProduction, AdminOnly: new(true)},
				[]pipelines.VariableRequest{plain("URL", "https://example.com"), {Key: "PASSWORD", Value: "s3cret-2", Secured: new(true)}},
			},
		},
		schedules: []pipelines.ScheduleRequest{nightly, weekly},
		runners:   []pipelines.RunnerRequest{{Name: "builder", Labels: []string{"self.hosted", "linux"}}},
	}
}

// A reconciler: variables, environments, schedules, keys, known hosts, configuration and runners of a repository as code.
func Example_reconciler() {
	srv := pipelinestest.NewServer(pipelinestest.WithInProcess())
	defer srv.Close()
	repo := srv.AddRepository("acme", "site").Repo()
	r := &reconciler{
		client:  srv.Client(),
		written: written{key: []byte("a random key of the program's own"), sums: make(map[string][]byte)},
		secrets: make(map[string]string),
	}
	for range 2 {
		srv.ClearRequests()
		if err := r.pass(context.Background(), repo, wantedOfAll()); err != nil {
			log.Fatal(err)
		}
		writes := slices.DeleteFunc(srv.Requests(), func(req pipelinestest.Request) bool { return req.Method == http.MethodGet })
		fmt.Println(len(writes), "writes")
	}
	// Output:
	// 14 writes
	// 0 writes
}
