package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestMessageHasNoPrefixOfTheSDK(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"of an operation":   {errors.New("pipelines: Pipelines.Run: POST /x: pipelines: 404"), "POST /x: 404"},
		"of the client":     {errors.New("pipelines: invalid argument: token"), "token"},
		"in another":        {errors.New("pipelines: Pipelines.Watch: pipelines: Pipelines.Get: GET /x: 404"), "GET /x: 404"},
		"of an argument":    {errors.New("pipelines: Pipelines.Run: invalid argument: branch"), "branch"},
		"of a list":         {errors.New("listing acme: pipelines: List: GET /x: 404"), "listing acme: GET /x: 404"},
		"of a line":         {errors.New("pipelines: known hosts: line 1: invalid argument: no key"), "known hosts: line 1: no key"},
		"of another word":   {errors.New("bitbucket-pipelines: no"), "bitbucket-pipelines: no"},
		"of something else": {errors.New("EOF"), "EOF"},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tt.want, Message(tt.err)) })
	}
}

func TestAnInterruptIsToldInPlainWords(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		err  error
		want string
	}{
		{context.Canceled, "x: interrupted\n"},
		{fmt.Errorf("pipelines: GET /x: %w", context.Canceled), "x: interrupted: GET /x\n"},
		{errors.New("pipelines: GET /x: 404"), "x: interrupted: GET /x: 404\n"},
		{fmt.Errorf("%w while waiting to try again after: GET /x: 502", context.Canceled), "x: interrupted: waiting to try again after: GET /x: 502\n"},
	} {
		var errs bytes.Buffer
		require.Equal(t, Interrupted, Env{Stderr: &errs}.Fail(ctx, "x", tt.err))
		require.Equal(t, tt.want, errs.String())
	}
}

func TestWhatMayNotBeSeenIsNotFoundEither(t *testing.T) {
	var errs bytes.Buffer
	require.Equal(t, Trouble, Env{Stderr: &errs}.Fail(t.Context(), "x", fmt.Errorf("GET /x: %w", pipelines.ErrNotFound)))
	require.Contains(t, errs.String(), "\nAre the names right? What the credentials may not see counts as not found, too.\n")
}

func TestAnInterruptEndsReading(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	terminal, keyboard := io.Pipe() // nobody types
	defer keyboard.Close()
	stdin := interruptible(ctx, terminal)
	cancel()
	_, err := ReadText("-", stdin)
	require.ErrorIs(t, err, context.Canceled)

	text, err := ReadText("-", interruptible(t.Context(), strings.NewReader(strings.Repeat("some text\n", 10_000))))
	require.NoError(t, err)
	require.Len(t, text, 100_000)
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestOutputThatIsLostIsNoSuccess(t *testing.T) {
	for before, want := range map[int]int{Success: Trouble, Failure: Trouble, Trouble: Trouble, Interrupted: Interrupted} {
		var errs bytes.Buffer
		out := &output{Writer: fullDisk{}}
		require.Equal(t, before, out.status(before, &errs))
		fmt.Fprintln(out, "a line")
		fmt.Fprintln(out, "another")
		require.Equal(t, want, out.status(before, &errs))
		require.Equal(t, want != before, errs.String() == "The output can't be written: no space left on device\n", errs.String())
	}
}
