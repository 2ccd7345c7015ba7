package main

import (
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/seed-85ed9bfd/pipelines"
)

const (
	keptLines = 200 // of the end of each log
	tailLines = 20  // of them that are shown of a failed step
)

// tailOf returns the last lines of a failed step's log that tell why, and whether there is a teardown after them.
//
// The service writes "+ COMMAND" before the output of a command. The last command of the script is the one that failed. Its output ends at
// the next command, which is one of the after-script, or at the end if that was only a command within the script. So the lines before each
// of these are shown.
func (f *follower) tailOf(s *step) (tail []string, teardown bool) {
	lines := s.tail
	failed := 1 + lastIndex(lines, func(line string) bool { return f.echoes(line, s.SetupCommands, s.ScriptCommands) })
	index := func(is func(line string) bool) int {
		if i := slices.IndexFunc(lines[failed:], is); i >= 0 {
			return failed + i
		}
		return len(lines)
	}
	end := index(func(line string) bool { return isTeardown(line) || f.echoes(line, s.TeardownCommands) })
	output, hidden := withoutEmptyEnd(lines[:end]), end < len(lines)
	if len(output) == 0 {
		return last(lines, tailLines), false
	}
	next := len(output)
	if len(s.ScriptCommands) > 0 {
		next = min(next, index(isEcho))
	}
	before, after := withoutEmptyEnd(output[:next]), output[next:]
	shown := last(after, tailLines-min(len(before), tailLines/2))
	tail = slices.Clone(last(before, tailLines-len(shown)))
	if len(shown) < len(after) {
		tail = append(tail, "…")
	}
	return append(tail, shown...), hidden
}

// teardowns begin the first line that the service writes after the script and the after-script.
var teardowns = []string{
	"Searching for test report files", "Searching for files matching artifact pattern", "Assembling contents of new cache",
}

func isTeardown(line string) bool {
	line = ansi.Strip(line)
	return slices.ContainsFunc(teardowns, func(begin string) bool { return strings.HasPrefix(line, begin) })
}

func isEcho(line string) bool { return strings.HasPrefix(ansi.Strip(line), "+ ") }

// echoes reports whether a line is what the service writes before the output of one of the commands.
func (f *follower) echoes(line string, lists ...[]pipelines.Command) bool {
	if !isEcho(line) {
		return false
	}
	line = f.text(line)
	return slices.ContainsFunc(slices.Concat(lists...), func(c pipelines.Command) bool {
		first, _, _ := strings.Cut(strings.TrimSpace(c.Command), "\n")
		return first != "" && line == f.text("+ "+first)
	})
}

func last(lines []string, n int) []string { return lines[max(0, len(lines)-n):] }

func withoutEmptyEnd(lines []string) []string {
	return lines[:1+lastIndex(lines, func(line string) bool { return strings.TrimSpace(ansi.Strip(line)) != "" })]
}

func lastIndex(lines []string, is func(string) bool) int {
	for i, line := range slices.Backward(lines) {
		if is(line) {
			return i
		}
	}
	return -1
}
