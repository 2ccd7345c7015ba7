package pipelines_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// This test proves that every test which docs/guarantees.md names exists.

// A promise without a test would be words.
func TestEveryTestThatTheGuaranteesNameExists(t *testing.T) {
	guarantees, err := os.ReadFile("docs/guarantees.md")
	require.NoError(t, err)
	exists := map[string]bool{}
	for _, pattern := range []string{"*_test.go", "*/*_test.go", "examples/*/*_test.go", "internal/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, found := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllSubmatch(text, -1) {
				exists[string(found[1])] = true
			}
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllSubmatch(guarantees, -1)
	require.NotEmpty(t, named)
	for _, name := range named {
		assert.True(t, exists[string(name[1])], "docs/guarantees.md names %s", name[1])
	}
}
