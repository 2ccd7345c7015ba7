// Package pipelines is a client of the Bitbucket Cloud Pipelines API.
//
//	client, err := pipelines.NewClient(pipelines.WithToken(token))
//	...
//	run, err := client.Pipelines.Run(ctx, repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
//	...
//	run, err = client.Pipelines.Wait(ctx, repo, run.UUID, nil)
//
// # Credentials
//
// [WithToken] takes an access token of a repository, project or workspace, [WithBasicAuth] an account's e-mail address and
// API token, [WithClientCredentials] an OAuth consumer, [WithTokenSource] anything that golang.org/x/oauth2 knows, and
// [WithEnv] whichever of these the environment has. Credentials go to the base URL's origin only. Logs and caches come from
// storage hosts behind a redirect; those see neither credentials nor headers of [WithHeader].
//
// # Naming things
//
// A [Repo] is a workspace and a slug; both, and every identifier, may be UUIDs, with or without braces. A pipeline may be
// named by its build number. Every element of a path is escaped; an empty one, "." and ".." are refused before anything is
// sent, as are other arguments that the service is known to refuse: the error is an [ErrInvalidArgument].
//
// # Lists
//
// Methods that list return a [Pager], which is complete: the service's pages of ten are not the caller's concern.
//
//	for run, err := range client.Pipelines.List(ctx, repo, nil).All() {
//
// # Errors
//
// Every answer that is not a 2xx is an [*APIError]. Ask for its kind with [errors.Is] and the Err… values. An error never
// shows credentials, URLs with queries, secured values or private keys.
//
// # What is sent again
//
// A request that failed before it was sent is sent again, and so is one answered 429. After a 5xx, a lost connection or an
// answer that can't be read, only a request that is safe to repeat is: reading, replacing, deleting and stopping are,
// starting a pipeline and creating something are not. Those return an [OutcomeUnknownError]: the request may have taken
// effect, and the caller should look before trying again. A DELETE that is answered 404 after such an attempt has succeeded.
// Waits grow exponentially with jitter, Retry-After is honoured up to a bound, and the end of the context ends any wait;
// [RetryPolicy] has the numbers.
//
// # The quota
//
// The service allows about 1,000 requests an hour. Once it has answered 429, the other requests of the client wait too, and
// one of them goes ahead to find out for all whether requests pass again: see [WithQuotaCircuit]. [WithLimiter] keeps below
// the quota to begin with.
//
// # Following
//
// [PipelinesService.Wait] waits for the end of a run, [PipelinesService.WaitAll] for that of many, [PipelinesService.Watch]
// yields what happens in it, logs included, and [StepsService.FollowLog] reads one growing log. They draw on a budget of
// requests, because the service allows about 1,000 an hour.
//
// # Testing
//
// Package pipelinestest is an in-memory Bitbucket Pipelines for the tests of programs that use this package.
package pipelines
