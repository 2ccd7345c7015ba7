// Package cli is what the example programs have in common: where they print, how they find the service, how they tell of
// progress and of errors.
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
	"syscall"

	"golang.org/x/term"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// The exit statuses.
const (
	Success     = 0
	Failure     = 1 // the program did what it was to do, and the answer is no
	Trouble     = 2 // it couldn't do it, or not all of it
	Interrupted = 130
)

// Env is what a program finds around it, apart from the environment variables.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Terminal       bool               // Stderr is one, on which a line may be written anew
	Options        []pipelines.Option // of the client, after the program's own
}

// Interruptible returns a context that the first interrupt ends. A second one ends the process at once: by the time the context is
// done, signals do again what they do by default, which [signal.NotifyContext] can't promise.
func Interruptible() context.Context {
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

// Main runs a program with a context that is [Interruptible], and ends the process with its status.
func Main(run func(ctx context.Context, args []string, env Env) int) {
	env := Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Terminal: term.IsTerminal(int(os.Stderr.Fd())) && os.Getenv("TERM") != "dumb"}
	os.Exit(run(Interruptible(), os.Args[1:], env))
}

// Parse parses the flags. Where the program is to end, because of -h or of flags that don't fit, ok is false and status the exit
// status.
func (e Env) Parse(flags *flag.FlagSet, args []string) (status int, ok bool) {
	flags.SetOutput(io.Discard)
	usage := flags.Usage
	flags.Usage = func() {}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(e.Stdout)
		if usage == nil {
			usage = flags.PrintDefaults
		}
		usage()
		return Success, false
	case err != nil:
		fmt.Fprintf(e.Stderr, "%s: %v\nThe flag -h explains all of them.\n", flags.Name(), err)
		return Trouble, false
	}
	return Success, true
}

// HasCredentials reports whether the environment has anything that [pipelines.WithEnv] takes for credentials.
func HasCredentials() bool {
	for _, name := range []string{
		"BITBUCKET_TOKEN", "BITBUCKET_EMAIL", "BITBUCKET_API_TOKEN", "BITBUCKET_CLIENT_ID", "BITBUCKET_CLIENT_SECRET",
	} {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// Connect makes a client of the service, or, with demo or without credentials in the environment, of a fake one that seed fills.
// It says so on Stderr. The options are those of the fake service. end has to be called.
func (e Env) Connect(
	program string, demo bool, seed func(*pipelinestest.Server), options ...pipelinestest.ServerOption,
) (c *pipelines.Client, isDemo bool, end func(), err error) {
	if !demo && HasCredentials() {
		own := []pipelines.Option{pipelines.WithEnv(), pipelines.WithUserAgent("pipelines-examples-" + program)}
		c, err = pipelines.NewClient(append(own, e.Options...)...)
		if err != nil {
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

// provenance is what the SDK's errors begin with. It tells programmers where to look, and says nothing to users.
var provenance = regexp.MustCompile(`^(pipelines: ([A-Z]\w*\.[A-Z]\w*: )?)*(invalid argument: )?`)

// Words is the text of an error without where in the SDK it comes from.
func Words(err error) string { return provenance.ReplaceAllString(err.Error(), "") }

// Fail says what went wrong, and what to do about it where that is known. It returns the exit status.
func (e Env) Fail(ctx context.Context, program string, err error) int {
	if ctx.Err() != nil {
		fmt.Fprintf(e.Stderr, "%s: interrupted: %s\n", program, Clean(Words(err)))
		return Interrupted
	}
	fmt.Fprintf(e.Stderr, "%s: %s\n", program, Clean(Words(err)))
	switch {
	case errors.Is(err, pipelines.ErrTooManySchedules): // also an ErrUnauthorized, with credentials that are right
	case errors.Is(err, pipelines.ErrUnauthorized):
		fmt.Fprintln(e.Stderr, "The service doesn't accept the credentials: are they complete, of the right kind, and not expired?")
	case errors.Is(err, pipelines.ErrForbidden):
		fmt.Fprintln(e.Stderr, "The credentials don't allow this: are their scopes the ones that -h names?")
	case errors.Is(err, pipelines.ErrOutcomeUnknown):
		fmt.Fprintln(e.Stderr, "The request was sent and not answered: look whether it took effect before you try again.")
	}
	return Trouble
}
