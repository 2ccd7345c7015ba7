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
// [NewClient] makes a [Client], whose fields are services: client.Pipelines starts, lists and stops runs, client.Steps reads
// steps, logs and test reports, client.Variables keeps variables, and so on. [Client.Do] and [List] reach every other path of
// Bitbucket's API. Methods that send a request take a context first and [CallOption] values last. A nil pointer to options means
// the defaults, and a nil option changes nothing.
//
// # Credentials
//
// An option of [NewClient] gives them; without one the client is anonymous.
//
//   - [WithToken]: an access token of a repository, project or workspace, or an OAuth access token
//   - [WithBasicAuth]: an account's e-mail address and API token
//   - [WithClientCredentials]: an OAuth consumer
//   - [WithTokenSource]: anything that golang.org/x/oauth2 knows
//   - [WithEnv]: whichever of these the environment has
//
// The client sends credentials to the base URL's origin only. Logs and caches come from storage hosts behind a redirect; those
// get neither credentials nor the headers of [WithHeader].
//
// In the documentation of a method, "API:" names the requests that it sends, and "Scope:" what the credentials must be allowed
// to do. The words are the scopes of OAuth consumers and access tokens. The scopes of API tokens correspond to them:
//
//   - pipeline: read:pipeline:bitbucket
//   - pipeline:write: write:pipeline:bitbucket
//   - pipeline:variable: admin:pipeline:bitbucket
//   - runner, runner:write: read:runner:bitbucket, write:runner:bitbucket
//   - repository:admin: admin:repository:bitbucket
//
// Where a method needs others it says so; one that writes may need the scope for reading too. A request without the scope is an
// [ErrForbidden], and [APIError].Data lists the scopes under "required" and "granted".
//
// # Naming things
//
// A [Repo] is a workspace and a slug; each may be a UUID instead. UUIDs are taken with or without braces. A pipeline may be named
// by its build number. Every element of a path is escaped. An empty element, "." and ".." are refused before anything is sent, as
// are other arguments that the service is known to refuse: the error is an [ErrInvalidArgument].
//
// # Models
//
// A zero field of a model means that the service left it out, sent null, or sent the zero value: the three are the same here.
// Marshalling a model to JSON leaves out zero fields, secured values, passwords, private keys and runners' secrets. In requests,
// pointers tell "leave it as it is" (nil) from a zero value: new(false), new("").
//
// The model types keep the members that they have fields for; [WithRawBody] gives the JSON as it came.
//
// Enumerations are open. [StateName], [ResultName], [TargetType] and their like are strings: a value without a constant is
// decoded, kept, and marshalled as it came. Give each switch a default. [PipelineState.Done] counts an unknown state as running.
//
// # Lists
//
// Methods that list return a [Pager]. It yields the whole list: it asks for pages of 100 and follows them to the last.
//
//	for run, err := range client.Pipelines.List(ctx, repo, nil).All() {
//		if err != nil {
//			return err
//		}
//		...
//	}
//
// [Pager.First] and [Pager.Collect] are for one item and for a slice; [Pager.Parallel] fetches several pages at once. A Pager
// sends nothing until it is read. It is bound to the context of the call that made it: once that context has ended, each read
// ends with its error.
//
// # Errors
//
// A response other than 2xx is an [*APIError], with status, message, request ID and the start of the body. Ask for the kind of an
// error by [errors.Is]:
//
//   - [ErrNotFound], [ErrRepositoryNotFound], [ErrGone]: it isn't there, or these credentials may not see it;
//     [APIError.NotFound] says what is missing, if the service does
//   - [ErrUnauthorized], [ErrForbidden]: credentials or scopes are missing
//   - [ErrConflict], [ErrInvalidRequest], [ErrTooManySchedules]: the service refuses the request
//   - [ErrInvalidArgument]: the package refuses it, and has sent nothing
//   - [ErrRateLimited], [ErrServer]: the service couldn't, after retries
//   - [ErrOutcomeUnknown]: a request that is not safe to repeat may have taken effect
//   - [ErrEmptyList]: [Pager.First] found a list without items
//   - [ErrResponseTooLarge]: a response is larger than the package reads into memory
//   - [context.Canceled], [context.DeadlineExceeded] and the context's cause: the context has ended
//
// An error never shows credentials, URLs with queries, secured values or private keys.
//
// # Retries
//
// A request is sent again if it failed before it was sent, and if the response is a 429. After a 5xx, a lost connection or a
// response that can't be read, only a request that is safe to repeat is sent again. Reading, replacing, deleting and stopping are
// safe; starting a pipeline and creating something are not. Those return an [OutcomeUnknownError]: list what there is before you
// try again. A DELETE that is answered 404 after such an attempt has succeeded.
//
// Waits grow exponentially with jitter. A Retry-After is obeyed up to a bound. The end of the context ends any wait.
// [RetryPolicy] has the numbers, [WithRetry] sets them for a client and [WithMaxAttempts] for a call.
//
// # Quota
//
// The service allows about 1,000 requests an hour. After a 429 all requests of the client wait, and one of them probes the
// service for the others: see [WithoutQuotaCircuit]. [WithLimiter] keeps a client below the quota. [WithObserver] and
// [WithLogger] tell about each attempt.
//
// # Following
//
// These wait for what happens to a run:
//
//   - [PipelinesService.Wait]: until one run ends or is paused
//   - [PipelinesService.WaitAll]: until many runs of a repository end or are paused
//   - [PipelinesService.Watch]: each change of a run and its steps, logs included
//   - [StepsService.FollowLog]: one growing log
//
// They poll, and keep to a budget of requests per hour.
//
// # Testing
//
// Package [github.com/seed-85ed9bfd/pipelines/pipelinestest] is an in-memory Bitbucket Pipelines for the tests of programs that
// use this package. The examples here run against it.
//
// # Index by other names
//
// What other clients and services call it, and what it is called here:
//
//   - Abort, Cancel, Kill: [PipelinesService.Stop]
//   - Approve, Continue, Resume (a manual step): the service has no such operation; [PipelineState.Paused] reports the pause
//   - Artifacts: the service has no such operation; this API has logs, test reports and caches ([CachesService.Download])
//   - Assume role, ID token, JWT, Verify: [OIDCService.GetKeys], [OIDCService.Issuer], [StepClaims]
//   - Bool, Ptr, String (pointer helpers): the builtin new, as in new(true)
//   - Branch, Commit, PullRequest, Tag: [BranchTarget], [CommitTarget], [PullRequestTarget], [TagTarget], [Target.At]
//   - Create, Dispatch, Start, Trigger (a run): [PipelinesService.Run]; with a YAML of your own [PipelinesService.RunOnDemand]
//   - Cron: [SchedulesService]
//   - Custom, manual pipeline: [Target.With] and [CustomSelector]
//   - Debug, Middleware, Trace: [WithObserver], [WithLogger], [OperationFromContext], [WithHTTPClient]
//   - Deploy key, SSH key: [SSHService.SetKeyPair]; hosts: [ParseKnownHosts], [SSHService.CreateKnownHost]
//   - Enable: [ConfigService.Update]
//   - Env, Secrets: [VariableSet], with [VariableRequest].Secured
//   - Environments: [DeploymentsService.ListEnvironments], [DeploymentsService.CreateEnvironment]
//   - Fake, Mock: package [github.com/seed-85ed9bfd/pipelines/pipelinestest]
//   - Import, Reconcile, Sync: [VariableSet.Plan] and [VariableSet.Apply]
//   - IsNotFound, StatusCode: [errors.Is] with [ErrNotFound], [errors.As] with [*APIError]
//   - Iterator, ListAll, NextPage, Page: [Pager.All], [Pager.Collect], [Pager.Pages]
//   - JUnit, Tests: [StepsService.GetTestReport], [StepsService.ListTestCases]
//   - Logs: [StepsService.GetLog]; of a service container [StepsService.GetContainerLog]
//   - Patch, Upsert: [VariableSet.Update], [VariableSet.Set]
//   - Permissions: not in this API; "Scope:" says what a method needs
//   - Poll, WaitFor: [PipelinesService.Wait], [PipelinesService.WaitAll]
//   - Rate limit: [WithLimiter], [RetryPolicy].MaxQuotaWait, [ErrRateLimited]
//   - Raw, Request: [Client.Do], [WithRawBody], [WithResponse]
//   - Rerun, Restart, Retry (a run): the service has no such operation; give the same [Target] to [PipelinesService.Run]
//   - Repositories, Workspaces: [List], with "/repositories/{workspace}"
//   - Result, Status: [PipelineState]; its word is [PipelineState.String]
//   - Stream, Tail: [StepsService.FollowLog], [PipelinesService.Watch]; the end of a log: [LogOptions].TailLines
//   - Timeout: the context; for connections on which nothing arrives [WithStallTimeout]
//   - Webhook: not in this API; [PipelinesService.Watch] polls, and [Client.Do] reaches "/repositories/{workspace}/{repo_slug}/hooks"
package pipelines
