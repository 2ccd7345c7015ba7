package pipelines

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/rangereader"
)

// contentSource says how the content of a log or a cache is requested and how its errors look. Each request is a call like k.
func (k *call) contentSource(
	fetch func(context.Context, http.Header) (*http.Response, error),
) rangereader.Source {
	return rangereader.Source{
		Fetch:       fetch,
		MaxAttempts: k.policy.MaxAttempts,
		Backoff:     func(n int) time.Duration { return k.policy.backoff(n, 0) },
		WrapError: func(offset int64, err error) error {
			return k.wrap(fmt.Errorf("at byte %d: %w", offset, stripURL(err)))
		},
	}
}

// fetch sends the call's request and leaves the response's body to the caller. For a response 416 it returns a
// [rangereader.NotSatisfiableError].
func (k *call) fetch(ctx context.Context, header http.Header) (*http.Response, error) {
	resp, err := k.sendStream(ctx, header)
	if last := k.refusal; err != nil && last != nil && last.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return nil, rangereader.NotSatisfiable(err, last.Header)
	}
	return resp, err
}
