package pipelinestest

import (
	"context"
	"errors"
	"time"
)

// inBubble reports whether the caller runs in a bubble of testing/synctest. There is no call that tells; but a bubble's clock
// starts at midnight UTC 2000-01-01, and no other does today.
func inBubble() bool { return time.Now().Year() < 2001 }

const outsideBubbleMessage = "pipelinestest: this Server was made outside the testing/synctest bubble that uses it, and a bubble's clock stands still " +
	"while it waits for a socket: make Server and Client inside the bubble, or the Server with WithInProcess"

// bubbleLimiter is the limiter of clients that send over a socket. It holds no request back. In a bubble it fails each one before it is
// sent, where the request would wait for ever; unlike a transport, it leaves the client as it would be without it.
type bubbleLimiter struct{}

// Wait implements [pipelines.Limiter].
func (bubbleLimiter) Wait(context.Context) error {
	if inBubble() {
		return errors.New(outsideBubbleMessage)
	}
	return nil
}
