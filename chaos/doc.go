// Package chaos runs a load of the SDK's operations through TCP proxies that delay, slice, throttle, swallow, cut and reset what passes
// (toxiproxy, in process), and then compares what the SDK said with what the service has. It is a module of its own, so that importers of
// the SDK download no proxy.
//
// It proves that on a bad network nothing is started or created twice, that what was reported as done is done and what was reported as
// not done is not, that an unknown outcome is reported as one, that every byte of a log or a cache is the source's, and that no connection
// and no goroutine is left. A run in which the network did no harm fails.
//
// Each run logs its seed, which fixes the faults and each worker's operations. How they meet is up to the scheduler, so that a run with the
// same seed is alike and not the same:
//
//	CHAOS_SEED=42 go test -race -v ./...
//
// With -short the load is smaller.
package chaos
