package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// awkward are values that formats and their parsers tend to change.
var awkward = []string{
	"", " ", "  x", "x  ", "\t", "x\t", "\tx", "x", "two words", "007", "+5", "00", "1.10", "1e3", "0x1F", "0o7", "1_000", ".5", "-", "--", "---", "...", "yes", "no", "on",
	"true", "null", "~", "<<", "=", "2001-01-01", "a=b", "=x", "a:b", "a: b", "a:", ": a", "a #b", "#", "# x", "a#b", "a\t#b", "- a", "? a", "[a]", "{a: b}", "&a", "*a", "!a",
	"|", ">", "%a", "@a", "`a`", "`", "\"", "'", "''", `""`, `"a"`, `'a'`, `a"b`, "a'b", `a'b"c`, "'\"", `\`, `\\`, `a\`, `C:\dir\`, `C:\new\table`, `'C:\dir\`, `\n`, `a\nb`, `\"`, `\'`,
	`'\`, `\$`, `\0`, `\012`, `\0123`, `\c`, `\x41`, `\u0041`, "$", "$$", "$B", "A=$B", "${B}", "${X:-y}", "${X", "$(id)", "$1", "5$", "pa$$word", `\$B`, `'$B`, `$'`, "$${B}", "}${",
	"\n", "\n\n", "a\n", "\na", " \na", "a\n ", "a\n\nb", "a\nB=c", "a\n#b", "  a\n b", "\ta\nb", "a \nb", "\r", "a\rb", "a\r", "\r\n", "a\r\nb", "a\r\n", "\n\r", "a\n\tb\n",
	"-----BEGIN KEY-----\nQUJD\n-----END KEY-----\n", "it's\n$5 \"each\"\n", "\x00", "a\x00b", "\x001", "\x01", "\x1b[31m", "\x7f", "\b", "\f", "\v", "\a", "\u0080", "\u0085", "a\u0085b", "\u009b", "\u00a0",
	"\u00a0x\u00a0", "\u00ad", "\u2028", "a\u2029b", "\ufeff", "\ufeffx", "x\ufeff", "\ufffd", "\ufffe", "\uffff", "é", "日本語", "\U0001f600", "\U0010ffff", "e\u0301", "\u202e", "export A=1",
	strings.Repeat("x", 300), strings.Repeat("a b ", 100), strings.Repeat("é\n", 50), strings.Repeat(`"$\'`, 50),
}

// requireRoundTrip requires that values that are written to a file are read from it as they were.
func requireRoundTrip(t *testing.T, values ...string) {
	t.Helper()
	there := []*pipelines.Variable{{Key: "A", Value: "first"}, {Key: "Z", Value: "last"}}
	for i, value := range values {
		there = append(there, &pipelines.Variable{Key: fmt.Sprintf("V%03d", i), Value: value})
	}
	for _, dotenv := range []bool{false, true} {
		text, err := render(there, "acme/site", dotenv)
		require.NoError(t, err)
		wanted, err := parseDotenv(string(text))
		if !dotenv {
			wanted, _, err = parseYAML(t.Context(), string(text), false)
		}
		require.NoError(t, err, "%q became\n%s", values, text)
		read := map[string]string{}
		for _, one := range wanted {
			read[one.Key] = one.Value
		}
		require.Len(t, read, len(there))
		for _, one := range there {
			require.Equal(t, one.Value, read[one.Key])
		}
	}
}

func FuzzEveryValueRoundTripsThroughBothFormats(f *testing.F) {
	for _, value := range awkward {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if !utf8.ValidString(value) {
			t.Skip("the service has only UTF-8")
		}
		requireRoundTrip(t, value)
	})
}

func TestRandomValuesRoundTripThroughBothFormats(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		values := make([]string, 100)
		for i := range values {
			for range random.IntN(6) {
				if random.IntN(4) == 0 {
					values[i] += string(rune(random.IntN(0x3000)))
				} else {
					values[i] += awkward[random.IntN(len(awkward))]
				}
			}
		}
		requireRoundTrip(t, values...)
	}
}

func TestWhatWasExportedIsWhatIsThereAndCanBeTakenElsewhere(t *testing.T) {
	srv, r := serve(t)
	for i, value := range awkward {
		r.AddVariable(pipelines.Variable{Key: "V" + strconv.Itoa(i), Value: value})
	}
	t.Setenv("B", "of the environment")
	for slug, name := range map[string]string{"one": "all.yaml", "two": "all.env"} {
		file := filepath.Join(t.TempDir(), name)
		status, _, stderr := call(t, "export", "--repo", "acme/site", "--file", file)
		require.Equal(t, cli.Success, status, stderr)
		status, stdout, stderr := call(t, "plan", "--repo", "acme/site", "--file", file, "--prune")
		require.Equal(t, cli.Success, status, stdout+stderr)
		require.Contains(t, stdout, "0 to create, 0 to change, 0 to delete, "+strconv.Itoa(len(awkward))+" unchanged")
		other := srv.AddRepository("acme", slug)
		status, _, stderr = call(t, "apply", "--repo", "acme/"+slug, "--file", file)
		require.Equal(t, cli.Success, status, stderr)
		require.Equal(t, values(r.Variables()), values(other.Variables()))
	}
}
