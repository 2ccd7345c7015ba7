package pipelines_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/format"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

var updateFiles = flag.Bool("update", false, "rewrite the files that are generated: testdata/api.txt and the table in docs/operations.md")

// requireFile compares a file with what it should say, or makes it say so.
func requireFile(t *testing.T, file, want string) {
	t.Helper()
	if *updateFiles {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
		return
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "%s is out of date. If the change is meant: go test -run '^%s$' -update .", file, t.Name())
}

// Whoever changes what programs are compiled against sees it in the diff of testdata/api.txt.
func TestTheExportedAPIIsAsRecorded(t *testing.T) {
	requireFile(t, "testdata/api.txt", exportedAPI(t, ".", "github.com/seed-85ed9bfd/pipelines")+
		"\n"+exportedAPI(t, "pipelinestest", "github.com/seed-85ed9bfd/pipelines/pipelinestest"))
}

// exportedAPI renders the exported declarations of a package, without comments, sorted by name.
func exportedAPI(t *testing.T, dir, importPath string) string {
	t.Helper()
	files := token.NewFileSet()
	pkg, err := doc.NewFromFiles(files, parsePackage(t, files, dir, 0), importPath)
	require.NoError(t, err)
	var out strings.Builder
	fmt.Fprintf(&out, "package %s // %s\n", pkg.Name, importPath)
	values := func(all []*doc.Value) {
		for _, v := range all {
			renderDecl(t, &out, v.Decl)
		}
	}
	funcs := func(all []*doc.Func) {
		for _, f := range all {
			renderDecl(t, &out, f.Decl)
		}
	}
	values(pkg.Consts)
	values(pkg.Vars)
	funcs(pkg.Funcs)
	for _, typ := range pkg.Types {
		renderDecl(t, &out, typ.Decl)
		values(typ.Consts)
		values(typ.Vars)
		funcs(typ.Funcs)
		funcs(typ.Methods)
	}
	return out.String()
}

// renderDecl writes a declaration. It knows no positions, so that how the source is broken into lines makes no difference.
func renderDecl(t *testing.T, out *strings.Builder, decl ast.Decl) {
	t.Helper()
	if _, isFunc := decl.(*ast.FuncDecl); !isFunc {
		out.WriteString("\n")
	}
	ast.Inspect(decl, func(n ast.Node) bool {
		if s, ok := n.(*ast.StructType); ok {
			s.Incomplete = false // what is not exported is not to be mentioned
		}
		return true
	})
	require.NoError(t, format.Node(out, token.NewFileSet(), decl))
	out.WriteString("\n")
}

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

// The version that requests carry in their User-Agent has a section in the changelog.
func TestTheChangelogHasASectionForTheVersion(t *testing.T) {
	changelog, err := os.ReadFile("CHANGELOG.md")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^## v`+regexp.QuoteMeta(pipelines.Version)+` - `, string(changelog))
}
