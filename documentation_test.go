package pipelines_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// These tests prove that the documentation is right about operations: each method names its endpoints, a deprecated operation has a
// deprecated method, the table of operations is up to date, and the changelog has the version.

// sdkMethod is an exported method of an exported type.
type sdkMethod struct {
	doc   string
	sends bool // takes call options, as all do that send a request
}

func receiverName(f *ast.FuncDecl) string {
	var name string
	ast.Inspect(f.Recv.List[0].Type, func(n ast.Node) bool {
		if ident, ok := n.(*ast.Ident); ok && name == "" {
			name = ident.Name
		}
		return true
	})
	return name
}

// sdkMethods finds the package's methods in its source, by names such as "VariableSet.List".
func sdkMethods(t *testing.T) map[string]sdkMethod {
	t.Helper()
	all := make(map[string]sdkMethod)
	for _, file := range parsePackage(t, token.NewFileSet(), ".", parser.ParseComments) {
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv == nil || !f.Name.IsExported() {
				continue
			}
			m := sdkMethod{doc: f.Doc.Text()}
			if params := f.Type.Params.List; len(params) > 0 {
				last, ok := params[len(params)-1].Type.(*ast.Ellipsis)
				m.sends = ok && fmt.Sprint(last.Elt) == "CallOption"
			}
			all[receiverName(f)+"."+f.Name.Name] = m
		}
	}
	return all
}

// A method's documentation names one request on the line "API:", or several as a list below it.
var (
	apiLines = regexp.MustCompile(`(?m)^API:.*(?:\n  - .*)*$`)
	apiLine  = regexp.MustCompile(`^API: ((?:GET|POST|PUT|DELETE) /\S+)$`)
	apiItem  = regexp.MustCompile(`^  - ((?:GET|POST|PUT|DELETE) /\S+)$`)
	apiRefs  = regexp.MustCompile(`^API: as (?:\[\w+\.\w+\](?:, | and |\.$))+$`)
	docLink  = regexp.MustCompile(`\[(\w+\.\w+)\]`)
)

// documentedEndpoints are what the documentation says the method sends requests to. Links to other methods stand for theirs.
func documentedEndpoints(t *testing.T, all map[string]sdkMethod, name string) []string {
	t.Helper()
	require.Contains(t, all, name)
	var found []string
	for _, lines := range apiLines.FindAllString(all[name].doc, -1) {
		first, items, several := strings.Cut(lines, "\n")
		switch match := apiLine.FindStringSubmatch(first); {
		case several:
			require.Equal(t, "API:", first, "of %s", name)
			for item := range strings.SplitSeq(items, "\n") {
				require.Regexp(t, apiItem, item, "of %s", name)
				found = append(found, apiItem.FindStringSubmatch(item)[1])
			}
		case match != nil:
			found = append(found, match[1])
		default:
			require.Regexp(t, apiRefs, first, "of %s", name)
			for _, link := range docLink.FindAllStringSubmatch(first, -1) {
				found = append(found, documentedEndpoints(t, all, link[1])...)
			}
		}
	}
	require.LessOrEqual(t, strings.Count(all[name].doc, "\nAPI:"), 1, "of %s: several lines that begin with API: are shown as one paragraph", name)
	return found
}

func TestTheDocumentationNamesTheEndpointsOfEveryMethod(t *testing.T) {
	all := sdkMethods(t)
	named := make(map[string]struct{})
	for name, m := range all {
		found := documentedEndpoints(t, all, name)
		for _, endpoint := range found {
			named[endpoint] = struct{}{}
		}
		if m.sends && name != "Client.Do" { // which may go anywhere
			require.NotEmpty(t, found, "the documentation of %s has no line such as \"API: GET /path\"", name)
		}
	}
	var documented []string
	for _, o := range documentedOperations(t) {
		documented = append(documented, o.method+" "+o.path)
	}
	require.ElementsMatch(t, documented, slices.Collect(maps.Keys(named)))
}

// chain are the methods that lead to a call: "Variables.InTeam(username).List" is VariablesService.InTeam and VariableSet.List.
func (o documentedOperation) chain(t *testing.T) []string {
	t.Helper()
	steps := strings.Split(regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(o.sdk, ""), ".")
	service, ok := reflect.TypeFor[pipelines.Client]().FieldByName(steps[0])
	require.True(t, ok, o.sdk)
	var names []string
	at := service.Type
	for _, step := range steps[1:] {
		m, ok := at.MethodByName(step)
		require.True(t, ok, o.sdk)
		names = append(names, at.Elem().Name()+"."+step)
		at = m.Type.Out(0)
	}
	return names
}

func TestEachCallIsDocumentedWithItsOwnEndpoint(t *testing.T) {
	all := sdkMethods(t)
	for _, o := range documentedOperations(t) {
		chain := o.chain(t)
		require.Contains(t, documentedEndpoints(t, all, chain[len(chain)-1]), o.method+" "+o.path, o.sdk)
	}
}

func TestDeprecatedOperationsAreReachedByDeprecatedMethodsOnly(t *testing.T) {
	all := sdkMethods(t)
	deprecated := 0
	for _, o := range documentedOperations(t) {
		marked := slices.ContainsFunc(o.chain(t), func(name string) bool { return strings.Contains(all[name].doc, "\nDeprecated: ") })
		require.Equal(t, o.deprecated, marked, o.sdk)
		if marked {
			deprecated++
		}
	}
	require.Equal(t, 10, deprecated)
}

func TestTheTableOfOperationsIsAsTheCode(t *testing.T) {
	const begin, end = "<!-- operations -->\n", "<!-- /operations -->\n"
	var table strings.Builder
	table.WriteString("\n| operation | request | method |\n|---|---|---|\n")
	for _, o := range documentedOperations(t) {
		note := ""
		if o.deprecated {
			note = ", deprecated"
		}
		fmt.Fprintf(&table, "| %s | `%s %s` | `%s`%s |\n", o.id, o.method, o.path, o.sdk, note)
	}
	table.WriteString("\n")

	page, err := os.ReadFile("docs/operations.md")
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(page), begin)
	require.True(t, found, "docs/operations.md has no line %q", strings.TrimSpace(begin))
	_, after, found := strings.Cut(rest, end)
	require.True(t, found, "docs/operations.md has no line %q", strings.TrimSpace(end))
	requireFile(t, "docs/operations.md", before+begin+table.String()+end+after)
}

// The version that requests carry in their User-Agent has a section in the changelog.
func TestTheChangelogHasASectionForTheVersion(t *testing.T) {
	changelog, err := os.ReadFile("CHANGELOG.md")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^## v`+regexp.QuoteMeta(pipelines.Version)+` - `, string(changelog))
}
