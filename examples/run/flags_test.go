package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestUsageErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		args        []string
		credentials bool
		want        string
	}{
		"unknown flag":             {args: []string{"-frobnicate"}, want: "-frobnicate"},
		"argument":                 {args: []string{"acme/site"}, want: "1 arguments too many"},
		"no repository":            {credentials: true, want: "-repo is missing"},
		"malformed repository":     {args: []string{"-repo", "site"}, credentials: true, want: "-repo: "},
		"repository, no token":     {args: []string{"-repo", "acme/site"}, want: "-repo needs credentials"},
		"stop, no token":           {args: []string{"-stop", "1"}, want: "-stop needs credentials"},
		"demo-fail with a token":   {args: []string{"-repo", "acme/site", "-demo-fail"}, credentials: true, want: "-demo-fail"},
		"branch and tag":           {args: []string{"-branch", "a", "-tag", "b"}, want: "-branch and -tag"},
		"timeout":                  {args: []string{"-timeout", "10"}, want: "-timeout"},
		"negative timeout":         {args: []string{"-timeout", "-1s"}, want: "-timeout"},
		"stop, no number":          {args: []string{"-repo", "acme/site", "-stop", "x"}, credentials: true, want: "-stop"},
		"stop, number too small":   {args: []string{"-repo", "acme/site", "-stop", "0"}, credentials: true, want: "-stop"},
		"stop and more":            {args: []string{"-repo", "acme/site", "-stop", "1", "-no-follow"}, credentials: true, want: "-stop"},
		"variable, no value":       {args: []string{"-var", "KEY"}, want: "-var needs KEY=VALUE"},
		"variable, no key":         {args: []string{"-var", "=value"}, want: "-var needs KEY=VALUE"},
		"secret, no key":           {args: []string{"-secret", "hunter2"}, want: "-secret needs KEY=VALUE"},
		"secret, no equals sign":   {args: []string{"-secret", "KEY", "hunter2"}, want: "-secret needs KEY=VALUE"},
		"secret, looks like flags": {args: []string{"-secret", "KEY", "-hunter2"}, want: "-secret needs KEY=VALUE"},
		"secret, no quotes":        {args: []string{"-secret", "KEY=a", "hunter2"}, want: "1 arguments too many"},
	} {
		t.Run(name, func(t *testing.T) {
			setCredentials(t, tt.credentials)
			var out, errs buffer
			status := run(context.Background(), tt.args, environment{stdout: &out, stderr: &errs})
			require.Equal(t, exitUnknown, status)
			require.Contains(t, errs.String(), tt.want)
			require.Empty(t, out.String())
			require.NotContains(t, errs.String(), "hunter2")
		})
	}
}

func TestHalfOfAPairOfCredentials(t *testing.T) {
	setCredentials(t, false)
	t.Setenv("BITBUCKET_EMAIL", "me@example.com")
	var out, errs buffer
	require.Equal(t, exitUnknown, run(context.Background(), []string{"-repo", "acme/site"}, environment{stdout: &out, stderr: &errs}))
	require.Contains(t, errs.String(), "BITBUCKET_API_TOKEN")
}

func TestHelp(t *testing.T) {
	setCredentials(t, false)
	var out, errs buffer
	require.Equal(t, exitSuccessful, run(context.Background(), []string{"-h"}, environment{stdout: &out, stderr: &errs}))
	require.Empty(t, errs.String())
	for _, name := range []string{
		"repo", "branch", "tag", "custom", "var", "secret", "timeout", "stop-on-interrupt", "no-follow", "stop", "demo-fail", "h",
	} {
		require.Contains(t, out.String(), "\n  -"+name+" ")
	}
}

func TestRequest(t *testing.T) {
	o, err := parseOptions([]string{"-var", "A=1=2", "-secret", "B=", "-var", "C=3", "-tag", "v1", "-custom", "nightly"})
	require.NoError(t, err)
	require.NoError(t, o.check(true))
	require.Equal(t, "tag v1, pipeline nightly", o.on())
	require.Equal(t, pipelines.RunRequest{
		Target: pipelines.TagTarget("v1").With(pipelines.CustomSelector("nightly")),
		Variables: []pipelines.Variable{
			{Key: "A", Value: "1=2"}, {Key: "C", Value: "3"}, {Key: "B", Secured: true},
		},
	}, o.request())
	require.Empty(t, o.vars.String())
}

func TestMask(t *testing.T) {
	o, err := parseOptions([]string{"-secret", "A=abc", "-secret", "B=abcdef", "-secret", "C=", "-secret", "KEY=-- begin --\nMII\n-- end --\n", "-var", "D=plain"})
	require.NoError(t, err)
	mask := o.mask()
	require.Equal(t, "x ****** ****** plain", mask.Replace("x abcdef abc plain"))
	require.Equal(t, "key ******", mask.Replace("key MII"))
}
