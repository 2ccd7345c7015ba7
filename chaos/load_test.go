package chaos_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
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
	first   = "first"  // value of what is made
	second  = "second" // value of what was changed
)

// source is text that the service serves, and where: a step's log or a cache.
type source struct {
	pipeline, id string
	text         string
}

// load is what the workers share: a client, a repository in which they write and one in which they only read.
type load struct {
	client  *pipelines.Client
	site    *pipelinestest.Repository
	archive *pipelinestest.Repository
	runs    []string // UUIDs in the archive, the oldest first
	logs    []source
	caches  []source
	cases   int // in the archive's test report
}

// lines makes up a text that is the same nowhere twice.
func lines(r *rand.Rand, size int) string {
	var b strings.Builder
	for b.Len() < size {
		fmt.Fprintf(&b, "%08d %016x\n", b.Len(), r.Uint64())
	}
	return b.String()[:size]
}

// newLoad fills the server. It looks at what it has put there past the network, whose faults come later.
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
	told   ledger

	named    int
	done     map[string]int // operations by kind that brought no error
	failed   map[string]int // and those that did
	read     int64          // bytes of logs and caches that were compared
	findings []string       // what contradicts the service or the SDK's promises
}

func newWorker(l *load, number int, seed uint64) *worker {
	w := &worker{load: l, number: number, rng: rand.New(rand.NewPCG(seed, uint64(number))), done: map[string]int{}, failed: map[string]int{}}
	for range 12 {
		name := w.name("cache")
		cache := l.site.AddCache(name, []byte(name))
		w.told.made("cache", name, first, nil).id = cache.UUID
	}
	return w
}

// name returns one that nothing else has.
func (w *worker) name(kind string) string {
	w.named++
	return fmt.Sprintf("%s-%d-%d", kind, w.number, w.named)
}

func (w *worker) find(format string, args ...any) {
	w.findings = append(w.findings, fmt.Sprintf(format, args...))
}

// work carries out operations for as long as there are some left, and ctx leaves time for them. One worker in four begins by following a
// log to its end, which takes seconds because the SDK asks again whether there is more.
func (w *worker) work(ctx context.Context, left *atomic.Int64) {
	if w.number%4 == 0 && left.Add(-1) >= 0 {
		w.count(toTheEnd, w.followToTheEnd(ctx))
	}
	var bag []string // a kind as often as it weighs
	for _, kind := range slices.Sorted(maps.Keys(mix)) {
		bag = append(bag, slices.Repeat([]string{kind}, mix[kind].weight)...)
	}
	for ctx.Err() == nil && left.Add(-1) >= 0 {
		kind, err := bag[0], errNothingThere
		for errors.Is(err, errNothingThere) {
			kind = bag[w.rng.IntN(len(bag))]
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

// try carries out one operation. One caller in twenty is impatient. The others' context goes on, so that it ends nothing that the SDK has
// left open.
func (w *worker) try(ctx context.Context, kind string) error {
	if w.rng.IntN(20) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(w.rng.Int64N(int64(30*time.Millisecond))))
		defer cancel()
	}
	return mix[kind].do(w, ctx)
}

// errNothingThere says that the worker has made nothing yet that the operation could be carried out on.
var errNothingThere = errors.New("nothing there")

// mix is what the load consists of.
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

// one picks an item of a kind that is there for sure and fits.
func (w *worker) one(kind string, fits func(*item) bool) (*item, error) {
	found := w.told.pick(kind, func(i *item) bool { return i.id != "" && !i.removed && i.certain() && fits(i) })
	if len(found) == 0 {
		return nil, errNothingThere
	}
	return found[w.rng.IntN(len(found))], nil
}

func anyItem(*item) bool     { return true }
func unchanged(i *item) bool { return !i.changed }

// change changes an item that is there for sure.
func (w *worker) change(kind string, do func(*item) error) error {
	i, err := w.one(kind, unchanged)
	if err != nil {
		return err
	}
	i.changed = true
	err = do(i)
	i.become(second, err)
	w.expectThere(i, err)
	return err
}

// remove deletes an item that is there for sure, so that the service can't rightly say that it isn't.
func (w *worker) remove(kind string, do func(*item) error) error {
	i, err := w.one(kind, anyItem)
	if err != nil {
		return err
	}
	i.removed = true
	err = do(i)
	w.expectThere(i, err)
	i.become(absent, err)
	return err
}

func (w *worker) expectThere(i *item, err error) {
	if errors.Is(err, pipelines.ErrNotFound) {
		w.find("%s is there, and the SDK says: %v", i.key(), err)
	}
}

func (w *worker) run(ctx context.Context) error {
	branch := []string{"main", "long"}[w.rng.IntN(2)]
	name := w.name("run")
	p, err := w.client.Pipelines.Run(ctx, w.site.Repo(), pipelines.RunRequest{
		Target: pipelines.BranchTarget(branch), Variables: []pipelines.VariableRequest{{Key: "NAME", Value: name}},
	})
	i := w.told.made("run", name, started, err)
	i.changed = branch == "main" // it has ended, and can't be stopped
	if err == nil {
		i.id = p.UUID
	}
	return err
}

func (w *worker) stop(ctx context.Context) error {
	i, err := w.one("run", unchanged)
	if err != nil {
		return err
	}
	i.changed = true
	err = w.client.Pipelines.Stop(ctx, w.site.Repo(), i.id)
	i.become(stopped, err)
	w.expectThere(i, err)
	return err
}

func (w *worker) getRun(ctx context.Context) error {
	i, err := w.one("run", anyItem)
	if err != nil {
		return err
	}
	p, err := w.client.Pipelines.Get(ctx, w.site.Repo(), i.id)
	w.expectThere(i, err)
	if err == nil && p.UUID != i.id {
		w.find("Pipelines.Get of %s gives %s", i.id, p.UUID)
	}
	return err
}

func (w *worker) wait(ctx context.Context) error {
	i, err := w.one("run", func(i *item) bool { return i.changed && slices.Equal(i.may, []string{started}) })
	if err != nil {
		return err
	}
	p, err := w.client.Pipelines.Wait(ctx, w.site.Repo(), i.id, nil)
	if err == nil && !p.State.Succeeded() {
		w.find("Pipelines.Wait says that %s is %s", i.name, p.State)
	}
	return err
}

func (w *worker) listRuns(ctx context.Context) error {
	return w.compareRuns(w.client.Pipelines.List(ctx, w.archive.Repo(), &pipelines.ListPipelinesOptions{PageLen: 30}))
}

func (w *worker) listRunsInParallel(ctx context.Context) error {
	return w.compareRuns(w.client.Pipelines.List(ctx, w.archive.Repo(), &pipelines.ListPipelinesOptions{PageLen: 20}).Parallel(4))
}

// compareRuns holds what a list yields against the archive: all of it, or its beginning where the list ends with an error.
func (w *worker) compareRuns(list *pipelines.Pager[pipelines.Pipeline]) error {
	runs, err := list.Collect()
	var listed []string
	for _, p := range runs {
		listed = append(listed, p.UUID)
	}
	if n := len(listed); n > len(w.runs) || !slices.Equal(listed, w.runs[:n]) || err == nil && n < len(w.runs) {
		w.find("Pipelines.List gives %d of %d runs, or others, with the error %v", n, len(w.runs), err)
	}
	return err
}

func (w *worker) createVariable(ctx context.Context) error {
	name := w.name("VARIABLE")
	v, err := w.client.Variables.InRepository(w.site.Repo()).Create(ctx, pipelines.VariableRequest{Key: name, Value: first})
	i := w.told.made("variable", name, first, err)
	if err == nil {
		i.id = v.UUID
	}
	return err
}

func (w *worker) setVariable(ctx context.Context) error {
	name := w.name("VARIABLE")
	v, err := w.client.Variables.InRepository(w.site.Repo()).Set(ctx, pipelines.VariableRequest{Key: name, Value: first})
	i := w.told.set("variable", name, first, err)
	if err == nil {
		i.id = v.UUID
	}
	return err
}

func (w *worker) resetVariable(ctx context.Context) error {
	return w.change("variable", func(i *item) error {
		_, err := w.client.Variables.InRepository(w.site.Repo()).Set(ctx, pipelines.VariableRequest{Key: i.name, Value: second})
		return err
	})
}

func (w *worker) updateVariable(ctx context.Context) error {
	return w.change("variable", func(i *item) error {
		value := second
		_, err := w.client.Variables.InRepository(w.site.Repo()).Update(ctx, i.id, pipelines.VariableUpdate{Value: &value})
		return err
	})
}

func (w *worker) getVariable(ctx context.Context) error {
	i, err := w.one("variable", anyItem)
	if err != nil {
		return err
	}
	v, err := w.client.Variables.InRepository(w.site.Repo()).Get(ctx, i.id)
	w.expectThere(i, err)
	if err == nil && !slices.Contains(i.may, v.Value) {
		w.find("Variables.Get gives %s for %s, which may be %v", v.Value, i.name, i.may)
	}
	return err
}

func (w *worker) deleteVariable(ctx context.Context) error {
	return w.remove("variable", func(i *item) error {
		return w.client.Variables.InRepository(w.site.Repo()).Delete(ctx, i.id)
	})
}

func (w *worker) createSchedule(ctx context.Context) error {
	name := w.name("schedule")
	s, err := w.client.Schedules.Create(ctx, w.site.Repo(), pipelines.ScheduleRequest{
		Target:      pipelines.BranchTarget(name).With(pipelines.Selector{Type: pipelines.SelectorBranches, Pattern: name}),
		CronPattern: "0 0 12 * * ? *",
	})
	i := w.told.made("schedule", name, first, err)
	if err == nil {
		i.id = s.UUID
	}
	return err
}

func (w *worker) updateSchedule(ctx context.Context) error {
	return w.change("schedule", func(i *item) error {
		enabled := false
		_, err := w.client.Schedules.Update(ctx, w.site.Repo(), i.id, pipelines.ScheduleUpdate{Enabled: &enabled})
		return err
	})
}

func (w *worker) deleteSchedule(ctx context.Context) error {
	return w.remove("schedule", func(i *item) error { return w.client.Schedules.Delete(ctx, w.site.Repo(), i.id) })
}

func (w *worker) createEnvironment(ctx context.Context) error {
	name := w.name("environment")
	e, err := w.client.Deployments.CreateEnvironment(ctx, w.site.Repo(), pipelines.EnvironmentRequest{
		Name: name, EnvironmentType: pipelines.EnvironmentTest,
	})
	i := w.told.made("environment", name, first, err)
	if err == nil {
		i.id = e.UUID
	}
	return err
}

func (w *worker) deleteEnvironment(ctx context.Context) error {
	return w.remove("environment", func(i *item) error { return w.client.Deployments.DeleteEnvironment(ctx, w.site.Repo(), i.id) })
}

func (w *worker) createKnownHost(ctx context.Context) error {
	name := w.name("host") + ".example.com"
	h, err := w.client.SSH.CreateKnownHost(ctx, w.site.Repo(), pipelines.KnownHostRequest{
		Hostname: name, KeyType: "ssh-ed25519", Key: "AAAAC3NzaC1lZDI1NTE5AAAAIA==",
	})
	i := w.told.made("host", name, first, err)
	if err == nil {
		i.id = h.UUID
	}
	return err
}

func (w *worker) deleteKnownHost(ctx context.Context) error {
	return w.remove("host", func(i *item) error { return w.client.SSH.DeleteKnownHost(ctx, w.site.Repo(), i.id) })
}

func (w *worker) listCaches(ctx context.Context) error {
	caches, err := w.client.Caches.List(ctx, w.archive.Repo(), &pipelines.ListOptions{PageLen: 2}).Collect()
	for n, c := range caches {
		if c.UUID != w.caches[n].id {
			w.find("Caches.List gives %s at %d", c.Name, n)
		}
	}
	if err == nil && len(caches) != len(w.caches) {
		w.find("Caches.List gives %d of %d caches", len(caches), len(w.caches))
	}
	return err
}

func (w *worker) deleteCache(ctx context.Context) error {
	return w.remove("cache", func(i *item) error { return w.client.Caches.Delete(ctx, w.site.Repo(), i.id) })
}

func (w *worker) deleteCacheByName(ctx context.Context) error {
	return w.remove("cache", func(i *item) error { return w.client.Caches.DeleteByName(ctx, w.site.Repo(), i.name) })
}

func (w *worker) download(ctx context.Context) error {
	from := w.caches[w.rng.IntN(len(w.caches))]
	var got bytes.Buffer
	_, err := w.client.Caches.Download(ctx, w.archive.Repo(), from.id, &got)
	w.compare("Caches.Download", got.Bytes(), from.text, err)
	return err
}

func (w *worker) listSteps(ctx context.Context) error {
	from := w.logs[w.rng.IntN(len(w.logs))]
	steps, err := w.client.Steps.List(ctx, w.archive.Repo(), from.pipeline, nil).Collect()
	if err == nil && (len(steps) != 2 || steps[0].UUID != from.id) {
		w.find("Steps.List gives %d steps", len(steps))
	}
	return err
}

func (w *worker) wholeLog(ctx context.Context) error {
	from := w.logs[w.rng.IntN(len(w.logs))]
	return w.log(ctx, "Steps.GetLog", from, nil, from.text)
}

func (w *worker) partOfLog(ctx context.Context) error {
	from := w.logs[w.rng.IntN(len(w.logs))]
	size := int64(len(from.text))
	offset := w.rng.Int64N(size)
	length := 1 + w.rng.Int64N(size-offset)
	if w.rng.IntN(4) == 0 {
		return w.log(ctx, "Steps.GetLog Tail", from, &pipelines.LogOptions{Tail: length}, from.text[size-length:])
	}
	return w.log(ctx, "Steps.GetLog Range", from, &pipelines.LogOptions{Offset: offset, Length: length}, from.text[offset:offset+length])
}

func (w *worker) log(ctx context.Context, what string, from source, part *pipelines.LogOptions, want string) error {
	log, err := w.client.Steps.GetLog(ctx, w.archive.Repo(), from.pipeline, from.id, part)
	if err != nil {
		return err
	}
	return w.drain(what, log, want)
}

// toTheEnd is an operation outside the mix.
const toTheEnd = "Steps.FollowLog to the end"

func (w *worker) followToTheEnd(ctx context.Context) error {
	from := w.logs[len(w.logs)-1]
	log, err := w.client.Steps.FollowLog(ctx, w.archive.Repo(), from.pipeline, from.id, nil)
	if err != nil {
		return err
	}
	return w.drain(toTheEnd, log, from.text)
}

// followLog leaves in the middle, as one does who has seen the line that he waited for.
func (w *worker) followLog(ctx context.Context) error {
	from := w.logs[w.rng.IntN(len(w.logs))]
	want := from.text[:1+w.rng.IntN(len(from.text))]
	log, err := w.client.Steps.FollowLog(ctx, w.archive.Repo(), from.pipeline, from.id, nil)
	if err != nil {
		return err
	}
	defer log.Close()
	got := make([]byte, len(want))
	n, err := io.ReadFull(log, got)
	w.compare("Steps.FollowLog", got[:n], want, err)
	return err
}

func (w *worker) drain(what string, log io.ReadCloser, want string) error {
	got, err := io.ReadAll(log)
	w.compare(what, got, want, err)
	return errors.Join(err, log.Close())
}

// compare holds what came against the source: all of it by its hash, or its beginning where the reading ended with an error.
func (w *worker) compare(what string, got []byte, want string, err error) {
	w.read += int64(len(got))
	switch {
	case err == nil && sha256.Sum256(got) != sha256.Sum256([]byte(want)):
		w.find("%s gives %d bytes, which are not the source's %d", what, len(got), len(want))
	case err != nil && !strings.HasPrefix(want, string(got)):
		w.find("%s gives %d bytes, which are not the source's beginning, and then %v", what, len(got), err)
	}
}

func (w *worker) testCases(ctx context.Context) error {
	from := w.logs[w.rng.IntN(len(w.logs))]
	cases, err := w.client.Steps.ListTestCases(ctx, w.archive.Repo(), from.pipeline, from.id, &pipelines.ListOptions{PageLen: 15}).Collect()
	if err == nil && len(cases) != w.cases {
		w.find("Steps.ListTestCases gives %d of %d cases", len(cases), w.cases)
	}
	return err
}

// run carries out n operations by a number of workers side by side.
func (l *load) run(ctx context.Context, workers []*worker, n int) {
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	for _, w := range workers {
		all.Go(func() { w.work(ctx, &left) })
	}
	all.Wait()
}
