package jsonsize_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/jsonsize"
)

func TestMoreValuesCountsValuesOfEveryKind(t *testing.T) {
	for name, text := range map[string]string{
		"objects":       "[" + strings.Repeat("{},", 60) + "{}]",
		"arrays":        "[" + strings.Repeat("[],", 60) + "[]]",
		"nulls":         "[" + strings.Repeat("null,", 60) + "null]",
		"numbers":       "[" + strings.Repeat("1,", 120) + "1]",
		"strings":       "[" + strings.Repeat(`"a",`, 120) + `"a"]`,
		"members":       "{" + strings.Repeat(`"a":1,`, 120) + `"a":1}`,
		"nested arrays": strings.Repeat("[", 110) + strings.Repeat("]", 110),
	} {
		require.True(t, jsonsize.MoreValues([]byte(text), 100), "more than 100: %s", name)
		require.False(t, jsonsize.MoreValues([]byte(text), 1000), "not more than 1000: %s", name)
	}
}

func TestMoreValuesLeavesStringsAlone(t *testing.T) {
	text := `["` + strings.Repeat(`[{,\"null\\`, 100) + `"]`
	require.False(t, jsonsize.MoreValues([]byte(text), 100))
}

func TestDepth(t *testing.T) {
	for text, want := range map[string]int{
		``: 0, `1`: 0, `[]`: 1, `[[],[{}]]`: 3, `{"a":{"b":1}}`: 2, `["[[["]`: 1, `["\"[[["]`: 1, `"[`: 0, `["\`: 1,
	} {
		require.Equal(t, want, jsonsize.Depth([]byte(text)), text)
	}
}
