package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

func TestAYAMLFileMeansWhatPeopleWriteInIt(t *testing.T) {
	t.Setenv("EMPTY", "")
	t.Setenv("LINES", "a\n\n")
	for text, want := range map[string]string{
		"variables: {A: yes}":                                 "yes",
		"variables: {A: 1.10}":                                "1.10",
		"variables: {A: 007}":                                 "007",
		"variables: {A: 2001-01-01}":                          "2001-01-01",
		"variables: {A: !!str 7}":                             "7",
		"variables: {A: 'null'}":                              "null",
		"variables: {A: '~'}":                                 "~",
		"variables: {A: \"\"}":                                "",
		"variables: {A: {value: 'x'}}":                        "x",
		"variables: {A: {value: x, secured: no}}":             "x",
		"variables:\n  A: |\n    a\n    b\n":                  "a\nb\n",
		"--- # a comment\nvariables:\n  A: &x 1\n...\n":       "1",
		"variables: {A: {env: EMPTY}}":                        "",
		"variables: {A: {env: LINES}}":                        "a\n\n",
		"variables: {A: {command: [printf, 'a']}}":            "a",
		`variables: {A: {command: [printf, 'a\n']}}`:          "a",
		`variables: {A: {command: [printf, 'a\r\n']}}`:        "a",
		`variables: {A: {command: [printf, 'a\n\n']}}`:        "a\n",
		`variables: {A: {command: [printf, ' a\n\r']}}`:       " a\n\r",
		"variables: {A: {command: [\"true\"]}}":               "",
		"variables:\r\n  A: 1\r\n":                            "1",
		"variables: {A: $B}":                                  "$B",
		"# vim: et\nvariables:\n# about A\n  A: 1 # really\n": "1",
	} {
		wanted, _, err := parseYAML(t.Context(), text, false)
		require.NoError(t, err, text)
		require.Len(t, wanted, 1)
		require.Equal(t, "A", wanted[0].Key)
		require.Equal(t, want, wanted[0].Value, text)
	}
}

func TestAliasesAreWhatTheyStandFor(t *testing.T) {
	wanted, _, err := parseYAML(t.Context(), "variables:\n  A: &a {value: &v x, secured: true}\n  B: *a\n  C: *v\n  D: {value: *v}\n", false)
	require.NoError(t, err)
	require.Equal(t, []pipelines.VariableRequest{
		{Key: "A", Value: "x", Secured: new(true)}, {Key: "B", Value: "x", Secured: new(true)}, {Key: "C", Value: "x"}, {Key: "D", Value: "x"},
	}, wanted)
}

func TestAYAMLFileThatIsNotClearIsRefusedWithItsLineAndWithoutItsContent(t *testing.T) {
	srv, _ := serve(t)
	t.Setenv("INVALID", "hush\xff")
	for _, c := range []struct{ text, want string }{
		{"", `there is no "variables:"`},
		{" \n\n", `there is no "variables:"`},
		{"# only a comment\n", `there is no "variables:"`},
		{"---\n", `there is no "variables:"`},
		{"null", `there is no "variables:"`},
		{"hush", `there is no "variables:"`},
		{"A=hush\nB=1\n", `there is no "variables:"`},
		{"- hush\n", `there is no "variables:"`},
		{"{}", `there is no "variables:"`},
		{"variables:\n", `line 1: "variables:" has no keys and values below it`},
		{"variables: null", `line 1: "variables:" has no keys and values below it`},
		{"variables: hush", `line 1: "variables:" has no keys and values below it`},
		{"variables:\n- A: hush\n", `line 1: "variables:" has no keys and values below it`},
		{"variables: {A: 1}\nvariable: {B: hush}", `line 2: "variable" is not known here: only variables`},
		{"A: hush", `line 1: "A" is not known here: only variables`},
		{"{variables: {A: 1}, *hush : 1}", "line 1"},
		{"variables: {A: 1}\nvariables: {B: hush}", `line 2: "variables" is there already, in line 1`},
		{"variables:\n  A: hush\n  B: 1\n  A: 2\n", `line 4: "A" is there already, in line 2`},
		{"variables: {A: {value: hush, value: y}}", `line 1: A: "value" is there already, in line 1`},
		{"variables: {A: {secret: hush}}", `line 1: A: "secret" is not known here: only value, env, command, secured`},
		{"variables:\n  A: &a {value: hush}\n  B:\n    <<: *a\n", "line 4: B: merge keys"},
		{"variables:\n  <<: {A: hush}\n", "line 2: merge keys"},
		{"variables:\n  A:\n", `line 2: A: there is no value: write "" for an empty one`},
		{"variables:\n  A: ~\n", `line 2: A: there is no value: write "" for an empty one`},
		{"variables:\n  A: Null\n", `line 2: A: there is no value: write "" for an empty one`},
		{"variables:\n  A: &hush\n", `line 2: A: there is no value: write "" for an empty one`},
		{"variables: {A: {value: }}", `line 1: A: a key has no value: write "" for an empty one`},
		{"variables:\n  A: {hush}\n", "line 2: A: a key has no value"},
		{"variables:\n  A: {hu,hush}\n", "line 2: A: a key has no value"},
		{"variables:\n  A: {secured: true, value: a,hush}\n", "line 2: A: a key has no value"},
		{"variables: {A: a,hush}\n", "line 1: a key has no value"},
		{"variables: {A: a,hush, B: a,hush}\n", "line 1: a key has no value"},
		{"variables: {A: {}}", "line 1: A: exactly one of value, env and command is needed"},
		{"variables: {A: {secured: true}}", "line 1: A: exactly one of value, env and command is needed"},
		{"variables: {A: {value: hush, env: B}}", "line 1: A: exactly one of value, env and command is needed"},
		{"variables: {A: [hush]}", "line 1: A: a value is a text"},
		{"variables: {A: {value: [hush]}}", "line 1: A: a value is a text"},
		{"variables: {A: {value: {a: hush}}}", "line 1: A: a value is a text"},
		{"variables: {A: {env: [hush]}}", "line 1: A: a value is a text"},
		{"variables: {A: {env: ''}}", `line 1: A: env is empty`},
		{"variables:\n  A:\n    env:\n", `line 3: A: there is no value: write "" for an empty one`},
		{"variables: {A: {command: echo hush}}", `line 1: A: command is a list`},
		{"variables: {A: {command: []}}", `line 1: A: command is a list`},
		{"variables: {A: {command: ['', hush]}}", `line 1: A: command is a list`},
		{"variables: {A: {command: [echo, [hush]]}}", `line 1: A: command: a value is a text`},
		{"variables: {A: {command: [echo, ~, hush]}}", "line 1: A: command: there is no value"},
		{"variables: {A: {value: hush, secured: maybe}}", `line 1: A: secured is true or false`},
		{"variables: {A: {value: hush, secured: ~}}", `line 1: A: secured is true or false`},
		{"variables: {A: {value: hush, secured: [true]}}", `line 1: A: secured is true or false`},
		{"variables:\n  A: !hush x\n", "line 2: tags (!) are not known"},
		{"variables: {A: !!binary aHVzaA==}", "line 1: tags (!) are not known"},
		{"variables: {A: !!int hush}", "line 1"},
		{"variables: !!omap {A: hush}", "line 1"},
		{"variables: {'': hush}", "line 1: a key is missing or is no text"},
		{"variables: {~: hush}", "line 1: a key is missing or is no text"},
		{"variables: {[a]: hush}", "line 1: a key is missing or is no text"},
		{"variables:\n  A: x\n  B: *hush\n", "line 3: no anchor"},
		{"variables: {A: &a {value: *a}}", "line 1"},
		{"variables: &a {A: *a}", "line 1"},
		{"variables: {A: 1}\n---\nvariables: {B: hush}\n", "there is more than one document"},
		{"variables: {A: 1}\n---\n", "there is more than one document"},
		{"variables: {A: 1}\n--- [hush\n", "not valid YAML"},
		{"variables:\n  A: \"hush\n", "not valid YAML"},
		{"variables:\n  A: hush: hush\n", "not valid YAML"},
		{"variables:\n\tA: hush\n", "not valid YAML"},
		{"variables:\n  A: \"hush\\q\"\n", "not valid YAML"},
		{"variables:\n  A: @hush\n", "not valid YAML"},
		{"variables:\n  A: hush\x01\n", "line 2 has a control character"},
		{"variables:\n  A: 'hush\x00'\n", "line 2 has a control character"},
		{"variables:\n  A: 1\n  B: hush\xff\n", "line 3 of "},
		{"\xff\xfev\x00a\x00", "UTF-16"},
		{strings.Repeat("[", 20_000), "not valid YAML"},
		{"variables: {A: {env: NOT_THERE}}", "line 1: A: the environment variable NOT_THERE is not set"},
		{"variables: {A: {env: INVALID}}", "line 1: A: the environment variable INVALID is not UTF-8"},
		{"variables: {A: {command: [printf, 'hush\\377']}}", "line 1: A: the output of the command printf is not UTF-8"},
		{"variables: {A: {command: [sh, -c, 'echo hush; echo hush >&2; exit 3']}}", "line 1: A: the command sh failed: exit status 3"},
		{"variables: {A: {command: [/not/there, hush]}}", "line 1: A: the command /not/there failed: no such file or directory"},
		{"variables: {A: {command: [not-there, hush]}}", "line 1: A: the command not-there failed: executable file not found"},
	} {
		status, stdout, stderr := call(t, "apply", "-repo", "acme/site", "-file", write(t, "v.yaml", c.text))
		require.Equal(t, cli.Trouble, status, "%q: %s", c.text, stdout)
		require.Contains(t, stderr, c.want, "%q", c.text)
		require.NotContains(t, stdout+stderr, "hush", "%q", c.text)
		require.NotRegexp(t, `main\.|map\[|unmarshal|!!|: yaml:`, stderr, "%q", c.text)
	}
	require.Empty(t, srv.Requests())
}

func TestAnErrorOfYAMLHasTheLineOfTheMistake(t *testing.T) {
	for mistake, problem := range map[string]string{
		`A: "hush" x`: "did not find expected key", "A: 'it's'": "did not find expected key",
		"A: }": "did not find expected node content", "A: ]hush": "did not find expected node content", "A: |9x": "did not find expected comment or line break",
		"A: {a: b\n": "did not find expected ',' or '}'", "A: [hush": "did not find expected ',' or ']'", "A: \"hush": "found unexpected end of stream",
		"A: 'hush": "found unexpected end of stream", "A: hush: hush": "mapping values are not allowed in this context",
		"A: @hush": "found character that cannot start any token", "\tA: hush": "found character that cannot start any token",
		`A: "\q"`: "found unknown escape character", "A: *hush": "no anchor has the name after *: write a value that begins with * in quotes",
	} {
		for _, line := range []int{2, 3, 4, 200} {
			lines := slices.Repeat([]string{"  B%d: x # *hush"}, 201)
			for i := range lines {
				lines[i] = fmt.Sprintf(lines[i], i)
			}
			lines[0], lines[line-1] = "variables:", "  "+mistake
			_, err := parseDocument(strings.Join(lines, "\n"))
			require.ErrorContains(t, err, problem, mistake)
			require.Regexp(t, fmt.Sprintf(`^(not valid YAML: )?line %d: `, line), err.Error(), mistake)
		}
	}
	for _, text := range []string{"variables: {A: \"x", "variables: {A: 'x\n", "A: x: y\n", "}\n", "variables: {A: @x}"} {
		_, err := parseDocument(text)
		require.ErrorContains(t, err, "not valid YAML: line 1: ", text)
	}
}

func TestNoCommandRunsForAFileThatIsRefused(t *testing.T) {
	serve(t)
	made := filepath.Join(t.TempDir(), "made")
	file := write(t, "v.yaml", "variables:\n  A: {command: [touch, "+made+"]}\n  B: {valeu: x}\n")
	status, _, stderr := call(t, "plan", "-repo", "acme/site", "-file", file)
	require.Equal(t, cli.Trouble, status)
	require.Contains(t, stderr, "valeu")
	require.NoFileExists(t, made)
}

func TestAnInterruptEndsACommandAndWhatItHasStarted(t *testing.T) {
	srv, _ := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	started := filepath.Join(t.TempDir(), "started")
	file := write(t, "v.yaml", "variables: {A: {command: [sh, -c, 'touch "+started+"; sleep 20; echo x']}}")
	var errs bytes.Buffer
	status := make(chan int)
	go func() {
		status <- run(ctx, []string{"plan", "--repo", "acme/site", "--file", file}, cli.Env{Stdout: io.Discard, Stderr: &errs})
	}()
	require.Eventually(t, func() bool { _, err := os.Stat(started); return err == nil }, 10*time.Second, time.Millisecond)
	cancel()
	select {
	case got := <-status:
		require.Equal(t, cli.Interrupted, got)
	case <-time.After(10 * time.Second):
		require.Fail(t, "the program waits for the command")
	}
	require.Contains(t, errs.String(), "variables: interrupted: ")
	require.Empty(t, srv.Requests())
}

func FuzzWhatIsAcceptedAsYAMLIsReadAsTheLibraryReadsTexts(f *testing.F) {
	for _, text := range []string{"variables: {A: 007, B: yes}", "variables:\n  A: &x |\n    a\n  B: *x\n  'C': \"\\x00\"\n", "variables: {A: {env: B, secured: no}}", "--- {variables: {? A : 'x'}}"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		root, err := parseDocument(text)
		if err != nil {
			require.NotRegexp(t, `main\.|map\[|unmarshal`, err.Error())
			return
		}
		entries, err := entriesOf(root)
		if err != nil {
			return
		}
		read, want := map[string]string{}, struct{ Variables map[string]string }{map[string]string{}}
		for _, e := range entries {
			if e.value == nil {
				return
			}
			read[e.key] = *e.value
		}
		if yaml.Unmarshal([]byte(text), &want) == nil { // it has no mappings as values
			require.Equal(t, want.Variables, read)
		}
	})
}
