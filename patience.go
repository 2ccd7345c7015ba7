package pipelines

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/poll"
	"github.com/seed-85ed9bfd/pipelines/internal/rangereader"
)

const (
	newRunGrace     = 10 * time.Second // a run may not be found right after its start
	logGrace        = time.Minute      // a log isn't found while it moves to storage
	repositoryGrace = time.Minute      // a repository isn't found twice, so far apart, before it is believed to be gone
	problemGrace    = time.Minute      // following fails for so long before an event says so

	tolerance      = 30 * time.Minute // of failures, by default
	quotaTolerance = 2 * time.Hour    // of a used-up quota, by default: it is one of a rolling hour
	quotaDelay     = 5 * time.Minute  // some of the quota comes back in this time
	goneDelay      = 10 * time.Minute // between polls for what hasn't been found for long
	longestDelay   = 2 * time.Hour    // a longer Retry-After is not believed
)

// patience decides whether failed polls end the following of one thing.
type patience struct {
	tolerate  func(err error, failingFor time.Duration) bool
	renewable bool // a 401 may come to an end, because the credentials have other tokens

	failures       poll.Failures
	absence        poll.Absence // of what was never seen
	repositoryGone poll.Absence
}

func (c *Client) newPatience(tolerate func(error, time.Duration) bool) patience {
	if tolerate == nil {
		tolerate = tolerateForAWhile
	}
	return patience{tolerate: tolerate, renewable: c.transport.credentials != nil && c.transport.credentials.renewable()}
}

// tolerateForAWhile is the default of the methods that follow one call's runs.
func tolerateForAWhile(err error, failingFor time.Duration) bool {
	if errors.Is(err, ErrRateLimited) {
		return failingFor < quotaTolerance && retryAfterOf(err) <= longestDelay
	}
	return failingFor < tolerance
}

// tolerateForever is the default of [Follower].
func tolerateForever(error, time.Duration) bool { return true }

// charge makes a call pay for its requests, retries included. While polls fail, each of them is one request: the next poll is the
// retry.
func (p *patience) charge(line *poll.Line) CallOption {
	return callOption(func(k *call) error {
		k.line, k.polls = line, true
		if p.failures.Last() || line.Failing() {
			k.policy.MaxAttempts = 1
		}
		return nil
	})
}

// observe takes the result of a poll. It returns nil if following goes on, because the poll succeeded or the next one may succeed,
// and else err. Seen reports whether what is polled was found before.
func (p *patience) observe(ctx context.Context, err error, seen bool) error {
	switch {
	case err == nil:
		p.failures.Reset()
		p.absence, p.repositoryGone = poll.Absence{}, poll.Absence{}
		return nil
	case ctx.Err() != nil:
		return err
	case isNotFound(err) && !seen:
		if p.absence.Observe(newRunGrace) {
			return err
		}
		return nil
	case isNotFound(err) && errors.Is(err, ErrRepositoryNotFound) && p.repositoryGone.Observe(repositoryGrace):
		return err
	case !isNotFound(err) && !p.temporary(err):
		return err
	}
	p.failures.Add(p.delay(err))
	if !p.tolerate(err, time.Since(p.failures.Since())) {
		return err
	}
	return nil
}

// delay returns how long to wait at least after err.
func (p *patience) delay(err error) time.Duration {
	asked := min(retryAfterOf(err), longestDelay)
	switch {
	case asked > 0:
		return asked
	case errors.Is(err, ErrRateLimited):
		return quotaDelay
	case isNotFound(err) && p.failures.Last() && time.Since(p.failures.Since()) > tolerance: // it hardly comes back
		return goneDelay
	}
	return 0
}

func retryAfterOf(err error) time.Duration {
	var apiErr *APIError
	if !errors.As(err, &apiErr) {
		return 0
	}
	return apiErr.RetryAfter
}

// problem returns how following fails, once that has lasted for a while or will, and else nil.
func (p *patience) problem(err error) *Event {
	if !p.failures.Last() || max(time.Since(p.failures.Since()), p.failures.Delay()) < problemGrace {
		return nil
	}
	return &Event{Kind: EventProblem, Err: err, FailingSince: p.failures.Since()}
}

// isNotFound reports whether err is a 404 of the API or a storage host, but not of the token endpoint.
func isNotFound(err error) bool {
	var apiErr *APIError
	return errors.As(err, &apiErr) && apiErr.StatusCode == http.StatusNotFound && apiErr.Operation != opToken.Name
}

// temporary reports whether the next poll may succeed after err.
func (p *patience) temporary(err error) bool {
	var link *expiredLinkError
	var encoded *rangereader.EncodingError
	var apiErr *APIError
	switch {
	case errors.As(err, &encoded):
		return false
	case errors.As(err, &link):
		return true
	case errors.As(err, &apiErr):
		return errors.Is(err, ErrServer) || errors.Is(err, ErrRateLimited) || (p.renewable && isUnauthorized(apiErr))
	case errors.Is(err, ErrInvalidArgument), errors.Is(err, rangereader.ErrChanged), errors.Is(err, errRangeLeft), errors.Is(err, fs.ErrClosed):
		return false
	}
	return !permanent(err)
}

// isOutage reports whether err says that the service fails as a whole.
func (p *patience) isOutage(err error) bool {
	var apiErr *APIError
	if err == nil || !p.temporary(err) {
		return false
	}
	return !errors.As(err, &apiErr) || errors.Is(err, ErrServer)
}

// isUnauthorized reports whether the API refused a token. A refusal of the token endpoint is one of the credentials themselves.
func isUnauthorized(err *APIError) bool {
	return err.StatusCode == http.StatusUnauthorized && err.Operation != opToken.Name
}

// checkFollowing checks what all methods that follow take.
func checkFollowing(ctx context.Context, perHour int) error {
	if ctx == nil {
		return invalidArgument("context is nil")
	}
	if perHour < 0 {
		return invalidArgument("RequestsPerHour %d is negative", perHour)
	}
	return nil
}
