// Package bench compares the SDK with net/http and encoding/json as a careful programmer would use them by hand, in one run.
// The benchmarks' names tell the client, so that benchstat can put them side by side; make bench does.
package bench
