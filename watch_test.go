package pipelines_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestWatchTellsEverythingOnceAndInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		script := fourSteps()
		r.Script("", script)
		id := start(t, c).UUID
		begin := time.Now()
		seen, err := collect(t, t.Context(), c, id)
		require.NoError(t, err)
		require.Equal(t, []string{"PARSING", "PENDING", "RUNNING", "SUCCESSFUL"}, seen.pipeline)
		require.Empty(t, seen.late)
		require.NotNil(t, seen.last.Pipeline, "the pipeline's end comes last")
		for _, step := range script.Steps {
			require.Equal(t, step.Log, seen.logs[step.Name].String(), "each byte once, in order")
			require.Contains(t, seen.steps, step.Name+" SUCCESSFUL")
		}
		require.Less(t, time.Since(begin), 2*time.Minute+10*time.Second)
		require.LessOrEqual(t, len(srv.Requests()), 75, "the storage's share included")
	})
}

func TestWatchOfARunThatHasEndedTellsAllOfItAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		script := fourSteps()
		script.Steps[1].Result = pipelines.ResultFailed
		r.Script("", script)
		p := start(t, c)
		time.Sleep(time.Hour)
		begin := time.Now()
		seen, err := collect(t, t.Context(), c, fmt.Sprint(p.BuildNumber))
		require.NoError(t, err)
		require.Equal(t, []string{"FAILED"}, seen.pipeline)
		require.Equal(t, []string{"Build SUCCESSFUL", "Unit FAILED", "Lint SUCCESSFUL", "Deploy NOT_RUN"}, seen.steps)
		require.Equal(t, script.Steps[1].Log, seen.logs["Unit"].String())
		require.NotContains(t, seen.logs, "Deploy")
		require.Zero(t, time.Since(begin))
	})
}

func TestWatchOfALongRunKeepsItsBudget(t *testing.T) {
	for perHour, most := range map[int]int{0: 300, 60: 125} {
		bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
			script := pipelinestest.Script{}
			for i := range 10 {
				script.Steps = append(script.Steps, pipelinestest.Step{
					Name: fmt.Sprint("Step ", i), Duration: 7*time.Minute + 30*time.Second, Log: lines(fmt.Sprint(i), 2000), Parallel: i == 3 || i == 4,
				})
			}
			r.Script("", script)
			id := start(t, c).UUID
			srv.ClearRequests()
			logs := map[string]*bytes.Buffer{}
			for e, err := range c.Pipelines.Watch(t.Context(), repo, id, &pipelines.WatchOptions{RequestsPerHour: perHour}) {
				require.NoError(t, err)
				if e.Log != nil {
					if logs[e.Step.Name] == nil {
						logs[e.Step.Name] = new(bytes.Buffer)
					}
					logs[e.Step.Name].Write(e.Log)
				}
			}
			for _, step := range script.Steps {
				require.Equal(t, step.Log, logs[step.Name].String())
			}
			api := 0
			for _, req := range srv.Requests() {
				if !req.Storage {
					api++
				}
			}
			require.LessOrEqual(t, api, most)
		})
	}
}

func TestWatchOfAShortRunShowsEachChangeWithinSeconds(t *testing.T) {
	for v := range 10 {
		bubble(t, func(t *testing.T, _ *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
			var script pipelinestest.Script
			for i := range 4 {
				script.Steps = append(script.Steps, pipelinestest.Step{
					Name: fmt.Sprint(i), Duration: 24*time.Second + time.Duration(i*v)*777*time.Millisecond, Log: lines("x", 300), Parallel: v%2 == 1 && i == 2,
				})
			}
			r.Script("", script)
			var ages []time.Duration
			for e, err := range c.Pipelines.Watch(t.Context(), repo, start(t, c).UUID, nil) {
				require.NoError(t, err)
				switch {
				case e.Pipeline != nil && e.Pipeline.State.Done():
					ages = append(ages, time.Since(e.Pipeline.CompletedOn))
				case e.Step != nil && e.Log == nil && e.Step.State.Done():
					ages = append(ages, time.Since(e.Step.CompletedOn))
				case e.Step != nil && e.Log == nil && !e.Step.StartedOn.IsZero():
					ages = append(ages, time.Since(e.Step.StartedOn))
				}
			}
			require.Len(t, ages, 9)
			slices.Sort(ages)
			assert.LessOrEqual(t, ages[4], 2*time.Second, "the median of run %d: %v", v, ages)
			assert.LessOrEqual(t, ages[8], 5*time.Second, "the longest of run %d: %v", v, ages)
		})
	}
}

func TestWatchGoesOnThroughAPause(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{
			{Name: "Build", Duration: time.Minute, Log: lines("b", 10)}, {Name: "Deploy", Duration: time.Minute, Manual: true, Log: lines("d", 10)},
		}})
		id := start(t, c).UUID
		time.AfterFunc(time.Hour, func() { assert.NoError(t, r.Resume(id)) })
		seen, err := collect(t, t.Context(), c, id)
		require.NoError(t, err)
		require.Equal(t, []string{"RUNNING", "PAUSED", "RUNNING", "SUCCESSFUL"}, seen.pipeline)
		require.Equal(t, lines("d", 10), seen.logs["Deploy"].String())
	})
}

func TestWatchSurvivesMoments(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		script := fourSteps()
		r.Script("", script)
		id := start(t, c).UUID
		for i := range 12 {
			srv.Inject(pipelinestest.Fault{Method: http.MethodGet, Skip: 5 * i, Times: 3, Status: 502})
			srv.Inject(pipelinestest.Fault{Method: http.MethodGet, Skip: 3 * i, Times: 1, Drop: pipelinestest.DropBefore})
			srv.Inject(pipelinestest.Fault{Method: http.MethodGet, Skip: 7 * i, Times: 1, Cut: true, After: 20})
		}
		srv.Inject(pipelinestest.Fault{Storage: true, Skip: 1, Times: 2, Status: 403})
		seen, err := collect(t, t.Context(), c, id)
		require.NoError(t, err)
		for _, step := range script.Steps {
			require.Equal(t, step.Log, seen.logs[step.Name].String())
		}
		require.Equal(t, "SUCCESSFUL", seen.pipeline[len(seen.pipeline)-1])
	})
}

func TestWatchSurvivesAMessageInPlaceOfSteps(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		r.Script("", fourSteps())
		steps := "/repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps"
		srv.Inject(pipelinestest.Fault{Path: steps, Skip: 2, Times: 2, Status: http.StatusOK, Body: `{"message":"maintenance"}`})
		seen, err := collect(t, t.Context(), c, start(t, c).UUID)
		require.NoError(t, err)
		require.Equal(t, "SUCCESSFUL", seen.pipeline[len(seen.pipeline)-1])
	})
}

func TestWatchEndsWithItsContextAndWithErrorsThatStay(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		r.Script("", fourSteps())
		id := start(t, c).UUID
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		seen, err := collect(t, ctx, c, id)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(begin))
		require.NotContains(t, seen.pipeline, "SUCCESSFUL")

		srv.Inject(pipelinestest.Fault{Method: http.MethodGet, Skip: 3, Status: 403})
		_, err = collect(t, t.Context(), c, id)
		require.ErrorIs(t, err, pipelines.ErrForbidden)
		srv.ClearFaults()
		_, err = collect(t, t.Context(), c, "99")
		require.ErrorIs(t, err, pipelines.ErrNotFound)
	})
}

func TestLeavingAWatchSendsNoMore(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		r.Script("", fourSteps())
		id := start(t, c).UUID
		kinds := []func(*pipelines.Event) bool{
			func(e *pipelines.Event) bool { return e.Pipeline != nil },
			func(e *pipelines.Event) bool { return e.Step != nil && e.Log == nil },
			func(e *pipelines.Event) bool { return e.Log != nil },
		}
		for _, leave := range kinds {
			for e, err := range c.Pipelines.Watch(t.Context(), repo, id, nil) {
				require.NoError(t, err)
				if leave(e) {
					break
				}
			}
			n := len(srv.Requests())
			time.Sleep(time.Minute)
			require.Len(t, srv.Requests(), n)
		}
	})
}

func TestWatchTellsOfARunThatIsStopped(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		r.Script("", fourSteps())
		id := start(t, c).UUID
		time.AfterFunc(30*time.Second, func() { assert.NoError(t, c.Pipelines.Stop(context.Background(), repo, id)) })
		seen, err := collect(t, t.Context(), c, id)
		require.NoError(t, err)
		require.Equal(t, "STOPPED", seen.pipeline[len(seen.pipeline)-1])
		require.Contains(t, seen.steps, "Build STOPPED")
		require.NotEmpty(t, seen.logs["Build"].String())
	})
}

func TestWatchWaitsForStepsThatEndLaterThanTheirPipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		hc := &http.Client{Transport: hosts{"http://api.example": func(w http.ResponseWriter, req *http.Request) {
			late := time.Since(begin) > 5*time.Second
			switch {
			case strings.HasSuffix(req.URL.Path, "/log") && late:
				serveLog([]byte("all of it"), "")(w, req)
			case strings.HasSuffix(req.URL.Path, "/log"):
				serveLog([]byte("all"), "")(w, req)
			case strings.HasSuffix(req.URL.Path, "/steps") && late:
				serveJSON(`{"values":[{"uuid":"{s}","name":"A","state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}]}`)(w, req)
			case strings.HasSuffix(req.URL.Path, "/steps"):
				serveJSON(`{"values":[{"uuid":"{s}","name":"A","state":{"name":"IN_PROGRESS"}}]}`)(w, req)
			default:
				serveJSON(`{"state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`)(w, req)
			}
		}}}
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc))
		seen, err := collect(t, t.Context(), c, "1")
		require.NoError(t, err)
		require.Equal(t, "all of it", seen.logs["A"].String())
		require.Equal(t, []string{"A IN_PROGRESS", "A SUCCESSFUL"}, seen.steps)
		require.Equal(t, []string{"SUCCESSFUL"}, seen.pipeline)
	})
}

// told is what a watch yields, one line for each event: of pieces of a log, how many of its lines are complete by then.
func told(t *testing.T, c *pipelines.Client, id string, until func(*pipelines.Event) bool) (events []string) {
	t.Helper()
	logs := map[string]string{}
	for e, err := range c.Pipelines.Watch(t.Context(), repo, id, nil) {
		require.NoError(t, err)
		switch {
		case e.Pipeline != nil:
			events = append(events, "pipeline "+e.Pipeline.State.String())
		case e.Log != nil:
			logs[e.Step.Name] += string(e.Log)
			events = append(events, fmt.Sprintf("%s: %d lines", e.Step.Name, strings.Count(logs[e.Step.Name], "\n")))
		default:
			events = append(events, e.Step.Name+" "+e.Step.State.String())
		}
		if until(e) {
			break
		}
	}
	return events
}

func atPause(e *pipelines.Event) bool { return e.Pipeline != nil && e.Pipeline.State.Paused() }

func never(*pipelines.Event) bool { return false }

// before reports whether all of some events stand before the first of another.
func requireBefore(t *testing.T, events []string, last string, all ...string) {
	t.Helper()
	end := slices.Index(events, last)
	require.NotEqual(t, -1, end, "%q is not in %q", last, events)
	for _, e := range all {
		require.Contains(t, events[:end], e, "not before %q", last)
	}
}

func TestWatchTellsAPauseAfterEverythingBeforeIt(t *testing.T) {
	for _, duration := range []time.Duration{time.Second, 2 * time.Second, 10 * time.Second, time.Minute, time.Hour} {
		for late, delay := range map[string]time.Duration{"from the start": 0, "once it is paused": duration + time.Hour} {
			t.Run(fmt.Sprint(duration, " ", late), func(t *testing.T) {
				bubble(t, func(t *testing.T, _ *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
					r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{
						{Name: "Build", Duration: duration, Log: lines("b", 100)}, {Name: "Deploy", Manual: true, Duration: time.Minute, Log: lines("d", 10)},
					}})
					id := start(t, c).UUID
					time.Sleep(delay)
					events := told(t, c, id, atPause)
					requireBefore(t, events, "pipeline PAUSED", "Build: 100 lines", "Build SUCCESSFUL", "Deploy PAUSED")
					require.Equal(t, "pipeline PAUSED", events[len(events)-1])
				})
			})
		}
	}
}

func TestWatchTellsEveryPauseOfARun(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{
			{Name: "Build", Duration: 30 * time.Second, Log: lines("b", 100)},
			{Name: "Stage", Manual: true, Duration: 2 * time.Second, Log: lines("s", 200)},
			{Name: "Deploy", Manual: true, Duration: time.Minute, Log: lines("d", 10)},
		}})
		id := start(t, c).UUID
		srv.ClearRequests()
		for _, after := range []time.Duration{time.Hour, 5 * time.Hour} {
			time.AfterFunc(after, func() { assert.NoError(t, r.Resume(id)) })
		}
		begin := time.Now()
		events := told(t, c, id, never)
		require.Equal(t, "pipeline SUCCESSFUL", events[len(events)-1])
		pauses := slices.DeleteFunc(slices.Clone(events), func(e string) bool { return e != "pipeline PAUSED" })
		require.Len(t, pauses, 2)
		requireBefore(t, events, "pipeline PAUSED", "Build: 100 lines", "Build SUCCESSFUL", "Stage PAUSED")
		requireBefore(t, events, "Deploy PAUSED", "Stage: 200 lines", "Stage SUCCESSFUL")
		requireBefore(t, events, "pipeline SUCCESSFUL", "Deploy: 10 lines", "Deploy SUCCESSFUL")
		sent := float64(len(srv.Requests()))
		require.LessOrEqual(t, sent, 60+240*time.Since(begin).Hours())
	})
}

func TestWatchTellsAPauseThatFollowsAnotherAtOnce(t *testing.T) {
	for _, lasts := range []time.Duration{0, 2 * time.Second, time.Minute, time.Hour} {
		bubble(t, func(t *testing.T, _ *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
			r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{
				{Name: "Build", Duration: lasts, Log: lines("b", 10)},
				{Name: "Stage", Manual: true, Duration: lasts, Log: lines("s", 20)},
				{Name: "Deploy", Manual: true, Duration: lasts, Log: lines("d", 30)},
			}})
			id := start(t, c).UUID
			ctx, cancel := context.WithTimeout(t.Context(), 12*time.Hour)
			defer cancel()
			pauses := 0
			var last *pipelines.Pipeline
			for e, err := range c.Pipelines.Watch(ctx, repo, id, nil) {
				require.NoError(t, err, "after %d pauses", pauses)
				if last = e.Pipeline; last != nil && last.State.Paused() {
					pauses++
					require.NoError(t, r.Resume(id)) // as a program does that approves
				}
			}
			require.Equal(t, 2, pauses, lasts)
			require.True(t, last.State.Succeeded())
		})
	}
}

// paused serves a run that is in a pause after 10 seconds, a step that has ended by then, and one beside it that goes on.
func paused(begin time.Time, stage, lag string, besides bool) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		age := time.Since(begin)
		late, _ := time.ParseDuration(lag)
		state := func(s string) string { return `"state":` + s }
		first, second := `{"name":"IN_PROGRESS"}`, `{"name":"PENDING"}`
		if age >= 10*time.Second+late {
			first, second = `{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}`, `{"name":"PENDING","stage":{"name":"`+stage+`"}}`
		}
		switch {
		case strings.Contains(req.URL.Path, "B") && strings.HasSuffix(req.URL.Path, "/log"):
			serveLog([]byte(lines("b", int(age/time.Second)+1)), "")(w, req)
		case strings.HasSuffix(req.URL.Path, "/log"):
			serveLog([]byte(lines("a", min(10, int(age/time.Second)+1))), "")(w, req)
		case strings.HasSuffix(req.URL.Path, "/steps"):
			steps := `{"uuid":"{A}","name":"A",` + state(first) + `},{"uuid":"{M}","name":"M",` + state(second) + `}`
			if besides {
				steps += `,{"uuid":"{B}","name":"B",` + state(`{"name":"IN_PROGRESS"}`) + `}`
			}
			serveJSON(`{"values":[`+steps+`]}`)(w, req)
		case age >= 10*time.Second:
			serveJSON(`{"state":{"name":"IN_PROGRESS","stage":{"name":"`+stage+`"}}}`)(w, req)
		default:
			serveJSON(`{"state":{"name":"IN_PROGRESS","stage":{"name":"RUNNING"}}}`)(w, req)
		}
	}
}

func TestWatchTellsAPauseWhateverTheStepsShow(t *testing.T) {
	for name, tc := range map[string]struct {
		stage, lag string
		besides    bool
		before     []string
		within     time.Duration // of the pause
	}{
		"PAUSED":                           {"PAUSED", "0s", false, []string{"A: 10 lines", "A SUCCESSFUL", "M PAUSED"}, 61 * time.Second},
		"HALTED":                           {"HALTED", "0s", false, []string{"A: 10 lines", "A SUCCESSFUL", "M HALTED"}, 61 * time.Second},
		"steps that lag behind":            {"PAUSED", "5s", false, []string{"A: 10 lines", "A SUCCESSFUL", "M PAUSED"}, 70 * time.Second},
		"a step beside it that goes on":    {"PAUSED", "0s", true, []string{"A: 10 lines", "A SUCCESSFUL", "M PAUSED"}, 61 * time.Second},
		"steps that never show the pause":  {"PAUSED", "9h", false, []string{"A: 10 lines"}, 70 * time.Second},
		"a halt that the steps never show": {"HALTED", "9h", true, []string{"A: 10 lines"}, 70 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				hc := &http.Client{Transport: hosts{"http://api.example": paused(begin, tc.stage, tc.lag, tc.besides)}}
				events := told(t, newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)), "1", atPause)
				requireBefore(t, events, "pipeline "+tc.stage, tc.before...)
				at := time.Since(begin)
				require.Less(t, at, 10*time.Second+tc.within)
				if tc.besides {
					wrote := 0
					for _, e := range events {
						_, _ = fmt.Sscanf(e, "B: %d lines", &wrote)
					}
					require.GreaterOrEqual(t, wrote, int(at/time.Second), "of the step beside it, all that was there at the pause")
				}
			})
		})
	}
}

func TestWatchGoesOnBesideAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		hc := &http.Client{Transport: hosts{"http://api.example": paused(begin, "PAUSED", "0s", true)}}
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc))
		events := told(t, c, "1", func(*pipelines.Event) bool { return time.Since(begin) > 10*time.Minute })
		require.Contains(t, events, "pipeline PAUSED", "though a step beside it goes on")
		after := events[slices.Index(events, "pipeline PAUSED"):]
		require.Greater(t, len(after), 10)
		require.NotContains(t, after[1:], "pipeline PAUSED", "once")
	})
}

func TestWatchWaitsForALogThatIsOnItsWayToStorage(t *testing.T) {
	for name, tc := range map[string]struct {
		away    time.Duration // since the end of the first step, which takes 10 seconds
		storage bool
		lost    bool
	}{
		"for some seconds":            {7 * time.Second, false, false},
		"for long":                    {55 * time.Second, false, false},
		"that storage doesn't have":   {30 * time.Second, true, false},
		"that never comes":            {time.Hour, false, true},
		"that never comes to storage": {time.Hour, true, true},
	} {
		for how, rest := range map[string][]pipelinestest.Step{
			"of the last step":                nil,
			"while another step runs":         {{Name: "Test", Duration: 2 * time.Minute, Log: lines("t", 120)}},
			"while others run beside it":      {{Name: "Test", Duration: 2 * time.Minute, Log: lines("t", 120), Parallel: true}},
			"before a pause":                  {{Name: "Test", Manual: true}},
			"before a short step and a pause": {{Name: "Test", Duration: 3 * time.Second, Log: lines("t", 3)}, {Name: "Stage", Manual: true}},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
					steps := append([]pipelinestest.Step{{Name: "Build", Duration: 10 * time.Second, Log: lines("b", 100)}}, rest...)
					r.Script("", pipelinestest.Script{Steps: steps})
					id := start(t, c).UUID
					begin := time.Now()
					build, err := c.Steps.List(t.Context(), repo, id, nil).First()
					require.NoError(t, err)
					srv.Inject(pipelinestest.Fault{Status: 404, Storage: tc.storage, Match: func(req *http.Request) bool {
						age := time.Since(begin) - 10*time.Second
						return strings.Contains(req.URL.Path, strings.Trim(build.UUID, "{}")) && age >= 0 && age < tc.away
					}})
					srv.ClearRequests()
					last := "pipeline SUCCESSFUL"
					if len(rest) > 0 && rest[len(rest)-1].Manual {
						last = "pipeline PAUSED"
					}
					var testBegan, built time.Duration
					events := told(t, c, id, func(e *pipelines.Event) bool {
						switch {
						case e.Step != nil && e.Step.Name == "Test" && e.Step.State.Name == pipelines.StateInProgress && testBegan == 0:
							testBegan = time.Since(begin)
						case e.Step != nil && e.Log == nil && e.Step.Name == "Build" && e.Step.State.Done():
							built = time.Since(begin)
						}
						return atPause(e)
					})
					require.Equal(t, last, events[len(events)-1])
					requireBefore(t, events, last, "Build SUCCESSFUL")
					if tc.lost {
						require.NotContains(t, events, "Build: 100 lines")
						require.Less(t, built, 10*time.Second+70*time.Second)
						require.GreaterOrEqual(t, built, 70*time.Second, "a minute, at least")
					} else {
						requireBefore(t, events, "Build SUCCESSFUL", "Build: 100 lines")
						require.Less(t, built, 10*time.Second+tc.away*3/2+10*time.Second)
					}
					if strings.HasPrefix(how, "while") {
						require.Less(t, testBegan, 20*time.Second, "the other step isn't kept waiting")
						requireBefore(t, events, "Test SUCCESSFUL", "Test: 120 lines")
					}
					require.LessOrEqual(t, len(srv.Requests()), 130, "the storage's share included")
				})
			})
		}
	}
}

func TestWatchWaitsNotForLogsOfStepsThatNeverRan(t *testing.T) {
	for name, step := range map[string]string{
		"that were not run": neverRan, "that were stopped before": stopped, "that have no UUID": `{"name":"A","started_on":"2026-01-01T00:00:00Z","state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, noLog(step), func(t *testing.T, c *pipelines.Client, asked func() int) {
				start := time.Now()
				seen, err := collect(t, t.Context(), c, "1")
				require.NoError(t, err)
				require.Equal(t, []string{"SUCCESSFUL"}, seen.pipeline)
				require.Len(t, seen.steps, 1)
				require.Zero(t, time.Since(start))
				require.LessOrEqual(t, asked(), 3)
			})
		})
	}
}

func TestWatchIsNotKeptFromOtherStepsByALogThatCannotBeRead(t *testing.T) {
	var begin time.Time
	const ended = `"started_on":"2026-01-01T00:00:00Z","state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}`
	inBubble(t, func(w http.ResponseWriter, req *http.Request) {
		switch {
		case strings.Contains(req.URL.Path, "A}/log") && time.Since(begin) < 20*time.Second:
			serve(503, "text/plain", "")(w, req)
		case strings.HasSuffix(req.URL.Path, "/log"):
			serveLog([]byte("all\n"), "")(w, req)
		case strings.HasSuffix(req.URL.Path, "/steps"):
			serveJSON(`{"values":[{"uuid":"{A}","name":"A",`+ended+`},{"uuid":"{B}","name":"B",`+ended+`}]}`)(w, req)
		default:
			serveJSON(`{`+ended+`}`)(w, req)
		}
	}, func(t *testing.T, c *pipelines.Client, _ func() int) {
		begin = time.Now()
		events := told(t, c, "1", never)
		require.Equal(t, []string{"B: 1 lines", "B SUCCESSFUL", "A: 1 lines", "A SUCCESSFUL", "pipeline SUCCESSFUL"}, events)
	})
}

func TestTheStepsOfARunThatHasEndedAreNotTakenForNone(t *testing.T) {
	for result, want := range map[string]error{"SUCCESSFUL": pipelines.ErrNotFound, "FAILED": pipelines.ErrNotFound, "ERROR": nil, "STOPPED": nil} {
		t.Run(result, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
					switch {
					case strings.HasSuffix(req.URL.Path, "/steps"):
						return respond(req, http.StatusNotFound, "Not Found"), nil
					case time.Since(begin) < 10*time.Second:
						return respond(req, http.StatusOK, `{"uuid":"{P}","state":{"name":"IN_PROGRESS"}}`), nil
					}
					return respond(req, http.StatusOK, `{"uuid":"{P}","state":{"name":"COMPLETED","result":{"name":"`+result+`"}}}`), nil
				})
				var last error
				for _, err := range c.Pipelines.Watch(t.Context(), repo, "1", nil) {
					last = err
				}
				require.ErrorIs(t, last, want)
			})
		})
	}
}

func TestWatchEventsSayWhatTheyAreAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		defer srv.Close()
		srv.AddRepository("acme", "site").Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: time.Second, Log: "a\n"}}})
		c := srv.Client()
		run, err := c.Pipelines.Run(t.Context(), repo, mainBranch)
		require.NoError(t, err)
		seen := map[pipelines.EventKind]int{}
		for e, err := range c.Pipelines.Watch(t.Context(), repo, run.UUID, nil) {
			require.NoError(t, err)
			seen[e.Kind]++
			require.Equal(t, e.Kind == pipelines.EventPipeline, e.Pipeline != nil)
			require.Equal(t, e.Kind == pipelines.EventLog, e.Log != nil)
			require.Equal(t, e.Kind != pipelines.EventPipeline, e.Step != nil)
		}
		require.Len(t, seen, 3)
	})
}

func TestWatchReadsTheLogOfAStepThatRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		hc := &http.Client{Transport: hosts{"http://api.example": func(w http.ResponseWriter, req *http.Request) {
			age := time.Since(begin)
			state, result, run, log := "IN_PROGRESS", "", 2, "second\n"
			switch {
			case age < 10*time.Second:
				state, result, run, log = "COMPLETED", `,"result":{"name":"FAILED"}`, 1, "first\n"
			case age > 40*time.Second:
				state, result = "COMPLETED", `,"result":{"name":"SUCCESSFUL"}`
			}
			switch {
			case strings.HasSuffix(req.URL.Path, "/log"):
				serveLog([]byte(log), "")(w, req)
			case strings.HasSuffix(req.URL.Path, "/steps"):
				serveJSON(fmt.Sprintf(`{"values":[{"uuid":"{s}","name":"A","run_number":%d,"state":{"name":%q%s}}]}`, run, state, result))(w, req)
			case age > 40*time.Second:
				serveJSON(`{"state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`)(w, req)
			default:
				serveJSON(`{"state":{"name":"IN_PROGRESS"}}`)(w, req)
			}
		}}}
		seen, err := collect(t, t.Context(), newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)), "1")
		require.NoError(t, err)
		require.Equal(t, "first\nsecond\n", seen.logs["A"].String())
		require.Equal(t, []string{"A FAILED", "A IN_PROGRESS", "A SUCCESSFUL"}, seen.steps)
	})
}

func TestWatchLosesNoEndOfALog(t *testing.T) {
	const done = `"state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}`
	for name, tc := range map[string]struct {
		step  string
		asked int
		want  string
	}{
		"of a step in a state that nobody knows": {`{"uuid":"{s}","name":"A","state":{"name":"TIMED_OUT"}}`, 1, "all"},
		"that is away for a moment":              {`{"uuid":"{s}","name":"A","started_on":"2026-01-01T00:00:00Z",` + done + `}`, 3, "all"},
		"that never was":                         {`{"uuid":"{s}","name":"A","started_on":"2026-01-01T00:00:00Z",` + done + `}`, 99, ""},
		"of a step without a UUID":               {`{"name":"A",` + done + `}`, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hc := &http.Client{Transport: hosts{"http://api.example": stubborn(tc.step, tc.asked, "all")}}
				seen, err := collect(t, t.Context(), newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)), "1")
				require.NoError(t, err)
				require.Equal(t, []string{"SUCCESSFUL"}, seen.pipeline)
				require.Len(t, seen.steps, 1)
				if tc.want == "" {
					require.Empty(t, seen.logs)
					return
				}
				require.Equal(t, tc.want, seen.logs["A"].String())
			})
		})
	}
}

func TestWatchOfManyStepsKeepsItsBudget(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		var script pipelinestest.Script
		for i := range 120 {
			script.Steps = append(script.Steps, pipelinestest.Step{Name: fmt.Sprint(i), Duration: time.Second, Log: "x\n", Parallel: i > 0})
		}
		r.Script("", script)
		id := start(t, c).UUID
		time.Sleep(time.Minute)
		srv.ClearRequests()
		begin := time.Now()
		for _, err := range c.Pipelines.Watch(t.Context(), repo, id, nil) {
			require.NoError(t, err)
		}
		sent := 0.0
		for _, req := range srv.Requests() {
			if !req.Storage {
				sent++
				require.LessOrEqual(t, sent, 60.5+240*req.Time.Sub(begin).Hours(), "steps that end together make no exception")
			}
		}
		require.Greater(t, sent, 120.0)
	})
}
