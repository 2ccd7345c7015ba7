package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// parallel is how many requests are under way at once. More don't make it faster: the quota is what takes the time.
const parallel = 4

// continued is how long an audit that was interrupted can be continued after its last request. Later a new one begins, which reads again
// what has changed: also the one of the next night, if that of each night is interrupted.
const continued = 12 * time.Hour

// collector brings a state up to date.
type collector struct {
	client   *pipelines.Client
	state    *state
	quota    *quota
	env      cli.Env
	since    time.Time     // runs created before don't count
	recheck  time.Duration // settings are read again after that even if nothing seems to have changed
	failures atomic.Int64  // in a row, of other kinds than refusals
	denied   sync.Map      // by kind of part: the missing scope, which all repositories lack
	refused  sync.Once     // tells that the service refuses requests for want of quota
}

// collect reads what isn't known yet, or may have changed, and stores it as it goes. With an error, what was read is stored as well.
func (c *collector) collect(ctx context.Context) error {
	c.begin()
	if _, left := c.quota.used(); left == 0 {
		fmt.Fprintln(c.env.Stderr, "The quota of this hour is used up: the audit waits, and goes on when it can.")
	}
	if err := c.state.store(); err != nil { // before anything is read in it
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var storing sync.WaitGroup
	stop := make(chan struct{})
	storing.Go(func() {
		if err := c.storeEachSecond(stop); err != nil {
			cancel(err)
		}
	})
	err := c.read(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	close(stop)
	storing.Wait()
	cancel(nil)
	if err == nil {
		c.state.change(func() { c.state.Complete = true })
	}
	return cmp.Or(err, c.state.store())
}

// begin begins a new audit, or continues one that was interrupted.
func (c *collector) begin() {
	s := c.state
	if !s.Complete && s.Audit > 0 && time.Since(s.lastRequest()) < continued {
		fmt.Fprintln(c.env.Stderr, "Continuing the audit that was interrupted.")
		return
	}
	s.change(func() {
		s.Audit++
		s.Complete = false
	})
}

func (s *state) lastRequest() time.Time {
	var last int64
	for minute := range s.Requests {
		last = max(last, minute)
	}
	return time.Unix(last*60, 0)
}

func (c *collector) storeEachSecond(stop chan struct{}) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-tick.C:
			if err := c.state.store(); err != nil {
				return err
			}
		}
	}
}

// read reads in the order in which one thing tells what is to be read of the next: a change of a repository or a new run, which settings;
// the list of runs, which steps.
func (c *collector) read(ctx context.Context) error {
	if err := c.listRepositories(ctx); err != nil {
		return err
	}
	if err := c.readWorkspace(ctx); err != nil {
		return err
	}
	var lists []job
	for _, r := range c.state.all() {
		if r.Gone == nil && c.listDue(r) {
			lists = append(lists, func(ctx context.Context) error { return c.listRuns(ctx, r) })
		}
	}
	settings, requests := c.settingsJobs()
	c.tell(len(lists)+requests, some(len(lists), "list of runs", "lists of runs"), settingsOf(settings), "then the steps of new runs, a request each")
	if err := c.work(ctx, "lists of runs", lists); err != nil {
		return err
	}
	settings, requests = c.settingsJobs()
	steps := c.stepsDue()
	c.tell(requests+len(steps), settingsOf(settings), some(len(steps), "run's steps", "runs' steps"))
	if err := c.work(ctx, "repositories", settings); err != nil {
		return err
	}
	return c.work(ctx, "runs", steps)
}

// settingsJobs returns the jobs that read the settings of repositories, and about how many requests they take.
func (c *collector) settingsJobs() (jobs []job, requests int) {
	for _, r := range c.state.all() {
		if n := c.settingsDue(r); n > 0 {
			requests += n
			jobs = append(jobs, func(ctx context.Context) error { return c.readSettings(ctx, r) })
		}
	}
	return jobs, requests
}

func settingsOf(jobs []job) string {
	return some(len(jobs), "repository's settings", "repositories' settings")
}

// some is a number of things, or nothing.
func some(n int, one, many string) string {
	if n == 0 {
		return ""
	}
	return cli.Count(n, one, many)
}

// tell says what is about to be read, and how long that waits for the quota.
func (c *collector) tell(requests int, what ...string) {
	if requests == 0 {
		return
	}
	wait := "within the quota"
	if d := c.quota.duration(requests); d > 0 {
		wait = fmt.Sprintf("about %s at %s an hour", cli.Count(int(d/time.Hour), "hour", "hours"), cli.Count(c.quota.limit, "request", "requests"))
	}
	what = slices.DeleteFunc(what, func(part string) bool { return part == "" })
	fmt.Fprintf(c.env.Stderr, "To send: %s, %s: %s\n", cli.Count(requests, "request", "requests"), wait, strings.Join(what, ", "))
}

// job is a part of the work that several goroutines share.
type job func(ctx context.Context) error

// work does jobs until one fails.
func (c *collector) work(ctx context.Context, what string, jobs []job) error {
	if len(jobs) == 0 {
		return ctx.Err()
	}
	progress := c.env.NewProgress(what, len(jobs))
	defer progress.End()
	return cli.InParallel(ctx, parallel, jobs, func(ctx context.Context, j job) error {
		err := j(ctx)
		if err == nil {
			progress.Add(1)
		}
		return err
	})
}

// listRepositories reads which repositories the workspace has. An audit does it once.
func (c *collector) listRepositories(ctx context.Context) error {
	s := c.state
	if s.Listed == s.Audit {
		return nil
	}
	path := cli.ReposPath(s.Workspace) + "?fields=next,size,values.uuid,values.full_name,values.updated_on&sort=created_on"
	var found []*pipelines.Repository
	err := c.patiently(ctx, func() (err error) {
		found, err = pipelines.List[pipelines.Repository](ctx, c.client, path).Collect()
		return err
	})
	if err != nil {
		return fmt.Errorf("listing the repositories of %s: %w", s.Workspace, err)
	}
	s.change(func() {
		s.repos = merge(s.repos, found)
		s.Listed, s.Count = s.Audit, len(s.repos)
	})
	return nil
}

// merge takes a list of the service. A repository that isn't on it any more is gone, but what is known of it stays.
func merge(known []*repository, found []*pipelines.Repository) []*repository {
	byUUID := map[string]*repository{}
	for _, r := range known {
		byUUID[r.UUID] = r
	}
	listed := map[string]bool{}
	for _, f := range found {
		id := cmp.Or(f.UUID, f.FullName)
		r := byUUID[id]
		if r == nil {
			r = newRepository(id)
			byUUID[id] = r
			known = append(known, r)
		}
		listed[id] = true
		r.change(func() { r.Name, r.Updated, r.Gone = f.FullName, f.UpdatedOn, nil })
	}
	for _, r := range known {
		if !listed[r.UUID] && r.Gone == nil {
			r.change(func() { r.Gone = new(time.Now().UTC()) })
		}
	}
	return sorted(known)
}

// refusal is how long the service is left alone after it has refused requests for want of quota, because others use it too.
const refusal = 5 * time.Minute

// patiently sends requests until they aren't refused for want of quota.
func (c *collector) patiently(ctx context.Context, send func() error) error {
	for {
		err := send()
		if !errors.Is(err, pipelines.ErrRateLimited) {
			return err
		}
		c.refused.Do(func() {
			fmt.Fprintln(c.env.Stderr, "The service refuses requests: something else uses the quota too. The audit waits, and goes on when it can.")
		})
		if err := cli.Pause(ctx, refusal); err != nil {
			return err
		}
	}
}

// due reports whether a part has to be read in this audit, given the repository's mark; "" for the workspace, which is read each time.
func (c *collector) due(r reading, mark string) bool {
	switch {
	case r.Audit == c.state.Audit:
		return false
	case r.At.IsZero() || r.Problem != "" || mark == "":
		return true
	}
	return r.Mark != mark || time.Since(r.At) >= c.recheck
}

// ask reads a part of a repository, or of the workspace if r is nil. A part that can't be read gets a problem, and keeps what is known of
// it; an error ends the audit.
func (c *collector) ask(ctx context.Context, r *repository, kind string, before reading, send func() error) (after reading, err error) {
	after = before
	after.Audit = c.state.Audit
	if after.Problem = c.hopeless(r, kind); after.Problem != "" {
		return after, nil
	}
	err = c.patiently(ctx, send)
	if err == nil {
		c.failures.Store(0)
		return reading{Audit: c.state.Audit, At: time.Now().UTC(), Mark: r.mark()}, nil
	}
	if c.endsAudit(ctx, err) {
		return before, err
	}
	after.Problem = cli.Clean(cli.Message(err))
	if !isRefusal(err) {
		after.Audit = before.Audit // to be asked for again, should the audit be interrupted and continued
	}
	if lacksScope(err) {
		c.denied.Store(kind, after.Problem)
	}
	if errors.Is(err, pipelines.ErrRepositoryNotFound) && r != nil {
		r.change(func() {
			r.lost = "the repository was not found: renamed or deleted since the list was read, or not readable"
		})
		after.Problem = r.lost
	}
	return after, nil
}

// hopeless returns why a part needn't be asked for: the credentials lack the scope for it, or the repository is not found.
func (c *collector) hopeless(r *repository, kind string) string {
	if reason, denied := c.denied.Load(kind); denied {
		return reason.(string)
	}
	if r == nil {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// mostFailures is how many parts may fail in a row before the service counts as out of order.
const mostFailures = 10

// endsAudit reports whether an error concerns all that is still to be read.
func (c *collector) endsAudit(ctx context.Context, err error) bool {
	if isRefusal(err) {
		c.failures.Store(0)
		return errors.Is(err, pipelines.ErrUnauthorized)
	}
	return ctx.Err() != nil || c.failures.Add(1) >= mostFailures
}

// isRefusal reports whether the service works and refuses the request, which it will again.
func isRefusal(err error) bool {
	var apiErr *pipelines.APIError
	return errors.As(err, &apiErr) && apiErr.StatusCode < 500
}

// lacksScope reports whether the credentials lack a scope. No other repository needs to be asked then.
func lacksScope(err error) bool {
	var apiErr *pipelines.APIError
	return errors.As(err, &apiErr) && errors.Is(err, pipelines.ErrForbidden) && apiErr.Data["required"] != nil
}

// refresh reads a part of a repository, or of the workspace if r is nil, if it is due.
func refresh[T any](ctx context.Context, c *collector, r *repository, kind string, p *part[T], read func() ([]T, error)) error {
	if !c.due(p.reading, r.mark()) {
		return nil
	}
	var items []T
	after, err := c.ask(ctx, r, kind, p.reading, func() (err error) {
		items, err = read()
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	change := c.state.change
	if r != nil {
		change = r.change
	}
	change(func() {
		p.reading = after
		if after.Problem == "" {
			p.Items = items
		}
	})
	return nil
}

// all reads a list of the service.
func all[S, T any](list *pipelines.Pager[S], convert func(*S) T) ([]T, error) {
	found, err := list.Collect()
	items := make([]T, 0, len(found))
	for _, s := range found {
		items = append(items, convert(s))
	}
	return items, err
}
