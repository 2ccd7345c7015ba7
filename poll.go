package pipelines

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/poll"
	"github.com/seed-85ed9bfd/pipelines/internal/rangereader"
)

const (
	newRunGrace = 10 * time.Second // a run may not be found right after its start
	logGrace    = time.Minute      // a log isn't found while it moves to storage

	quotaDelay   = 5 * time.Minute // the quota is one of a rolling hour, so some of it comes back in this time
	longestDelay = 2 * time.Hour   // a longer Retry-After ends the polling
)

// newBudget checks what all polling methods take, and returns the budget that their requests share.
func newBudget(ctx context.Context, perHour, byDefault int) (*poll.Budget, error) {
	if ctx == nil {
		return nil, invalidArgument("context is nil")
	}
	if perHour < 0 {
		return nil, invalidArgument("RequestsPerHour %d is negative", perHour)
	}
	return poll.NewBudget(cmp.Or(perHour, byDefault)), nil
}

// charge makes a call pay for its requests, retries included, from the budget.
func charge(b *poll.Budget) CallOption {
	return callOption(func(k *call) error {
		k.budget, k.polls = b, true
		return nil
	})
}

// tolerate takes the result of a poll. It returns nil if the polling goes on, because the poll succeeded or the next one may
// succeed, and else err.
func tolerate(ctx context.Context, failures *poll.Failures, err error) error {
	switch {
	case err == nil:
		failures.Reset()
		return nil
	case ctx.Err() != nil:
		return err
	case isNotFound(err) && !failures.NotFound.Observe(newRunGrace):
		failures.Postpone(0)
		return nil
	case !temporary(err):
		return err
	}
	var retryAfter time.Duration
	var apiErr *APIError
	if errors.As(err, &apiErr) {
		retryAfter = apiErr.RetryAfter
	}
	switch {
	case retryAfter > longestDelay:
		return err
	case errors.Is(err, ErrRateLimited): // the quota comes back for sure
		if retryAfter <= 0 {
			retryAfter = quotaDelay
		}
		failures.Postpone(retryAfter)
		return nil
	case !failures.Count(retryAfter):
		return err
	}
	return nil
}

// heldBack returns for how long a request is held back that wasn't sent because another one got a 429, or 0.
func heldBack(err error) time.Duration {
	var apiErr *APIError
	if errors.As(err, &apiErr) && apiErr.Attempts == 0 {
		return cmp.Or(apiErr.RetryAfter, quotaDelay)
	}
	return 0
}

// isNotFound reports whether err is a 404 of the API or a storage host, but not of the token endpoint.
func isNotFound(err error) bool {
	var apiErr *APIError
	return errors.As(err, &apiErr) && apiErr.StatusCode == http.StatusNotFound && apiErr.Operation != opToken.Name
}

// temporary reports whether the next poll may succeed after err.
func temporary(err error) bool {
	var link *expiredLinkError
	var encoded *rangereader.EncodingError
	var apiErr *APIError
	switch {
	case errors.As(err, &encoded):
		return false
	case errors.As(err, &link):
		return true
	case errors.As(err, &apiErr):
		return errors.Is(err, ErrServer) || errors.Is(err, ErrRateLimited)
	case errors.Is(err, ErrInvalidArgument), errors.Is(err, rangereader.ErrChanged), errors.Is(err, errRangeLeft), errors.Is(err, fs.ErrClosed):
		return false
	}
	return !permanent(err)
}
