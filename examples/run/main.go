// Command run starts a pipeline of Bitbucket Pipelines and follows it live. With --demo, or without credentials in the environment, it runs
// against a fake service in its own process. See its -h.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

func main() { cli.Main(run) }

// run runs the program and returns the exit status. Cancelling ctx is an interrupt.
func run(ctx context.Context, args []string, env cli.Env) int {
	o := newOptions()
	if status, ok := env.Parse(o.flags, args); !ok {
		return status
	}
	credentials := cli.HasCredentials()
	if err := o.check(credentials); err != nil {
		return env.Usage(program, err)
	}
	s := &job{options: o, demo: o.demo || !credentials, screen: newScreen(env), stderr: env.Stderr, hidden: newSecrets(o.secrets.list), repo: o.named}
	end, err := s.connect(env)
	if err != nil {
		return s.fail(err)
	}
	defer end()
	if o.stop > 0 {
		return s.stop(ctx)
	}
	return s.run(ctx)
}

// job is one run of the program.
type job struct {
	options *options
	demo    bool
	screen  *screen
	stderr  io.Writer
	hidden  secrets

	client *pipelines.Client
	repo   pipelines.Repo
}

// connect returns a client of the service, or of the fake one.
func (s *job) connect(env cli.Env) (end func(), err error) {
	if s.demo {
		s.screen.print(s.demoHeading())
		s.client, end = startDemo(s.options.demoFail, env.Options)
		return end, nil
	}
	if s.client, err = env.NewClient(program, pipelines.WithEnv()); err != nil {
		return nil, err
	}
	return s.client.CloseIdleConnections, nil
}

func (s *job) demoHeading() string {
	if s.options.demo {
		return "This is a demo against a fake service, and its links lead nowhere."
	}
	return "No credentials in the environment: this is a demo against a fake service, and its links lead nowhere."
}

// run starts a run and follows it. The timeout applies to both.
func (s *job) run(ctx context.Context) int {
	following, cancel := ctx, context.CancelFunc(func() {})
	if s.options.timeout > 0 {
		following, cancel = context.WithTimeout(ctx, s.options.timeout)
	}
	defer cancel()
	since := time.Now()
	p, err := s.client.Pipelines.Run(following, s.repo, s.options.request())
	if err == nil && p.BuildNumber == 0 {
		if whole, err := s.client.Pipelines.Get(following, s.repo, p.UUID); err == nil {
			p = whole
		}
	}
	switch {
	case err != nil:
		return s.notStarted(ctx, following, since, err)
	case s.options.noFollow:
		s.screen.printf("%d %s", p.BuildNumber, p.WebURL(s.repo))
		return cli.Success
	}
	s.screen.printf("Run #%d of %s on %s: %s", p.BuildNumber, s.repo, s.text(s.options.on()), p.WebURL(s.repo))
	f := newFollower(s, p)
	if err := f.follow(following); err != nil {
		return s.lost(ctx, following, f.pipeline, err)
	}
	return f.report()
}

// notStarted reports that there is no run to follow, and returns the exit status.
func (s *job) notStarted(ctx, following context.Context, since time.Time, err error) int {
	if errors.Is(err, pipelines.ErrOutcomeUnknown) {
		s.fail(err)
		return s.perhapsStarted(ctx, since)
	}
	switch {
	case ctx.Err() != nil:
		s.say("Interrupted before the run was started.")
		return cli.Interrupted
	case following.Err() != nil:
		s.say("The timeout of %v passed before the run was started.", s.options.timeout)
		return cli.Trouble
	}
	return s.fail(err)
}

// lost reports that a run was not followed to its end, and returns the exit status.
func (s *job) lost(ctx, following context.Context, p *pipelines.Pipeline, err error) int {
	switch {
	case ctx.Err() != nil && s.options.stopOnInterrupt:
		s.stopRun(context.WithoutCancel(ctx), p.BuildNumber)
		return cli.Interrupted
	case ctx.Err() != nil:
		s.say("Interrupted. %s", s.stillRunning(p))
		return cli.Interrupted
	case following.Err() != nil:
		s.say("The timeout of %v has passed. %s", s.options.timeout, s.stillRunning(p))
		return cli.Trouble
	}
	status := s.fail(err)
	s.say("%s", s.stillRunning(p))
	return status
}

// stillRunning reports that a run continues without being followed, and how to stop it.
func (s *job) stillRunning(p *pipelines.Pipeline) string {
	if s.demo {
		return fmt.Sprintf("Run #%d was not followed to its end; being a demo, it ends with this program.", p.BuildNumber)
	}
	return fmt.Sprintf("Run #%d was not followed to its end and continues.\n"+
		"  look at it:  %s\n"+
		"  stop it:     run --repo %s --stop %d", p.BuildNumber, p.WebURL(s.repo), s.repo, p.BuildNumber)
}

// stop implements the flag --stop.
func (s *job) stop(ctx context.Context) int {
	switch {
	case s.stopRun(ctx, s.options.stop):
		return cli.Success
	case ctx.Err() != nil:
		return cli.Interrupted
	}
	return cli.Trouble
}

// stopRun stops a run, and reports whether the service does it. It accepts a request to stop a paused run, and does nothing.
func (s *job) stopRun(ctx context.Context, number int) bool {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	url := (&pipelines.Pipeline{BuildNumber: number}).WebURL(s.repo)
	if err := s.client.Pipelines.Stop(ctx, s.repo, strconv.Itoa(number)); err != nil {
		s.fail(err)
		var refused *pipelines.APIError
		if errors.As(err, &refused) && refused.StatusCode < http.StatusInternalServerError {
			s.say("Run #%d could not be stopped: %s", number, url)
		} else {
			s.say("Whether run #%d is being stopped isn't known. Look at it: %s", number, url)
		}
		return false
	}
	if p, err := s.client.Pipelines.Get(ctx, s.repo, strconv.Itoa(number)); err == nil && p.State.Stage != nil && p.State.Stage.Name == pipelines.StagePaused {
		s.say("Run #%d could not be stopped: it waits for a person, and the service doesn't stop such a run: %s", number, url)
		return false
	}
	s.say("Run #%d is being stopped: %s", number, url)
	return true
}

// fail prints an error, and returns the exit status.
func (s *job) fail(err error) int {
	s.say("run: %s", s.text(message(err)))
	if hint := hint(err); hint != "" {
		s.say("%s", hint)
	}
	return cli.Trouble
}

// message is an error in plain words.
func message(err error) string {
	if errors.Is(err, context.Canceled) {
		return cli.Interruption(err)
	}
	return strings.ReplaceAll(cli.Message(err), context.DeadlineExceeded.Error(), "the time is up")
}

// hint tells what to do about an error; empty: that isn't known.
func hint(err error) string {
	switch {
	case errors.Is(err, pipelines.ErrForbidden):
		return "The credentials don't allow this: to run and stop pipelines they need the scope pipeline:write, an API token\n" +
			"read:pipeline:bitbucket and write:pipeline:bitbucket."
	case errors.Is(err, pipelines.ErrNotFound):
		return "Are the names right, of the repository and of what to run there? What the credentials may not see counts as not found, too."
	case errors.Is(err, pipelines.ErrOutcomeUnknown): // the program looks what became of it
		return ""
	}
	return cli.Hint(err)
}

// say prints to standard error.
func (s *job) say(format string, args ...any) { fmt.Fprintf(s.stderr, format+"\n", args...) }

// text makes a text of the service safe to print.
func (s *job) text(text string) string { return clean(text, s.hidden) }
