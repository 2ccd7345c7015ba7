package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// task is something to measure. run does it once.
type task struct {
	name    string
	clients []string // that support it; empty: all
	slow    bool     // each response has the latency of a service
	run     func(ctx context.Context, c client, size size) error
	rows    func(results map[string][]result, size size) []row
}

func (t *task) supports(client string) bool {
	return len(t.clients) == 0 || slices.Contains(t.clients, client)
}

var tasks = []task{
	{
		name: "get", run: calls(1, client.get),
		rows: func(r map[string][]result, s size) []row {
			const title = "get one pipeline, every field decoded"
			return []row{
				ratioRow(title, "CPU per call, µs", r, per(s.calls, cpu, time.Microsecond), atMost(0.90)),
				ratioRow(title, "allocations per call", r, per(s.calls, allocs, 1), noTarget),
			}
		},
	},
	{
		name: "small", run: calls(1, client.small),
		rows: func(r map[string][]result, s size) []row {
			const title = "get a resource of 140 bytes"
			return []row{
				ratioRow(title, "CPU per call, µs", r, per(s.calls, cpu, time.Microsecond), noTarget),
				ratioRow(title, "allocations per call", r, per(s.calls, allocs, 1), noTarget),
			}
		},
	},
	{
		name: "many", run: calls(16, client.get),
		rows: func(r map[string][]result, s size) []row {
			const title = "get one pipeline, 16 goroutines"
			return []row{
				ratioRow(title, "allocations per call", r, per(s.calls, allocs, 1), atMost(1.5)),
				ratioRow(title, "CPU per call, µs", r, per(s.calls, cpu, time.Microsecond), noTarget),
			}
		},
	},
	{
		name: "list", run: list(0),
		rows: func(r map[string][]result, s size) []row {
			title := fmt.Sprintf("list %d", s.runs)
			return []row{
				ratioRow(title, "CPU, ms", r, per(1, cpu, time.Millisecond), atMost(0.42)),
				ratioRow(title, "allocations per item", r, per(s.runs, allocs, 1), atMost(0.50)),
				sdkRow(title, "peak heap, MiB", r, peak, atMost(4)),
				sdkRow(title, "requests", r, requestCount, atMost(float64(s.pages()))),
			}
		},
	},
	{
		name: "list-slow", slow: true, run: list(0),
		rows: func(r map[string][]result, s size) []row {
			title := fmt.Sprintf("list %d, 20 ms latency", s.runs)
			return []row{
				sdkRow(title, "time / sequential limit", r, sequential(s), atMost(1.06)),
				sdkRow(title, "peak heap, MiB", r, peak, atMost(4)),
				sdkRow(title, "requests", r, requestCount, atMost(float64(s.pages()))),
			}
		},
	},
	{
		name: "list-ahead", slow: true, run: list(8), clients: []string{sdk},
		rows: func(r map[string][]result, s size) []row {
			title := "the same with Parallel(8)"
			return []row{
				sdkRow(title, "time / sequential limit", r, sequential(s), atMost(0.20)),
				sdkRow(title, "peak heap, MiB", r, peak, noTarget),
				sdkRow(title, "requests", r, requestCount, atMost(float64(s.pages()))),
			}
		},
	},
	{
		name: "log", run: copyLog(1),
		rows: func(r map[string][]result, s size) []row {
			return []row{sdkRow(fmt.Sprintf("log of %d MiB", s.log>>20), "peak heap, MiB", r, peak, atMost(2))}
		},
	},
	{
		name: "log-again", run: copyLog(logCopies), // one copy is too short to measure
		rows: func(r map[string][]result, s size) []row {
			title := fmt.Sprintf("log of %d MiB, read %d times", s.log>>20, logCopies)
			rate := func(r result) float64 { return logCopies * float64(s.log>>20) / r.Wall.Seconds() }
			return []row{
				ratioRow(title, "throughput, MiB/s", r, rate, atLeast(0.95)),
				ratioRow(title, "CPU, ms", r, per(1, cpu, time.Millisecond), noTarget),
			}
		},
	},
}

// calls returns a task that calls a method repeatedly from a number of goroutines.
func calls(goroutines int, call func(client, context.Context) error) func(context.Context, client, size) error {
	return func(ctx context.Context, c client, size size) error {
		errs := make([]error, goroutines)
		var all sync.WaitGroup
		for g := range goroutines {
			all.Go(func() {
				for i := g; i < size.calls && errs[g] == nil; i += goroutines {
					errs[g] = call(c, ctx)
				}
			})
		}
		all.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	}
}

func list(parallel int) func(context.Context, client, size) error {
	return func(ctx context.Context, c client, size size) error {
		n, err := c.list(ctx, parallel)
		if err == nil && n != size.runs {
			err = fmt.Errorf("got %d items, want %d", n, size.runs)
		}
		return err
	}
}

const logCopies = 5

func copyLog(times int) func(context.Context, client, size) error {
	return func(ctx context.Context, c client, size size) error {
		for range times {
			n, err := c.log(ctx)
			if err == nil && n != int64(size.log) {
				err = fmt.Errorf("got %d bytes, want %d", n, size.log)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

func cpu(r result) float64          { return float64(r.CPU) }
func allocs(r result) float64       { return float64(r.Allocs) }
func peak(r result) float64         { return float64(r.Peak) / (1 << 20) }
func requestCount(r result) float64 { return float64(r.Requests) }

// per divides a figure by a number of calls and by a unit.
func per(calls int, figure func(result) float64, unit time.Duration) func(result) float64 {
	return func(r result) float64 { return figure(r) / float64(calls) / float64(unit) }
}

// sequential is the time of a list divided by the latency of its pages, one after the other.
func sequential(s size) func(result) float64 {
	return func(r result) float64 { return float64(r.Wall) / float64(latency) / float64(s.pages()) }
}
