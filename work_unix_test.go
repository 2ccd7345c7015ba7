//go:build unix

package pipelines_test

import (
	"syscall"
	"time"
)

// work is the processor time that the process has used. Unlike the time of a clock, it doesn't grow while the machine does other things.
func work() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
