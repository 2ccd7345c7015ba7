package main

import (
	"syscall"
	"time"
)

// processorTime is what the process has used so far, in user and in system mode.
func processorTime() time.Duration {
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

// span is a Filetime that counts from nothing, in units of 100 nanoseconds.
func span(t syscall.Filetime) time.Duration {
	return time.Duration(uint64(t.HighDateTime)<<32|uint64(t.LowDateTime)) * 100 //nolint:gosec // a process doesn't run that long
}
