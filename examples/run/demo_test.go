package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
)

// pace keeps when each line was printed.
type pace struct {
	clitest.Buffer

	lines []time.Duration
	begin time.Time
}

func (p *pace) Write(text []byte) (int, error) {
	for range strings.Count(string(text), "\n") {
		p.lines = append(p.lines, time.Since(p.begin))
	}
	return p.Buffer.Write(text)
}

// most returns the highest number of lines that are printed within a time.
func (p *pace) most(within time.Duration) int {
	most := 0
	for i, from := range p.lines {
		n := 0
		for _, at := range p.lines[i:] {
			if at-from < within {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

func TestAPersonCanFollowTheDemo(t *testing.T) {
	for _, args := range [][]string{{"-demo"}, {"-demo", "-demo-fail"}} {
		synctest.Test(t, func(t *testing.T) {
			clitest.SetCredentials(t, "")
			out := &pace{begin: time.Now()}
			run(t.Context(), args, cli.Env{Stdout: out, Stderr: out})
			require.LessOrEqual(t, out.most(time.Second), 8)
			took := time.Since(out.begin)
			require.Greater(t, took, 10*time.Second)
			require.Less(t, took, 16*time.Second)
			following, _, found := strings.Cut(out.String(), "\nSTEP ")
			require.True(t, found)
			require.Less(t, strings.Count(following, "\n"), 50, "about two screens")
			require.Contains(t, following, "Unit tests         │ ✓ unit/cart")
			require.Contains(t, following, "Integration tests  │ ✓ integration/cart")
		})
	}
}
