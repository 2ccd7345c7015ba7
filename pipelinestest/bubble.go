package pipelinestest

import (
	"context"
	"errors"
	"time"
)

// inBubble reports whether the goroutine runs in a bubble of testing/synctest. There is no function for this, but the clock of a bubble
// starts at midnight UTC on 2000-01-01, and no other clock does today.
func inBubble() bool { return time.Now().Year() < 2001 }

const outsideBubbleMessage = "pipelinestest: this Server was made outside the testing/synctest bubble that uses it, and a bubble's clock stands still " +
	"while it waits for a socket: make Server and Client inside the bubble, or the Server with WithInProcess"

// bubbleLimiter is the limiter of clients that send over a socket. It delays no request. In a bubble it fails each request before it is
// sent, because the request would block forever. A limiter, unlike a transport, leaves the client's HTTP client unchanged.
type bubbleLimiter struct{}

// Wait implements [pipelines.Limiter].
func (bubbleLimiter) Wait(context.Context) error {
	if inBubble() {
		return errors.New(outsideBubbleMessage)
	}
	return nil
}
