package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// terminal understands what the program uses, and scrolls without limit.
type terminal struct {
	columns, rows int

	mu  sync.Mutex
	out bytes.Buffer
}

func (m *terminal) size() (int, int) { return m.columns, m.rows }

func (m *terminal) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.out.Write(p)
}

var (
	colour = regexp.MustCompile("\x1b\\[\\d*m")
	redraw = regexp.MustCompile("\x1b\\[(\\d+)A\r\x1b\\[K\n\x1b\\[J\x1b\\[A")
)

// shows returns the visible lines.
func (m *terminal) shows(t *testing.T) []string {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	text := colour.ReplaceAllString(m.out.String(), "")
	var lines []string
	for {
		at := redraw.FindStringSubmatchIndex(text)
		if at == nil {
			break
		}
		lines = m.add(lines, text[:at[0]])
		up, err := strconv.Atoi(text[at[2]:at[3]])
		require.NoError(t, err)
		require.LessOrEqual(t, up, min(len(lines), m.rows), "the cursor stays on the screen")
		lines = lines[:len(lines)-up]
		text = text[at[1]:]
	}
	lines = m.add(lines, text)
	require.NotContains(t, strings.Join(lines, ""), "\x1b")
	return lines
}

func (m *terminal) add(lines []string, text string) []string {
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	return lines
}

// show runs the program on the terminal for a time.
func (m *terminal) show(t *testing.T, s *clitest.Fixture, d time.Duration, stdin io.Reader, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	env := cli.Env{
		Stdin: stdin, Stdout: m, Stderr: &s.Errs, Size: m.size, Colours: true,
		Options: []pipelines.Option{pipelines.WithHTTPClient(&http.Client{Transport: s.Transport()})},
	}
	require.Equal(t, cli.Success, run(ctx, args, env), s.Errs.String())
}

func TestATerminalHasATableAndLinesAboveIt(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		s.AddRepository("acme", "shop").AddPipeline(pipelines.Pipeline{
			CreatedOn: time.Now().Add(-time.Hour), CompletedOn: time.Now().Add(-59 * time.Minute), Creator: &pipelines.Account{DisplayName: "A\x1b[2Jda"},
		})
		repo.AddRun(script(time.Minute, pipelines.ResultFailed), time.Now())
		repo.AddRun(script(time.Hour, ""), time.Now(), pipelines.BranchTarget("feature/日本"))
		s.Inject(pipelinestest.Fault{Path: "/repositories/acme/old/*", Status: http.StatusForbidden})
		tty := &terminal{columns: 110, rows: 24}
		tty.show(t, s, 3*time.Minute, strings.NewReader(""), "acme/site", "acme/shop", "acme/old")
		lines := tty.shows(t)
		require.Len(t, lines, 8, strings.Join(lines, "\n"))
		require.Regexp(t, `^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  build 1 of acme/site on main: FAILED after 1:02: https://`, lines[1])
		require.Regexp(t, `^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  acme/old can't be read since .*: 403 Forbidden$`, lines[0])
		require.Regexp(t, `^REPOSITORY  BRANCH +BUILD  STATE +TIME  ENDED +BY$`, lines[2])
		require.Regexp(t, `^acme/site   feature/日本  2      RUNNING     [23]:\d\d +Pipelines Test$`, lines[3])
		require.Regexp(t, `^acme/site   main          1      FAILED      1:02  \d+ minutes? ago +Pipelines Test$`, lines[4])
		require.Regexp(t, `^acme/shop   main          1      SUCCESSFUL  1:00  1 hour ago +A\[2Jda$`, lines[5])
		require.Regexp(t, `^403 Forbidden since \d\d:\d\d:0\d: acme/old$`, lines[6])
		require.Regexp(t, `^3 repositories, each read about every 31s; 1 run followed; at most 1,000 requests an hour$`, lines[7])
		require.Contains(t, tty.out.String(), "\x1b[31mFAILED ")
	})
}

func TestATableFitsTheTerminal(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		for _, branch := range []string{"a", "b", "c", "d", "e", strings.Repeat("long", 20)} {
			repo.AddRun(script(time.Hour, ""), time.Now(), pipelines.BranchTarget(branch))
		}
		tty := &terminal{columns: 60, rows: 6}
		tty.show(t, s, time.Minute, strings.NewReader(""), "acme/site")
		lines := tty.shows(t)
		require.Len(t, lines, 5)
		for _, line := range lines {
			require.Less(t, cli.Columns(line), 60)
		}
		require.Regexp(t, `^acme/site   (long)+l?o?n?…  6      RUNNING  \d:\d\d$`, lines[1])
		require.Regexp(t, `^no room for 3 runs; 1 repository, each read`, lines[4])
	})
}

// TestANarrowTerminalShowsTheStates leaves names shortened before anything is left out, and of the columns the state stays longest.
func TestANarrowTerminalShowsTheStates(t *testing.T) {
	cells := [][]string{header, {"acme/" + strings.Repeat("repo", 10), strings.Repeat("日本", 20), "1234", "SUCCESSFUL", "1:02:03", "50 minutes ago", "Ada Lovelace"}}
	for columns, want := range map[int]string{
		200: "acme/" + strings.Repeat("repo", 10) + "  " + strings.Repeat("日本", 20) + "  1234   SUCCESSFUL  1:02:03  50 minutes ago  Ada Lovelace",
		99:  "acme/reporeporepor…  日本日本日本日本日…   1234   SUCCESSFUL  1:02:03  50 minutes ago  Ada Lovelace",
		79:  "  1234   SUCCESSFUL  1:02:03  50 minutes ago",
		59:  "  1234   SUCCESSFUL  1:02:03",
		39:  "acme/repore…  日本日本日本…  SUCCESSFUL",
		19:  "acme/r…  SUCCESSFUL",
		8:   "…  SUCC…",
	} {
		lines := (&screen{}).layOut(cells, columns)
		require.Contains(t, lines[1], want, columns)
		for _, line := range lines {
			require.LessOrEqual(t, cli.Columns(line), columns)
		}
	}
}

func TestARunEndedNeitherInTheFutureNorLongAgoWhenTheServiceDoesNotSay(t *testing.T) {
	now := time.Now()
	for want, completed := range map[string]time.Time{"now": now.Add(5 * time.Minute), "5 minutes ago": now.Add(-5 * time.Minute), "": {}} {
		p := &pipelines.Pipeline{CompletedOn: completed, State: pipelines.PipelineState{Name: pipelines.StateCompleted}}
		require.Equal(t, want, row{Pipeline: p}.cells(now)[endedColumn])
	}
}

func TestATableWithoutRunsSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, _ *pipelinestest.Repository) {
		tty := &terminal{columns: 100, rows: 24}
		tty.show(t, s, time.Minute, strings.NewReader(""), "acme/site")
		require.Equal(t, "There are no runs yet.", tty.shows(t)[0])
	})
}

func TestALineThatWrapsIsErased(t *testing.T) {
	var out bytes.Buffer
	columns := 80
	s := &screen{out: &out, size: func() (int, int) { return columns, 24 }}
	table := func(int, int) []string { return []string{strings.Repeat("x", 50), "y"} }
	require.NoError(t, s.flush(table))
	columns = 30
	s.moved()
	out.Reset()
	require.NoError(t, s.flush(table))
	require.True(t, strings.HasPrefix(out.String(), "\x1b[4A\r\x1b[K\n\x1b[J\x1b[A"), "two rows, one, and that of Enter: %q", out.String())
}

// tmux keeps what is cleared if the cursor is in the first row, so a table of the terminal's height would fill its history.
func TestNothingIsClearedFromTheFirstRow(t *testing.T) {
	var out bytes.Buffer
	s := &screen{out: &out, size: func() (int, int) { return 80, 3 }}
	table := func(int, int) []string { return []string{"x", "y"} }
	require.NoError(t, s.flush(table))
	s.say("news", "")
	require.NoError(t, s.flush(table))
	require.NotContains(t, out.String(), "A\r\x1b[J")
}

func TestAnOutageTakesOneLine(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, _ *pipelinestest.Repository) {
		s.Inject(pipelinestest.Fault{Drop: pipelinestest.DropBefore})
		tty := &terminal{columns: 110, rows: 6}
		tty.show(t, s, 50*time.Second, strings.NewReader(""), "acme/site", "acme/a", "acme/b", "acme/c", "acme/d", "acme/e")
		lines := tty.shows(t)
		require.Len(t, lines, 3, strings.Join(lines, "\n"))
		require.Regexp(t, `since \d\d:\d\d:0\d: acme/site, acme/a and 4 others$`, lines[1])
	})
}

func TestAReasonNamesNeitherRequestNorConnection(t *testing.T) {
	local, remote := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}
	lost := &net.OpError{Op: "read", Net: "tcp", Source: local, Addr: remote, Err: errors.New("connection reset by peer")}
	require.Equal(t, "no connection: connection reset by peer", reason(fmt.Errorf("pipelines: GET /repositories/acme/site/pipelines: %w", lost)))
	require.Equal(t, "EOF", reason(fmt.Errorf("pipelines: GET /repositories/acme/site/pipelines: %w", io.EOF)))
}

func TestManyProblemsLeaveRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		repo.AddPipelines(3)
		args := []string{"acme/site"}
		for status := 430; status < 450; status++ {
			name := fmt.Sprintf("acme/r%d", status)
			s.Inject(pipelinestest.Fault{Path: "/repositories/" + name + "/*", Status: status})
			args = append(args, name)
		}
		tty := &terminal{columns: 110, rows: 12}
		tty.show(t, s, 50*time.Second, strings.NewReader(""), args...)
		lines := tty.shows(t)
		require.Len(t, lines, 7, strings.Join(lines, "\n"))
		require.Equal(t, "17 more problems", lines[5])
	})
}

func TestEnterLooksNow(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		paused := script(time.Second, "")
		paused.Steps[0].Manual = true
		repo.AddRun(paused, time.Now())
		keys, keyboard := io.Pipe()
		defer keyboard.Close()
		tty := &terminal{columns: 110, rows: 24}
		time.AfterFunc(2*time.Hour+2*time.Minute, func() { // it is looked at every few minutes by now
			s.ClearRequests()
			_, _ = keyboard.Write([]byte("\n"))
			time.Sleep(time.Second)
			looks := s.RequestsTo(http.MethodGet, "/repositories/acme/site/pipelines/*")
			require.Len(t, looks, 1)
			_, _ = tty.Write([]byte("\n")) // the terminal's echo
		})
		tty.show(t, s, 2*time.Hour+3*time.Minute, keys, "--quota", "100", "acme/site")
		require.Len(t, tty.shows(t), 4, "the table is there once")
	})
}
