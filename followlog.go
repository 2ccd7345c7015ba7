package pipelines

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/poll"
	"github.com/seed-85ed9bfd/pipelines/internal/rangereader"
)

// FollowOptions are the options of [StepsService.FollowLog]. Zero fields have their defaults.
type FollowOptions struct {
	Offset          int64 // bytes to skip at the beginning
	RequestsPerHour int   // on average; up to 60 more in one hour; default 240

	// Tolerate decides whether reading goes on after a failure that may pass, as in [WatchOptions].
	Tolerate func(err error, failingFor time.Duration) bool
}

// followedFields are the fields of the step that FollowLog asks for.
const followedFields = "uuid,name,state,started_on"

// FollowLog reads the log of a step as it grows, until the step has ended and its log is read to the end. It may be called before
// the step starts, and waits for a step that waits for a person. o may be nil. The reader must be closed. The end of ctx ends
// reading with an error.
//
// The error is an [ErrNotFound] if the step has run and ended and still has no log after a minute, if the step ended without
// running, or if it isn't found for ten seconds: a new run may not be found at first.
//
// Each byte is transferred once, unless the service's storage compresses the log. Each poll is one request: for the log while it
// grows, for the step's state while it doesn't. After the first request, failed polls and a used-up quota end the reading only as
// they end [PipelinesService.Wait].
//
// API:
//   - GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}/log
//   - GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}
//
// Scope: pipeline.
func (s *StepsService) FollowLog(
	ctx context.Context, repo Repo, pipelineID, stepID string, o *FollowOptions, opts ...CallOption,
) (*LogFollower, error) {
	if o == nil {
		o = &FollowOptions{}
	}
	err := checkFollowing(ctx, o.RequestsPerHour)
	if err == nil {
		err = LogOptions{Offset: o.Offset}.validate()
	}
	if err != nil {
		return nil, fmt.Errorf("pipelines: Steps.FollowLog: %w", err)
	}
	f := &LogFollower{
		line:     s.client.following.pace(o.RequestsPerHour, watchRequestsPerHour, Cursor{}).NewLine(),
		interval: waitInterval, patience: s.client.newPatience(o.Tolerate),
	}
	opts = append(slices.Clip(opts), f.patience.charge(f.line))
	f.getStep = func(ctx context.Context) (*Step, error) {
		return s.Get(ctx, repo, pipelineID, stepID, append(opts, WithQuery("fields", followedFields))...)
	}
	at := opStepsLog.at(repo.Workspace, repo.Slug, pipelineID, stepID)
	source, err := s.client.logSource(ctx, at, opts)
	if err != nil {
		return nil, err
	}
	f.log = rangereader.New(ctx, source, o.Offset)
	if err := f.open(); err != nil { //nolint:contextcheck // the reader's context is made of ctx
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// LogFollower reads a growing log: see [StepsService.FollowLog]. It is an [io.ReadCloser] and an [io.WriterTo]. Close may be
// called while another goroutine reads; the other methods are for one goroutine at a time.
type LogFollower struct {
	log      *rangereader.Reader
	getStep  func(context.Context) (*Step, error)
	line     *poll.Line
	interval poll.Interval
	patience patience
	last     time.Time // when a poll ended

	step       *Step        // as last polled; nil before
	found      bool         // the log was found at least once
	logAbsence poll.Absence // the log isn't found, and expected within logGrace
	complete   bool         // the log was polled since the step ended, so it won't grow
	polled     bool         // at least one poll has begun
	polledStep bool         // the last poll asked for the step
	grown      bool         // the log has grown since the last poll
	err        error        // what Read returns from now on
}

// open sends the first request for the log. If there is no log yet, it polls until the log exists, or the step is known and may
// still write it.
func (f *LogFollower) open() error {
	err := f.begin()
	if !isNotFound(err) {
		f.found = err == nil
		return err
	}
	for !f.found && (f.step == nil || f.stepEnded()) {
		if err := f.poll(); err != nil {
			return err
		}
	}
	return nil
}

// begin sends the first request.
func (f *LogFollower) begin() error {
	defer f.line.Free() // what was granted and not sent, whatever the reason
	return f.log.Poll(false)
}

// Read implements [io.Reader]. It blocks until the log grows, the step has ended ([io.EOF]), or an error ends the reading.
func (f *LogFollower) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for f.err == nil {
		n, err := f.resume(p)
		if n > 0 {
			f.grown = true
			return n, nil
		}
		f.err = f.afterRead(err)
	}
	return 0, f.err
}

// resume reads on, with more requests if connections are lost.
func (f *LogFollower) resume(p []byte) (int, error) {
	defer f.line.Free() // as in begin
	return f.log.Read(p)
}

// afterRead polls after the end of the log, or after an error that may be temporary. It returns nil if there may be more to read.
func (f *LogFollower) afterRead(err error) error {
	switch {
	case !rangereader.IsEOF(err):
		err = f.observe(err)
	case f.complete:
		return io.EOF
	default:
		err = nil
	}
	if err == nil {
		err = f.poll()
	}
	if err != nil && f.log.Closed() {
		return fs.ErrClosed
	}
	return err
}

// poll waits, then sends one request: for the log, or for the step if the log wasn't found or didn't grow. The first poll asks
// for the step at once, because the log may be complete.
func (f *LogFollower) poll() error {
	f.interval.Update(f.grown)
	pollStep := !f.stepEnded() && (!f.found || !f.polled || (!f.grown && !f.polledStep))
	claim := poll.Claim{Class: poll.State, Due: time.Now().Add(f.delay()), Last: f.last, Interval: f.interval.Next(1)}
	f.polled, f.polledStep, f.grown = true, pollStep, false
	for i := poll.Woken; i == poll.Woken; {
		var err error
		if i, err = f.line.Next(f.log.Context(), nil, claim); err != nil {
			return f.log.Wrap(err)
		}
	}
	defer f.line.Free() // also if what the caller has set panics
	f.last = time.Now()
	if pollStep {
		step, err := f.getStep(f.log.Context())
		f.line.Done(f.patience.isOutage(err))
		if err != nil {
			return f.observe(err)
		}
		f.step = step
		if !step.State.Done() && (f.found || !isActive(step.State)) { // no news of the log
			return f.observe(nil)
		}
	}
	return f.pollLog()
}

func (f *LogFollower) stepEnded() bool { return f.step != nil && f.step.State.Done() }

// observe takes the result of a poll.
func (f *LogFollower) observe(err error) error {
	return f.patience.observe(f.log.Context(), err, f.found || f.step != nil)
}

// delay returns the time until the next poll.
func (f *LogFollower) delay() time.Duration {
	delay := f.patience.failures.Delay()
	switch {
	case !f.polled:
		return delay
	case f.logAbsence.Lasts():
		return max(delay, f.logAbsence.Delay(logGrace))
	case f.patience.absence.Lasts():
		return max(delay, f.patience.absence.Delay(newRunGrace))
	}
	return max(delay, f.interval.Next(f.line.Fill()))
}

// pollLog opens the log at the place where it ended before.
func (f *LogFollower) pollLog() error {
	err := f.log.Poll(f.stepEnded())
	f.line.Done(f.patience.isOutage(err))
	if err == nil {
		f.found, f.logAbsence, f.complete = true, poll.Absence{}, f.stepEnded()
		return f.observe(nil)
	}
	f.complete = false
	if !isNotFound(err) {
		return f.observe(err)
	}
	mayCome := f.found || (f.stepEnded() && hasRun(f.step)) // the log may be on its way to storage
	switch {
	case mayCome && f.logAbsence.Observe(logGrace):
		return err
	case !mayCome && f.stepEnded():
		return err
	}
	return f.observe(nil)
}

// WriteTo implements [io.WriterTo]: it writes to w until the step has ended.
func (f *LogFollower) WriteTo(w io.Writer) (int64, error) { return rangereader.Copy(w, f) }

// Offset returns the position in the log of the next byte that Read returns.
func (f *LogFollower) Offset() int64 { return f.log.Offset() }

// Step returns the step as last polled, with only its UUID, name, state and start. It is nil before the first request for the
// step, which is sent when the log doesn't grow.
func (f *LogFollower) Step() *Step { return f.step }

// Close ends the reading and releases the connection. A Read that is blocked returns [fs.ErrClosed].
func (f *LogFollower) Close() error { return f.log.Close() }
