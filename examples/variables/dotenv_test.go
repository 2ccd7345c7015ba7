package main

import (
	"testing"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

func TestADotenvFileMeansWhatPeopleWriteInIt(t *testing.T) {
	for text, want := range map[string]string{
		"A=1":                                "1",
		"A=":                                 "",
		"A=   ":                              "",
		`A=""`:                               "",
		"A=''":                               "",
		"A = 1 ":                             "1",
		"\t A=1":                             "1",
		"export A=1":                         "1",
		"export\tA=1":                        "1",
		"A=1\r\n":                            "1",
		"\n\n# a comment\n  # two\nA=1":      "1",
		"A=007":                              "007",
		"A=two words":                        "two words",
		"A=1 # a comment":                    "1",
		"A='a # b' # a comment":              "a # b",
		`A="a # b"# a comment`:               "a # b",
		"A=x=y==":                            "x=y==",
		"A=it's":                             "it's",
		`A=C:\dir\`:                          `C:\dir\`,
		`A=a\nb`:                             `a\nb`,
		`A='a\nb'`:                           `a\nb`,
		`A="a\nb"`:                           "a\nb",
		`A="C:\\dir\\"`:                      `C:\dir\`,
		`A="C:\dir"`:                         `C:\dir`,
		`A='$B ${C}'`:                        "$B ${C}",
		`A="\$B \${C}"`:                      "$B ${C}",
		`A="say \"hi\""`:                     `say "hi"`,
		"A='one\ntwo\n'\n":                   "one\ntwo\n",
		"A=\"one\n# two\nB=3\"":              "one\n# two\nB=3",
		"A=https://x.test/?a=b&c=d":          "https://x.test/?a=b&c=d",
		"A='https://x.test/#/e'":             "https://x.test/#/e",
		"A=x`y`":                             "x`y`",
		"A=\"`y` \\0101\"":                   "`y` A",
		"A=1\r\r\n":                          "1",
		"export A=x=y==":                     "x=y==",
		"export A=é:/.@%+,- # a b":           "é:/.@%+,-",
		"export A=https://x.test/?a=b":       "https://x.test/?a=b",
		"export A=[é\u0301✅]!^ # a":          "[é\u0301✅]!^",
		"export A='a b; `$(c)` \\ '":         "a b; `$(c)` \\ ",
		"export A=\"a\nb 'c' \\\"\\\\\\$\" ": "a\nb 'c' \"\\$",
		"export A= \t":                       "",
		"export A=":                          "",
	} {
		wanted, err := parseDotenv(text)
		require.NoError(t, err, text)
		require.Equal(t, []pipelines.VariableRequest{{Key: "A", Value: want}}, wanted, text)
	}
}

func TestANameSaysWhetherAFileIsADotenvFileInUpperCaseToo(t *testing.T) {
	for _, name := range []string{".env", "prod.env", "a/.env.local", "PROD.ENV", ".Env", ".ENV.local"} {
		require.True(t, isDotenv(name), name)
	}
	for _, name := range []string{"env", "env.yaml", "x.env.yaml", "a.env/x", "-"} {
		require.False(t, isDotenv(name), name)
	}
}

func TestADotenvFileThatIsNotClearIsRefusedWithItsLineAndWithoutItsContent(t *testing.T) {
	srv, _ := serve(t)
	t.Setenv("hush", "of the environment")
	for _, c := range []struct{ text, want string }{
		{"A=1\nhush\n", "line 2 has no ="},
		{"A=1\nhush", "line 2 has no ="},
		{"export hush", "line 1 has no ="},
		{"hush: 1", "line 1 has no ="},
		{"\n\n=hush", "line 3: there is no name before ="},
		{"export =hush", "line 1: there is no name before ="},
		{"hu sh=1", "line 1: the name before = has a character"},
		{"hu\tsh=1", "line 1: the name before = has a character"},
		{"\"hush\"=1", "line 1: the name before = has a character"},
		{"https://hush?a=1", "line 1: the name before = has a character"},
		{"A: hush=1", "line 1: the name before = has a character"},
		{"A=1\nB=2\n\nA=hush", "line 4: A is there already, in line 1"},
		{"A='1\n2'\nA=hush", "line 3: A is there already, in line 1"},
		{"A=1\nB='hush\nC=2\n", "line 2: B: the quote at the beginning of the value isn't closed"},
		{`A="hush\"`, "line 1: A: the quote at the beginning of the value isn't closed"},
		{`A='hush\'`, "line 1: A: the quote at the beginning of the value isn't closed"},
		{"A='x' hush", "line 1: A: only a comment may follow"},
		{"A='x' B='hush'", "line 1: A: only a comment may follow"},
		{"A='x''hush'", "line 1: A: only a comment may follow"},
		{"\nA=$hush", "line 2: A: the value has a $"},
		{"A=pa$$hush", "line 1: A: the value has a $"},
		{`A=pa\$hush`, "line 1: A: the value has a $"},
		{"A=5$", "line 1: A: the value has a $"},
		{"A=${hush}", "line 1: A: the value has a $"},
		{"A=${hush:-y}", "line 1: A: the value has a $"},
		{"A=${hush", "line 1: A: the value has a $"},
		{`A="x $hush"`, "line 1: A: the value has a $"},
		{`A="x \\$hush"`, "line 1: A: the value has a $"},
		{`A="x \\\\${hush:?no}"`, "line 1: A: the value has a $"},
		{"hush=1\nA=$hush", "line 2: A: the value has a $"},
		{`A="\0hush"`, `line 1: A: after \0`},
		{`A="\0777"`, `line 1: A: after \0`},
		{"A=#hush", "line 1: A: the value begins with #"},
		{"A= # hush", "line 1: A: the value begins with #"},
		{"A=x#hush", "line 1: A: the value has a #"},
		{"A=https://hush.test/#/b", "line 1: A: the value has a #"},
		{"A=hush# b", "line 1: A: the value has a #"},
		{"A=`hush`", "line 1: A: the value begins with a `"},
		{"export A=$hush", "line 1: A: the value has a $"},
		{"export A=two hush", "line 1: A: with export it is a line for a shell"},
		{"B=1\nexport A=1 HUSH=hush", "line 2: A: with export"},
		{"export A= hush", "line 1: A: with export"},
		{"export A=\t'hush'", "line 1: A: with export"},
		{"export A=hush;B=2", "line 1: A: with export"},
		{"export A=x\\hush", "line 1: A: with export"},
		{"export A=~/hush", "line 1: A: with export"},
		{"export A=x`hush`", "line 1: A: with export"},
		{"export A=x\"hush\"", "line 1: A: with export"},
		{"export A=it's hush", "line 1: A: with export"},
		{"export A=hush&", "line 1: A: with export"},
		{"export A=\"x\\nhush\"", "line 1: A: with export"},
		{"export A=\"`hush`\"", "line 1: A: with export"},
		{"export A=\"a\\\nhush\"", "line 1: A: with export"},
		{"export A='x'#hush", "line 1: A: with export"},
		{`A="\0044hush"`, "line 1: A: the value has a $"},
		{`A="\\\0044hush"`, "line 1: A: the value has a $"},
		{"# a comment\rA=hush\rB=1\r", "line 1 has a carriage return"},
		{"A=1\n# b\rC=hush\n", "line 2 has a carriage return"},
		{"A=1\nB='x' # c\rC=hush\n", "line 2 has a carriage return"},
		{"A=1\nB='x\rhush'\n", "line 2 has a carriage return"},
		{"A=1\r\nB=\"x\r\nhush\"\r\n", "line 2: B: the value has line ends of Windows"},
		{"A=x\t# hush", "line 1: A: the value has a control character"},
		{"A=hush\rB=2", "line 1 has a carriage return"},
		{"A=hush\x00", "line 1: A: the value has a control character"},
		{"A=1\nB=hush\xff\n", "line 2 of "},
		{"A='1\n2\n\xe9hush'", "line 3 of "},
		{"\xff\xfeA\x00=\x001\x00", "UTF-16"},
		{"\xfe\xff\x00A\x00=\x001", "UTF-16"},
	} {
		status, stdout, stderr := call(t, "apply", "-repo", "acme/site", "-file", write(t, "x.env", c.text))
		require.Equal(t, cli.Trouble, status, "%q: %s", c.text, stdout)
		require.Contains(t, stderr, c.want, "%q", c.text)
		require.NotContains(t, stdout+stderr, "hush")
	}
	require.Empty(t, srv.Requests())
}

func FuzzWhatIsAcceptedAsADotenvFileIsReadAsTheLibraryReadsTheWholeFile(f *testing.F) {
	for _, text := range []string{"A=1\nexport B='x\ny' # z\nC=\"\\$ \\0101\"\n", "A=\n\n#x\r\nB = 2 # c\r\n", "A='\\''\nB=\"\\\\\"", "A=x\u00a0\nB=\u0085'y'"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		wanted, err := parseDotenv(text)
		if err != nil || !utf8.ValidString(text) {
			return
		}
		want, err := dotenv.UnmarshalWithLookup(text, nil)
		require.NoError(t, err)
		read := map[string]string{}
		for _, one := range wanted {
			read[one.Key] = one.Value
		}
		require.Equal(t, want, read)
	})
}
