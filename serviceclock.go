package pipelines

import (
	"net/http"
	"time"
)

// How much earlier than a time of the caller's something may have been created that was created after it. The service's own time, if
// its responses tell it, is inaccurate by a second and by the time that a response takes. Otherwise the clocks may differ.
const (
	toleranceOfDates  = time.Minute
	toleranceOfClocks = 5 * time.Minute
)

// serviceClock compares the service's times with one of the caller's. It is a [CallOption] of the calls whose responses tell the
// service's time.
type serviceClock struct {
	since  time.Time
	resp   *http.Response  // the last response
	wanted **http.Response // of the caller's WithResponse; nil: none
}

func newServiceClock(since time.Time) (*serviceClock, error) {
	if since.IsZero() {
		return nil, invalidArgument("since is zero")
	}
	return &serviceClock{since: since}, nil
}

func (c *serviceClock) vary(k *call) error {
	c.wanted, k.into = k.into, &c.resp
	k.stepwise = true // what a page tells decides whether the next one is needed
	return nil
}

// publish stores the last response where the caller wants it.
func (c *serviceClock) publish() {
	if c.wanted != nil {
		*c.wanted = c.resp
	}
}

// isBefore reports whether a time of the service is certainly before that of the caller. A zero one is unknown.
func (c *serviceClock) isBefore(t time.Time) bool {
	since, tolerance, _ := c.translated()
	return !t.IsZero() && t.Before(since.Add(-tolerance))
}

// isProbablyBefore reports whether a time of the service is before that of the caller, as far as the service tells its own.
func (c *serviceClock) isProbablyBefore(t time.Time) bool {
	since, _, accuracy := c.translated()
	return !t.IsZero() && t.Before(since.Add(-accuracy))
}

// translated returns the caller's time by the service's clock, how much earlier a time may be that isn't before it, and how much
// earlier it is at most if nothing delays the responses.
func (c *serviceClock) translated() (since time.Time, tolerance, accuracy time.Duration) {
	if c.resp == nil {
		return c.since, toleranceOfClocks, toleranceOfClocks
	}
	date, err := http.ParseTime(c.resp.Header.Get("Date"))
	if err != nil {
		return c.since, toleranceOfClocks, toleranceOfClocks
	}
	return c.since.Add(time.Until(date)), toleranceOfDates, time.Second
}
