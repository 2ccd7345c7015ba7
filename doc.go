// Package pipelines is a client for the Bitbucket Cloud Pipelines API.
//
//	client, err := pipelines.NewClient(pipelines.WithToken(token))
//	...
//	run, err := client.Pipelines.Run(ctx, repo, pipelines.RunRequest{
//		Target: pipelines.BranchTarget("main"),
//	})
//	...
//	run, err = client.Pipelines.Wait(ctx, repo, run.UUID, nil)
//
// [NewClient] makes a [Client]. Its fields are services: client.Pipelines starts, lists and stops runs, client.Steps reads steps,
// logs and test reports, client.Variables manages variables, and so on. [Client.Do] and [List] reach every other path of
// Bitbucket's API. Methods that send a request take a context first and [CallOption] values last. A nil pointer to options means
// the defaults, and a nil option changes nothing.
//
// # Credentials
//
// An option of [NewClient] sets them. Without one the client is anonymous.
//
//   - [WithToken]: an access token of a repository, project or workspace, or an OAuth access token
//   - [WithBasicAuth]: an account's e-mail address and API token
//   - [WithClientCredentials]: an OAuth consumer
//   - [WithTokenSource]: any token source of golang.org/x/oauth2
//   - [WithEnv]: any of these, from environment variables
//
// Tokens and passwords go only to the origin of the base URL. The secret of an OAuth consumer goes only to the token endpoint, on
// bitbucket.org or the host that [WithBaseURL] or [WithTokenURL] names. The API redirects requests for logs and caches to storage
// hosts, which get neither credentials nor the headers of [WithHeader].
//
// In the documentation of a method, "API:" lists the requests that it sends, and "Scope:" the scope that the credentials need, in
// the words of OAuth consumers and access tokens. API tokens have these scopes instead:
//
//   - pipeline: read:pipeline:bitbucket
//   - pipeline:write: write:pipeline:bitbucket
//   - pipeline:variable: admin:pipeline:bitbucket
//   - runner, runner:write: read:runner:bitbucket, write:runner:bitbucket
//   - repository:admin: admin:repository:bitbucket
//
// A method that needs others, such as those for reading and writing, says so. If a scope is missing, the error is an
// [ErrForbidden], and [APIError].Data lists the scopes under "required" and "granted".
//
// # Names and arguments
//
// A [Repo] is a workspace and a slug. Each may be a UUID instead, with or without braces. A pipeline's ID may be its UUID or its
// build number. Every element of a path is escaped. An empty element, ".", ".." and other arguments that the service is known to
// reject are an [ErrInvalidArgument], and the request is not sent.
//
// # Models
//
// A zero field of a model means that the service omitted it, sent null, or sent the zero value. Marshalling a model to JSON omits
// zero fields, secured values, passwords, private keys and runners' secrets. In requests, a nil pointer leaves a value unchanged,
// and a pointer to a zero value sets it: new(false), new("").
//
// A model has no field for unknown members. [WithRawBody] returns the JSON of the response.
//
// Enumerations are open. [StateName], [ResultName], [TargetType] and others are strings: a value without a constant is decoded
// and marshalled unchanged. Give each switch a default case. [PipelineState.Done] counts an unknown state as running.
//
// # Lists
//
// Methods that list return a [Pager]. It yields the complete list, in requests of 100 items.
//
//	for run, err := range client.Pipelines.List(ctx, repo, nil).All() {
//		if err != nil {
//			return err
//		}
//		...
//	}
//
// [Pager.First] returns one item, [Pager.Collect] a slice. [Pager.Parallel] fetches several pages at once. A Pager sends nothing
// until it is read. It is bound to the context of the call that made it: once that context has ended, reading ends with its error.
//
// # Errors
//
// Every response other than 2xx is an [*APIError], with status, message, request ID and the start of the body, except a redirect
// that is refused. Use [errors.Is] for the kind of an error:
//
//   - [ErrNotFound], [ErrRepositoryNotFound], [ErrGone]: the resource doesn't exist, or is hidden from these credentials;
//     [APIError.NotFound] names what is missing, if the service does
//   - [ErrUnauthorized], [ErrForbidden]: credentials or scopes are missing
//   - [ErrConflict], [ErrInvalidRequest], [ErrTooManySchedules]: the service rejects the request
//   - [ErrInvalidArgument]: this package rejects the request, and has not sent it
//   - [ErrRateLimited], [ErrServer]: the quota is used up, or the service failed, after retries
//   - [ErrReadOnly]: a client of [WithReadOnly] has not sent it
//   - [ErrOutcomeUnknown]: a request that is not safe to repeat may have taken effect
//   - [ErrEmptyList]: [Pager.First] found no item
//   - [ErrResponseTooLarge]: the response is too large to read into memory
//   - [context.Canceled], [context.DeadlineExceeded] and the context's cause: the context has ended
//
// An error never shows credentials, URLs with queries, secured values or private keys.
//
// # Retries
//
// A request is sent again if it failed before it was sent, and after a 429. After a 5xx other than 501 and 505, a lost connection
// or an unreadable response, only a request that is safe to repeat is sent again. Reading, replacing, deleting and stopping are
// safe. Starting a pipeline and creating a resource are not: they return an [OutcomeUnknownError], which says how to find out
// whether they took effect. After such a failure of a DELETE, a 404 counts as success.
//
// Waits grow exponentially with jitter. A Retry-After header is obeyed up to a limit. While the service answers no call, all calls
// of a client share a number of retries, so that an outage isn't met with five times as many requests. Set the numbers with
// [RetryPolicy] and [WithRetry], or for one call with [WithMaxAttempts].
//
// # Rate limits
//
// The service allows about 1,000 requests an hour. After a 429 all requests of the client wait, and then one of them probes the
// service. If the wait is longer than a call may last, calls end at once with the time that is left: see [WithoutQuotaCircuit].
// [WithLimiter] keeps the client below the limit. [Client.Quota] returns what the service has told about it.
//
// # Timeouts
//
// The context bounds a whole call, with its retries and waits. By default an attempt has no timeout of its own, but a connection
// that receives nothing for a minute is closed: see [WithStallTimeout]. The Timeout of an [http.Client] bounds each attempt, the
// reading of a log included: see [WithHTTPClient].
//
// # Proxies
//
// The client uses the proxy of the environment (HTTPS_PROXY, HTTP_PROXY and NO_PROXY), as [http.DefaultTransport] does. For
// another proxy, TLS settings or connection limits, pass an [http.Client] with your own [http.Transport] to [WithHTTPClient]. If
// the proxy's response to CONNECT is an error status, the call fails without a retry (with an [*http.Transport]).
//
// # Concurrency
//
// A [Client], its services and what they return without sending a request ([VariableSet], [RunnerSet], [Pager]) are safe for
// concurrent use. One Client for a whole program is best, since its calls share connections, tokens and the rate limit. Call
// options may be shared, except [WithResponse] and [WithRawBody]. Only one goroutine may read a [Log] or a [LogFollower], but
// another may close it.
//
// # Observing
//
// [WithLogger] logs each request that was sent, and [WithObserver] calls a function after each attempt. An [http.RoundTripper] of
// [WithHTTPClient] finds the [Operation] of a request with [OperationFromContext]: a method of this package such as
// "Pipelines.Get", "Do" for [Client.Do], "List" for [List], or "OAuth.Token" for a request to the token endpoint. A request to a
// storage host has the operation of its call, with Storage set.
//
// # Following a run
//
// These poll, within one budget of requests for all of a client ([WithFollowBudget]), and go on through failures that may pass:
//
//   - [PipelinesService.Wait]: returns a run once it has ended, or is paused
//   - [PipelinesService.WaitAll]: does so for several runs of a repository
//   - [PipelinesService.Watch]: yields each change of a run and its steps, and their logs
//   - [StepsService.FollowLog]: reads a log while it grows
//   - [Client.NewFollower]: yields the changes of many runs, of many repositories, and goes on after a restart
//
// # Testing
//
// Package [github.com/seed-85ed9bfd/pipelines/pipelinestest] is an in-memory Bitbucket Pipelines for tests of programs that use
// this package. The examples here run against it.
//
// # Index by other names
//
// The names that other clients and services use, and the names here:
//
//   - Abort, Cancel, Kill: [PipelinesService.Stop]
//   - Approve, Continue, Resume (a manual step): the API has no such operation; [PipelineState.Paused] reports the pause
//   - Artifacts: the API has no such operation; it has logs, test reports and caches ([CachesService.Download])
//   - Assume role, ID token, JWT, Verify: [OIDCService.GetKeys], [OIDCService.Issuer], [StepClaims]
//   - Bool, Ptr, String (pointer helpers): the builtin new, as in new(true)
//   - Branch, Commit, PullRequest, Tag: [BranchTarget], [CommitTarget], [PullRequestTarget], [TagTarget], [Target.At]
//   - Circuit breaker, Retry budget: [RetryPolicy].RetryBudget, [WithoutQuotaCircuit]
//   - Create, Dispatch, Start, Trigger (a run): [PipelinesService.Run]; with your own YAML [PipelinesService.RunOnDemand]
//   - Cron: [SchedulesService]
//   - Custom, manual pipeline: [Target.With] and [CustomSelector]
//   - Debug, Middleware, Trace: [WithObserver], [WithLogger], [OperationFromContext], [WithHTTPClient]
//   - Deploy key, SSH key: [SSHService.SetKeyPair]; hosts: [ParseKnownHosts], [SSHService.SetKnownHost]
//   - Dry run, Read-only: [WithReadOnly], [VariableSet.Plan]
//   - Enable (Pipelines): [ConfigService.Update]; a schedule: [SchedulesService.Update]
//   - Env, Secrets: [VariableSet], with [VariableRequest].Secured
//   - Ensure, Upsert: [VariableSet.Set], [SchedulesService.Set], [SSHService.SetKnownHost], [DeploymentsService.SetEnvironment]
//   - Environments: [DeploymentsService.ListEnvironments], [DeploymentsService.SetEnvironment]
//   - Fake, Mock: package [github.com/seed-85ed9bfd/pipelines/pipelinestest]
//   - Import, Reconcile, Sync: [VariableSet.Plan] and [VariableSet.Apply]; without a request [PlanVariables]
//   - IsNotFound, StatusCode: [errors.Is] with [ErrNotFound], [errors.As] with [*APIError]
//   - Idempotency key: the API has none; [PipelinesService.FindStarted] finds a run whose start was not answered
//   - Iterator, ListAll, NextPage, Page: [Pager.All], [Pager.Collect], [Pager.Pages]
//   - JUnit, Tests: [StepsService.GetTestReport], [StepsService.ListTestCases]
//   - Logs: [StepsService.GetLog]; of a service container [StepsService.GetContainerLog]
//   - Patch: [VariableSet.Update]
//   - Permissions: not in this API; "Scope:" says what a method needs
//   - Poll, WaitFor: [PipelinesService.Wait], [PipelinesService.WaitAll]
//   - Proxy, TLS, Transport: [WithHTTPClient]
//   - Quota, Rate limit, Throttle: [WithLimiter], [RetryPolicy].MaxQuotaWait, [Client.Quota], [ErrRateLimited]
//   - Raw, Request: [Client.Do], [WithRawBody], [WithResponse]
//   - Rerun, Restart, Retry (a run): the API has no such operation; pass the same [Target] to [PipelinesService.Run]
//   - Repositories, Workspaces: [List], with "/repositories/{workspace}"
//   - Result, Status: [PipelineState]; in one word [PipelineState.String]
//   - Stream, Tail: [StepsService.FollowLog], [PipelinesService.Watch]; the end of a log: [LogOptions].TailLines
//   - Timeout: the context, [WithStallTimeout]
//   - Webhook: not in this API; [PipelinesService.Watch] polls, and [Client.Do] reaches "/repositories/{workspace}/{repo_slug}/hooks"
package pipelines
