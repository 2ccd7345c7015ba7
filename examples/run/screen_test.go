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

// terminal is an unlimited terminal that supports only what the program uses.
type terminal struct {
	clitest.Buffer

	columns int
}

func (m *terminal) size() (columns, rows int) { return m.columns, 24 }

// shows returns the visible text, with the cursor's line last.
func (m *terminal) shows(t *testing.T) []string {
	t.Helper()
	var lines []string
	for line := range strings.SplitSeq(withoutColours(m.String()), "\n") {
		pieces := strings.Split(line, eraseLine)
		seen := pieces[len(pieces)-1]
		require.NotContains(t, seen, "\r")
		require.NotContains(t, seen, "\x1b")
		lines = append(lines, seen)
	}
	return lines
}

func TestProgressLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tty := &terminal{columns: 30}
		s := newScreen(cli.Env{Stdout: tty, Size: tty.size})
		s.print("one")
		require.Equal(t, []string{"one", ""}, tty.shows(t), "no progress yet")

		end := s.keepProgress()
		s.setProgress("1 of 2 steps done")
		s.print()
		require.Equal(t, []string{"one", " 0:00  1 of 2 steps done"}, tty.shows(t))

		s.print("two", "three")
		require.Equal(t, []string{"one", "two", "three", " 0:00  1 of 2 steps done"}, tty.shows(t))

		<-time.After(61*time.Second + time.Millisecond)
		require.Equal(t, " 1:01  1 of 2 steps done", tty.shows(t)[3], "the clock goes on by itself")

		s.setProgress("1 of 2 steps done, running: Integration tests")
		s.print()
		require.Equal(t, " 1:01  1 of 2 steps done, ru…", tty.shows(t)[3], "never as wide as the terminal")

		s.setProgress("1 of 2 steps done, running: Integration tests", "1/2: Integration tests", "1/2")
		s.print()
		require.Equal(t, " 1:01  1/2: Integration tests", tty.shows(t)[3], "the longest text that fits")

		s.setProgress("1 of 2 steps done, running: Integration tests", "1/2: Integration and other tests")
		s.print()
		require.Equal(t, " 1:01  1/2: Integration and …", tty.shows(t)[3], "none fits")

		end()
		s.print("four")
		require.Equal(t, []string{"one", "two", "three", "four", ""}, tty.shows(t))
	})
}

func TestScreenWithoutTerminal(t *testing.T) {
	var out clitest.Buffer
	s := newScreen(cli.Env{Stdout: &out})
	end := s.keepProgress()
	s.setProgress("1 of 2 steps done")
	s.print()
	s.print("one", s.colour.Paint(cli.Red, "two"))
	end()
	require.Equal(t, "one\ntwo\n", out.String())
}
