package cli

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

// DemoRepo is the first repository of the demos.
var DemoRepo = pipelines.Repo{Workspace: "acme", Slug: "site"}

// DemoFlag adds the flag --demo.
func DemoFlag(flags *flag.FlagSet, demo *bool) {
	flags.BoolVar(demo, "demo", false, "work on a fake service even if there are credentials")
}

// Repo parses the value of a flag that names a repository. With --demo it is one of the demo's own, of which the first is the default. Naming
// one without credentials and without --demo is an error, so that nobody mistakes the demo for the real thing.
func Repo(flagName, value string, demo bool, own ...pipelines.Repo) (pipelines.Repo, error) {
	if value == "" && IsDemo(demo) {
		return own[0], nil
	}
	if err := CheckReal(flagName, value, demo); err != nil {
		return pipelines.Repo{}, err
	}
	if value == "" {
		return pipelines.Repo{}, fmt.Errorf("--%s is missing: name the repository as WORKSPACE/SLUG", flagName)
	}
	repo, err := pipelines.ParseRepo(value)
	if err != nil {
		return repo, fmt.Errorf("--%s: %s", flagName, Message(err))
	}
	var names []string
	for _, one := range own {
		names = append(names, one.String())
	}
	return repo, CheckReal(flagName, repo.String(), demo, names...)
}

// CheckGiven rejects arguments that aren't flags, and flags with an empty value. Some flags may be empty.
func CheckGiven(flags *flag.FlagSet, mayBeEmpty ...string) error {
	if n := flags.NArg(); n > 0 {
		return fmt.Errorf("%s too many: all is said by flags", Count(n, "argument", "arguments"))
	}
	return CheckEmpty(flags, mayBeEmpty...)
}

// CheckEmpty rejects flags with an empty value, which often comes from an unset shell variable.
func CheckEmpty(flags *flag.FlagSet, mayBeEmpty ...string) (err error) {
	flags.Visit(func(f *flag.Flag) {
		if strings.TrimSpace(f.Value.String()) == "" && !slices.Contains(mayBeEmpty, f.Name) {
			err = fmt.Errorf("--%s is empty", f.Name)
		}
	})
	return err
}

// Given returns the names of the flags that are on the command line.
func Given(flags *flag.FlagSet) map[string]bool {
	names := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { names[f.Name] = true })
	return names
}

// CheckQuota rejects an unusable number of requests an hour. At most a hundred times what the service allows any workspace is usable, as it is
// multiplied.
func CheckQuota(quota, least int) error {
	switch {
	case quota < least:
		return fmt.Errorf("--quota is below %d", least)
	case quota > 1_000_000:
		return errors.New("--quota is above 1,000,000, which no service allows")
	}
	return nil
}

// Zone returns the time zone that --zone names.
func Zone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("--zone: there is no time zone %q: its name has the form Europe/Berlin", name)
	}
	return zone, nil
}

// IsDemo reports whether [Env.Connect] connects to a fake service, given the flag --demo.
func IsDemo(demo bool) bool { return demo || !HasCredentials() }

// ErrNoCredentials is the error of what needs credentials and has no demo.
var ErrNoCredentials = errors.New("there are no credentials in the environment: set BITBUCKET_TOKEN, or another of those that -h names")

// CheckReal rejects a flag that names something of the service if there are no credentials and no --demo, and with --demo a name that isn't
// one of the demo's own, if those are known.
func CheckReal(flagName, value string, demo bool, own ...string) error {
	switch {
	case value == "":
	case demo && len(own) > 0 && !slices.Contains(own, value):
		return fmt.Errorf("--%s: %w", flagName, NotInDemo(value, own...))
	case !demo && !HasCredentials():
		return fmt.Errorf("--%s needs credentials, and there are none in the environment: set BITBUCKET_TOKEN, or another of those that -h names",
			flagName)
	}
	return nil
}

// NotInDemo is the error for a name that the demo's fake service doesn't have.
func NotInDemo(name string, own ...string) error {
	list, last := strings.Join(own[:len(own)-1], ", "), own[len(own)-1]
	if list != "" {
		last = list + " and " + last
	}
	return fmt.Errorf("the demo has %s, but not %s", last, Clean(name))
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
		return Short(d)
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
