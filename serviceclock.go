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
	return !t.IsZero() && t.Before(c.earliest())
}

// earliest returns the caller's time by the service's clock, with a tolerance.
func (c *serviceClock) earliest() time.Time {
	if c.resp == nil {
		return c.since.Add(-toleranceOfClocks)
	}
	date, err := http.ParseTime(c.resp.Header.Get("Date"))
	if err != nil {
		return c.since.Add(-toleranceOfClocks)
	}
	return c.since.Add(time.Until(date) - toleranceOfDates)
}
