// Package clitest tests the example programs.
package clitest

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// SetCredentials sets an environment with a token, or without any credentials.
func SetCredentials(t *testing.T, token string) {
	t.Helper()
	for _, name := range []string{"EMAIL", "API_TOKEN", "CLIENT_ID", "CLIENT_SECRET", "BASE_URL"} {
		t.Setenv("BITBUCKET_"+name, "")
	}
	t.Setenv("BITBUCKET_TOKEN", token)
}

// Fixture runs a program with a fake service. It keeps the output of the last run.
type Fixture struct {
	*pipelinestest.Server

	Stdin     string
	Out, Errs bytes.Buffer

	t    *testing.T
	run  func(context.Context, []string, cli.Env) int
	back atomic.Int64
}

// New returns a fixture with credentials in the environment. In a bubble of testing/synctest it opens no socket.
func New(t *testing.T, run func(context.Context, []string, cli.Env) int, options ...pipelinestest.ServerOption) *Fixture {
	t.Helper()
	s := &Fixture{t: t, run: run}
	clock := func() time.Time { return time.Now().Add(-time.Duration(s.back.Load())) }
	s.Server = pipelinestest.NewServer(append([]pipelinestest.ServerOption{pipelinestest.WithClock(clock)}, options...)...)
	t.Cleanup(s.Close)
	SetCredentials(t, "a-token")
	t.Setenv("BITBUCKET_BASE_URL", s.URL())
	return s
}

// Ago calls a function with the service's clock set back.
func (s *Fixture) Ago(d time.Duration, do func()) {
	s.back.Store(int64(d))
	defer s.back.Store(0)
	do()
}

// Run runs the program with arguments separated by spaces, and returns its exit status.
func (s *Fixture) Run(args string) int { return s.RunContext(s.t.Context(), args) }

// RunContext is like Run with a context.
func (s *Fixture) RunContext(ctx context.Context, args string) int {
	s.Out.Reset()
	s.Errs.Reset()
	env := cli.Env{Stdin: strings.NewReader(s.Stdin), Stdout: &s.Out, Stderr: &s.Errs}
	if strings.Contains(s.URL(), ".test/") { // no socket is open
		env.Options = append(env.Options, pipelines.WithHTTPClient(&http.Client{Transport: s.Transport()}))
	}
	return s.run(ctx, strings.Fields(args), env)
}

// RunFor is like Run, and interrupts the program after a time.
func (s *Fixture) RunFor(d time.Duration, args string) int {
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	defer time.AfterFunc(d, cancel).Stop()
	return s.RunContext(ctx, args)
}

// RunInterrupted is like Run after an interrupt.
func (s *Fixture) RunInterrupted(args string) int {
	ctx, cancel := context.WithCancel(s.t.Context())
	cancel()
	return s.RunContext(ctx, args)
}

// Refuses runs the program with invalid arguments. It requires the message want, and that no request is sent.
func (s *Fixture) Refuses(args, want string) {
	s.t.Helper()
	require.Equal(s.t, cli.Trouble, s.Run(args), args)
	require.Contains(s.t, s.Errs.String(), want)
	require.Empty(s.t, s.Requests())
}

// Buffer is a [bytes.Buffer] for several goroutines.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements [io.Writer].
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Demo runs a program without credentials, and returns its exit status and output.
func Demo(t *testing.T, run func(context.Context, []string, cli.Env) int, args string) (status int, out, errs string) {
	t.Helper()
	SetCredentials(t, "")
	var stdout, stderr bytes.Buffer
	status = run(t.Context(), strings.Fields(args), cli.Env{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr})
	return status, stdout.String(), stderr.String()
}

// RequireDemo is like [Demo], and requires success and an output that contains want. It returns the output.
func RequireDemo(t *testing.T, run func(context.Context, []string, cli.Env) int, args, want string) string {
	t.Helper()
	status, out, _ := Demo(t, run, args)
	require.Equal(t, cli.Success, status)
	require.Contains(t, out, want)
	return out
}

// Changes returns the method and path of every request other than GET.
func (s *Fixture) Changes() []string {
	var all []string
	for _, r := range s.Requests() {
		if r.Method != http.MethodGet {
			all = append(all, r.Method+" "+r.Path)
		}
	}
	return all
}
