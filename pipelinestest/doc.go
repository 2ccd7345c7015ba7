// Package pipelinestest is a stateful, in-memory Bitbucket Pipelines for the tests of programs that use package [pipelines].
//
// A [Server] behaves as the service does, for each of its operations on Pipelines: it checks credentials and scopes, serves pages of ten
// with absolute links, starts runs that move from PARSING to COMPLETED as time passes, hands logs and caches out by way of a second
// origin that wants no credentials, keeps what it is told and never tells a secured value or a private key, and refuses what the
// service refuses, with the service's error bodies. It lists the repositories of a workspace, too. What a run does is written in a
// [Script]: its steps, logs, test reports and deployments. What goes wrong on the way is a [Fault], what arrived is listed by
// [Server.Requests], and [Server.Handle] adds endpoints that the server lacks.
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
// Programs in other languages and with other clients may be tested on [Server.URL] as well. The storage has another host name than the API,
// as on the service, so that a client which follows the redirect of a log keeps its credentials to itself where it would do so in production.
//
// # Seeding and looking
//
// Runs, variables, environments, deployments, schedules, SSH keys, caches and runners are added by methods of [Repository], [Workspace],
// [Environment] and [Owner] that begin with Add or Set, without requests and without the service's limits. Type discriminators may be
// left out of what is seeded, at any depth. [Repository.AddRun] adds runs with steps and logs. The counterparts of these methods, such as
// Variables, return what there is, secrets included, so that a test can compare them.
//
//	repo.AddVariable(pipelines.Variable{Key: "TOKEN", Value: "old", Secured: true})
//	... // the program rotates the token
//	rotated := repo.Variables()[0].Value != "old"
//
// Printed, the secrets stay masked. These methods return at once what the API shows late.
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
// looks as before for one ([WithLateEnvironments]). A schedule starts a run when [Repository.FireSchedule] says so. So the
// package works in a bubble of testing/synctest, where an hour passes at once:
//
//	synctest.Test(t, func(t *testing.T) {
//		srv := pipelinestest.NewServer()
//		client := srv.Client()
//		...
//	})
//
// Server and client have to be made inside the bubble, as here, or the server has to be [WithInProcess]. A bubble's clock stands still while a
// test waits for a socket, which would hang. Therefore [Server.URL] and [Server.Client] panic in a bubble where the server was made
// outside, and each request of a client that was made outside is an error at once, unless the test has given the client a limiter of its
// own. A request by another client to a URL from outside can't be noticed. The clock of a bubble begins in the year 2000: to an in-process
// server from outside, what was started there lies in the future.
//
// In a bubble no socket is opened, because a goroutine that waits for connections would keep the bubble's clock from
// advancing: [Server.URL] then names a host that doesn't exist, and [Server.Client] sends through [Server.Transport].
// [WithInProcess] does the same elsewhere.
//
// # What is invented
//
// Where the service's behaviour is unknown, the server picks something plausible. A program shouldn't depend on it, and its tests neither:
//
//   - the texts of errors and most keys in them; of a variable's creation, key-required and value-required, which follow the recorded
//     secured-required
//   - the order in which checks are made, that a page of 0 and a pagelen above 100 are refused (above 300 for test cases, of which
//     a client asks for so many), and that keys which differ in case only are the same key to a renaming, too
//   - an empty body that says it is JSON is refused of a POST and a PUT, and not of a DELETE
//   - the form of storage links, the addresses of avatars, the title of a pull request, the name of a release without a run, and the commands
//     of setup and teardown
//   - the values of X-Credential-Type and X-RateLimit-Resource
//   - the limits of [WithScheduleLimit] and [WithRunnerLimit]
//   - a step's token lasts an hour, and an old signing key stays published
//   - a known host may have one key of each type, and gitlab.com is among the hosts that the service knows itself, on any port
//   - a secured variable can't be opened up without a new value
//   - no run starts where Pipelines is disabled (400)
//   - how a run comes to be HALTED, and that it ends when it is stopped
//   - the list of a workspace's repositories takes sort and ignores role and q; its repositories are private, and main is their main branch
//
// Some things that the service does are left to a [Fault]: a configuration that can be read late, a run that a list shows late, caches that
// expire.
package pipelinestest
