package cli

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

const credentialsHelp = `
Credentials come from the environment: BITBUCKET_TOKEN (an access token), or BITBUCKET_EMAIL and
BITBUCKET_API_TOKEN, or BITBUCKET_CLIENT_ID and BITBUCKET_CLIENT_SECRET (an OAuth consumer). Without
any of them it is the demo that runs, on a fake service within the program.
`

// SetUsage sets the output of -h: what the program does, its flags, its credentials and their scopes, and the exit statuses.
func SetUsage(flags *flag.FlagSet, intro, scopes, statuses string) {
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "%s\nFlags:\n", strings.TrimPrefix(intro, "\n"))
		flags.PrintDefaults()
		fmt.Fprintf(flags.Output(), "%s%s\nExit status (\"go run\" turns all but 0 into 1):%s"+
			"    2  wrong usage, or an error on the way\n  130  interrupted\n", credentialsHelp, scopes, statuses)
	}
}

// Repo defines a flag for a repository. The demo has a default. Naming a repository without credentials and without -demo is an error, so
// that nobody mistakes the demo for the real thing.
func Repo(flagName, value string, demo bool, own pipelines.Repo) (pipelines.Repo, error) {
	if value == "" && IsDemo(demo) {
		return own, nil
	}
	if err := CheckReal(flagName, value, demo); err != nil {
		return pipelines.Repo{}, err
	}
	if value == "" {
		return pipelines.Repo{}, fmt.Errorf("-%s is missing: name the repository as WORKSPACE/SLUG", flagName)
	}
	repo, err := pipelines.ParseRepo(value)
	if err != nil {
		return repo, fmt.Errorf("-%s: %s", flagName, Message(err))
	}
	return repo, nil
}

// CheckGiven rejects arguments that aren't flags, and flags with an empty value, which often comes from an unset shell variable.
func CheckGiven(flags *flag.FlagSet) error {
	var err error
	flags.Visit(func(f *flag.Flag) {
		if strings.TrimSpace(f.Value.String()) == "" {
			err = fmt.Errorf("-%s is empty", f.Name)
		}
	})
	if n := flags.NArg(); n > 0 {
		err = fmt.Errorf("%d arguments too many: all is said by flags", n)
	}
	return err
}

// IsDemo reports whether [Env.Connect] connects to a fake service, given the flag -demo.
func IsDemo(demo bool) bool { return demo || !HasCredentials() }

// CheckReal rejects a flag that names something of the service if there are no credentials and no -demo.
func CheckReal(flagName, value string, demo bool) error {
	if value != "" && !demo && !HasCredentials() {
		return fmt.Errorf("-%s needs credentials, and there are none in the environment: set BITBUCKET_TOKEN, or another of those that -h names",
			flagName)
	}
	return nil
}

// Usage prints what is wrong with the command line. It returns the exit status.
func (e Env) Usage(program string, err error) int {
	fmt.Fprintf(e.Stderr, "%s: %v\nThe flag -h explains all flags.\n", program, err)
	return Trouble
}

// Age is a flag: a duration such as "90m" and "36h", or a number of days such as "7d".
type Age time.Duration

// String implements [flag.Value].
func (a *Age) String() string {
	switch d := time.Duration(*a); {
	case d == 0:
		return ""
	case d%day == 0:
		return strconv.Itoa(int(d/day)) + "d"
	default:
		return d.String()
	}
}

const (
	day     = 24 * time.Hour
	maxDays = 36500
)

// Set implements [flag.Value].
func (a *Age) Set(text string) error {
	var d time.Duration
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || !(n <= maxDays) { // also rejects NaN
			return errors.New("not a number of days")
		}
		d = time.Duration(n * float64(day))
	} else {
		var err error
		if d, err = time.ParseDuration(text); err != nil {
			return errors.New(`neither a duration such as "36h" nor a number of days such as "7d"`)
		}
	}
	if d <= 0 {
		return errors.New("not positive")
	}
	*a = Age(d)
	return nil
}
