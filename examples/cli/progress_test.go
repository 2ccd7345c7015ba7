package cli

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// drawn returns what was drawn in place, one state of the line each.
func drawn(out string) []string {
	return strings.FieldsFunc(out, func(r rune) bool { return r == '\r' })
}

func TestTheProgressBarFitsTheTerminalAlsoWhenItsSizeChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		columns := 100
		p := Env{Stderr: &out, Terminal: true, Columns: func() int { return columns }}.NewProgress("repositories put into Redis", 12345)
		for _, columns = range []int{100, 60, 40, 20, 5, 1, 60} {
			time.Sleep(time.Second)
			out.Reset()
			p.Add(1234)
			require.NotContains(t, out.String(), "\n")
			for _, line := range drawn(out.String()) {
				require.LessOrEqual(t, Columns(line+"^C"), max(2, columns-1), "%d columns: %q", columns, line)
			}
			if columns >= 20 {
				require.Contains(t, out.String(), "of 12,345")
			}
			if columns == 100 {
				require.Regexp(t, `1,234 of 12,345 repositories put into Redis, about 9s left +\[#+\.+\]`, out.String())
			}
		}
	})
}

func TestTheProgressBarLeavesAnEmptyLineAndNoGoroutineBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails if a goroutine is left
		var out bytes.Buffer
		p := Env{Stderr: &out, Terminal: true}.NewProgress("runs", 2)
		time.Sleep(time.Second)
		p.Add(1)
		p.Hide()
		require.True(t, strings.HasSuffix(out.String(), "\r\x1b[K"))
		out.Reset()
		time.Sleep(time.Second)
		p.Add(1)
		require.Contains(t, out.String(), "2 of 2 runs", "it comes back")
		p.End()
		out.Reset()
		time.Sleep(time.Minute)
		p.Add(1)
		p.Hide()
		p.End()
		require.Empty(t, out.String())
	})
}

func TestProgressWithoutATerminalIsALineNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := Env{Stderr: &out}.NewProgress("runs", 4000)
		for range 3000 {
			time.Sleep(10 * time.Millisecond)
			p.Add(1)
		}
		p.End()
		require.Regexp(t, `^1,000 of 4,000 runs, about (30|29)s left\n2,000 of 4,000 runs, about (20|19)s left\n3,000 of 4,000 runs, about (10|9)s left\n$`, out.String())
	})
}

func TestTheLastSecondIsNotEstimated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := Env{Stderr: &out, Terminal: true}.NewProgress("runs", 100)
		for range 99 {
			time.Sleep(100 * time.Millisecond)
			p.Add(1)
		}
		require.Contains(t, out.String(), "50 of 100 runs, about 5s left")
		require.NotContains(t, out.String(), " 0s left")
	})
}

func TestProgressOfAnUnknownTotalCounts(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			p := Env{Stderr: &out, Terminal: terminal}.NewProgress("runs listed", 0)
			time.Sleep(time.Minute)
			p.Add(1200)
			require.Regexp(t, `^(\r\x1b\[K)?1,200 runs listed\n?$`, out.String())
		})
	}
}

func TestWhatWasDoneEarlierDoesNotAffectTheEstimate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := Env{Stderr: &out}.NewProgress("runs", 1000)
		time.Sleep(time.Second)
		p.Resume(900)
		time.Sleep(20 * time.Second)
		p.Add(10)
		left := regexp.MustCompile(`^910 of 1,000 runs, about (.*) left\n$`).FindStringSubmatch(out.String())
		require.NotNil(t, left, out.String())
		d, err := time.ParseDuration(left[1])
		require.NoError(t, err)
		require.InDelta(t, 180, d.Seconds(), 10)
	})
}

func TestProgressCountsFromManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := Env{Stderr: &out, Terminal: true}.NewProgress("runs", 500)
		for range 50 {
			go func() {
				for range 10 {
					time.Sleep(50 * time.Millisecond)
					p.Add(1)
				}
			}()
		}
		time.Sleep(time.Minute)
		p.Add(0)
		lines := drawn(out.String())
		require.Contains(t, lines[len(lines)-1], fmt.Sprintf("%d of %d runs", 500, 500))
	})
}
