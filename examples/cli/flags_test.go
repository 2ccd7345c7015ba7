package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestAnAgeIsADurationOrDays(t *testing.T) {
	for text, want := range map[string]time.Duration{"36h": 36 * time.Hour, "7d": 7 * day, "1.5d": 36 * time.Hour, "90m": 90 * time.Minute} {
		var a Age
		require.NoError(t, a.Set(text))
		require.Equal(t, want, time.Duration(a), text)
		var again Age
		require.NoError(t, again.Set(a.String()))
		require.Equal(t, a, again)
		require.NotContains(t, a.String(), "m0s")
	}
	for _, text := range []string{"", "d", "7", "0d", "-1d", "-2h", "0s", "NaNd", "Infd", "1e300d", "week"} {
		require.Error(t, new(Age).Set(text), text)
	}
}

func TestCleanTextIsOneLineWithoutControlCharacters(t *testing.T) {
	for want, text := range map[string]string{
		"node":         "node",
		"a b c":        " a\r\nb\t c ",
		"[2J]0;titleé": "\x1b[2J\x1b]0;title\aé\u009b",
		"abc d\ufffde": "a\u202eb\u2066c\u2028d\xffe",
	} {
		require.Equal(t, want, Clean(text))
	}
}

func TestARepositoryIsRequiredExceptInTheDemo(t *testing.T) {
	own, other := pipelines.Repo{Workspace: "acme", Slug: "site"}, pipelines.Repo{Workspace: "acme", Slug: "shop"}
	second := pipelines.Repo{Workspace: "acme", Slug: "docs"}
	for name, c := range map[string]struct {
		value       string
		demo, token bool
		want        pipelines.Repo
		err         string
	}{
		"no credentials":           {want: own},
		"demo":                     {demo: true, token: true, want: own},
		"a name in the demo":       {value: "acme/site", demo: true, token: true, want: own},
		"another in the demo":      {value: "acme/docs", demo: true, token: true, want: second},
		"none of the demo's":       {value: "acme/shop", demo: true, token: true, err: "--repo: the demo has acme/site and acme/docs, but not acme/shop"},
		"a name":                   {value: "acme/shop", token: true, want: other},
		"no name":                  {token: true, err: "--repo is missing: name the repository as WORKSPACE/SLUG"},
		"not a name":               {value: "acme", token: true, err: `--repo: repository "acme" is not of the form workspace/slug`},
		"a name but no credential": {value: "acme/shop", err: "--repo needs credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, v := range []string{"TOKEN", "EMAIL", "API_TOKEN", "CLIENT_ID", "CLIENT_SECRET"} {
				t.Setenv("BITBUCKET_"+v, "")
			}
			if c.token {
				t.Setenv("BITBUCKET_TOKEN", "a-token")
			}
			repo, err := Repo("repo", c.value, c.demo, own, second)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, repo)
		})
	}
}
