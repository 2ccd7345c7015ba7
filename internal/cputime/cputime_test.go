//go:build unix || windows

package cputime_test

import (
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/cputime"
)

func TestProcessorTimeGrowsWithWork(t *testing.T) {
	before := cputime.Used()
	require.Positive(t, before)
	for cputime.Used() == before {
		_ = sha256.Sum256(make([]byte, 1<<16))
	}
	require.Greater(t, cputime.Used(), before)
}
