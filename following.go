package pipelines

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/seed-85ed9bfd/pipelines/internal/poll"
)

// Following a run goes through these files:
//
//	watch.go wait.go follower.go   the methods
//	following.go                   runs that are followed side by side
//	runfollower.go steplog.go      one run: what is polled, and what is told
//	watchstate.go                  what the states of a run and its steps mean for each other
//	board.go                       the list that runs of a repository share
//	patience.go                    which failures end it
//	cursor.go                      what was told, to go on later
//	internal/poll                  who polls next, within one budget

// following is what all following of a client shares.
type following struct {
	scheduler *poll.Scheduler
	boards    boards
}

const defaultQuota = 1000 // requests an hour, of a signed-in caller

// WithFollowBudget sets how many requests an hour the client's Wait, WaitAll, Watch, FollowLog and [Follower] send together on
// average. A twentieth of that may come in addition at once. The default is 870 of Bitbucket's quota of 1,000, or the same part of the
// quota that the service tells in X-RateLimit-Limit. It shrinks if the client's other calls need more than the rest; a budget that is set
// doesn't. A 429 lowers both for some hours.
func WithFollowBudget(requestsPerHour int) Option {
	return option(func(c *config) error {
		if requestsPerHour < 1 {
			return errors.New("follow budget is not positive")
		}
		c.followBudget = requestsPerHour
		return nil
	})
}

func newFollowing(perHour int) *following {
	if perHour > 0 {
		return &following{scheduler: poll.NewScheduler(perHour, true)}
	}
	return &following{scheduler: poll.NewScheduler(poll.ShareOf(defaultQuota), false)}
}

// followGroup follows several runs side by side, each in a goroutine of its own.
type followGroup struct {
	ctx        context.Context //nolint:containedctx // of one range or call
	cancel     context.CancelFunc
	deliveries chan delivery
	wg         sync.WaitGroup
}

// delivery is an event of a run, or the end of its following.
type delivery struct {
	run   *runFollower
	event *Event
	err   error // why following has ended; nil where it is the run that has

	panicked any // what the goroutine that followed panicked with; nil: nothing
}

func newFollowGroup(ctx context.Context) *followGroup {
	s := &followGroup{deliveries: make(chan delivery)}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s
}

// start follows a run until it ends, or the group does. The run hands its events to [followGroup.deliver].
func (s *followGroup) start(w *runFollower) {
	s.wg.Go(func() {
		end := delivery{run: w, err: fmt.Errorf("pipelines: %s: the transport ended the goroutine that followed the run", w.method)}
		defer func() {
			if end.panicked = recover(); !errors.Is(end.err, errRangeLeft) {
				_ = s.deliver(w.ctx, end)
			}
		}()
		end.err = w.follow()
	})
}

// rethrow panics as the goroutine did that followed the run: its caller may recover.
func (d delivery) rethrow() {
	if d.panicked != nil {
		panic(d.panicked)
	}
}

// deliver hands something to the caller of the group. It fails where ctx ends first.
func (s *followGroup) deliver(ctx context.Context, d delivery) error {
	select {
	case s.deliveries <- d:
		return nil
	case <-ctx.Done():
		return errRangeLeft
	}
}

// close ends all following and waits for it.
func (s *followGroup) close() {
	s.cancel()
	s.wg.Wait()
}

// pace returns what bounds one call. A call that goes on where another process ended gets no requests in advance.
func (f *following) pace(perHour, byDefault int, after Cursor) *poll.Pace {
	if !after.IsZero() {
		f.scheduler.Resume()
	}
	return f.scheduler.NewPace(cmp.Or(perHour, byDefault), !after.IsZero())
}

// ownBoard returns a board for a call with options of its own, which shares nothing with others, and else nil.
func ownBoard(opts []CallOption) *board {
	if len(opts) == 0 {
		return nil
	}
	return newBoard()
}

// isRefusal reports whether err is a refusal of the credentials, which concerns all runs.
func isRefusal(err error) bool {
	var apiErr *APIError
	if !errors.As(err, &apiErr) || apiErr.StatusCode >= http.StatusInternalServerError {
		return false
	}
	return apiErr.StatusCode == http.StatusUnauthorized || apiErr.Operation == opToken.Name
}
