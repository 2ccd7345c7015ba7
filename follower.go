package pipelines

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/ctxtime"
)

// FollowerOptions are the options of [Client.NewFollower]. Zero fields have their defaults.
type FollowerOptions struct {
	Logs         LogSelection // default all
	WithoutSteps bool         // only the pipelines' own states, which is cheapest; no logs either

	// Tolerate decides whether the following of a run goes on after a failure that may pass, as in
	// [WatchOptions]. By default it always does.
	Tolerate func(err error, failingFor time.Duration) bool
}

// Follower follows many runs, in any repositories, within one budget. Make one with [Client.NewFollower]. It sends requests and has
// goroutines only while [Follower.Events] is ranged over. It is safe for concurrent use.
type Follower struct {
	client  *Client
	options FollowerOptions

	mu     sync.Mutex
	runs   []*followedRun // in the order of Add
	ranged bool
	added  chan struct{} // ready when a run was added
}

// followedRun is a run of a Follower.
type followedRun struct {
	repo   Repo
	id     string // as it was given
	uuid   string // empty: not known
	cursor Cursor // of the last event

	worker *runFollower       // nil: not being followed now
	cancel context.CancelFunc // of the worker
}

// NewFollower makes a Follower. o may be nil. It sends nothing.
func (c *Client) NewFollower(o *FollowerOptions) (*Follower, error) {
	f := &Follower{client: c, added: make(chan struct{}, 1)}
	if o != nil {
		f.options = *o
	}
	if err := f.options.Logs.check("FollowerOptions"); err != nil {
		return nil, fmt.Errorf("pipelines: NewFollower: %w", err)
	}
	if f.options.Tolerate == nil {
		f.options.Tolerate = tolerateForever
	}
	return f, nil
}

// Add adds a run, by its UUID or build number. After is the cursor of the last event of this run that was handled, in this process or
// an earlier one; the zero Cursor tells everything. A run that is followed already stays as it is. An id or a repository that can't
// exist, and a cursor of another run, are an [ErrInvalidArgument].
func (f *Follower) Add(repo Repo, id string, after Cursor) error {
	err := opPipelinesGet.at(repo.Workspace, repo.Slug, id).err
	if err == nil {
		err = after.checkFor(repo, id)
	}
	if err != nil {
		return fmt.Errorf("pipelines: Follower.Add: %w", err)
	}
	f.client.following.boards.keep(repo)
	if !after.IsZero() {
		f.client.following.scheduler.Resume()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.find(repo, id) != nil {
		return nil
	}
	run := &followedRun{repo: repo, id: id, cursor: after}
	if after.told != nil {
		run.uuid = after.told.UUID
	} else if strings.HasPrefix(braced(id), "{") {
		run.uuid = braced(id)
	}
	f.runs = append(f.runs, run)
	select {
	case f.added <- struct{}{}:
	default:
	}
	return nil
}

// find returns a run by its UUID or build number, or nil.
func (f *Follower) find(repo Repo, id string) *followedRun {
	for _, run := range f.runs {
		if run.repo == repo && run.hasID(id) {
			return run
		}
	}
	return nil
}

func (r *followedRun) hasID(id string) bool {
	told := r.cursor.told
	return strings.EqualFold(braced(r.id), braced(id)) || (r.uuid != "" && strings.EqualFold(r.uuid, braced(id))) ||
		(told != nil && strconv.Itoa(told.BuildNumber) == id)
}

// Remove ends the following of a run. Nothing comes of it any more, unless it is added again. A run that isn't followed is ignored.
func (f *Follower) Remove(repo Repo, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if run := f.find(repo, id); run != nil {
		f.drop(run)
	}
}

// drop forgets a run.
func (f *Follower) drop(run *followedRun) {
	if run.cancel != nil {
		run.cancel()
	}
	f.runs = slices.DeleteFunc(f.runs, func(other *followedRun) bool { return other == run })
}

// Wake has a run looked at as soon as the quota allows it, and again in the next seconds: for example after [PipelinesService.Stop],
// after a person has continued it, or because a webhook says so. A run that isn't followed is ignored.
func (f *Follower) Wake(repo Repo, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if run := f.find(repo, id); run != nil && run.worker != nil {
		run.worker.member.woken.Store(true)
		run.worker.member.notify()
	}
}

// Len returns how many runs are followed: those that were added and whose last event hasn't come.
func (f *Follower) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.runs)
}

// Latest returns the newest run of a branch that following has seen, and when it was seen, or nil. It sends nothing. All following of
// the client counts, since a run of the repository was first added. Besides the runs that are followed, it often sees the newest others of their
// repositories. The pipeline may have only some fields: UUID, build number, state, times, creator and target.
func (f *Follower) Latest(repo Repo, branch string) (p *Pipeline, seen time.Time) {
	return f.client.following.boards.latest(repo, branch)
}

// Events follows the runs and yields their events, as [PipelinesService.Watch] does for one: those of one run in their order, those
// of several runs as they come. Runs may be added and removed meanwhile, also in the loop. It goes on until ctx ends, which is an
// error, or the loop is left; [Follower.Len] says whether there is anything left to follow.
//
// After an event with Last set, the run is no longer followed: it has ended, or an [EventProblem] says why it can't be followed. If the
// credentials are refused, Events yields that error and ends. Another range goes on where the last one ended, as it does after any
// other end: no event is lost, and none comes twice.
//
// A run isn't polled while one of its events waits for the loop: a slow loop delays all. Only one range at a time is allowed.
func (f *Follower) Events(ctx context.Context) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		if err := f.begin(ctx); err != nil {
			yield(nil, fmt.Errorf("pipelines: Follower.Events: %w", err))
			return
		}
		s := newFollowGroup(ctx)
		defer f.end(s)
		if err := f.run(s, yield); err != nil { //nolint:contextcheck // the group has the context
			yield(nil, err)
		}
	}
}

func (f *Follower) begin(ctx context.Context) error {
	if ctx == nil {
		return invalidArgument("context is nil")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ranged {
		return errors.New("another range over the events isn't over")
	}
	f.ranged = true
	return nil
}

func (f *Follower) end(s *followGroup) {
	s.close()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, run := range f.runs {
		run.worker, run.cancel = nil, nil
	}
	f.ranged = false
}

// run yields events until following has to end. It returns nil if the loop was left.
func (f *Follower) run(s *followGroup, yield func(*Event, error) bool) error {
	for {
		f.startAll(s)
		if err := ctxtime.Err(s.ctx); err != nil {
			return fmt.Errorf("pipelines: Follower.Events: %w", err)
		}
		select {
		case <-s.ctx.Done():
		case <-f.added:
		case d := <-s.deliveries:
			d.rethrow()
			if isRefusal(d.err) {
				return d.err
			}
			if e := f.take(d); e != nil && !yield(e, nil) {
				return nil
			}
		}
	}
}

// startAll follows the runs that aren't followed yet.
func (f *Follower) startAll(s *followGroup) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, run := range f.runs {
		if run.worker == nil {
			f.start(s, run)
		}
	}
}

func (f *Follower) start(s *followGroup, run *followedRun) {
	ctx, cancel := context.WithCancel(s.ctx) // Remove ends it
	o := followOptions{
		method: "Follower.Events", selection: f.options.Logs, withoutSteps: f.options.WithoutSteps, interval: sharedInterval,
		after: run.cursor, tolerate: f.options.Tolerate, until: func(p *Pipeline) bool { return p.State.Done() },
	}
	var w *runFollower
	w = f.client.newRunFollower(ctx, run.repo, run.id, o, f.client.following.pace(0, watchRequestsPerHour, run.cursor), nil,
		func(e *Event) error { return s.deliver(ctx, delivery{run: w, event: e}) })
	run.worker, run.cancel = w, cancel
	s.start(w)
}

// take notes what a run's event tells, and returns the event to yield: nil if the run was removed, or has nothing more to tell.
func (f *Follower) take(d delivery) *Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.runs, func(run *followedRun) bool { return run.worker == d.run })
	if i < 0 {
		return nil
	}
	run, e := f.runs[i], d.event
	if f.isTold(run, e) {
		f.drop(run)
		return nil
	}
	if d.err != nil {
		e = &Event{
			Kind: EventProblem, Repo: run.repo, ID: run.id, PipelineUUID: d.run.told.UUID, Err: d.err,
			FailingSince: d.run.patience.failures.Since(), Last: true, Cursor: run.cursor,
		}
	}
	if e == nil || e.Last {
		f.drop(run)
	}
	if e != nil {
		run.cursor, run.uuid = e.Cursor, e.PipelineUUID
	}
	return e
}

// isTold reports whether the events of a run are told under its other name: it was added by both before either was known.
func (f *Follower) isTold(run *followedRun, e *Event) bool {
	return e != nil && run.uuid == "" && e.PipelineUUID != "" && slices.ContainsFunc(f.runs, func(other *followedRun) bool {
		return other != run && other.repo == run.repo && other.uuid == e.PipelineUUID
	})
}
