package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/cputime"
)

// result is what one run of a task with one client costs.
type result struct {
	Unsupported bool          // the client has no such call
	CPU         time.Duration // of the client's process, user and system
	Wall        time.Duration
	Peak        int64  // largest growth of the heap in bytes, with garbage
	Allocs      uint64 // objects
	Requests    int
}

// clientProcess runs a task once and prints the result as JSON.
func clientProcess(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	name := flags.String("task", "", "task to run")
	client := flags.String("client", "", "client to run it with")
	base := flags.String("base", "", "base URL of the server")
	profile := flags.String("profile", "", "prefix of files for profiles of processor and heap")
	var size size
	size.flags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, t := range tasks {
		if t.name != *name {
			continue
		}
		r, err := withProfiles(*profile, func() (result, error) { return measure(ctx, t, *client, *base, size) })
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	return fmt.Errorf("unknown task %q", *name)
}

// withProfiles runs f and writes its profiles, if a prefix for the files is given.
func withProfiles(prefix string, f func() (result, error)) (result, error) {
	if prefix == "" {
		return f()
	}
	runtime.MemProfileRate = 4 << 10
	var cpu, heap bytes.Buffer
	if err := pprof.StartCPUProfile(&cpu); err != nil {
		return result{}, err
	}
	r, err := f()
	pprof.StopCPUProfile()
	if err == nil {
		err = pprof.Lookup("allocs").WriteTo(&heap, 0)
	}
	if err == nil {
		err = os.WriteFile(prefix+".cpu", cpu.Bytes(), 0o600)
	}
	if err == nil {
		err = os.WriteFile(prefix+".mem", heap.Bytes(), 0o600)
	}
	return r, err
}

// measure runs a task once. A call before it opens the connection and fills caches, so that they aren't counted.
func measure(ctx context.Context, t task, name, base string, size size) (r result, err error) {
	if !t.supports(name) {
		return result{Unsupported: true}, nil
	}
	stats := strings.TrimSuffix(base, "/2.0") + "/stats"
	if t.slow {
		base = strings.TrimSuffix(base, "/2.0") + "/slow/2.0"
	}
	c, err := newClient(name, base)
	if err != nil {
		return r, err
	}
	if err := c.get(ctx); err != nil {
		return r, err
	}
	before, err := requests(ctx, stats)
	if err != nil {
		return r, err
	}
	m := start()
	err = t.run(ctx, c, size)
	m.finish(&r)
	if err != nil {
		return r, err
	}
	after, err := requests(ctx, stats)
	r.Requests = after - before
	return r, err
}

// requests returns how many requests of clients the server has received.
func requests(ctx context.Context, stats string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, stats, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(body))
}

// meter measures from start to finish.
type meter struct {
	began  time.Time
	cpu    time.Duration
	allocs uint64
	heap   *heapMeter
}

func start() *meter {
	runtime.GC()
	runtime.GC() // finishes sweeping
	m := &meter{heap: watchHeap()}
	m.allocs = allocated()
	m.cpu = cputime.Used()
	m.began = time.Now()
	return m
}

func (m *meter) finish(r *result) {
	r.Wall = time.Since(m.began)
	r.CPU = cputime.Used() - m.cpu
	r.Allocs = allocated() - m.allocs
	r.Peak = m.heap.stop()
}

func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.Mallocs
}

// heapMeter samples the heap every millisecond, including garbage that isn't collected yet. Unlike runtime.ReadMemStats it doesn't stop the
// program.
type heapMeter struct {
	sample      []metrics.Sample
	start, peak int64
	done        chan struct{}
	ended       chan struct{}
}

func watchHeap() *heapMeter {
	h := &heapMeter{
		sample: []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}},
		done:   make(chan struct{}), ended: make(chan struct{}),
	}
	h.read()
	h.start = h.peak
	go h.watch()
	return h
}

func (h *heapMeter) read() {
	metrics.Read(h.sample)
	h.peak = max(h.peak, int64(h.sample[0].Value.Uint64())) //nolint:gosec // no heap is that large
}

func (h *heapMeter) watch() {
	defer close(h.ended)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.read()
		case <-h.done:
			h.read()
			return
		}
	}
}

// stop returns the largest growth of the heap.
func (h *heapMeter) stop() int64 {
	close(h.done)
	<-h.ended
	return h.peak - h.start
}
