package chaos_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/seed-85ed9bfd/pipelines"
)

func (w *worker) run(ctx context.Context) error {
	branch := []string{"main", "long"}[w.rng.IntN(2)]
	name := w.name("run")
	p, err := w.client.Pipelines.Run(ctx, w.site.Repo(), pipelines.RunRequest{
		Target: pipelines.BranchTarget(branch), Variables: []pipelines.VariableRequest{{Key: "NAME", Value: name}},
	})
	i := w.ledger.made("run", name, started, err)
	i.changed = branch == "main" // has ended and can't be stopped
	if err == nil {
		i.id = p.UUID
	}
	return err
}

func (w *worker) stop(ctx context.Context) error {
	i, err := w.pickOne("run", unchanged)
	if err != nil {
		return err
	}
	i.changed = true
	err = w.client.Pipelines.Stop(ctx, w.site.Repo(), i.id)
	i.setState(stopped, err)
	w.expectThere(i, err)
	return err
}

func (w *worker) getRun(ctx context.Context) error {
	i, err := w.pickOne("run", anyItem)
	if err != nil {
		return err
	}
	p, err := w.client.Pipelines.Get(ctx, w.site.Repo(), i.id)
	w.expectThere(i, err)
	if err == nil && p.UUID != i.id {
		w.report("Pipelines.Get of %s returns %s", i.id, p.UUID)
	}
	return err
}

func (w *worker) wait(ctx context.Context) error {
	i, err := w.pickOne("run", func(i *item) bool { return i.changed && slices.Equal(i.possible, []string{started}) })
	if err != nil {
		return err
	}
	p, err := w.client.Pipelines.Wait(ctx, w.site.Repo(), i.id, nil)
	if err == nil && !p.State.Succeeded() {
		w.report("Pipelines.Wait reports that %s is %s", i.name, p.State)
	}
	return err
}

func (w *worker) listRuns(ctx context.Context) error {
	return w.compareRuns(w.client.Pipelines.List(ctx, w.archive.Repo(), &pipelines.ListPipelinesOptions{PageLen: 30}))
}

func (w *worker) listRunsInParallel(ctx context.Context) error {
	return w.compareRuns(w.client.Pipelines.List(ctx, w.archive.Repo(), &pipelines.ListPipelinesOptions{PageLen: 20}).Parallel(4))
}

// compareRuns compares the items of a list with the archive: all of them, or its beginning if the list ends with an error.
func (w *worker) compareRuns(list *pipelines.Pager[pipelines.Pipeline]) error {
	runs, err := list.Collect()
	var listed []string
	for _, p := range runs {
		listed = append(listed, p.UUID)
	}
	if n := len(listed); n > len(w.runs) || !slices.Equal(listed, w.runs[:n]) || err == nil && n < len(w.runs) {
		w.report("Pipelines.List returns %d of %d runs, or others, with the error %v", n, len(w.runs), err)
	}
	return err
}

func (w *worker) createVariable(ctx context.Context) error {
	name := w.name("VARIABLE")
	v, err := w.client.Variables.InRepository(w.site.Repo()).Create(ctx, pipelines.VariableRequest{Key: name, Value: first})
	i := w.ledger.made("variable", name, first, err)
	if err == nil {
		i.id = v.UUID
	}
	return err
}

func (w *worker) setVariable(ctx context.Context) error {
	name := w.name("VARIABLE")
	v, err := w.client.Variables.InRepository(w.site.Repo()).Set(ctx, pipelines.VariableRequest{Key: name, Value: first})
	i := w.ledger.set("variable", name, first, err)
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
	i, err := w.pickOne("variable", anyItem)
	if err != nil {
		return err
	}
	v, err := w.client.Variables.InRepository(w.site.Repo()).Get(ctx, i.id)
	w.expectThere(i, err)
	if err == nil && !slices.Contains(i.possible, v.Value) {
		w.report("Variables.Get returns %s for %s, possible are %v", v.Value, i.name, i.possible)
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
	i := w.ledger.made("schedule", name, first, err)
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
	i := w.ledger.made("environment", name, first, err)
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
	i := w.ledger.made("host", name, first, err)
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
			w.report("Caches.List returns %s at %d", c.Name, n)
		}
	}
	if err == nil && len(caches) != len(w.caches) {
		w.report("Caches.List returns %d of %d caches", len(caches), len(w.caches))
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
		w.report("Steps.List returns %d steps", len(steps))
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

// followToEnd is not in the mix.
const followToEnd = "Steps.FollowLog to the end"

func (w *worker) followToTheEnd(ctx context.Context) error {
	from := w.logs[len(w.logs)-1]
	log, err := w.client.Steps.FollowLog(ctx, w.archive.Repo(), from.pipeline, from.id, nil)
	if err != nil {
		return err
	}
	return w.drain(followToEnd, log, from.text)
}

// followLog closes the log in the middle, as a program does that looks for a line.
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

// compare compares content with its source: all of it, or its beginning if reading ended with an error.
func (w *worker) compare(what string, got []byte, want string, err error) {
	w.read += int64(len(got))
	switch {
	case err == nil && sha256.Sum256(got) != sha256.Sum256([]byte(want)):
		w.report("%s returns %d bytes, which are not the source's %d", what, len(got), len(want))
	case err != nil && !strings.HasPrefix(want, string(got)):
		w.report("%s returns %d bytes, which are not the source's beginning, and then %v", what, len(got), err)
	}
}

func (w *worker) testCases(ctx context.Context) error {
	from := w.logs[w.rng.IntN(len(w.logs))]
	cases, err := w.client.Steps.ListTestCases(ctx, w.archive.Repo(), from.pipeline, from.id, &pipelines.ListOptions{PageLen: 15}).Collect()
	if err == nil && len(cases) != w.cases {
		w.report("Steps.ListTestCases returns %d of %d cases", len(cases), w.cases)
	}
	return err
}
