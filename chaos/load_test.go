package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const (
	started = "started"
	stopped = "stopped"
	first   = "first"  // value of a new resource
	second  = "second" // value of a changed resource
)

// source is a text that the service serves, as a log of a step or as a cache.
type source struct {
	pipeline, id string
	text         string
}

// load is what the workers share: a client, a repository that they change and one that they only read.
type load struct {
	client  *pipelines.Client
	site    *pipelinestest.Repository
	archive *pipelinestest.Repository
	runs    []string // UUIDs of runs in the archive, oldest first
	logs    []source
	caches  []source
	cases   int // in the test report in the archive
}

// lines returns a text in which every line is different.
func lines(r *rand.Rand, size int) string {
	var b strings.Builder
	for b.Len() < size {
		fmt.Fprintf(&b, "%08d %016x\n", b.Len(), r.Uint64())
	}
	return b.String()[:size]
}

// newLoad adds the resources. It reads them without the network, whose faults start later.
func newLoad(t *testing.T, srv *pipelinestest.Server, client *pipelines.Client, r *rand.Rand) *load {
	l := &load{client: client, site: srv.AddRepository("acme", "site"), archive: srv.AddRepository("acme", "archive"), cases: 40}
	l.site.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Log: "done\n"}}})
	l.site.Script("long", pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: 240 * time.Hour}}})
	direct := srv.Client(pipelines.WithHTTPClient(&http.Client{Transport: srv.Transport()}))
	for _, size := range []int{100, 3 << 10, 30 << 10, 100 << 10, 300 << 10} {
		l.addLog(t, direct, lines(r, size))
		content := lines(r, size)
		l.caches = append(l.caches, source{id: l.archive.AddCache(fmt.Sprint("cache-", size), []byte(content)).UUID, text: content})
	}
	l.archive.AddPipelines(125)
	for _, p := range l.archive.Pipelines() {
		l.runs = append(l.runs, p.UUID)
	}
	return l
}

func (l *load) addLog(t *testing.T, direct *pipelines.Client, text string) {
	run := l.archive.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{
		{Name: "Build", Log: text, TestReport: &pipelinestest.TestReport{Passed: 7, Cases: make([]pipelines.TestCase, l.cases)}},
		{Name: "Deploy", Log: "deployed\n"},
	}}, time.Now().Add(-time.Hour*24))
	step, err := direct.Steps.List(t.Context(), l.archive.Repo(), run.UUID, nil).First()
	require.NoError(t, err)
	l.logs = append(l.logs, source{pipeline: run.UUID, id: step.UUID, text: text})
}

// worker is one goroutine of the load.
type worker struct {
	*load
	number int
	rng    *rand.Rand
	ledger ledger

	named    int
	done     map[string]int // operations that succeeded, by kind
	failed   map[string]int // operations that failed, by kind
	read     int64          // bytes of logs and caches that were compared
	findings []string       // wrong results
}

func newWorker(l *load, number int, seed uint64) *worker {
	w := &worker{load: l, number: number, rng: rand.New(rand.NewPCG(seed, uint64(number))), done: map[string]int{}, failed: map[string]int{}}
	for range 12 {
		name := w.name("cache")
		cache := l.site.AddCache(name, []byte(name))
		w.ledger.made("cache", name, first, nil).id = cache.UUID
	}
	return w
}

// name returns a unique name.
func (w *worker) name(kind string) string {
	w.named++
	return fmt.Sprintf("%s-%d-%d", kind, w.number, w.named)
}

func (w *worker) report(format string, args ...any) {
	w.findings = append(w.findings, fmt.Sprintf(format, args...))
}

// work performs operations until none is left or ctx ends. One worker in four begins by following a log to its end. That takes seconds
// because the SDK polls for more.
func (w *worker) work(ctx context.Context, left *atomic.Int64) {
	if w.number%4 == 0 && left.Add(-1) >= 0 {
		w.count(followToEnd, w.followToTheEnd(ctx))
	}
	var weighted []string // each kind weight times
	for _, kind := range slices.Sorted(maps.Keys(mix)) {
		weighted = append(weighted, slices.Repeat([]string{kind}, mix[kind].weight)...)
	}
	for ctx.Err() == nil && left.Add(-1) >= 0 {
		kind, err := weighted[0], errNoItem
		for errors.Is(err, errNoItem) {
			kind = weighted[w.rng.IntN(len(weighted))]
			err = w.try(ctx, kind)
		}
		w.count(kind, err)
	}
}

func (w *worker) count(kind string, err error) {
	if err != nil {
		w.failed[kind]++
	} else {
		w.done[kind]++
	}
}

// try performs one operation, one in twenty with a short timeout. The context of the others isn't cancelled, so that it can't clean up what
// the SDK leaves open.
func (w *worker) try(ctx context.Context, kind string) error {
	if w.rng.IntN(20) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(w.rng.Int64N(int64(30*time.Millisecond))))
		defer cancel()
	}
	return mix[kind].do(w, ctx)
}

// errNoItem is returned if the worker has no item for the operation yet.
var errNoItem = errors.New("no item for the operation")

// mix is the operations of the load.
var mix = map[string]struct {
	weight int
	do     func(*worker, context.Context) error
}{
	"Pipelines.Run":           {16, (*worker).run},
	"Pipelines.Stop":          {6, (*worker).stop},
	"Pipelines.Get":           {6, (*worker).getRun},
	"Pipelines.Wait":          {3, (*worker).wait},
	"Pipelines.List":          {5, (*worker).listRuns},
	"Pipelines.List Parallel": {4, (*worker).listRunsInParallel},
	"Variables.Create":        {12, (*worker).createVariable},
	"Variables.Set":           {6, (*worker).setVariable},
	"Variables.Set again":     {3, (*worker).resetVariable},
	"Variables.Update":        {6, (*worker).updateVariable},
	"Variables.Get":           {4, (*worker).getVariable},
	"Variables.Delete":        {6, (*worker).deleteVariable},
	"Schedules.Create":        {6, (*worker).createSchedule},
	"Schedules.Update":        {4, (*worker).updateSchedule},
	"Schedules.Delete":        {3, (*worker).deleteSchedule},
	"Environments.Create":     {5, (*worker).createEnvironment},
	"Environments.Delete":     {3, (*worker).deleteEnvironment},
	"KnownHosts.Create":       {6, (*worker).createKnownHost},
	"KnownHosts.Delete":       {2, (*worker).deleteKnownHost},
	"Caches.List":             {2, (*worker).listCaches},
	"Caches.Delete":           {3, (*worker).deleteCache},
	"Caches.DeleteByName":     {3, (*worker).deleteCacheByName},
	"Caches.Download":         {5, (*worker).download},
	"Steps.List":              {3, (*worker).listSteps},
	"Steps.GetLog":            {6, (*worker).wholeLog},
	"Steps.GetLog Range":      {6, (*worker).partOfLog},
	"Steps.FollowLog":         {3, (*worker).followLog},
	"Steps.ListTestCases":     {3, (*worker).testCases},
}

// pickOne picks an existing item of a kind that matches.
func (w *worker) pickOne(kind string, match func(*item) bool) (*item, error) {
	found := w.ledger.pick(kind, func(i *item) bool { return i.id != "" && !i.removed && i.exists() && match(i) })
	if len(found) == 0 {
		return nil, errNoItem
	}
	return found[w.rng.IntN(len(found))], nil
}

func anyItem(*item) bool { return true }

func unchanged(i *item) bool { return !i.changed }

// change changes an existing item.
func (w *worker) change(kind string, do func(*item) error) error {
	i, err := w.pickOne(kind, unchanged)
	if err != nil {
		return err
	}
	i.changed = true
	err = do(i)
	i.setState(second, err)
	w.expectThere(i, err)
	return err
}

// remove deletes an existing item, for which ErrNotFound is wrong.
func (w *worker) remove(kind string, do func(*item) error) error {
	i, err := w.pickOne(kind, anyItem)
	if err != nil {
		return err
	}
	i.removed = true
	err = do(i)
	w.expectThere(i, err)
	i.setState(absent, err)
	return err
}

func (w *worker) expectThere(i *item, err error) {
	if errors.Is(err, pipelines.ErrNotFound) {
		w.report("%s exists, and the SDK reports: %v", i.key(), err)
	}
}

// run runs n operations on a number of workers in parallel.
func (l *load) run(ctx context.Context, workers []*worker, n int) {
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	for _, w := range workers {
		all.Go(func() { w.work(ctx, &left) })
	}
	all.Wait()
}
