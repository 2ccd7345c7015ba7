// Package pipelinestest is a stateful, in-memory Bitbucket Pipelines for the tests of programs that use package pipelines.
//
// A [Server] behaves as the service does, for each of its operations on Pipelines: it checks credentials and scopes, serves pages of ten
// with absolute links, starts runs that move from PARSING to COMPLETED as time passes, hands logs and caches out by way of a second
// origin that wants no credentials, keeps what it is told and never tells a secured value or a private key, and refuses what the
// service refuses, with the service's error bodies. What a run does is written in a [Script]: its steps, logs, test reports and
// deployments. What goes wrong on the way is a [Fault], and what arrived is listed by [Server.Requests].
//
//	srv := pipelinestest.NewServer()
//	defer srv.Close()
//	repo := srv.AddRepository("acme", "site")
//	repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{
//		{Name: "Build", Duration: 2 * time.Second, Log: "compiling\ndone\n"},
//		{Name: "Test", Result: pipelines.ResultFailed},
//	}})
//	client := srv.Client()
//	run, err := client.Pipelines.Run(ctx, repo.Repo(), pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
//
// # Seeding and looking
//
// Runs, variables, environments, deployments, schedules, SSH keys, caches and runners are added by methods of [Repository], [Workspace],
// [Environment] and [Owner] that begin with Add or Set, without requests and without the service's limits. Type discriminators may be
// left out of what is seeded. [Repository.AddRun] adds runs with steps and logs. The counterparts of these methods, such as
// Variables, return what there is, secrets included, so that a test can compare them; printed, they stay masked. They see at once what the
// API shows late.
//
//	repo.AddVariable(pipelines.Variable{Key: "TOKEN", Value: "old", Secured: true})
//	... // the program rotates the token
//	rotated := repo.Variables()[0].Value != "old"
//
// # Identity
//
// [Repository.StepClaims] and [Server.IssueToken] make the OpenID Connect token of a step, signed by the keys that the API publishes, and
// tokens that a program has to refuse.
//
// # Time
//
// The state of a run is computed from the time that has passed, whenever it is asked for; nothing ticks in the background. A variable that
// was created in an environment is missing from the list for five seconds ([WithLateVariables]), and an environment that was changed
// looks as before for one. A schedule starts a run when [Repository.FireSchedule] says so. So the
// package works in a bubble of testing/synctest, where an hour passes at once:
//
//	synctest.Test(t, func(t *testing.T) {
//		srv := pipelinestest.NewServer()
//		client := srv.Client()
//		...
//	})
//
// Server and client have to be made inside the bubble, as here, or the server has to be [InProcess]. A server made outside has told its
// client the URL of a socket, and a test that waits for a socket in a bubble hangs, because the bubble's clock stands still meanwhile.
//
// In a bubble no socket is opened, because a goroutine that waits for connections would keep the bubble's clock from
// advancing: [Server.URL] then names a host that doesn't exist, and [Server.Client] sends through [Server.Transport].
// [InProcess] does the same elsewhere.
//
// # What is invented
//
// Where the service's behaviour is unknown, the server picks something plausible: the texts of errors and most keys in them, the form of
// storage links, the order in which checks are made, the values of X-Credential-Type and X-RateLimit-Resource, the limits of
// [WithScheduleLimit] and [WithRunnerLimit], that a step's token lasts an hour and that an old signing key stays published, that a known host may have one key of each type, that a secured variable can't be opened up
// without a new value, and that no run starts where Pipelines is disabled (400). A program shouldn't depend on those, and its tests
// neither.
package pipelinestest
