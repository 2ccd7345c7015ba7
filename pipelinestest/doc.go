// Package pipelinestest is a stateful, in-memory Bitbucket Pipelines for the tests of programs that use package [pipelines].
//
// A [Server] implements each of the service's operations on Pipelines. It checks credentials and scopes, and serves pages of ten with
// absolute links. It starts runs that move from PARSING to COMPLETED as time passes, and redirects requests for logs and caches to a
// storage that accepts no credentials. It keeps what is written to it, never returns a secured value or a private key, and responds to
// invalid requests with the service's error bodies. It also lists the repositories of a workspace.
//
// A [Script] is what a run does: its steps, logs, test reports and deployments. A [Fault] makes requests fail, [Server.Requests] lists the
// requests that have arrived, and [Server.Handle] adds endpoints that the server lacks.
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
// [Server.URL] also serves programs in other languages and other clients. The storage has another host name than the API, as on the
// service, so that a client that follows the redirect of a log drops its credentials in a test just as in production.
//
// # Seeding and inspecting
//
// Methods of [Repository], [Workspace], [Environment] and [Owner] that begin with Add or Set add runs, variables, environments,
// deployments, schedules, SSH keys, caches and runners. They send no requests, and the service's limits don't apply. Missing type
// discriminators are filled in at any depth. [Repository.AddRun] adds runs with steps and logs. Methods such as Variables return the
// current state, including secrets, so that a test can compare them. They return at once what the API shows late.
//
//	repo.AddVariable(pipelines.Variable{Key: "TOKEN", Value: "old", Secured: true})
//	... // the program rotates the token
//	rotated := repo.Variables()[0].Value != "old"
//
// Secrets are masked when printed.
//
// # What changes meanwhile
//
// A program that runs for long meets what people and administrators do: [Repository.Resume] starts a manual step, [Repository.Rename] and
// [Repository.Delete] take a repository away, [Server.RevokeToken] and [Server.AddToken] take credentials and give them back, and
// [Server.SetQuota] changes the quota. [Repository.AddRun] adds a run that somebody else has started.
//
// # Names and misuse
//
// Every [ServerOption] is called With or Without and what it sets. Methods called Add add a resource, Set replaces the only one, and Clear
// removes everything that was recorded or injected. Methods called Set also change a setting of a [ServerOption] while programs run.
//
// A function that configures, seeds or inspects the server panics if it is misused, because then the test itself is wrong. The
// documentation of each function says when it panics. In addition, all functions that take a resource panic if it can't be encoded as JSON,
// such as text that isn't UTF-8. A function that acts on a resource by its ID, such as [Repository.Resume], returns an error if the
// resource doesn't exist or isn't in the right state. [Server.IssueToken] and [Server.RotateSigningKey] return the errors of package
// crypto.
//
// # Identity
//
// [Repository.StepClaims] and [Server.IssueToken] make the OpenID Connect token of a step, signed by the keys that the API publishes. They
// also make tokens that a program must reject.
//
// # Time
//
// The state of a run is computed from the time that has passed; nothing runs in the background. The list of an environment lacks a new
// variable for five seconds ([WithLateVariables]), and a changed environment looks unchanged for one ([WithLateEnvironments]). A schedule
// starts a run only by [Repository.FireSchedule]. So the package works in a bubble of testing/synctest, where an hour passes at once:
//
//	synctest.Test(t, func(t *testing.T) {
//		srv := pipelinestest.NewServer()
//		client := srv.Client()
//		...
//	})
//
// Make server and client inside the bubble, as here, or make the server with [WithInProcess]. A bubble's clock stands still while a test
// waits for a socket, so the test would hang. Therefore, if the server was made outside, [Server.URL] and [Server.Client] panic in a
// bubble. Each request of a client that was made outside fails at once, unless the test has given the client a limiter. The server can't
// detect requests of other clients to a URL from outside. The clock of a bubble starts in the year 2000, so in a bubble the
// runs that an in-process server has started outside lie in the future.
//
// In a bubble no socket is opened, because a goroutine that waits for connections would stop the bubble's clock: [Server.URL] then names a
// host that doesn't exist, and [Server.Client] sends through [Server.Transport]. [WithInProcess] does the same elsewhere.
//
// # What is invented
//
// Where the service's behaviour is unknown, the server does something plausible. Neither a program nor its tests should depend on it:
//
//   - the texts of errors and most of their keys; those for the creation of a variable, key-required and value-required, follow the
//     recorded secured-required
//   - the order of checks; that a page of 0 and a pagelen above 100 are refused (above 300 for test cases, of which a client requests so
//     many); that renaming a variable ignores the case of keys
//   - that POST and PUT without a body but with a JSON Content-Type are refused, and DELETE isn't
//   - the form of storage links, the URLs of avatars, the title of a pull request, the name of a release without a run, and the setup and
//     teardown commands
//   - the values of X-Credential-Type and X-RateLimit-Resource, and that refused requests don't count against a quota
//   - that the response for a repository is HTML if it never existed, and JSON if it was deleted or renamed: the service sends both
//   - that nothing redirects from the old slug of a renamed repository, and that storage links of a deleted one work until they expire
//   - the text of the response to a revoked token
//   - the limits of [WithScheduleLimit] and [WithRunnerLimit]
//   - that a step's token is valid for an hour, and that an old signing key stays published
//   - that a known host may have one key of each type, and that the service knows gitlab.com itself, on any port
//   - that a secured variable becomes unsecured only with a new value
//   - that a run can't start if Pipelines is disabled (400)
//   - how a run becomes HALTED, and that stopping ends it
//   - that the list of a workspace's repositories supports sort and ignores role and q; its repositories are private, and main is their main
//     branch
//
// Some behaviour of the service needs a [Fault]: a configuration that can be read late, a run that a list shows late, caches that expire.
package pipelinestest
