package cli

import (
	"bytes"
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var exampleHelp = Help{
	Intro: "prog does a thing that takes a sentence to explain, long enough that the line has to be wrapped somewhere in the middle.\n\nA second paragraph.\n  kept   as it is",
	Usage: []Item{{"prog --repo WORKSPACE/SLUG [--tail LINES]", "does it"}, {"prog --demo", "a demo on a fake service"}},
	Groups: []Group{
		{"What", "repo", "unknown"},
		{"Nothing", "unknown"},
		{"How", "tail", "timeout"},
	},
	Notes:       "A note.",
	Credentials: DemoRuns,
	Scopes:      "Scopes: pipeline.",
	Statuses:    []Item{{"0", "done"}, TroubleStatus, InterruptedStatus},
}

func helpOf(h Help, flags *flag.FlagSet, args ...string) string {
	var out bytes.Buffer
	h.Set(flags)
	Env{Stdout: &out}.Parse(flags, args)
	return out.String()
}

func TestHelpHasOneForm(t *testing.T) {
	flags := flag.NewFlagSet("prog", flag.ContinueOnError)
	flags.Bool("demo", false, "work on a fake service even if there are credentials")
	flags.Int("tail", 10, "print the last `LINES` of the logs of failed steps too, which takes more requests than without")
	flags.Duration("timeout", time.Hour, "give up after this `DURATION`; 0: never")
	flags.String("repo", "", "the repository, as `WORKSPACE/SLUG`")
	require.Equal(t, `prog does a thing that takes a sentence to explain, long enough that the line has to be wrapped
somewhere in the middle.

A second paragraph.
  kept   as it is

Usage:
  prog --repo WORKSPACE/SLUG [--tail LINES]
               does it
  prog --demo  a demo on a fake service

What:
  --repo WORKSPACE/SLUG  the repository, as WORKSPACE/SLUG

How:
  --tail LINES        print the last LINES of the logs of failed steps too, which takes more
                      requests than without (default 10)
  --timeout DURATION  give up after this DURATION; 0: never (default 1h)

Other flags:
  --demo  work on a fake service even if there are credentials

A note.

Credentials come from the environment: BITBUCKET_TOKEN (an access token), or BITBUCKET_EMAIL and
BITBUCKET_API_TOKEN, or BITBUCKET_CLIENT_ID and BITBUCKET_CLIENT_SECRET (an OAuth consumer). Without
them a demo runs, on a fake service within the program; flags that name something on the real
service are refused then. With --demo they name what the fake one has, in the workspace acme.

Scopes: pipeline.

Exit status ("go run" turns all but 0 into 1):
  0    done
  2    wrong usage, or an error on the way
  130  interrupted
`, helpOf(exampleHelp, flags, "-h"))
}

func TestHelpIsPrintedForEachSpelling(t *testing.T) {
	want := helpOf(exampleHelp, someFlags(), "-h")
	for _, args := range [][]string{{"--help"}, {"-help"}, {"--h"}, {"--tail", "3", "-h"}, {"-h", "--no-such-flag"}, {"--demo", "--help", "x"}} {
		require.Equal(t, want, helpOf(exampleHelp, someFlags(), args...), args)
	}
}

func TestHelpHasEveryFlagOnceAndItsDefault(t *testing.T) {
	for _, h := range []Help{exampleHelp, {}} {
		flags := someFlags()
		out := helpOf(h, flags, "-h")
		flags.VisitAll(func(f *flag.Flag) { require.Equal(t, 1, strings.Count(out, "\n  --"+f.Name+" "), f.Name) })
		for line := range strings.Lines(out) {
			require.LessOrEqual(t, Columns(strings.TrimSuffix(line, "\n")), helpColumns)
		}
		require.NotContains(t, out, "default 0")
		require.NotContains(t, out, "default false")
		require.NotContains(t, out, "unknown")
	}
}

func TestHelpIsAsWideAsTheTerminalOrAHundredColumns(t *testing.T) {
	for columns, widest := range map[int]int{60: 60, 80: 80, 100: 100, 300: 100, 0: 100} {
		out := &narrow{columns: columns}
		flags := someFlags()
		exampleHelp.Set(flags)
		Env{Stdout: out}.Parse(flags, []string{"-h"})
		used := 0
		for line := range strings.Lines(out.String()) {
			used = max(used, Columns(strings.TrimSuffix(line, "\n")))
		}
		require.LessOrEqual(t, used, widest)
		require.Greater(t, used, widest-8)
		require.Equal(t, strings.Fields(helpOf(exampleHelp, someFlags(), "-h")), strings.Fields(out.String()))
	}
}

func TestHelpShowsDefaultsShortly(t *testing.T) {
	flags := flag.NewFlagSet("prog", flag.ContinueOnError)
	flags.Duration("a", 90*time.Minute, "")
	flags.Duration("b", 90*time.Second, "")
	flags.Duration("c", 1500*time.Millisecond, "")
	flags.String("d", "main", "the default is main")
	flags.String("e", "127.0.0.1:80", "the `ADDRESS`")
	flags.Duration("f", 0, "")
	out := helpOf(Help{}, flags, "-h")
	for _, want := range []string{"--a DURATION  (default 1h30m)", "(default 1m30s)", "(default 1.5s)", "--d TEXT      the default is main\n", "the ADDRESS (default 127.0.0.1:80)", "--f DURATION\n"} {
		require.Contains(t, out, want)
	}
}

func TestHelpOfAProgramWithoutCredentialsDoesNotNameThem(t *testing.T) {
	out := helpOf(Help{Credentials: NotNeeded}, someFlags(), "-h")
	require.Contains(t, out, "\n"+NotNeeded+"\n")
	require.NotContains(t, out, "BITBUCKET_")
}
