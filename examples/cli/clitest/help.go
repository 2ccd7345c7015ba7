package clitest

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
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
		var names []string // none if the program chooses between commands first
		env := cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Parsing: func(flags *flag.FlagSet) {
			flags.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
		}}
		require.Equal(t, cli.Success, run(t.Context(), append(args[:len(args):len(args)], spelling), env))
		require.Empty(t, errs.String())
		require.Contains(t, []string{"", out.String()}, help, "one output for all spellings")
		help = out.String()
		require.NoError(t, checkHelp(help, names))
	}
	return help
}

var footer = regexp.MustCompile(`\n(Credentials come from the environment: |` + regexp.QuoteMeta(cli.NotNeeded) + `\n)(?s:.*)\n` +
	`Exit status \("go run" turns all but 0 into 1\):\n(  \d+ +\S.*\n( {5,}\S.*\n)*)+$`)

func checkHelp(help string, flags []string) error {
	for line := range strings.Lines(help) {
		line = strings.TrimSuffix(line, "\n")
		if cli.Columns(line) > helpColumns || strings.TrimRight(line, " ") != line || strings.Contains(line, "\t") {
			return fmt.Errorf("too long, or with space that can't be seen: %q", line)
		}
	}
	if !strings.Contains(help, "\nUsage:\n  ") {
		return errors.New("there are no usage lines")
	}
	if !footer.MatchString(help) {
		return errors.New("it doesn't end with credentials and exit statuses")
	}
	for _, name := range flags {
		quoted := regexp.QuoteMeta(name)
		if n := len(regexp.MustCompile(`(?m)^  --`+quoted+`( |$)`).FindAllString(help, -1)); n != 1 {
			return fmt.Errorf("%d lines describe --%s", n, name)
		}
		if regexp.MustCompile(`(^|[^-\w])-` + quoted + `($|[^-\w])`).MatchString(help) {
			return fmt.Errorf("--%s has one hyphen somewhere", name)
		}
	}
	return nil
}
