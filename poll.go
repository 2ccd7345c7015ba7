package pipelines

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/ctxtime"
)

const (
	watchRequestsPerHour = 240
	budgetBurst          = 60
	budgetReserve        = 4 // kept for what can't wait, such as the logs of steps that end together
	maxPollFailures      = 5 // in a row, each of them after the retries of its own
)

// rhythm is how often to look: soon after a change, then ever less often, and less still as the budget runs low.
type rhythm struct {
	quiet   time.Duration              // between two looks where nothing changes
	slowest time.Duration              // the same with an empty budget
	stretch func(fill float64) float64 // for a budget that is filled so far, from 1 to 0
	relax   time.Duration              // nothing has changed for this many times as long as the time between two looks; 0: at any time

	current time.Duration
	changed time.Time // when it last did
}

// fastest is the time to the next look right after a change.
const fastest = 2 * time.Second

func (r *rhythm) beat(changed bool) {
	if changed || r.current == 0 {
		r.current, r.changed = fastest, time.Now()
		return
	}
	quiet := r.quiet
	if r.relax > 0 {
		quiet = max(quiet, time.Since(r.changed)/r.relax)
	}
	r.current = min(r.current*3/2, quiet)
}

// interval is the time to the next look.
func (r *rhythm) interval(b *budget) time.Duration {
	fill := max(b.left()/b.burst, 0.01)
	return min(time.Duration(float64(max(r.current, fastest))*r.stretch(fill)), r.slowest)
}

// States are worth three quarters of a budget before they are looked at less often.
func stretchState(fill float64) float64 { return max(1, 1/(4*fill)) }

// Logs are many and grow all the time: they make room for the states early.
func stretchLog(fill float64) float64 { return 1 / (fill * fill * fill * fill) }

// absence is how long something is missing that may still come.
type absence struct{ since time.Time } // zero: it isn't missing

const (
	runPatience = 10 * time.Second // a run may be missing right after its start
	logPatience = time.Minute      // a log may be missing while it moves to storage
)

// outlasts notes that it is missing and reports whether it has been for longer than may be.
func (a *absence) outlasts(patience time.Duration) bool {
	if a.since.IsZero() {
		a.since = time.Now()
	}
	return time.Since(a.since) >= patience
}

// delay is the time to the next look: the longer it has been missing the longer, but the last one comes when patience ends.
func (a *absence) delay(patience time.Duration) time.Duration {
	missing := time.Since(a.since)
	return min(max(fastest, missing/2), patience-missing)
}

// failureCount decides how many failed polls are a moment's.
type failureCount struct {
	inARow  int
	missing absence       // of the run or step
	delay   time.Duration // before the next poll
}

const (
	quotaDelay   = 5 * time.Minute // the quota is one of a rolling hour, so some of it comes back in this time
	longestDelay = 2 * time.Hour   // a service that asks for more isn't waited for
)

// tolerate returns an error that ends the polling, and nil for none or one that may pass. A quota that is used up passes for
// sure: it delays the polling and doesn't count. What is missing may be too new to be found.
func (f *failureCount) tolerate(ctx context.Context, err error) error {
	if err == nil {
		*f = failureCount{}
		return nil
	}
	if ctx.Err() != nil {
		return err
	}
	if missing(err) && !f.missing.outlasts(runPatience) {
		f.delay = 0
		return nil
	}
	if !passing(err) {
		return err
	}
	var answer *APIError
	if errors.As(err, &answer) && answer.RetryAfter > longestDelay {
		return err
	}
	if errors.Is(err, ErrRateLimited) {
		f.delay = quotaDelay
		if answer != nil && answer.RetryAfter > 0 {
			f.delay = answer.RetryAfter
		}
		return nil
	}
	f.inARow++
	if f.inARow >= maxPollFailures {
		return err
	}
	f.delay = fastest << f.inARow
	if answer != nil {
		f.delay = max(f.delay, answer.RetryAfter)
	}
	return nil
}

// missing reports whether the service says that what was asked for doesn't exist, or not yet.
func missing(err error) bool {
	var answer *APIError
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound && answer.Operation != opToken.Name
}

// passing holds for errors that the next poll may not meet.
func passing(err error) bool {
	var link *expiredLinkError
	var encoded *encodingError
	var answer *APIError
	switch {
	case errors.As(err, &encoded):
		return false
	case errors.As(err, &link), errors.Is(err, errHeldBack):
		return true
	case errors.As(err, &answer):
		return errors.Is(err, ErrServer) || errors.Is(err, ErrRateLimited)
	case errors.Is(err, ErrInvalidArgument), errors.Is(err, errChanged), errors.Is(err, errLeft), errors.Is(err, fs.ErrClosed):
		return false
	}
	return !permanent(err)
}

// budget is a token bucket of requests. It is used by one goroutine.
type budget struct {
	burst, perSecond float64
	tokens           float64
	at               time.Time // when tokens was right
}

func newBudget(ctx context.Context, perHour, byDefault int) (*budget, error) {
	if ctx == nil {
		return nil, invalidArgument("context is nil")
	}
	if perHour < 0 {
		return nil, invalidArgument("RequestsPerHour %d is negative", perHour)
	}
	perHour = cmp.Or(perHour, byDefault)
	return &budget{burst: budgetBurst, tokens: budgetBurst, perSecond: float64(perHour) / 3600, at: time.Now()}, nil
}

// charge makes a call's requests, retries included, be paid from the budget.
func (b *budget) charge() CallOption {
	return callOption(func(k *call) error {
		k.budget, k.polls = b, true
		return nil
	})
}

// take pays for one request, waiting until the budget can: what can't wait for a poll is bound by it all the same.
func (b *budget) take(ctx context.Context) error {
	if missing := 1 - b.left(); missing > 0 {
		if err := ctxtime.Sleep(ctx, b.earn(missing)); err != nil {
			return err
		}
	}
	b.left()
	b.tokens--
	return nil
}

// earn is the time in which the budget grows by n.
func (b *budget) earn(n float64) time.Duration {
	return time.Duration(n/b.perSecond*float64(time.Second)) + 1
}

func (b *budget) left() float64 {
	now := time.Now()
	b.tokens = min(b.burst, b.tokens+now.Sub(b.at).Seconds()*b.perSecond)
	b.at = now
	return b.tokens
}

// pause waits for d and then until the budget has a request to spare.
func (b *budget) pause(ctx context.Context, d time.Duration) error {
	if missing := 1 + budgetReserve - b.left(); missing > 0 {
		d = max(d, b.earn(missing))
	}
	if d <= 0 {
		return ctxtime.Err(ctx)
	}
	return ctxtime.Sleep(ctx, d)
}
