package pipelines_test

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/format"
	"go/token"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// This test proves that the exported API is the one in testdata/api.txt.

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
