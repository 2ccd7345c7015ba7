package ctxtime_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/ctxtime"
)

func TestSleepWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		require.NoError(t, ctxtime.Sleep(t.Context(), time.Hour))
		require.Equal(t, time.Hour, time.Since(start))
	})
}

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, ctxtime.Sleep(ctx, time.Hour), context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start))
	})
}

func TestErrHasTheCause(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	require.NoError(t, ctxtime.Err(ctx))
	cause := errors.New("the program stops")
	cancel(cause)
	require.ErrorIs(t, ctxtime.Err(ctx), cause)
	require.ErrorIs(t, ctxtime.Err(ctx), context.Canceled)
	require.EqualError(t, ctxtime.Err(ctx), "context canceled: the program stops")
}

func TestErrNamesAPlainEndOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.EqualError(t, ctxtime.Err(ctx), "context canceled")
}
