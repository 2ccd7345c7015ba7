package pipelines_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestAFollowerTellsOfAllItsRunsInTheirOrder(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		f := newFollower(t, c, nil)
		other := srv.AddRepository("acme", "shop")
		scripts := map[string]pipelinestest.Script{}
		random := rand.New(rand.NewPCG(1, 2))
		for i := range 12 {
			at := []*pipelinestest.Repository{r, other}[i%2]
			script := someSteps(random)
			id := startAt(t, c, at, script)
			scripts[id] = script
			following(t, f, at.Repo(), id)
		}
		told := newChronicle()
		followAll(t, f, func(e *pipelines.Event) bool { told.add(t, e); return false })
		for id, script := range scripts {
			told.requireStates(t, id, script)
			require.True(t, told.last[id])
		}
		require.Zero(t, f.Len())
	})
}

func TestAStoredCursorMissesNothingAndRepeatsNothing(t *testing.T) {
	for seed := range uint64(10) {
		bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
			random := rand.New(rand.NewPCG(seed, 3))
			scripts, stored := map[string]pipelinestest.Script{}, map[string]string{}
			for range 5 {
				script := someSteps(random)
				id := startAt(t, c, r, script)
				scripts[id], stored[id] = script, ""
			}
			told := newChronicle()
			for len(stored) > 0 { // each round is another process
				f := newFollower(t, srv.Client(), nil)
				for id, text := range stored {
					var cursor pipelines.Cursor
					require.NoError(t, cursor.UnmarshalText([]byte(text)))
					require.NoError(t, f.Add(repo, id, cursor))
				}
				left := 1 + random.IntN(20)
				followAll(t, f, func(e *pipelines.Event) bool {
					told.add(t, e)
					stored[e.PipelineUUID] = e.Cursor.String()
					if e.Last {
						delete(stored, e.PipelineUUID)
					}
					left--
					return left == 0
				})
				time.Sleep(time.Duration(random.IntN(60)) * time.Second)
			}
			for id, script := range scripts {
				told.requireStates(t, id, script)
			}
		})
	}
}

func TestAnotherRangeGoesOnWhereTheLastOneWasLeft(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		bubble(t, func(t *testing.T, _ *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
			random := rand.New(rand.NewPCG(seed, 4))
			f, scripts, told := newFollower(t, c, nil), map[string]pipelinestest.Script{}, newChronicle()
			for range 5 {
				script := someSteps(random)
				id := startAt(t, c, r, script)
				scripts[id] = script
				following(t, f, repo, id)
			}
			for f.Len() > 0 {
				ctx := after(t, time.Duration(random.IntN(60_000))*time.Millisecond)
				left := 1 + random.IntN(20)
				for e, err := range f.Events(ctx) {
					if err != nil {
						require.ErrorIs(t, err, context.DeadlineExceeded)
						break
					}
					told.add(t, e)
					if left--; left == 0 {
						break
					}
				}
			}
			for id, script := range scripts {
				told.requireStates(t, id, script)
			}
		})
	}
}

func TestAWatchGoesOnAfterACursor(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		script := fourSteps()
		id := startAt(t, c, r, script)
		told, cursor := newChronicle(), pipelines.Cursor{}
		for !told.last[id] {
			for e, err := range srv.Client().Pipelines.Watch(t.Context(), repo, id, &pipelines.WatchOptions{After: cursor}) {
				require.NoError(t, err)
				told.add(t, e)
				cursor = e.Cursor
				break
			}
		}
		told.requireStates(t, id, script)
		for e := range c.Pipelines.Watch(t.Context(), repo, id, &pipelines.WatchOptions{After: cursor}) {
			require.Fail(t, "everything was told", "%v", e)
		}
	})
}

func TestRunsAreAddedAndRemovedWhileTheOthersAreFollowed(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		f, told := newFollower(t, c, nil), newChronicle()
		first, second, third := startAt(t, c, r, fourSteps()), startAt(t, c, r, fourSteps()), startAt(t, c, r, fourSteps())
		following(t, f, repo, first, second)
		time.AfterFunc(20*time.Second, func() { f.Remove(repo, second) })
		time.AfterFunc(30*time.Second, func() { assert.NoError(t, f.Add(repo, third, pipelines.Cursor{})) })
		var until time.Time
		followAll(t, f, func(e *pipelines.Event) bool {
			told.add(t, e)
			if e.PipelineUUID == second {
				until = time.Now()
			}
			if e.PipelineUUID == first && e.Last {
				f.Remove(repo, "99") // nobody follows it
			}
			return false
		})
		told.requireStates(t, first, fourSteps())
		told.requireStates(t, third, fourSteps())
		require.False(t, told.last[second])
		require.Less(t, time.Since(until), 3*time.Minute)
	})
}

func TestARunIsTheSameByItsUUIDAndItsBuildNumber(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		f := newFollower(t, c, nil)
		id := startAt(t, c, r, fourSteps())
		following(t, f, repo, "1", "1")
		require.Equal(t, 1, f.Len())
		for e, err := range f.Events(t.Context()) {
			require.NoError(t, err)
			require.Equal(t, id, e.PipelineUUID)
			break
		}
		following(t, f, repo, id)
		require.Equal(t, 1, f.Len(), "its UUID is known by now")
		f.Remove(repo, id)
		require.Zero(t, f.Len())
	})
}

func TestWakeHasARunLookedAtAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		id := startAt(t, c, r, pipelinestest.Script{Steps: []pipelinestest.Step{
			{Name: "Build", Duration: time.Minute}, {Name: "Deploy", Manual: true, Duration: time.Minute},
		}})
		f := newFollower(t, c, nil)
		f.Wake(repo, id) // nobody follows it
		following(t, f, repo, id)
		time.AfterFunc(5*time.Hour, func() {
			assert.NoError(t, r.Resume(id))
			f.Wake(repo, id)
		})
		begin := time.Now()
		followAll(t, f, func(e *pipelines.Event) bool {
			return e.Pipeline != nil && e.Pipeline.State.String() == "RUNNING" && time.Since(begin) > time.Hour
		})
		require.Less(t, time.Since(begin), 5*time.Hour+time.Second)
	})
}

// A run has the state STOPPED a moment after Stop: a look at that very time finds nothing.
func TestTheEndOfARunThatIsStoppedIsToldSoonAfterWake(t *testing.T) {
	t.Parallel()
	for _, o := range []pipelines.FollowerOptions{{}, {Logs: pipelines.LogsNone}, {WithoutSteps: true}} {
		for _, runs := range []int{1, 10} {
			bubble(t, func(t *testing.T, _ *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
				f := newFollower(t, c, &o)
				ids := make([]string, runs)
				for i := range ids {
					ids[i] = startAt(t, c, r, pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: time.Hour, Log: lines("log", 3000)}}})
				}
				following(t, f, repo, ids...)
				var stopped time.Time
				time.AfterFunc(20*time.Minute+500*time.Millisecond, func() { // just after a look
					stopped = time.Now()
					assert.NoError(t, c.Pipelines.Stop(t.Context(), repo, ids[0]))
					f.Wake(repo, ids[0])
				})
				followAll(t, f, func(e *pipelines.Event) bool { return e.Last })
				require.Less(t, time.Since(stopped), 10*time.Second, "of %d runs, %+v", runs, o)
			})
		}
	}
}

func TestPausedRunsAreLookedAtEachFewMinutes(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		f := newFollower(t, c, nil)
		for range 6 {
			following(t, f, repo, startAt(t, c, r, pipelinestest.Script{Steps: []pipelinestest.Step{
				{Name: "Build", Duration: time.Minute}, {Name: "Deploy", Manual: true, Duration: time.Minute},
			}}))
		}
		ctx := after(t, 24*time.Hour)
		srv.ClearRequests()
		for _, err := range f.Events(ctx) {
			if err != nil {
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
		}
		require.Less(t, len(srv.Requests()), 24*150, "of six runs in a day")
		following(t, f, repo, startAt(t, c, r, fourSteps()))
	})
}

func TestLogsAndStepsAreToldAsFarAsTheyAreWanted(t *testing.T) {
	script := pipelinestest.Script{Steps: []pipelinestest.Step{
		{Name: "Good", Duration: time.Minute, Log: lines("good", 50)},
		{Name: "Bad", Duration: time.Minute, Log: lines("bad", 50), Result: pipelines.ResultFailed},
		{Name: "Never", Duration: time.Minute, Log: lines("never", 50)},
	}}
	all := []string{"Good SUCCESSFUL", "Bad FAILED", "Never NOT_RUN", "pipeline FAILED"}
	for name, tc := range map[string]struct {
		options pipelines.FollowerOptions
		logs    map[string]string
		ends    []string
	}{
		"all":           {pipelines.FollowerOptions{}, map[string]string{"Good": lines("good", 50), "Bad": lines("bad", 50)}, all},
		"no logs":       {pipelines.FollowerOptions{Logs: pipelines.LogsNone}, map[string]string{}, all},
		"two last":      {pipelines.FollowerOptions{Logs: pipelines.LogsTail(2)}, map[string]string{"Bad": "bad line 48\nbad line 49\n"}, all},
		"none last":     {pipelines.FollowerOptions{Logs: pipelines.LogsTail(0)}, map[string]string{}, all},
		"without steps": {pipelines.FollowerOptions{WithoutSteps: true}, map[string]string{}, all[3:]},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
				f, told := newFollower(t, c, &tc.options), newChronicle()
				id := startAt(t, c, r, script)
				following(t, f, repo, id)
				followAll(t, f, func(e *pipelines.Event) bool { told.add(t, e); return false })
				var ends []string
				for _, state := range told.states[id] {
					if slices.Contains(all, state) {
						ends = append(ends, state)
					}
				}
				require.Equal(t, tc.ends, ends)
				logs := map[string]string{}
				for _, step := range script.Steps {
					if text := told.logs[id+" "+step.Name]; text != "" {
						logs[step.Name] = text
					}
				}
				require.Equal(t, tc.logs, logs)
				if tc.options.WithoutSteps {
					require.Zero(t, requestsByKind(srv)["steps"])
				}
				if len(tc.logs) == 0 {
					require.Zero(t, requestsByKind(srv)["log"])
				}
			})
		})
	}
}

func TestFollowingGoesOnThroughAnOutageAndSaysSo(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]pipelinestest.Fault{
		"server errors":    {Method: http.MethodGet, Status: 503},
		"lost connections": {Method: http.MethodGet, Drop: pipelinestest.DropBefore},
		"quota":            {Method: http.MethodGet, Status: 429},
		"asked to wait":    {Method: http.MethodGet, Status: 429, Header: http.Header{"Retry-After": {"1800"}}},
		"404s of a run":    {Method: http.MethodGet, Status: 404},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
				f, told := newFollower(t, c, nil), newChronicle()
				script := pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: 3 * time.Hour, Log: lines("b", 1000)}}}
				ids := []string{startAt(t, c, r, script), startAt(t, c, r, script)}
				following(t, f, repo, ids...)
				var begin time.Time
				time.AfterFunc(30*time.Minute, func() {
					begin = time.Now()
					srv.Inject(fault)
					time.AfterFunc(time.Hour, srv.ClearFaults)
				})
				var problems []*pipelines.Event
				followAll(t, f, func(e *pipelines.Event) bool {
					told.add(t, e)
					if e.Kind == pipelines.EventProblem {
						problems = append(problems, e)
					}
					return false
				})
				for _, id := range ids {
					told.requireStates(t, id, script)
				}
				require.NotEmpty(t, problems)
				require.LessOrEqual(t, len(problems), 2, "one for each run")
				for _, e := range problems {
					require.WithinDuration(t, begin, e.FailingSince, 2*time.Minute)
					require.False(t, e.Last)
				}
			})
		})
	}
}

func TestTolerateDecidesHowLongFailuresAreTolerated(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		id := startAt(t, c, r, pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: 24 * time.Hour}}})
		for name, follow := range map[string]func(tolerate func(error, time.Duration) bool) error{
			"Wait": func(tolerate func(error, time.Duration) bool) error {
				_, err := c.Pipelines.Wait(t.Context(), repo, id, &pipelines.WaitOptions{Tolerate: tolerate})
				return err
			},
			"WaitAll": func(tolerate func(error, time.Duration) bool) error {
				_, err := c.Pipelines.WaitAll(t.Context(), repo, []string{id, "1"}, &pipelines.WaitOptions{Tolerate: tolerate})
				return err
			},
			"Watch": func(tolerate func(error, time.Duration) bool) (err error) {
				for _, err = range c.Pipelines.Watch(t.Context(), repo, id, &pipelines.WatchOptions{Tolerate: tolerate}) {
				}
				return err
			},
			"Follower": func(tolerate func(error, time.Duration) bool) (err error) {
				f := newFollower(t, c, &pipelines.FollowerOptions{Tolerate: tolerate})
				following(t, f, repo, id)
				followAll(t, f, func(e *pipelines.Event) bool {
					if e.Last {
						err = e.Err
					}
					return false
				})
				return err
			},
		} {
			var longest time.Duration
			time.AfterFunc(time.Minute, func() { srv.Inject(pipelinestest.Fault{Method: http.MethodGet, Status: 500}) })
			err := follow(func(err error, failingFor time.Duration) bool {
				assert.ErrorIs(t, err, pipelines.ErrServer)
				longest = max(longest, failingFor)
				return failingFor < 6*time.Hour
			})
			srv.ClearFaults()
			require.ErrorIs(t, err, pipelines.ErrServer, name)
			require.InDelta(t, 6*time.Hour, longest, float64(2*time.Minute), name)
		}
	})
}

func TestARunThatCannotBeFollowedEndsAlone(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		f, told := newFollower(t, c, nil), newChronicle()
		gone := srv.AddRepository("acme", "gone")
		id, lost := startAt(t, c, r, fourSteps()), startAt(t, c, gone, fourSteps())
		following(t, f, repo, id, "77")
		following(t, f, gone.Repo(), lost)
		begin := time.Now()
		time.AfterFunc(30*time.Second, gone.Delete)
		failed := map[string]error{}
		followAll(t, f, func(e *pipelines.Event) bool {
			if e.Kind == pipelines.EventProblem && e.Last {
				failed[e.PipelineUUID] = e.Err
				if e.ID == "77" {
					require.Empty(t, e.PipelineUUID)
					require.Equal(t, 10*time.Second, time.Since(begin))
				}
				return false
			}
			told.add(t, e)
			return false
		})
		told.requireStates(t, id, fourSteps())
		require.Len(t, failed, 2)
		require.ErrorIs(t, failed[""], pipelines.ErrNotFound)
		require.NotErrorIs(t, failed[""], pipelines.ErrRepositoryNotFound)
		require.ErrorIs(t, failed[lost], pipelines.ErrRepositoryNotFound)
	})
}

func TestARunThatWasFoundByItsNumberIsNamedByItsUUIDWhereItsStepsAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		id := startAt(t, c, r, pipelinestest.Script{Steps: []pipelinestest.Step{{}}})
		time.Sleep(time.Minute)
		srv.Inject(pipelinestest.Fault{Path: "/repositories/acme/site/pipelines/1/steps", Status: http.StatusForbidden})
		f := newFollower(t, c, nil)
		following(t, f, repo, "1")
		followAll(t, f, func(e *pipelines.Event) bool {
			require.ErrorIs(t, e.Err, pipelines.ErrForbidden)
			require.True(t, e.Last)
			require.Equal(t, id, e.PipelineUUID)
			return false
		})
	})
}

func TestRefusedCredentialsEndAllAndAnotherRangeGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer(pipelinestest.WithToken("old"))
		defer srv.Close()
		r := srv.AddRepository("acme", "site")
		c := srv.Client()
		f, told := newFollower(t, c, nil), newChronicle()
		ids := []string{startAt(t, c, r, fourSteps()), startAt(t, c, r, fourSteps())}
		following(t, f, repo, ids...)
		time.AfterFunc(time.Minute, func() { srv.RevokeToken("old") })
		var end error
		for e, err := range f.Events(t.Context()) {
			if end = err; err == nil {
				told.add(t, e)
			}
		}
		require.ErrorIs(t, end, pipelines.ErrUnauthorized)
		require.Equal(t, 2, f.Len())
		srv.AddToken("old")
		followAll(t, f, func(e *pipelines.Event) bool { told.add(t, e); return false })
		for _, id := range ids {
			told.requireStates(t, id, fourSteps())
		}
	})
}

// changing is a source of tokens that gets a new one at some time.
type changing struct{ tokens func() string }

func (c changing) Token() (*oauth2.Token, error) { return &oauth2.Token{AccessToken: c.tokens()}, nil }

func TestFollowingGoesOnWhileATokenIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer(pipelinestest.WithToken("old"), pipelinestest.WithToken("new"))
		defer srv.Close()
		r := srv.AddRepository("acme", "site")
		begin := time.Now()
		c := srv.Client(pipelines.WithTokenSource(changing{func() string {
			if time.Since(begin) < 10*time.Minute {
				return "old"
			}
			return "new"
		}}))
		f, told := newFollower(t, c, nil), newChronicle()
		id := startAt(t, c, r, fourSteps())
		following(t, f, repo, id)
		time.AfterFunc(time.Minute, func() { srv.RevokeToken("old") })
		problems := 0
		followAll(t, f, func(e *pipelines.Event) bool {
			if told.add(t, e); e.Kind == pipelines.EventProblem {
				problems++
				require.ErrorIs(t, e.Err, pipelines.ErrUnauthorized)
			}
			return false
		})
		told.requireStates(t, id, fourSteps())
		require.Equal(t, 1, problems)
	})
}

func TestLatestShowsWhatFollowingHasSeen(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		f := newFollower(t, c, nil)
		none, at := f.Latest(repo, "main")
		require.Nil(t, none)
		require.Zero(t, at)
		for range 4 {
			following(t, f, repo, startAt(t, c, r, pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: time.Hour}}}))
		}
		time.AfterFunc(10*time.Minute, func() { startAt(t, c, r, fourSteps()) }) // nobody follows it
		ctx := after(t, 30*time.Minute)
		for range f.Events(ctx) {
		}
		sent := len(srv.Requests())
		p, at := f.Latest(repo, "main")
		require.Equal(t, 5, p.BuildNumber)
		require.True(t, p.State.Succeeded())
		require.Less(t, time.Since(at), 30*time.Second)
		none, _ = f.Latest(repo, "other")
		require.Nil(t, none)
		require.Len(t, srv.Requests(), sent, "it sends nothing")
	})
}

func TestAFollowerRefusesWhatCannotWork(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		f := newFollower(t, c, nil)
		for _, id := range []string{"", ".", "..", "{", "a/b"} {
			err := f.Add(repo, id, pipelines.Cursor{})
			if id == "{" || id == "a/b" { // a path parameter like any other
				continue
			}
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument, "%q", id)
		}
		require.ErrorIs(t, f.Add(pipelines.Repo{Workspace: "acme"}, "1", pipelines.Cursor{}), pipelines.ErrInvalidArgument)
		for e, err := range f.Events(nil) { //nolint:staticcheck // what a caller may do
			require.Nil(t, e)
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
		}
		_, err := c.NewFollower(&pipelines.FollowerOptions{Logs: -2})
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
		require.Empty(t, srv.Requests())

		f = newFollower(t, c, nil)
		following(t, f, repo, startAt(t, c, r, fourSteps()))
		for _, err := range f.Events(t.Context()) {
			require.NoError(t, err)
			for e, err := range f.Events(t.Context()) {
				require.Nil(t, e)
				require.ErrorContains(t, err, "another range")
			}
			break
		}
		_, err = pipelines.NewClient(pipelines.WithFollowBudget(0))
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	})
}

func TestAPanicInTheLoopEndsTheFollowing(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		f, told := newFollower(t, c, nil), newChronicle()
		id := startAt(t, c, r, fourSteps())
		following(t, f, repo, id)
		require.Panics(t, func() {
			for e, err := range f.Events(t.Context()) {
				require.NoError(t, err)
				told.add(t, e)
				panic("of the caller")
			}
		})
		synctest.Wait() // a request may have been on its way
		sent := len(srv.Requests())
		time.Sleep(time.Hour)
		require.Len(t, srv.Requests(), sent)
		followAll(t, f, func(e *pipelines.Event) bool { told.add(t, e); return false })
		told.requireStates(t, id, fourSteps())
	})
}

func TestAllFollowingOfAClientKeepsToItsBudget(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, _ *pipelines.Client) {
		c := srv.Client(pipelines.WithFollowBudget(110))
		var ids []string
		for range 8 {
			ids = append(ids, startAt(t, c, r, pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: 3 * time.Hour, Log: lines("x", 5000)}}}))
		}
		srv.ClearRequests()
		done := make(chan error)
		for i, id := range ids {
			go func() {
				var err error
				switch i % 3 {
				case 0:
					_, err = c.Pipelines.Wait(t.Context(), repo, id, nil)
				case 1:
					_, err = c.Pipelines.WaitAll(t.Context(), repo, ids, nil)
				default:
					for _, e := range c.Pipelines.Watch(t.Context(), repo, id, nil) {
						err = errors.Join(err, e)
					}
				}
				done <- err
			}()
		}
		for range ids {
			require.NoError(t, <-done)
		}
		var at []time.Time
		for _, req := range srv.Requests() {
			if !req.Storage {
				at = append(at, req.Time)
			}
		}
		for i := range at {
			if i > 115+8 {
				require.GreaterOrEqual(t, at[i].Sub(at[i-115-8]), time.Hour-time.Second, fmt.Sprint("request ", i))
			}
		}
	})
}
