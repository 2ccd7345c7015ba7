package pipelines_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStepsAreListedOfAPipeline(t *testing.T) {
	srv := record(t, serveJSON(`{"values":[{"name":"Build"},{"name":"Test"}],"size":2}`))
	steps, err := newClient(t, srv.base()).Steps.List(t.Context(), repo, "8", nil).Collect()
	require.NoError(t, err)
	require.Len(t, steps, 2)
	require.Equal(t, "Build", steps[0].Name)
	require.Equal(t, "/2.0/repositories/acme/site/pipelines/8/steps?pagelen=100", srv.only(t).Path+"?"+srv.only(t).Query)
}
