package poll

import "time"

// MinInterval is the interval after a change.
const MinInterval = 2 * time.Second

// Interval is the time between two polls of one thing. It starts at [MinInterval] after a change and grows by half with each poll
// that finds no change. It grows further while the budget is low.
type Interval struct {
	Idle     time.Duration // the longest while nothing changes
	Relax    int           // while idle, the interval may grow beyond Idle to idle time / Relax; 0: never
	Max      time.Duration // the longest, however low the budget is
	Priority Priority

	current time.Duration
	changed time.Time // when a poll last found a change
}

// Priority says which polls become rarer first while the budget runs low.
type Priority int

const (
	// High leaves the interval as it is until a quarter of the budget is left.
	High Priority = iota
	// Low makes the interval longer as soon as the budget is not full.
	Low
)

// stretch returns the factor by which an interval grows at a fill level of the budget, from above 0 to 1.
func (p Priority) stretch(fill float64) float64 {
	if p == Low {
		return 1 / (fill * fill * fill * fill)
	}
	return max(1, 1/(4*fill))
}

// Update takes the result of a poll. A poll that comes late, because others went first, makes the interval grow as several would.
func (i *Interval) Update(changed bool) {
	if changed || i.current == 0 {
		i.current, i.changed = MinInterval, time.Now()
		return
	}
	idle := i.Idle
	if i.Relax > 0 {
		idle = max(idle, time.Since(i.changed)/time.Duration(i.Relax))
	}
	i.current = min(max(i.current*3/2, time.Since(i.changed)/4), idle)
}

// Become takes the bounds of another interval and stays as long as it is.
func (i *Interval) Become(other Interval) {
	other.current, other.changed = i.current, i.changed
	*i = other
}

// SetIdle makes the interval as long as if nothing had changed for a while.
func (i *Interval) SetIdle() { i.current = i.Idle }

// Reset makes the interval as short as after a change.
func (i *Interval) Reset() { i.current, i.changed = MinInterval, time.Now() }

// Next returns the time until the next poll, given how full the budget is, from 0 to 1.
func (i *Interval) Next(fill float64) time.Duration {
	return min(time.Duration(float64(max(i.current, MinInterval))*i.Priority.stretch(max(fill, .01))), i.Max)
}
