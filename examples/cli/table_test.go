package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestATableIsAlignedAsTerminalsShowIt(t *testing.T) {
	names := []string{"plain", "日本語のキャッシュ", "e\u0301te\u0301", "👩‍👩‍👧‍👦", "🇩🇪", "🏳️‍🌈 flag", "❤️", "1️⃣", "नी", "한글", "\x1b[31mred\x1b[0m", "a\tb\nc"}
	var rows [][]string
	for _, name := range names {
		rows = append(rows, []string{name, "x", ""})
	}
	var out bytes.Buffer
	PrintTable(&out, "nothing", []string{"NAME", "MARK", "REST"}, rows)
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	require.Len(t, lines, 1+len(names))
	for i, line := range lines[1:] {
		before, _, ok := strings.Cut(line, "  x")
		require.True(t, ok, line)
		require.Equal(t, Columns("日本語のキャッシュ"), Columns(before), names[i])
		require.Equal(t, strings.TrimRight(line, " "), line)
		require.NotContains(t, line, "\x1b")
	}
	require.Equal(t, strings.Index(lines[0], "MARK"), 2+Columns("日本語のキャッシュ"))
}

func TestNumbersInATableAreAlignedRight(t *testing.T) {
	var out bytes.Buffer
	PrintTable(&out, "nothing", []string{"NAME", "RUNS", "SIZE", "VERSION"}, [][]string{
		{"a", "1", "3.1 MB", "1.2.3"}, {"b", "1,200", "700 kB", "10.0.1"}, {"c", "", "12 MB", "2"},
	})
	require.Equal(t, ""+
		"NAME   RUNS    SIZE  VERSION\n"+
		"a         1  3.1 MB  1.2.3\n"+
		"b     1,200  700 kB  10.0.1\n"+
		"c             12 MB  2\n", out.String())
}

func TestAnEmptyTableSaysSo(t *testing.T) {
	var out bytes.Buffer
	PrintTable(&out, "acme/site has no schedules.", []string{"NAME"}, nil)
	require.Equal(t, "acme/site has no schedules.\n", out.String())
}

func TestRowsOfATableMayBeShort(t *testing.T) {
	var out bytes.Buffer
	PrintTable(&out, "nothing", []string{"A", "B"}, [][]string{{"x"}, {"x", "y", "z"}})
	require.Equal(t, "A  B\nx\nx  y  z\n", out.String())
}

// narrow is a terminal of so many columns.
type narrow struct {
	bytes.Buffer

	columns int
}

func (n *narrow) Columns() int { return n.columns }

func TestARowThatIsWiderThanTheTerminalGoesOnBelow(t *testing.T) {
	header := []string{"NAME", "RUNS", "WHY", "ID"}
	rows := [][]string{{"first", "1,200", "short", "{0123456789}"}, {"a", "1", "", ""}, {"日本語", "17", "a longer reason", "{0123456789}"}, {"", "", "more"}}
	for columns, want := range map[int]string{
		44: "" +
			"NAME     RUNS  WHY              ID\n" +
			"first   1,200  short            {0123456789}\n" +
			"a           1\n" +
			"日本語     17  a longer reason  {0123456789}\n" +
			"               more\n",
		43: "" +
			"NAME     RUNS  WHY              ID\n" +
			"first   1,200  short\n" +
			"    {0123456789}\n" +
			"a           1\n" +
			"日本語     17  a longer reason\n" +
			"    {0123456789}\n" +
			"               more\n",
		20: "" +
			"NAME     RUNS  WHY\n" +
			"    ID\n" +
			"first   1,200  short\n" +
			"    {0123456789}\n" +
			"a           1\n" +
			"日本語     17\n" +
			"    a longer reason\n" +
			"    {0123456789}\n" +
			"               more\n",
		5: "" +
			"NAME\n" +
			"    RUNS\n" +
			"    WHY\n" +
			"    ID\n" +
			"first\n" +
			"    1,200\n" +
			"    short\n" +
			"    {0123456789}\n" +
			"a\n" +
			"    1\n" +
			"日本語\n" +
			"    17\n" +
			"    a longer reason\n" +
			"    {0123456789}\n" +
			"    more\n",
	} {
		out := &narrow{columns: columns}
		PrintTable(out, "nothing", header, rows)
		require.Equal(t, want, out.String(), columns)
	}
}
