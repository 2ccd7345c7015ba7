package pipelines_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// startLost starts a run whose response is lost, and returns the time before.
func startLost(t *testing.T, srv *pipelinestest.Server, drop pipelinestest.Drop) time.Time {
	t.Helper()
	srv.Inject(pipelinestest.Fault{Method: http.MethodPost, Times: 1, Drop: drop})
	since := time.Now()
	_, err := srv.Client().Pipelines.Run(t.Context(), repo, mainBranch)
	require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	return since
}

func buildNumbers(runs []*pipelines.Pipeline) (all []int) {
	for _, p := range runs {
		all = append(all, p.BuildNumber)
	}
	return all
}

func TestARunWhoseStartWasNotAnsweredIsFound(t *testing.T) {
	for name, behind := range map[string]time.Duration{
		"clocks that agree": 0, "a service that is behind": time.Hour, "a service that is ahead": -time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clock := func() time.Time { return time.Now().Add(-behind) }
				srv := pipelinestest.NewServer(pipelinestest.WithClock(clock))
				r := srv.AddRepository("acme", "site")
				r.AddPipelines(250)
				time.Sleep(5 * time.Minute)
				since := startLost(t, srv, pipelinestest.DropAfter)
				srv.ClearRequests()
				found, err := srv.Client().Pipelines.FindStarted(t.Context(), repo, mainBranch, since)
				require.NoError(t, err)
				require.Equal(t, []int{251}, buildNumbers(found))
				require.Len(t, srv.Requests(), 1, "older pages are not read")
				require.Equal(t, since, time.Now(), "it need not wait")
			})
		})
	}
}

func TestNoRunIsFoundWhereNoneWasStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		srv.AddRepository("acme", "site").AddPipelines(3)
		time.Sleep(time.Hour)
		since := startLost(t, srv, pipelinestest.DropBefore)
		found, err := srv.Client().Pipelines.FindStarted(t.Context(), repo, mainBranch, since)
		require.NoError(t, err)
		require.Empty(t, found)
		require.Equal(t, 15*time.Second, time.Since(since), "it may have been listed late")
		require.Len(t, srv.RequestsTo(http.MethodGet, ""), 5)
	})
}

func TestARunThatIsListedLateIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		srv.AddRepository("acme", "site")
		late := &lateList{inner: srv.Transport(), list: `{"values":[]}`}
		c := srv.Client(pipelines.WithHTTPClient(&http.Client{Transport: late}))
		srv.Inject(pipelinestest.Fault{Method: http.MethodPost, Drop: pipelinestest.DropAfter})
		since := time.Now()
		_, err := c.Pipelines.Run(t.Context(), repo, mainBranch)
		require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
		found, err := c.Pipelines.FindStarted(t.Context(), repo, mainBranch, since)
		require.NoError(t, err)
		require.Len(t, found, 1)
	})
}

func TestARunThatIsListedLateIsFoundBesideAnEarlierOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		srv.AddRepository("acme", "site")
		late := &lateList{inner: srv.Transport()}
		c := srv.Client(pipelines.WithHTTPClient(&http.Client{Transport: late}))
		_, err := c.Pipelines.Run(t.Context(), repo, mainBranch)
		require.NoError(t, err)
		time.Sleep(30 * time.Second)
		_, err = c.Pipelines.List(t.Context(), repo, nil).Collect()
		require.NoError(t, err)

		srv.Inject(pipelinestest.Fault{Method: http.MethodPost, Drop: pipelinestest.DropAfter})
		since := time.Now()
		_, err = c.Pipelines.Run(t.Context(), repo, mainBranch)
		require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
		found, err := c.Pipelines.FindStarted(t.Context(), repo, mainBranch, since)
		require.NoError(t, err)
		require.Equal(t, []int{2, 1}, buildNumbers(found))
	})
}

func TestRunsThatCannotBeTheStartedOneAreLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		r := srv.AddRepository("acme", "site")
		time.Sleep(time.Hour)
		since, main := time.Now(), mainBranch.Target
		me, somebody := &pipelines.Account{UUID: "{11111111-aaaa-4bbb-8ccc-dddddddddddd}"}, &pipelines.Account{UUID: "{22222222-aaaa-4bbb-8ccc-dddddddddddd}"}
		add := func(p pipelines.Pipeline) int { return r.AddPipeline(p).BuildNumber }
		for _, trigger := range []pipelines.Trigger{
			{Name: pipelines.TriggerPush}, {Name: pipelines.TriggerSchedule}, {Name: pipelines.TriggerParentStep}, {Name: "SCHEDULED"},
			{Type: "pipeline_trigger_parent_pipeline"},
		} {
			add(pipelines.Pipeline{Target: main, Trigger: &trigger, Creator: me, CreatedOn: since})
		}
		add(pipelines.Pipeline{Target: pipelines.BranchTarget("dev"), Creator: me, CreatedOn: since})
		add(pipelines.Pipeline{Target: main.With(pipelines.CustomSelector("deploy")), Creator: me, CreatedOn: since})
		add(pipelines.Pipeline{Target: main, Creator: me, CreatedOn: since.Add(-2 * time.Minute)})
		mine := add(pipelines.Pipeline{Target: main, Creator: me, CreatedOn: since.Add(time.Second)})
		odd := add(pipelines.Pipeline{Target: main, Trigger: &pipelines.Trigger{Name: "API", Type: "pipeline_trigger_api"}, Creator: me, CreatedOn: since.Add(2 * time.Second)})
		theirs := add(pipelines.Pipeline{Target: main, Creator: somebody, CreatedOn: since.Add(3 * time.Second)})

		numbers := func(opts ...pipelines.CallOption) []int {
			found, err := srv.Client().Pipelines.FindStarted(t.Context(), repo, mainBranch, since, opts...)
			require.NoError(t, err)
			return buildNumbers(found)
		}
		require.Equal(t, []int{theirs, odd, mine}, numbers(), "the newest first; an unknown trigger may be a request")
		for _, spelled := range []string{me.UUID, "11111111-AAAA-4bbb-8ccc-dddddddddddd"} {
			require.Equal(t, []int{odd, mine}, numbers(pipelines.WithQuery("creator.uuid", spelled)))
		}
		for _, sent := range srv.RequestsTo(http.MethodGet, "") {
			require.Equal(t, []string{"-created_on"}, sent.Query["sort"])
			require.Len(t, sent.Query, 2, "no filter that the service may understand otherwise: %v", sent.Query)
		}
	})
}

func TestClocksMayDifferByMinutesWhereTheServiceDoesNotTellItsOwn(t *testing.T) {
	since := time.Now()
	for behind, finds := range map[time.Duration]bool{4 * time.Minute: true, 6 * time.Minute: false} {
		ctx, cancel := context.WithCancel(t.Context())
		srv := record(t, func(w http.ResponseWriter, req *http.Request) {
			w.Header()["Date"] = nil
			serveJSON(fmt.Sprintf(`{"values":[{"uuid":"{p}","created_on":%q,"target":{"ref_type":"branch","ref_name":"main"}},
				{"uuid":"{odd}","target":{"ref_type":"tag","ref_name":"main"}}]}`, since.Add(-behind).Format(time.RFC3339)))(w, req)
			if !finds {
				cancel() // rather than look again
			}
		})
		found, err := newClient(t, srv.base()).Pipelines.FindStarted(ctx, repo, mainBranch, since)
		require.Equal(t, finds, err == nil, "%v", err)
		require.Equal(t, finds, len(found) == 1, "%s", behind)
		cancel()
	}
}

func TestFindStartedReadsABoundedNumberOfPages(t *testing.T) {
	pages := 0
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		pages++
		run := fmt.Sprintf(`{"uuid":"{%d}","created_on":%q,"target":{"ref_type":"branch","ref_name":"main"}}`, pages, time.Now().Format(time.RFC3339))
		next := "http://" + req.Host + req.URL.Path + fmt.Sprintf("?page=%d", pages+1)
		serveJSON(fmt.Sprintf(`{"page":%d,"values":[%s],"next":%q}`, pages, run, next))(w, req)
	})
	found, err := newClient(t, srv.base()).Pipelines.FindStarted(t.Context(), repo, mainBranch, time.Now())
	require.ErrorContains(t, err, "more than 10 pages of runs")
	require.Len(t, found, 10, "those that were read")
	srv.requireSent(t, 10)
}

func TestFindStartedReadsABoundedNumberOfPagesWithoutLinksToThem(t *testing.T) {
	pages := 0
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		pages++
		run := fmt.Sprintf(`{"uuid":"{%d}","created_on":%q,"target":{"ref_type":"branch","ref_name":"main"}}`, pages, time.Now().Format(time.RFC3339))
		serveJSON(fmt.Sprintf(`{"page":%d,"size":100,"pagelen":1,"values":[%s]}`, pages, run))(w, req)
	})
	_, err := newClient(t, srv.base()).Pipelines.FindStarted(t.Context(), repo, mainBranch, time.Now())
	require.ErrorContains(t, err, "more than 10 pages of runs")
	srv.requireSent(t, 10)
}

func TestTenPagesOfRunsAreNotTooMany(t *testing.T) {
	pages := 0
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		pages++
		run := fmt.Sprintf(`{"uuid":"{%d}","created_on":%q,"target":{"ref_type":"branch","ref_name":"main"}}`, pages, time.Now().Format(time.RFC3339))
		next := ""
		if pages < 10 {
			next = fmt.Sprintf(`,"next":"http://%s%s?page=%d"`, req.Host, req.URL.Path, pages+1)
		}
		serveJSON(fmt.Sprintf(`{"page":%d,"values":[%s]%s}`, pages, run, next))(w, req)
	})
	found, err := newClient(t, srv.base()).Pipelines.FindStarted(t.Context(), repo, mainBranch, time.Now())
	require.NoError(t, err)
	require.Len(t, found, 10)
}

func TestFindStartedReturnsWhatItHasFoundWithAnError(t *testing.T) {
	first := fmt.Sprintf(`{"size":200,"values":[{"uuid":"{1}","created_on":%q,"target":{"ref_type":"branch","ref_name":"main"}}],"next":"?page=2"}`,
		time.Now().Format(time.RFC3339))
	srv := record(t, sequence(serveJSON(first), serve(403, "text/plain", "no")))
	var resp *http.Response
	found, err := newClient(t, srv.base()).Pipelines.FindStarted(t.Context(), repo, mainBranch, time.Now(), pipelines.WithResponse(&resp))
	require.ErrorIs(t, err, pipelines.ErrForbidden)
	require.Len(t, found, 1)
	require.Equal(t, http.StatusForbidden, resp.StatusCode, "the caller's option works")
}

func TestWhatIsNoListOfRunsDoesNotMeanThatThereAreNone(t *testing.T) {
	srv := record(t, serveJSON(`{"message":"maintenance"}`))
	_, err := newClient(t, srv.base()).Pipelines.FindStarted(t.Context(), repo, mainBranch, time.Now())
	require.ErrorContains(t, err, "not a page of a list")
	srv.requireSent(t, 1)
}

func TestFindStartedNeedsWhatItGoesBy(t *testing.T) {
	for _, member := range []string{
		"values", "values.uuid", "values.target", "values.target.ref_type", "values.target.ref_name", "values.target.commit", "values.target.pullrequest.id",
		"values.trigger", "values.creator", "values.created_on",
	} {
		srv := record(t, serveJSON(`{"values":[]}`))
		_, err := newClient(t, srv.base()).Pipelines.FindStarted(t.Context(), repo, mainBranch, time.Now(), pipelines.WithQuery("fields", "-"+member))
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument, member)
		srv.requireSent(t, 0)
	}
	requireRefused(t, map[string]func(context.Context, *pipelines.Client) error{
		"since is zero": func(ctx context.Context, c *pipelines.Client) error {
			return second(c.Pipelines.FindStarted(ctx, repo, mainBranch, time.Time{}))
		},
		"target has no type": func(ctx context.Context, c *pipelines.Client) error {
			return second(c.Pipelines.FindStarted(ctx, repo, pipelines.RunRequest{}, time.Now()))
		},
	})
}

func TestFindStartedReadsTheNewestRunsWhateverTheQuerySays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		srv.AddRepository("acme", "site").AddPipelines(250)
		time.Sleep(5 * time.Minute)
		since := startLost(t, srv, pipelinestest.DropAfter)
		found, err := srv.Client().Pipelines.FindStarted(t.Context(), repo, mainBranch, since,
			pipelines.WithQuery("sort", "created_on"), pipelines.WithQuery("page", "2"))
		require.NoError(t, err)
		require.Equal(t, []int{251}, buildNumbers(found))
	})
}

// A run that starts while the list is read shifts the others, so that the next page repeats one.
func TestFindStartedReturnsNoRunTwice(t *testing.T) {
	run := func(uuid string) string {
		return fmt.Sprintf(`{"uuid":%q,"created_on":%q,"target":{"ref_type":"branch","ref_name":"main"}}`, uuid, time.Now().Format(time.RFC3339))
	}
	srv := record(t, sequence(
		serveJSON(fmt.Sprintf(`{"page":1,"values":[%s,%s],"next":"?page=2"}`, run("{2}"), run("{1}"))),
		serveJSON(fmt.Sprintf(`{"page":2,"values":[%s,%s]}`, run("{1}"), run("{0}"))),
	))
	found, err := newClient(t, srv.base()).Pipelines.FindStarted(t.Context(), repo, mainBranch, time.Now())
	require.NoError(t, err)
	var uuids []string
	for _, p := range found {
		uuids = append(uuids, p.UUID)
	}
	require.Equal(t, []string{"{2}", "{1}", "{0}"}, uuids)
}
