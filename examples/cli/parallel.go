package cli

import (
	"context"
	"sync"
)

// InParallel does something with items in their order, several at once, until one fails or the context ends.
func InParallel[T any](ctx context.Context, atOnce int, items []T, do func(context.Context, T) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	queue := make(chan T, len(items))
	for _, item := range items {
		queue <- item
	}
	close(queue)
	var workers sync.WaitGroup
	for range max(1, atOnce) {
		workers.Go(func() {
			for item := range queue {
				if ctx.Err() != nil {
					return
				}
				if err := do(ctx, item); err != nil {
					stop(err)
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}
