package clitest

import (
	"bytes"
	"context"
	"flag"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// helpColumns is the maximum width of the output of -h.
const helpColumns = 100

// RequireHelp runs a program, or with args one of its commands, with each spelling of -h. It requires the form that [cli.Help] has: usage
// lines, every flag once and with two hyphens, and at the end the credentials and the exit statuses. It returns the output.
func RequireHelp(t *testing.T, run func(context.Context, []string, cli.Env) int, args ...string) string {
	t.Helper()
	SetCredentials(t, "")
	var help string
	for _, spelling := range []string{"-h", "--help", "-help"} {
		var out, errs bytes.Buffer
		var flags *flag.FlagSet
		env := cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Parsing: func(f *flag.FlagSet) { flags = f }}
		require.Equal(t, cli.Success, run(t.Context(), append(args[:len(args):len(args)], spelling), env))
		require.Empty(t, errs.String())
		if help != "" {
			require.Equal(t, help, out.String())
		}
		help = out.String()
		requireForm(t, help)
		if flags != nil { // nil: the program chooses between commands first
			flags.VisitAll(func(f *flag.Flag) { requireFlag(t, help, f.Name) })
		}
	}
	return help
}

var footer = regexp.MustCompile(`\n(Credentials come from the environment: |` + regexp.QuoteMeta(cli.NotNeeded) +
	`\n)(?s:.*)\nExit status \("go run" turns all but 0 into 1\):\n(  ( |\d+  )\S?.*\n)+$`)

func requireForm(t *testing.T, help string) {
	t.Helper()
	for line := range strings.Lines(help) {
		line = strings.TrimSuffix(line, "\n")
		require.LessOrEqual(t, cli.Columns(line), helpColumns, line)
		require.Equal(t, strings.TrimRight(line, " \t"), line)
	}
	require.Contains(t, help, "\nUsage:\n  ")
	require.Regexp(t, footer, help)
}

// requireFlag requires one line that describes a flag, and that the flag has two hyphens wherever it is named.
func requireFlag(t *testing.T, help, name string) {
	t.Helper()
	quoted := regexp.QuoteMeta(name)
	require.Len(t, regexp.MustCompile(`(?m)^  --`+quoted+`( |$)`).FindAllString(help, -1), 1, "lines of --%s", name)
	require.NotRegexp(t, `(^|[^-\w])-`+quoted+`\b`, help)
}
