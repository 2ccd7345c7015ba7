// Package chaos runs operations of the SDK through TCP proxies (toxiproxy, in process) that delay, slice, throttle, swallow, cut and reset
// connections. It then compares what the SDK reported with what the service has. It is a module of its own, so that importers of the SDK
// download no proxy.
//
// It proves that on a bad network nothing is started or created twice, that operations reported as done are done and those reported as not
// done are not, that an unknown outcome is reported as one, that every byte of a log or a cache is correct, and that no connection and no
// goroutine leaks. A run in which the network caused no failure fails.
//
// Each run logs its seed. The seed determines the faults and the operations of each worker, but not how they interleave, so a run with the
// same seed is similar, not identical:
//
//	CHAOS_SEED=42 go test -race -v ./...
//
// With -short the load is smaller.
package chaos
