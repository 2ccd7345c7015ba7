// Package cli is shared by the example programs: output, connection to the service, progress and errors.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// The exit statuses.
const (
	Success     = 0
	Failure     = 1 // the program ran, and the result is negative
	Trouble     = 2 // the program failed, or did only a part
	Interrupted = 130
)

// Env is the environment of a program, apart from the environment variables.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Terminal       bool                // Stderr is a terminal
	Columns        func() int          // of the terminal on Stderr; nil: 80
	Size           func() (int, int)   // columns and rows of the terminal on Stdout; nil: no terminal
	Colours        Colours             // of Stdout
	Options        []pipelines.Option  // of the client, after those of the program
	Parsing        func(*flag.FlagSet) // nil, or sees the flags before Parse parses them: for tests
}

// untilInterrupt returns a context that the first interrupt cancels. A second interrupt ends the process at once: signals have their default
// effect before the context is done, which [signal.NotifyContext] can't guarantee.
func untilInterrupt() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals)
		cancel()
	}()
	return ctx
}

// Pause waits, and returns an error if the context ends before.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return ctx.Err()
}

// readFunc is an [io.Reader].
type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// interruptible returns a reader that reads from r until ctx ends, also while r waits for somebody to type.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	type result struct {
		n   int
		err error
	}
	return readFunc(func(p []byte) (int, error) {
		own := make([]byte, len(p)) // r may write to it later
		done := make(chan result, 1)
		go func() {
			n, err := r.Read(own)
			done <- result{n, err}
		}()
		select {
		case is := <-done:
			return copy(p, own[:is.n]), is.err
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
}

// Main runs a program with a context that the first interrupt cancels, and exits with its status.
func Main(run func(ctx context.Context, args []string, env Env) int) {
	ctx := untilInterrupt()
	out := &output{Writer: os.Stdout, size: terminal(os.Stdout)}
	env := Env{Stdin: interruptible(ctx, os.Stdin), Stdout: out, Stderr: os.Stderr, Size: out.size}
	env.Colours = env.Size != nil && os.Getenv("NO_COLOR") == ""
	if size := terminal(os.Stderr); size != nil {
		env.Terminal = true
		env.Columns = func() int {
			columns, _ := size()
			return columns
		}
	}
	os.Exit(out.status(run(ctx, os.Args[1:], env), os.Stderr))
}

// Parse parses the flags. If the program has to exit, because of -h or invalid flags, ok is false and status is the exit status.
func (e Env) Parse(flags *flag.FlagSet, args []string) (status int, ok bool) {
	if e.Parsing != nil {
		e.Parsing(flags)
	}
	flags.SetOutput(io.Discard)
	usage := flags.Usage
	flags.Usage = func() {}
	err := parse(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(e.Stdout)
		if usage == nil {
			usage = flags.PrintDefaults
		}
		usage()
		return Success, false
	case err != nil:
		return e.Usage(flags.Name(), err), false
	}
	return Success, true
}

// Usage prints what is wrong with the command line. It returns the exit status.
func (e Env) Usage(program string, err error) int {
	fmt.Fprintf(e.Stderr, "%s: %v\n-h explains all flags.\n", program, err)
	return Trouble
}

// Say prints a line with texts of the service on Stdout.
func (e Env) Say(format string, args ...any) {
	fmt.Fprintln(e.Stdout, Clean(fmt.Sprintf(format, args...)))
}

// With returns the environment with more options of the client.
func (e Env) With(options ...pipelines.Option) Env {
	e.Options = slices.Concat(e.Options, options)
	return e
}

// HasCredentials reports whether the environment has credentials for [pipelines.WithEnv].
func HasCredentials() bool {
	names := append([]string{"BITBUCKET_EMAIL", "BITBUCKET_CLIENT_ID"}, SecretCredentials...)
	return slices.ContainsFunc(names, func(name string) bool { return os.Getenv(name) != "" })
}

// SecretCredentials are the environment variables for [pipelines.WithEnv] that hold a secret.
var SecretCredentials = []string{"BITBUCKET_TOKEN", "BITBUCKET_API_TOKEN", "BITBUCKET_CLIENT_SECRET"}

// NewClient returns a client of the service with the options of a program.
func (e Env) NewClient(program string, own ...pipelines.Option) (*pipelines.Client, error) {
	return pipelines.NewClient(slices.Concat([]pipelines.Option{pipelines.WithUserAgent("pipelines-examples-" + program)}, own, e.Options)...)
}

// Connect returns a client of the service. With demo, or without credentials in the environment, it is a client of a fake service with the
// given options that seed fills, and a note on Stderr says so. Call end when done.
func (e Env) Connect(
	program string, demo bool, seed func(*pipelinestest.Server), options ...pipelinestest.ServerOption,
) (c *pipelines.Client, isDemo bool, end func(), err error) {
	if !demo && HasCredentials() {
		if c, err = e.NewClient(program, pipelines.WithEnv()); err != nil {
			return nil, false, nil, err
		}
		return c, false, c.CloseIdleConnections, nil
	}
	reason := "This is a demo"
	if !demo {
		reason = "No credentials in the environment: this is a demo"
	}
	fmt.Fprintln(e.Stderr, reason+" against a fake service.")
	srv := pipelinestest.NewServer(options...)
	seed(srv)
	c = srv.Client(e.Options...)
	return c, true, func() {
		c.CloseIdleConnections()
		srv.Close()
	}, nil
}

// provenance is what the SDK's errors tell programmers, but not users.
var provenance = regexp.MustCompile(`(^|: )(?:pipelines: (?:(?:List|[A-Z]\w*\.[A-Z]\w*): )*|invalid argument: )+`)

// Message returns the text of an error without the SDK's prefixes.
func Message(err error) string { return provenance.ReplaceAllString(err.Error(), "$1") }

// Interruption returns the text of an error that an interrupt has caused.
func Interruption(err error) string {
	canceled := context.Canceled.Error()
	text := strings.TrimSuffix("interrupted: "+Message(err), ": "+canceled)
	return strings.Replace(text, canceled+" while ", "", 1)
}

// Fail prints an error and, if known, what to do about it. It returns the exit status.
func (e Env) Fail(ctx context.Context, program string, err error) int {
	if ctx.Err() != nil {
		fmt.Fprintf(e.Stderr, "%s: %s\n", program, Clean(Interruption(err)))
		return Interrupted
	}
	fmt.Fprintf(e.Stderr, "%s: %s\n", program, Clean(Message(err)))
	if hint := Hint(err); hint != "" {
		fmt.Fprintln(e.Stderr, hint)
	}
	return Trouble
}

// Hint tells what to do about an error; empty: that isn't known.
func Hint(err error) string {
	switch {
	case errors.Is(err, pipelines.ErrTooManySchedules): // also an ErrUnauthorized, although the credentials are valid
	case errors.Is(err, pipelines.ErrUnauthorized):
		return "The service doesn't accept the credentials: are they complete, of the right kind, and not expired?"
	case errors.Is(err, pipelines.ErrForbidden):
		return "The credentials don't allow this: are their scopes the ones that -h names?"
	case errors.Is(err, pipelines.ErrNotFound):
		return "Are the names right? What the credentials may not see counts as not found, too."
	case errors.Is(err, pipelines.ErrOutcomeUnknown):
		return "The request was sent, but no response says what became of it: check whether it took effect before you try again."
	}
	return ""
}
