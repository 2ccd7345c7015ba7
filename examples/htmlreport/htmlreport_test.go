package htmlreport

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func ExamplePage() {
	page := Page{
		Title:   "Build minutes",
		Heading: "acme",
		Facts:   []Fact{{Name: "Build time", Value: Minutes(74_045), Note: "of two repositories"}},
		Sections: []Section{{
			Heading: "By repository",
			Tables: []Table{{
				Columns: []Column{{Name: "Repository"}, {Draw: []Colour{First}}, {Name: "Build time"}},
				Rows: [][]Cell{
					{{Text: "site", URL: "https://bitbucket.org/acme/site"}, {Sizes: []float64{74_000}}, {Text: Minutes(74_000)}},
					{{Text: "shop"}, {Sizes: []float64{45}}, {Text: Minutes(45)}},
				},
			}},
		}},
	}
	_ = page.Write(os.Stdout)
}

// everything is a page with all that a page can have.
func everything() Page {
	chart := Chart{
		Title: "Runs by day", Labels: []string{"1 Oct", "2 Oct", "3 Oct"}, Scale: Counts,
		Series: []Series{{"good", Good, []float64{1, math.NaN(), 3}}, {"bad", Bad, []float64{0, 2, 1}}},
	}
	stacked := chart
	stacked.Stacked = true
	return Page{
		Title: "<t>", Heading: "<h>", Intro: "<i>", Notes: []Note{{"Not complete:", "<n>"}}, Facts: []Fact{{"<f>", "<v>", "<w>"}},
		Sections: []Section{
			{Heading: "<s>", Text: "<x>", Charts: []Chart{chart, stacked}},
			{Heading: "Tables", Tables: []Table{
				{
					Folded:  "All <rows>",
					Columns: []Column{{Name: "<c>", Words: true}, {Draw: []Colour{First, Second}}, {Draw: []Colour{Bad}}, {Name: "p50", Colour: First}, {Name: "Link"}},
					Rows: [][]Cell{
						{{Text: "<a>", Notes: []string{"<b>"}}, {Sizes: []float64{1, 4}}, {Sizes: []float64{0}}, {Text: "1"}, {Text: "#1", URL: "https://bitbucket.org/?a=1&b=<"}},
						{{Text: "short"}, {}, {}, {Text: "2"}, {Text: "#2", URL: "javascript:alert(1)"}},
					},
					After: "3 <more>",
				},
				{Columns: []Column{{Name: "Nothing"}}, Empty: "There is <nothing>."},
			}},
			{Heading: "Empty", Charts: []Chart{{Title: "No days", Scale: Seconds}}},
		},
	}
}

func written(t *testing.T, p Page) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, p.Write(&b))
	return b.String()
}

func TestThePageNeedsNothingElseAndIsWellFormed(t *testing.T) {
	html := written(t, everything())
	for _, wrong := range []string{"<script", "<link", "<img", " src=", "@import", "url(", "ZgotmplZ", "NaN", "Inf", "%!", "javascript"} {
		require.NotContains(t, strings.ReplaceAll(html, `href="#ZgotmplZ"`, ""), wrong)
	}
	_, body, _ := strings.Cut(html, "</head>")
	body, _, found := strings.Cut(body, "</html>")
	require.True(t, found)
	reader := xml.NewDecoder(strings.NewReader(body))
	for {
		_, err := reader.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
	}
}

func TestTextsAreEscaped(t *testing.T) {
	html := written(t, everything())
	for _, text := range []string{"t", "h", "i", "n", "f", "v", "w", "s", "x", "c", "a", "b", "more", "nothing", "rows"} {
		require.Contains(t, html, "&lt;"+text+"&gt;")
	}
	for _, text := range []string{"<t>", "<n>", "<more>", "<rows>", "<nothing>", "<x>"} {
		require.NotContains(t, html, text)
	}
}

func TestDrawingsKeepTheSizeOfTheirTextOnEveryScreen(t *testing.T) {
	html := written(t, everything())
	require.NotContains(t, html, "viewBox", "it would scale the text")
	require.NotContains(t, html, "preserveAspectRatio")
	require.Contains(t, html, `<text x="16.67%" y="200" text-anchor="middle">1 Oct</text>`)
}

func TestEveryTableScrollsAndHasAName(t *testing.T) {
	html := written(t, everything())
	require.Equal(t, 1, strings.Count(html, "<table"))
	require.Contains(t, html, `<div class="scroll" tabindex="0" role="region" aria-labelledby="section-1"><table aria-labelledby="section-1">`)
	require.Contains(t, html, "<p>There is &lt;nothing&gt;.</p>")
	require.Contains(t, html, "100% no-repeat scroll", "shadows at the edges show that it scrolls")
}

func TestBarsAreSharesOfTheLargestOfTheirColumn(t *testing.T) {
	rows := Table{
		Columns: []Column{{Name: "Name"}, {Draw: []Colour{First}}, {Draw: []Colour{First, Second, Third}}},
		Rows: [][]Cell{
			{{Text: "a"}, {Sizes: []float64{50}}, {Sizes: []float64{1, 2, 4}}},
			{{Text: "b"}, {Sizes: []float64{200}}, {Sizes: []float64{2, 2, 5}}},
			{{Text: "c"}, {Sizes: []float64{-1}}, {}},
		},
	}.drawn()
	require.Equal(t, &span{To: 25, Colour: First}, rows[0][1].Bar)
	require.Equal(t, &span{To: 100, Colour: First}, rows[1][1].Bar)
	require.Equal(t, &span{Colour: First}, rows[2][1].Bar)
	require.Equal(t, &span{From: 20, To: 80}, rows[0][2].Line)
	require.Equal(t, []dot{{80, Third}, {40, Second}, {20, First}}, rows[0][2].Dots)
	require.Nil(t, rows[2][2].Line)
}

func TestColumnsAreStacked(t *testing.T) {
	d := everything().Sections[0].Charts[1].drawn()
	require.Equal(t, []column{
		{5.01, 23.33, 135, 45, Good, "1 Oct: 1 good, 0 bad"},
		{38.34, 23.33, 90, 90, Bad, "2 Oct: 2 bad"},
		{71.66, 23.33, 45, 135, Good, "3 Oct: 3 good, 1 bad"},
		{71.66, 23.33, 0, 45, Bad, "3 Oct: 3 good, 1 bad"},
	}, d.Columns)
}

func TestALineIsInterruptedWhereThereIsNoValue(t *testing.T) {
	c := everything().Sections[0].Charts[0]
	c.Series[0].Values = []float64{math.NaN(), 1, 3}
	c.Series = c.Series[:1]
	d := c.drawn()
	require.Equal(t, []line{{50, 120, 83.33, 0, Good}}, d.Lines)
	require.Len(t, d.Points, 2)
}

func TestOddValuesAreDrawnAsNone(t *testing.T) {
	odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), -5}
	var page Page
	for _, scale := range []Scale{Counts, Seconds, Shares} {
		for _, stacked := range []bool{true, false} {
			chart := Chart{Labels: make([]string, 6), Stacked: stacked, Scale: scale, Series: []Series{{"odd", Bad, odd}, {"more", Good, make([]float64, 9)}}}
			page.Sections = append(page.Sections, Section{Charts: []Chart{chart}})
		}
	}
	table := Table{Columns: []Column{{}, {Draw: []Colour{First}}}}
	for _, v := range odd {
		table.Rows = append(table.Rows, []Cell{{}, {Sizes: []float64{v}}, {Text: "one too many"}})
	}
	page.Sections = append(page.Sections, Section{Tables: []Table{table}})
	html := written(t, page)
	for _, wrong := range []string{"NaN", "Inf", `="-5`} {
		require.Zero(t, strings.Count(html, wrong), wrong)
	}
}

func TestAsManyLabelsAreBelowAChartAsFit(t *testing.T) {
	for label, want := range map[string]int{"": 8, "29 Oct": 8, "29 Oct 2026": 4, strings.Repeat("long ", 50): 2} {
		c := Chart{Scale: Counts, Labels: slices.Repeat([]string{label}, 40)}
		require.Len(t, c.drawn().Labels, want, label)
		require.True(t, c.drawn().Labels[1].Skippable)
	}
}

func TestAxesReachTheMaximum(t *testing.T) {
	for _, tt := range []struct {
		maximum float64
		scale   Scale
		want    []float64
	}{
		{0, Counts, []float64{0, 1}},
		{1, Counts, []float64{0, 1}},
		{5, Counts, []float64{0, 1, 2, 3, 4, 5}},
		{17, Counts, []float64{0, 5, 10, 15, 20}},
		{240, Seconds, []float64{0, 60, 120, 180, 240}},
		{5e5, Seconds, []float64{0, 172800, 345600, 518400}},
		{0.3, Shares, []float64{0, 0.25, 0.5, 0.75, 1}},
	} {
		require.Equal(t, tt.want, tt.scale.marks(tt.maximum), "%g", tt.maximum)
	}
}

func TestMinutesInWords(t *testing.T) {
	for minutes, want := range map[float64]string{
		0: "0 min", 0.4: "24 s", 0.999: "1 min", 1: "1 min", 59.4: "59 min", 59.6: "1 h", 60: "1 h", 61: "1 h 1 min", 74045: "1,234 h 5 min", 6e7: "1,000,000 h",
	} {
		require.Equal(t, want, Minutes(minutes), "%g", minutes)
	}
}

func TestDurationsInWords(t *testing.T) {
	for seconds, want := range map[float64]string{
		0: "0s", 59.4: "59s", 59.6: "1m", 61: "1m01s", 3599: "59m59s", 3600: "1h", 3630: "1h", 3660: "1h01m", 93600: "26h", 3.6e6: "1,000h",
	} {
		require.Equal(t, want, Duration(seconds), "%g", seconds)
	}
}

func TestNumbersAndShares(t *testing.T) {
	require.Equal(t, "1,234", Number(1234))
	require.Equal(t, "87.5 %", Percent(0.8751))
	require.Equal(t, "100 %", Percent(1))
	require.Equal(t, "99.9 %", Percent(99_999./100_000), "not all")
	require.Equal(t, "0.1 %", Percent(1./100_000), "not none")
	require.Equal(t, "0 %", Percent(0))
}

func TestAYearOfDaysFitsANarrowScreen(t *testing.T) {
	c := Chart{Scale: Counts, Labels: make([]string, 366)}
	require.Less(t, c.drawn().MinWidth, 400)
	require.True(t, c.drawn().Dense)
}
