// Package cputime measures the processor time that the process has used. Unlike the time of a clock, it doesn't grow while the machine does other
// things, so tests and benchmarks can bound it.
package cputime
