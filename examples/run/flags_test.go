package main

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
)

func TestUsageErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		args  []string
		token string
		want  string
	}{
		"unknown flag":             {args: []string{"-frobnicate"}, want: "--frobnicate"},
		"argument":                 {args: []string{"acme/site"}, want: "1 argument too many"},
		"no repository":            {token: "a-token", want: "--repo is missing"},
		"malformed repository":     {args: []string{"-repo", "site"}, token: "a-token", want: `--repo: repository "site" is not of the form`},
		"repository, no token":     {args: []string{"-repo", "acme/site"}, want: "--repo needs credentials"},
		"stop, no token":           {args: []string{"-stop", "1"}, want: "--stop needs credentials"},
		"demo-fail with a token":   {args: []string{"-repo", "acme/site", "-demo-fail"}, token: "a-token", want: "--demo-fail"},
		"branch and tag":           {args: []string{"-branch", "a", "-tag", "b"}, want: "--branch and --tag"},
		"timeout":                  {args: []string{"-timeout", "10"}, want: "--timeout"},
		"negative timeout":         {args: []string{"-timeout", "-1s"}, want: "--timeout"},
		"stop, no number":          {args: []string{"-repo", "acme/site", "-stop", "x"}, token: "a-token", want: "--stop"},
		"stop, number too small":   {args: []string{"-repo", "acme/site", "-stop", "0"}, token: "a-token", want: "--stop"},
		"stop and more":            {args: []string{"-repo", "acme/site", "-stop", "1", "-no-follow"}, token: "a-token", want: "--stop"},
		"demo, other repository":   {args: []string{"-demo", "-repo", "acme/shop"}, token: "a-token", want: "--repo: the demo has acme/site, but not acme/shop"},
		"demo and stop":            {args: []string{"-demo", "-stop", "1"}, want: "--demo and --stop exclude each other"},
		"demo-fail, how to":        {args: []string{"-demo-fail"}, token: "a-token", want: "--demo too"},
		"empty repository":         {args: []string{"-repo="}, token: "a-token", want: "--repo is empty"},
		"empty repository, demo":   {args: []string{"-repo="}, want: "--repo is empty"},
		"empty branch":             {args: []string{"-repo", "acme/site", "-branch="}, token: "a-token", want: "--branch is empty"},
		"blank branch":             {args: []string{"-branch", " "}, want: "--branch is empty"},
		"empty tag":                {args: []string{"-repo", "acme/site", "-tag="}, token: "a-token", want: "--tag is empty"},
		"empty pipeline":           {args: []string{"-custom="}, want: "--custom is empty"},
		"empty timeout":            {args: []string{"-timeout="}, want: "--timeout"},
		"empty number":             {args: []string{"-stop="}, want: "--stop"},
		"variable, nothing":        {args: []string{"-var="}, want: "--var: it needs KEY=VALUE"},
		"secret, nothing":          {args: []string{"-secret="}, want: "--secret: it needs KEY"},
		"secret, not in there":     {args: []string{"-secret", "MISSING_KEY"}, want: "--secret: environment variable MISSING_KEY is unset or empty"},
		"secret, empty in there":   {args: []string{"-secret", "BITBUCKET_TOKEN"}, want: "--secret: environment variable BITBUCKET_TOKEN is"},
		"variable, no value":       {args: []string{"-var", "KEY"}, want: "--var: it needs KEY=VALUE"},
		"variable, no key":         {args: []string{"-var", "=value"}, want: "--var: it needs KEY=VALUE"},
		"secret, no key":           {args: []string{"-secret", "hunter2"}, want: "--secret: there is no environment variable of that name"},
		"secret, no equals sign":   {args: []string{"-secret", "KEY", "hunter2"}, want: "--secret: environment variable KEY is"},
		"secret, looks like flags": {args: []string{"-secret", "KEY", "-hunter2"}, want: "--secret: environment variable KEY is"},
		"secret, no quotes":        {args: []string{"-secret", "KEY=a", "hunter2"}, want: "1 argument too many"},
	} {
		t.Run(name, func(t *testing.T) {
			clitest.SetCredentials(t, tt.token)
			var out, errs clitest.Buffer
			status := run(context.Background(), tt.args, cli.Env{Stdout: &out, Stderr: &errs})
			require.Equal(t, cli.Trouble, status)
			require.Contains(t, errs.String(), tt.want)
			require.Empty(t, out.String())
			require.NotContains(t, errs.String(), "hunter2")
		})
	}
}

func TestHalfOfAPairOfCredentials(t *testing.T) {
	clitest.SetCredentials(t, "")
	t.Setenv("BITBUCKET_EMAIL", "me@example.com")
	var out, errs clitest.Buffer
	require.Equal(t, cli.Trouble, run(context.Background(), []string{"-repo", "acme/site"}, cli.Env{Stdout: &out, Stderr: &errs}))
	require.Contains(t, errs.String(), "BITBUCKET_API_TOKEN")
}

func TestHelp(t *testing.T) {
	help := clitest.RequireHelp(t, run)
	require.Contains(t, help, "\n  --secret KEY ", "the safe form comes first")
	require.NotContains(t, help, "go -C")
}

func parsed(t *testing.T, args ...string) *options {
	t.Helper()
	o := newOptions()
	_, ok := cli.Env{Stdout: io.Discard, Stderr: io.Discard}.Parse(o.flags, args)
	require.True(t, ok)
	return o
}

func TestRequest(t *testing.T) {
	o := parsed(t, "-var", "A=1=2", "-secret", "B=", "-var", "C=3", "-tag", "v1", "-custom", "nightly")
	require.NoError(t, o.check(false))
	require.Equal(t, "tag v1, pipeline nightly", o.on())
	require.Equal(t, pipelines.RunRequest{
		Target: pipelines.TagTarget("v1").With(pipelines.CustomSelector("nightly")),
		Variables: []pipelines.VariableRequest{
			{Key: "A", Value: "1=2", Secured: new(false)}, {Key: "C", Value: "3", Secured: new(false)}, {Key: "B", Secured: new(true)},
		},
	}, o.request())
	require.Empty(t, o.vars.String())
}

func TestSecretFromTheEnvironment(t *testing.T) {
	t.Setenv("DEPLOY_TOKEN", "hunter2=")
	t.Setenv("lower", "case")
	o := parsed(t, "-secret", "DEPLOY_TOKEN", "-secret", "lower", "-secret", "OTHER=x")
	require.Equal(t, []pipelines.VariableRequest{
		{Key: "DEPLOY_TOKEN", Value: "hunter2=", Secured: new(true)}, {Key: "lower", Value: "case", Secured: new(true)},
		{Key: "OTHER", Value: "x", Secured: new(true)},
	}, o.request().Variables)
}
