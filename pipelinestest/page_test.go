package pipelinestest_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestPages(t *testing.T) {
	f := setup(t)
	f.repo.AddPipelines(25)
	a := f.get(site + "/pipelines?target.branch=main")
	require.EqualValues(t, 1, a.At("page"))
	require.EqualValues(t, 10, a.At("pagelen"))
	require.EqualValues(t, 25, a.At("size"))
	require.Len(t, a.At("values"), 10)
	require.Nil(t, a.At("previous"))
	require.Equal(t, f.srv.URL()+site+"/pipelines?page=2&pagelen=10&target.branch=main", a.At("next"))

	last := f.get(f.get(a.At("next").(string)).At("next").(string))
	require.Equal(t, []any{21.0, 22.0, 23.0, 24.0, 25.0}, last.Values("build_number"))
	require.Nil(t, last.At("next"))
	require.Equal(t, f.srv.URL()+site+"/pipelines?page=2&pagelen=10&target.branch=main", last.At("previous"))

	past := f.get(site + "/pipelines?page=2147483647&pagelen=100")
	require.Equal(t, http.StatusOK, past.StatusCode)
	require.Equal(t, []any{}, past.At("values"))
	require.Nil(t, past.At("next"))
	require.Len(t, f.get(site+"/pipelines?pagelen=100").At("values"), 25)

	for _, query := range []string{"pagelen=101", "pagelen=0", "pagelen=x", "page=0", "page=-1", "page=2147483648"} {
		require.Equal(t, http.StatusBadRequest, f.get(site+"/pipelines?"+query).StatusCode, query)
	}
}

func TestWithoutNextLinks(t *testing.T) {
	f := setup(t, pipelinestest.WithoutNextLinks())
	f.repo.AddPipelines(25)
	a := f.get(site + "/pipelines?page=2")
	require.Len(t, a.At("values"), 10)
	require.EqualValues(t, 25, a.At("size"))
	require.NotContains(t, a.JSON(), "next")
	require.NotContains(t, a.JSON(), "previous")
}

func TestTheClientPagesWithoutNextLinks(t *testing.T) {
	f := setup(t, pipelinestest.WithoutNextLinks())
	f.repo.AddPipelines(25)
	all, err := f.srv.Client().Pipelines.List(t.Context(), f.repo.Repo(), &pipelines.ListPipelinesOptions{PageLen: 10}).Collect()
	require.NoError(t, err)
	require.Len(t, all, 25)
}
