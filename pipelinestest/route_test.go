package pipelinestest

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// operations reads the table of operations by "METHOD template".
func operations(t *testing.T) map[string]map[string]string {
	t.Helper()
	data, err := os.ReadFile("../testdata/operations.tsv")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	names := strings.Split(lines[0], "\t")
	rows := map[string]map[string]string{}
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, value := range strings.Split(line, "\t") {
			row[names[i]] = value
		}
		rows[row["method"]+" "+row["path"]] = row
	}
	return rows
}

func TestTheRoutesAreTheOperationsOfTheService(t *testing.T) {
	rows := operations(t)
	require.Len(t, rows, 75)
	want := map[string]string{"POST /site/oauth2/access_token": public, "GET /repositories/{workspace}": readRepository}
	for name, row := range rows {
		want[name] = strings.Replace(row["oauth_scope"], "-", public, 1)
	}
	got := map[string]string{}
	for _, r := range routes {
		got[r.method+" "+r.template] = r.scope
	}
	require.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)))
	require.Len(t, routes, len(got), "no route is registered twice")
	require.Equal(t, want, got, "scopes")
}
