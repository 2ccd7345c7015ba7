package cputime

import (
	"syscall"
	"time"
)

// Used returns the user and system time of the process.
func Used() time.Duration {
	process, err := syscall.GetCurrentProcess()
	if err != nil {
		return 0
	}
	var created, exited, system, user syscall.Filetime
	if err := syscall.GetProcessTimes(process, &created, &exited, &system, &user); err != nil {
		return 0
	}
	return span(system) + span(user)
}

// span converts a Filetime that is a duration, in units of 100 nanoseconds.
func span(t syscall.Filetime) time.Duration {
	return time.Duration(uint64(t.HighDateTime)<<32|uint64(t.LowDateTime)) * 100 //nolint:gosec // no process runs that long
}
