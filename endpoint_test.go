package pipelines_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestAnEmptyPathElementIsNamedAsTheArgument(t *testing.T) {
	srv := record(t, serveJSON(`{}`))
	c := newClient(t, srv.base())
	get := func(_ any, err error) error { return err }
	for want, err := range map[string]error{
		"Repo.Workspace is empty": get(c.Pipelines.Get(t.Context(), pipelines.Repo{Slug: "site"}, "1")),
		"Repo.Slug is empty":      get(c.Pipelines.Get(t.Context(), pipelines.Repo{Workspace: "acme"}, "1")),
		"step ID is empty":        get(c.Steps.Get(t.Context(), repo, "1", "")),
		"known host ID is empty":  get(c.SSH.GetKnownHost(t.Context(), repo, "")),
		"workspace is empty":      get(c.Variables.InWorkspace("").GetByKey(t.Context(), "K")),
		"variable ID is empty":    get(c.Variables.InEnvironment(repo, "{e}").Get(t.Context(), "")),
		"pipeline ID is empty":    get(c.Pipelines.WaitAll(t.Context(), repo, []string{""}, nil)),
	} {
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument, want)
		require.ErrorContains(t, err, "invalid argument: "+want)
	}
	srv.requireSent(t, 0)
}

func TestOperationPathElementsAreEscapedOrRefused(t *testing.T) {
	for element, want := range map[string]string{
		"":                                       "pipeline ID is empty",
		".":                                      `pipeline ID is "."`,
		"..":                                     `pipeline ID is ".."`,
		"a/b":                                    "a%2Fb",
		"../x":                                   "..%2Fx",
		"?q=1":                                   "%3Fq=1",
		"#f":                                     "%23f",
		"%2F":                                    "%252F",
		"%2e%2e":                                 "%252e%252e",
		"a b":                                    "a%20b",
		"ä":                                      "%C3%A4",
		"{a}":                                    "%7Ba%7D",
		"\x00\n":                                 "%00%0A",
		"a;b":                                    "a%3Bb",
		"//":                                     "%2F%2F",
		"a\\b":                                   "a%5Cb",
		"42":                                     "42",
		"long" + strings.Repeat("x", 10<<10):     "long" + strings.Repeat("x", 10<<10),
		"0de2bcf3-2b9c-4a3c-9b6e-1c5d0a7f8e21":   "%7B0de2bcf3-2b9c-4a3c-9b6e-1c5d0a7f8e21%7D",
		"{0de2bcf3-2b9c-4a3c-9b6e-1c5d0a7f8e21}": "%7B0de2bcf3-2b9c-4a3c-9b6e-1c5d0a7f8e21%7D",
	} {
		t.Run(element[:min(len(element), 40)], func(t *testing.T) {
			srv := record(t, serveJSON(`{}`))
			c := newClient(t, srv.base())
			_, err := c.Pipelines.Get(t.Context(), repo, element)
			if strings.HasPrefix(want, "pipeline ID") {
				require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
				require.EqualError(t, err, "pipelines: Pipelines.Get: invalid argument: "+want)
				srv.requireSent(t, 0)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "/2.0/repositories/acme/site/pipelines/"+want, srv.only(t).Path)
		})
	}
}
