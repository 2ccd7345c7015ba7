package retrybudget_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/retrybudget"
)

// spendAll spends retries until there are none left, and returns how many there were.
func spendAll(b *retrybudget.Budget) (n int) {
	for b.Spend() {
		n++
	}
	return n
}

func TestABudgetIsSpentOnce(t *testing.T) {
	b := retrybudget.New(100, 4)
	require.Equal(t, 100, spendAll(b))
	require.Zero(t, spendAll(b))
}

func TestSuccessesGiveBackUpToTheCapacity(t *testing.T) {
	b := retrybudget.New(10, 4)
	b.Succeed()
	require.Equal(t, 10, spendAll(b), "it was full")
	b.Succeed()
	require.Equal(t, 4, spendAll(b))
	for range 5 {
		b.Succeed()
	}
	require.Equal(t, 10, spendAll(b))
}

func TestManyGoroutinesShareABudget(t *testing.T) {
	b := retrybudget.New(1000, 1)
	var spent atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { spent.Add(int32(spendAll(b))) })
	}
	wg.Wait()
	require.EqualValues(t, 1000, spent.Load())
}

func TestANilBudgetHasNoBound(t *testing.T) {
	var b *retrybudget.Budget
	for range 10_000 {
		require.True(t, b.Spend())
	}
	b.Succeed()
}
