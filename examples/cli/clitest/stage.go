// Package clitest runs the example programs in their tests.
package clitest

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// SetCredentials makes the environment one with a token, or without any credentials, whatever it was before.
func SetCredentials(t *testing.T, token string) {
	t.Helper()
	for _, name := range []string{"EMAIL", "API_TOKEN", "CLIENT_ID", "CLIENT_SECRET", "BASE_URL"} {
		t.Setenv("BITBUCKET_"+name, "")
	}
	t.Setenv("BITBUCKET_TOKEN", token)
}

// Stage is a fake service, and a place to run programs. What they print is kept until the next one runs.
type Stage struct {
	*pipelinestest.Server

	Stdin     string
	Out, Errs bytes.Buffer

	t    *testing.T
	run  func(context.Context, []string, cli.Env) int
	back atomic.Int64
}

// New makes a stage with credentials in the environment. In a bubble of testing/synctest it opens no socket.
func New(t *testing.T, run func(context.Context, []string, cli.Env) int, options ...pipelinestest.ServerOption) *Stage {
	t.Helper()
	s := &Stage{t: t, run: run}
	clock := func() time.Time { return time.Now().Add(-time.Duration(s.back.Load())) }
	s.Server = pipelinestest.NewServer(append([]pipelinestest.ServerOption{pipelinestest.WithClock(clock)}, options...)...)
	t.Cleanup(s.Close)
	SetCredentials(t, "a-token")
	t.Setenv("BITBUCKET_BASE_URL", s.URL())
	return s
}

// Ago does something when it is so much earlier for the service.
func (s *Stage) Ago(d time.Duration, do func()) {
	s.back.Store(int64(d))
	defer s.back.Store(0)
	do()
}

// Run runs the program with arguments that are separated by spaces, and returns its exit status.
func (s *Stage) Run(args string) int { return s.RunContext(s.t.Context(), args) }

// RunContext does so with a context.
func (s *Stage) RunContext(ctx context.Context, args string) int {
	s.Out.Reset()
	s.Errs.Reset()
	env := cli.Env{Stdin: strings.NewReader(s.Stdin), Stdout: &s.Out, Stderr: &s.Errs}
	if strings.Contains(s.URL(), ".test/") { // there is no socket
		env.Options = append(env.Options, pipelines.WithHTTPClient(&http.Client{Transport: s.Transport()}))
	}
	return s.run(ctx, strings.Fields(args), env)
}

// RunInterrupted does so as if the user had interrupted it by then.
func (s *Stage) RunInterrupted(args string) int {
	ctx, cancel := context.WithCancel(s.t.Context())
	cancel()
	return s.RunContext(ctx, args)
}

// Refuses runs the program with arguments for which it has to say want, and to send nothing.
func (s *Stage) Refuses(args, want string) {
	s.t.Helper()
	require.Equal(s.t, cli.Trouble, s.Run(args), args)
	require.Contains(s.t, s.Errs.String(), want)
	require.Empty(s.t, s.Requests())
}

// Demo runs a program without credentials, and returns its exit status and what it printed.
func Demo(t *testing.T, run func(context.Context, []string, cli.Env) int, args string) (status int, out, errs string) {
	t.Helper()
	SetCredentials(t, "")
	var stdout, stderr bytes.Buffer
	status = run(t.Context(), strings.Fields(args), cli.Env{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr})
	return status, stdout.String(), stderr.String()
}

// Changes returns method and path of every request that wasn't a GET.
func (s *Stage) Changes() []string {
	var all []string
	for _, r := range s.Requests() {
		if r.Method != http.MethodGet {
			all = append(all, r.Method+" "+r.Path)
		}
	}
	return all
}
