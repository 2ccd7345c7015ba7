package pipelines_test

import (
	"debug/buildinfo"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// These tests build programs in a module outside this one, as those who import the package do.

// plainProgram starts a pipeline with the standard library alone.
const plainProgram = `package main

import (
	"bytes"
	"encoding/json"
	"log"
	"net/http"
)

func main() {
	body, err := json.Marshal(map[string]any{"target": map[string]string{"ref_name": "main"}})
	if err != nil {
		log.Fatal(err)
	}
	resp, err := http.Post("https://api.bitbucket.org/2.0/repositories/acme/site/pipelines", "application/json", bytes.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	var run struct{ UUID string }
	log.Println(json.NewDecoder(resp.Body).Decode(&run), run.UUID)
}
`

func TestAProgramThatImportsThePackageLinksLittle(t *testing.T) {
	t.Parallel()
	module := newImporter(t)
	var quickStart string
	for _, code := range goCode(t, "README.md") {
		if strings.HasPrefix(code, "package main\n") {
			quickStart = code
		}
	}
	require.NotEmpty(t, quickStart, "README.md has no whole program")
	module.write("plain/main.go", plainProgram)
	module.write("quickstart/main.go", quickStart)

	module.run("build", "-o", "bin/", "./plain", "./quickstart")

	var linked []string
	info, err := buildinfo.ReadFile(module.binary("quickstart"))
	require.NoError(t, err)
	for _, dependency := range info.Deps {
		linked = append(linked, dependency.Path)
	}
	t.Logf("linked: %s", strings.Join(linked, ", "))
	assert.Subset(t, []string{
		"github.com/seed-85ed9bfd/pipelines",
		"github.com/go-json-experiment/json",
		"github.com/google/go-querystring",
		"github.com/hashicorp/go-cleanhttp",
		"github.com/hashicorp/go-retryablehttp",
		"golang.org/x/oauth2",
	}, linked)

	plain, withSDK := fileSize(t, module.binary("plain")), fileSize(t, module.binary("quickstart"))
	t.Logf("%d bytes, %d more than with net/http and encoding/json alone", withSDK, withSDK-plain)
	assert.Less(t, withSDK-plain, int64(3<<20))
}

// goPackages are the packages that the code in the documentation uses without importing them.
var goPackages = map[string]string{
	"context": "context", "errors": "errors", "fmt": "fmt", "hmac": "crypto/hmac", "http": "net/http", "log": "log", "os": "os", "sha256": "crypto/sha256", "testing": "testing",
	"synctest": "testing/synctest", "time": "time", "url": "net/url",
	"pipelines": "github.com/seed-85ed9bfd/pipelines", "pipelinestest": "github.com/seed-85ed9bfd/pipelines/pipelinestest",
}

// docNames declares what the code in the documentation uses and does not declare.
const docNames = `package docs

var (
	ctx    context.Context
	client *pipelines.Client
	repo   pipelines.Repo
	run    *pipelines.Pipeline
	token  string
)

func deploy(context.Context, *pipelines.Client, pipelines.Repo) error { return nil }
`

func TestTheCodeInTheDocumentationCompiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	module := newImporter(t)
	module.write("docs/names.go", withImports(docNames))
	for _, file := range append(files, "README.md") {
		for i, code := range goCode(t, file) {
			switch {
			case strings.HasPrefix(code, "package ") && file == "README.md":
				continue // a whole program: the test above builds it
			case !strings.HasPrefix(code, "func "):
				code = fmt.Sprintf("func _() error {\n%s\nreturn nil\n}\n", code)
			}
			name := fmt.Sprintf("docs/%s%d.go", strings.TrimSuffix(filepath.Base(file), ".md"), i+1)
			module.write(name, withImports("package docs\n\n"+code))
		}
	}
	module.run("build", "./docs")
}

// withImports adds the imports to a file that lacks them.
func withImports(code string) string {
	header, rest, _ := strings.Cut(code, "\n")
	for _, name := range slices.Sorted(maps.Keys(goPackages)) {
		if regexp.MustCompile(`\b` + name + `\.[A-Z]`).MatchString(code) {
			header += fmt.Sprintf("\nimport %q", goPackages[name])
		}
	}
	return header + "\n" + rest
}

// goCode returns the code blocks of a Markdown file that are in Go.
func goCode(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var pieces []string
	for _, found := range regexp.MustCompile("(?ms)^```go\n(.*?)^```").FindAllSubmatch(text, -1) {
		pieces = append(pieces, string(found[1]))
	}
	return pieces
}

// importer is a module that requires this one.
type importer struct {
	t   *testing.T
	dir string
}

// newImporter makes a module that also requires what this one requires, so that the go command finds it all in the module cache.
func newImporter(t *testing.T) importer {
	t.Helper()
	here, err := os.Getwd()
	require.NoError(t, err)
	mod, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	sum, err := os.ReadFile("go.sum")
	require.NoError(t, err)
	m := importer{t, t.TempDir()}
	name := goPackages["pipelines"]
	m.write("go.mod", strings.Replace(string(mod), "module "+name, "module example.com/importer", 1)+
		fmt.Sprintf("\nrequire %s v0.0.0\n\nreplace %s => %q\n", name, name, here))
	m.write("go.sum", string(sum))
	return m
}

func (m importer) write(file, text string) {
	m.t.Helper()
	file = filepath.Join(m.dir, file)
	require.NoError(m.t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(m.t, os.WriteFile(file, []byte(text), 0o644))
}

// run runs the go command without a network.
func (m importer) run(args ...string) {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), "go", args...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	require.NoError(m.t, err, "go %s: %s", strings.Join(args, " "), out)
}

func (m importer) binary(name string) string {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(m.dir, "bin", name)
}

func fileSize(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	require.NoError(t, err)
	return info.Size()
}
