package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// simulation is a service with many repositories in which people start runs.
type simulation struct {
	*clitest.Fixture

	t      *testing.T
	random *rand.Rand
	repos  []*pipelinestest.Repository
	mu     sync.Mutex
	end    map[string]time.Time // of runs, by description
	out    string               // of all runs of the program
	state  string               // file
}

func simulate(t *testing.T, seed uint64, repos int, do func(*simulation)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &simulation{
			t: t, Fixture: clitest.New(t, run, pipelinestest.WithQuota(1000)), random: rand.New(rand.NewPCG(seed, 1)),
			end: map[string]time.Time{}, state: filepath.Join(t.TempDir(), "board.json"),
		}
		for i := range repos {
			r := s.AddRepository("acme", fmt.Sprint("site-", i))
			s.Ago(24*time.Hour, func() { r.AddPipelines(3) })
			s.repos = append(s.repos, r)
		}
		do(s)
	})
}

// starts starts n runs of 1 to 40 minutes at random moments of a span of time. One of seven fails.
func (s *simulation) starts(n int, within time.Duration) {
	for range n {
		r, at := s.repos[s.random.IntN(len(s.repos))], time.Duration(s.random.Int64N(int64(within)))
		length := time.Minute + time.Duration(s.random.Int64N(int64(39*time.Minute)))
		step := pipelinestest.Step{Name: "Test", Duration: length, Log: "line 1\nline 2\nline 3\n"}
		if s.random.IntN(7) == 0 {
			step.Result = pipelines.ResultFailed
		}
		time.AfterFunc(at, func() {
			p := r.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{step}}, time.Now())
			name := fmt.Sprintf("build %d of %s on main", p.BuildNumber, r.Repo())
			s.mu.Lock()
			defer s.mu.Unlock()
			s.end[name] = time.Now().Add(length)
		})
	}
}

// show runs the program for a time.
func (s *simulation) show(d time.Duration, flags string) int {
	status := s.RunFor(d, "--workspace acme --state "+s.state+" "+flags)
	s.out += s.Out.String()
	return status
}

var endLine = regexp.MustCompile(`(?m)^(\S+ \S+)  (build \d+ of \S+ on main): (SUCCESSFUL|FAILED) after `)

// ages returns how long after the ends of runs they were told, and requires that each was told once, and nothing else.
func (s *simulation) ages() []time.Duration {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	told := map[string]int{}
	var ages []time.Duration
	for _, m := range endLine.FindAllStringSubmatch(s.out, -1) {
		told[m[2]]++
		at, err := time.ParseInLocation(time.DateTime, m[1], time.Local)
		require.NoError(s.t, err)
		ages = append(ages, at.Sub(s.end[m[2]]))
	}
	for name := range s.end {
		require.Equal(s.t, 1, told[name], "%s was to be told once", name)
	}
	require.Len(s.t, told, len(s.end), "runs that had ended before are no news")
	slices.Sort(ages)
	return ages
}

// refused returns how many requests were refused for want of quota, and how many came in the busiest hour.
func (s *simulation) refused() (refused, busiest int) {
	requests := slices.DeleteFunc(s.Requests(), func(r pipelinestest.Request) bool { return r.Storage })
	first := 0
	for last, r := range requests {
		if r.Status == http.StatusTooManyRequests {
			refused++
		}
		for r.Time.Sub(requests[first].Time) >= time.Hour {
			first++
		}
		busiest = max(busiest, last-first+1)
	}
	return refused, busiest
}

func TestTheEndOfEachRunIsToldOnceHoweverOftenTheBoardIsRestarted(t *testing.T) {
	for seed := range uint64(2) {
		simulate(t, seed, 12, func(s *simulation) {
			s.show(time.Minute, "") // what is there already is no news
			s.starts(40, 90*time.Minute)
			for until := time.Now().Add(90 * time.Minute); time.Now().Before(until); {
				flags := ""
				if seed%2 == 1 {
					flags = "--tail 2"
				}
				require.Equal(t, cli.Success, s.show(time.Duration(s.random.Int64N(int64(30*time.Minute))), flags), s.Errs.String())
				time.Sleep(time.Duration(s.random.Int64N(int64(20 * time.Minute))))
			}
			s.show(time.Hour, "")
			ages := s.ages()
			refused, busiest := s.refused()
			t.Logf("seed %d: %d ends, age %v in the median, %v at most; %d requests in the busiest hour, %d refused",
				seed, len(ages), ages[len(ages)/2], ages[len(ages)-1], busiest, refused)
			require.Zero(t, refused)
		})
	}
}

func TestSixtyRepositoriesStayWithinTheQuota(t *testing.T) {
	simulate(t, 1, 60, func(s *simulation) {
		s.show(time.Minute, "")
		s.starts(90, 90*time.Minute)
		require.Equal(t, cli.Success, s.show(150*time.Minute, ""), s.Errs.String())
		ages := s.ages()
		refused, busiest := s.refused()
		t.Logf("%d ends, age %v in the median, %v at most; %d requests in the busiest hour, %d refused",
			len(ages), ages[len(ages)/2], ages[len(ages)-1], busiest, refused)
		require.Zero(t, refused)
		require.LessOrEqual(t, busiest, 1000)
		require.Less(t, ages[len(ages)/2], 3*time.Minute)
		require.Less(t, ages[len(ages)-1], 25*time.Minute)
	})
}

func TestAnHourOfOutageLosesNothing(t *testing.T) {
	simulate(t, 2, 12, func(s *simulation) {
		s.show(time.Minute, "")
		s.starts(30, 2*time.Hour)
		outage := time.Now().Add(30 * time.Minute)
		time.AfterFunc(30*time.Minute, func() {
			s.Inject(pipelinestest.Fault{Status: http.StatusServiceUnavailable, Body: "busy", For: time.Hour})
		})
		require.Equal(t, cli.Success, s.show(3*time.Hour, ""), s.Errs.String())
		s.ages()
		during := 0
		for _, r := range s.Requests() {
			if r.Time.After(outage) && r.Time.Before(outage.Add(time.Hour)) {
				during++
			}
		}
		t.Logf("%d requests in the outage", during)
		require.Less(t, during, 1000)
		require.Contains(t, s.out, "acme/site-3 can't be read since ")
		require.Contains(t, s.out, ": 503 Service Unavailable\n")
		require.Contains(t, s.out, "acme/site-3 can be read again\n")
	})
}

func TestADeletedRepositoryIsAProblemAndTheOthersGoOn(t *testing.T) {
	simulate(t, 3, 5, func(s *simulation) {
		s.show(time.Minute, "")
		gone := s.AddRepository("acme", "gone")
		s.show(time.Minute, "")
		s.starts(15, time.Hour)
		time.AfterFunc(10*time.Minute, func() {
			gone.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: time.Hour}}}, time.Now())
		})
		time.AfterFunc(30*time.Minute, gone.Delete)
		require.Equal(t, cli.Success, s.show(time.Hour, ""), s.Errs.String())
		require.Regexp(t, `build 1 of acme/gone on main is RUNNING\n`, s.out)
		require.Equal(t, 1, strings.Count(s.Out.String(), "acme/gone can't be read since "))
		require.Contains(t, s.Out.String(), ": not found\n")
		require.Equal(t, cli.Success, s.show(45*time.Minute, "acme/gone"), s.Errs.String())
		require.Equal(t, 1, strings.Count(s.Out.String(), "acme/gone can't be read since "), "it is told anew")
		s.ages()
	})
}

func TestARepositoryThatComesBackIsFollowedAgain(t *testing.T) {
	simulate(t, 4, 1, func(s *simulation) {
		s.show(time.Minute, "")
		p := s.repos[0].AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: time.Hour}}}, time.Now())
		name := fmt.Sprintf("build %d of acme/site-0 on main", p.BuildNumber)
		s.end[name] = time.Now().Add(time.Hour)
		time.AfterFunc(10*time.Minute, func() {
			s.Inject(pipelinestest.Fault{Path: "/repositories/acme/site-0/pipelines", Status: http.StatusForbidden, For: 20 * time.Minute})
			s.Inject(pipelinestest.Fault{Path: "/repositories/acme/site-0/pipelines/*", Status: http.StatusForbidden, For: 20 * time.Minute})
		})
		require.Equal(t, cli.Success, s.show(2*time.Hour, ""), s.Errs.String())
		require.Contains(t, s.out, ": 403 Forbidden\n")
		require.Equal(t, 1, strings.Count(s.out, "acme/site-0 can be read again\n"))
		require.Less(t, s.ages()[0], time.Minute)
	})
}

func TestAnHourOfRefusalsIsWaitedFor(t *testing.T) {
	simulate(t, 5, 12, func(s *simulation) {
		s.show(time.Minute, "")
		s.starts(30, time.Hour)
		time.AfterFunc(30*time.Minute, func() {
			s.Inject(pipelinestest.Fault{
				Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1800"}}, For: 29 * time.Minute,
			})
		})
		require.Equal(t, cli.Success, s.show(2*time.Hour, ""), s.Errs.String())
		s.ages()
		refused, _ := s.refused()
		t.Logf("%d refused", refused)
		require.Less(t, refused, 20)
	})
}
