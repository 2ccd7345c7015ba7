package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// The service knows a workspace by the UUID only in braces.
func TestTheUUIDOfAWorkspaceNeedsNoBraces(t *testing.T) {
	const id = "41144f51-5425-4a5e-8064-51c7efb63496"
	for _, workspace := range []string{id, "{" + id + "}"} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.URL.EscapedPath() != "/repositories/%7B"+id+"%7D" {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"size":1,"values":[{"full_name":"acme/site"}]}`)
		}))
		defer srv.Close()
		client, err := pipelines.NewClient(pipelines.WithBaseURL(srv.URL))
		require.NoError(t, err)
		repos, err := ListRepos(t.Context(), client, workspace)
		require.NoError(t, err)
		require.Equal(t, []string{"acme/site"}, repos)
	}
}
