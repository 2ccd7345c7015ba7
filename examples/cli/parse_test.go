package cli

import (
	"bytes"
	"errors"
	"flag"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func someFlags() *flag.FlagSet {
	flags := flag.NewFlagSet("prog", flag.ContinueOnError)
	flags.Bool("demo", false, "work on a fake service")
	flags.Int("tail", 0, "the last `LINES`")
	flags.Uint("quota", 0, "`REQUESTS` an hour")
	flags.Float64("rate", 0, "requests a `SECOND`")
	flags.Duration("timeout", time.Hour, "how long to wait, a `DURATION`")
	flags.String("repo", "", "the repository, as `WORKSPACE/SLUG`")
	flags.Var(new(Age), "older", "an `AGE`")
	flags.Func("port", "a `PORT`", func(s string) error { _, err := strconv.Atoi(s); return err })
	flags.Func("secret", "a `SECRET`", func(s string) error { return errors.New("unknown: " + strconv.Quote(s)) })
	flags.BoolFunc("now", "at once", func(string) error { return errors.New("not today") })
	return flags
}

func TestAWrongFlagIsNamedInAPlainSentence(t *testing.T) {
	for want, args := range map[string][]string{
		"there is no flag --prone":                                       {"--prone"},
		"there is no flag --token":                                       {"-token=hunter2"},
		"there is no flag --x[31my":                                      {"-x\x1b[31my"},
		"--repo needs a value":                                           {"--demo", "-repo"},
		"--tail: not a whole number":                                     {"--tail=hunter2"},
		"--tail: the number is too large or too small":                   {"--tail", "99999999999999999999"},
		"--quota: not a whole number, or negative":                       {"-quota", "-3"},
		"--rate: not a number":                                           {"-rate", "hunter2"},
		`--timeout: not a duration such as "90s" or "2h30m"`:             {"-timeout", "hunter2"},
		"--older: not positive":                                          {"-older", "-3d"},
		"--demo: takes no value, or one of =true and =false":             {"--demo=hunter2"},
		"--port: not a number":                                           {"--port", "hunter2"},
		"--port: the number is too large or too small":                   {"--port", "9" + strconv.Itoa(math.MaxInt)},
		"--secret: the value can't be used":                              {"--secret", "hunter2"},
		"--now: not today":                                               {"--now"},
		"an argument begins with - but is no flag: flags are written":    {"---hunter2"},
		"an argument begins with - but is no flag: flags are written as": {"-=hunter2"},
	} {
		var out, errs bytes.Buffer
		status, ok := Env{Stdout: &out, Stderr: &errs}.Parse(someFlags(), args)
		require.False(t, ok)
		require.Equal(t, Trouble, status)
		require.Contains(t, errs.String(), "prog: "+want)
		require.NotContains(t, errs.String(), "hunter2")
		require.NotContains(t, errs.String(), "\x1b")
		require.Empty(t, out.String())
	}
}

func TestFlagsKeepTheirValuesWhenTheyAreParsed(t *testing.T) {
	flags := someFlags()
	_, ok := Env{}.Parse(flags, []string{"-demo", "--tail=3", "-older", "2d", "--repo", "acme/site"})
	require.True(t, ok)
	require.Equal(t, 3, flags.Lookup("tail").Value.(flag.Getter).Get())
	require.Equal(t, "2d", flags.Lookup("older").Value.String())
	require.Equal(t, "true", flags.Lookup("demo").Value.String())
}
