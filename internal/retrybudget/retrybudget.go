// Package retrybudget bounds how often many calls together try again while none succeeds.
package retrybudget

import "sync"

// Budget is a number of retries that calls spend and successes give back. Time gives nothing back. It is safe for concurrent use.
// A nil Budget has no bound.
type Budget struct {
	capacity, perSuccess int

	mu   sync.Mutex
	left int
}

// New returns a full Budget of capacity retries. Each success gives perSuccess of them back.
func New(capacity, perSuccess int) *Budget {
	return &Budget{capacity: capacity, perSuccess: perSuccess, left: capacity}
}

// Spend pays for a retry. It reports whether there was one left.
func (b *Budget) Spend() bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left <= 0 {
		return false
	}
	b.left--
	return true
}

// Succeed gives back what a call has earned that succeeded.
func (b *Budget) Succeed() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = min(b.capacity, b.left+b.perSuccess)
}
