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
	failed := f.failedCommand(lines, slices.Concat(s.SetupCommands, s.ScriptCommands))
	index := func(is func(line string) bool) int {
		if i := slices.IndexFunc(lines[failed:], is); i >= 0 {
			return failed + i
		}
		return len(lines)
	}
	end := index(func(line string) bool { return isTeardown(line) || f.echoed(line, s.TeardownCommands) >= 0 })
	output, hidden := withoutEmptyEnd(lines[:end]), end < len(lines)
	if len(output) == 0 {
		return withoutEmptyBegin(last(withoutEmptyEnd(lines), tailLines)), false
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

// failedCommand returns where the output of the last command begins that was run. Commands are run in order, so that an earlier one that comes
// again is one of the after-script.
func (f *follower) failedCommand(lines []string, commands []pipelines.Command) int {
	output := 0
	for i, line := range lines {
		if n := f.echoed(line, commands); n >= 0 {
			output, commands = i+1, commands[n+1:]
		}
	}
	return output
}

// echoed returns the index of the command before whose output the service writes this line, or -1.
func (f *follower) echoed(line string, commands []pipelines.Command) int {
	if !isEcho(line) {
		return -1
	}
	line = f.text(line)
	return slices.IndexFunc(commands, func(c pipelines.Command) bool {
		first, _, _ := strings.Cut(strings.TrimSpace(c.Command), "\n")
		return first != "" && line == f.text("+ "+first)
	})
}

func last(lines []string, n int) []string { return lines[max(0, len(lines)-n):] }

func isEmpty(line string) bool { return strings.TrimSpace(ansi.Strip(line)) == "" }

func withoutEmptyBegin(lines []string) []string {
	begin := 0
	for begin < len(lines) && isEmpty(lines[begin]) {
		begin++
	}
	return lines[begin:]
}

func withoutEmptyEnd(lines []string) []string {
	end := len(lines)
	for end > 0 && isEmpty(lines[end-1]) {
		end--
	}
	return lines[:end]
}
