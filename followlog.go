package pipelines

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/rangereader"
)

// FollowOptions are the options of [StepsService.FollowLog]. Zero fields have their defaults.
type FollowOptions struct {
	Offset          int64 // bytes to skip at the beginning
	RequestsPerHour int   // at most, and 60 more in the first hour; default 240
}

// followedFields are what following a log needs to know of its step.
const followedFields = "uuid,name,state,started_on"

// FollowLog reads the log of a step as it grows, until the step has ended and its log is read to the end. It may be called before
// the step starts, and waits for a step that waits for a person. o may be nil. The reader must be closed. The end of ctx ends
// reading with an error.
//
// These are an [ErrNotFound]: a step that has run and ended, and still has no log after a minute; a step that ended without
// running; and, after ten seconds, a step that doesn't exist, because a new run may not be found at first.
//
// Each byte is transferred once, unless the service's storage compresses the log. Each poll is one request: for the log while it
// grows, for the step's state while it doesn't.
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
	b, err := newBudget(ctx, o.RequestsPerHour, watchRequestsPerHour)
	if err == nil {
		err = LogOptions{Offset: o.Offset}.check()
	}
	if err != nil {
		return nil, fmt.Errorf("pipelines: Steps.FollowLog: %w", err)
	}
	opts = append(opts[:len(opts):len(opts)], b.charge())
	quiet := rhythm{quiet: 30 * time.Second, slowest: 30 * time.Second, stretch: stretchState}
	f := &LogFollower{budget: b, rhythm: quiet, look: func(ctx context.Context) (*Step, error) {
		return s.Get(ctx, repo, pipelineID, stepID, append(opts, WithQuery("fields", followedFields))...)
	}}
	at := opStepsLog.at(repo.Workspace, repo.Slug, pipelineID, stepID)
	source, err := s.client.logSource(ctx, at, opts)
	if err != nil {
		return nil, err
	}
	f.log = rangereader.New(ctx, source, o.Offset)
	if err := f.begin(); err != nil { //nolint:contextcheck // the reader's context is made of ctx
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// LogFollower reads a growing log: see [StepsService.FollowLog]. It is an [io.ReadCloser] and an [io.WriterTo]. Close may be
// called while another goroutine reads; the other methods are for one goroutine at a time.
type LogFollower struct {
	log    *rangereader.Reader
	look   func(context.Context) (*Step, error)
	budget *budget
	rhythm rhythm

	failures  failureCount
	step      *Step   // as last seen; nil before
	open      bool    // the log exists
	missing   absence // of a log that has to exist
	grown     bool    // since the last poll
	stepAsked bool    // by the last poll
	polled    bool    // at least once
	last      bool    // the log was read on since the step ended, so what it has now is all
	err       error   // that Read goes on to return
}

// begin asks for the log. Where there is none it polls until there is, or until the step is known to be one that may yet write
// it.
func (f *LogFollower) begin() error {
	err := f.log.Poll(false)
	if !missing(err) {
		f.open = err == nil
		return err
	}
	for !f.open && (f.step == nil || f.ended()) {
		if err := f.poll(); err != nil {
			return err
		}
	}
	return nil
}

// ended reports whether the step has, as far as is known.
func (f *LogFollower) ended() bool { return f.step != nil && f.step.State.Done() }

// Read implements [io.Reader]. It blocks until the log grows, the step has ended ([io.EOF]), or an error ends the reading.
func (f *LogFollower) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for f.err == nil {
		n, err := f.log.Read(p)
		if n > 0 {
			f.grown = true
			return n, nil
		}
		f.err = f.after(err)
	}
	return 0, f.err
}

// after decides what the end of what was there means: nil if there may be more now.
func (f *LogFollower) after(err error) error {
	switch {
	case !rangereader.IsEOF(err):
		err = f.failures.tolerate(f.log.Context(), err)
	case f.last:
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

// poll waits, then sends the one request that may bring news: for the log, or, where that has just brought nothing, for the
// step. The first asks for the step at once: the log may have ended long ago.
func (f *LogFollower) poll() error {
	f.rhythm.beat(f.grown)
	askStep := !f.ended() && (!f.open || !f.polled || (!f.grown && !f.stepAsked))
	wait := f.wait()
	f.grown, f.stepAsked, f.polled = false, askStep, true
	if err := f.budget.pause(f.log.Context(), max(wait, f.failures.delay)); err != nil {
		return f.log.Wrap(err)
	}
	if askStep {
		step, err := f.look(f.log.Context())
		if err != nil {
			return f.failures.tolerate(f.log.Context(), err)
		}
		f.step = step
		if !step.State.Done() && (f.open || !running(step.State)) {
			return f.failures.tolerate(f.log.Context(), nil)
		}
	}
	return f.readOn()
}

// wait is the time to the next poll.
func (f *LogFollower) wait() time.Duration {
	switch {
	case !f.polled:
		return 0
	case !f.missing.since.IsZero():
		return f.missing.delay(logPatience)
	case !f.failures.missing.since.IsZero():
		return f.failures.missing.delay(runPatience)
	}
	return f.rhythm.interval(f.budget)
}

// readOn opens the log at the place where it ended before.
func (f *LogFollower) readOn() error {
	err := f.log.Poll(f.ended())
	f.last = f.ended() && err == nil
	if err == nil {
		f.open, f.missing = true, absence{}
		return f.failures.tolerate(f.log.Context(), nil)
	}
	switch {
	case !missing(err):
		return f.failures.tolerate(f.log.Context(), err)
	case f.open, f.ended() && hasRun(f.step): // it may be on its way to storage
		if f.missing.outlasts(logPatience) {
			return err
		}
	case f.ended():
		return err
	}
	return f.failures.tolerate(f.log.Context(), nil)
}

// WriteTo implements [io.WriterTo]: it writes to w until the step has ended.
func (f *LogFollower) WriteTo(w io.Writer) (int64, error) { return rangereader.Copy(w, f) }

// Offset returns the position in the log of the next byte that Read returns.
func (f *LogFollower) Offset() int64 { return f.log.Offset() }

// Step returns the step as last seen, with only its UUID, name, state and start. It is nil before the first request for the step,
// which is sent when the log doesn't grow.
func (f *LogFollower) Step() *Step { return f.step }

// Close ends the reading and releases the connection. A Read that is blocked returns [fs.ErrClosed].
func (f *LogFollower) Close() error { return f.log.Close() }
