package pipelines_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestParseRepo(t *testing.T) {
	got, err := pipelines.ParseRepo("acme/site")
	require.NoError(t, err)
	require.Equal(t, repo, got)
	require.Equal(t, "acme/site", got.String())
	for _, s := range []string{"", "acme", "acme/", "/site", "a/b/c", "../site", "acme/..", "./."} {
		_, err := pipelines.ParseRepo(s)
		assert.ErrorIs(t, err, pipelines.ErrInvalidArgument, s)
	}
}

func TestParseRepoRefusesWhatIsNoRepository(t *testing.T) {
	for _, text := range []string{"", "acme", "acme/", "/site", "a/b/c", "git@bitbucket.org:acme/site.git", "https://bitbucket.org/acme/site", "acme/si te", "acme/site?x", "../site", "acme/.."} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			_, err := pipelines.ParseRepo(text)
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument, "%q", text)
			require.ErrorContains(t, err, "pipelines: ")
		})
	}
}

func TestARepoIsTextInJSONAndFlags(t *testing.T) {
	text, err := json.Marshal(map[pipelines.Repo]pipelines.Repo{repo: {Workspace: "a", Slug: "b"}})
	require.NoError(t, err)
	require.Equal(t, `{"acme/site":"a/b"}`, string(text))
	var back map[pipelines.Repo]pipelines.Repo
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, pipelines.Repo{Workspace: "a", Slug: "b"}, back[repo])
	var named pipelines.Repo
	flags := flag.NewFlagSet("x", flag.ContinueOnError)
	flags.SetOutput(&strings.Builder{})
	flags.TextVar(&named, "repo", pipelines.Repo{}, "")
	require.NoError(t, flags.Parse([]string{"-repo", "acme/site"}))
	require.Equal(t, repo, named)
	require.Error(t, flags.Parse([]string{"-repo", "acme"}))
	zero, err := json.Marshal(map[string]pipelines.Repo{"r": {}})
	require.NoError(t, err)
	require.Equal(t, `{"r":""}`, string(zero))
	named = repo
	require.NoError(t, named.UnmarshalText(nil))
	require.Zero(t, named)
}

func TestRepoFromEnvIsTheBuildsOwnRepository(t *testing.T) {
	t.Setenv("BITBUCKET_REPO_FULL_NAME", "acme/site")
	got, err := pipelines.RepoFromEnv()
	require.NoError(t, err)
	require.Equal(t, repo, got)
	t.Setenv("BITBUCKET_REPO_FULL_NAME", "nonsense")
	_, err = pipelines.RepoFromEnv()
	require.ErrorContains(t, err, "BITBUCKET_REPO_FULL_NAME")
	require.NoError(t, os.Unsetenv("BITBUCKET_REPO_FULL_NAME"))
	_, err = pipelines.RepoFromEnv()
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
}
