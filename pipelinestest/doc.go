// Package pipelinestest is a stateful, in-memory Bitbucket Pipelines for the tests of programs that use package pipelines.
//
// A [Server] behaves as the service does: it checks credentials and scopes, serves pages of ten with absolute links, starts
// runs that move from PARSING to COMPLETED as time passes, hands logs out by way of a second origin that wants no
// credentials, and refuses what the service refuses, with the service's error bodies. What a run does is written in a
// [Script], what goes wrong on the way in a [Fault], and what arrived is listed by [Server.Requests].
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
// # Time
//
// The state of a run is computed from the time that has passed, whenever it is asked for; nothing ticks in the background. So the
// package works in a bubble of testing/synctest, where an hour passes at once:
//
//	synctest.Test(t, func(t *testing.T) {
//		srv := pipelinestest.NewServer()
//		client := srv.Client()
//		...
//	})
//
// In a bubble no socket is opened, because a goroutine that waits for connections would keep the bubble's clock from
// advancing: [Server.URL] then names a host that doesn't exist, and [Server.Client] sends through [Server.Transport].
// [InProcess] does the same elsewhere.
//
// # What is invented
//
// Where the service's behaviour is unknown, the server picks something plausible: the texts of errors and most keys in them, the
// form of storage links, the order in which checks are made. A program shouldn't depend on those, and its tests neither.
package pipelinestest
