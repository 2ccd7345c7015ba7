package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"

	"golang.org/x/perf/benchmath"
)

// row is a line of the table: a figure for each client and the target.
type row struct {
	task, measure string
	figures       []string // by clientNames
	ratio         string   // SDK to hand-written
	target        string
	met           bool
	uncertain     bool // the rounds differ too much to say whether it is met
}

// String returns the row as Markdown.
func (r row) String() string {
	verdict := ""
	switch {
	case r.target == "":
	case r.uncertain:
		verdict = "not certain"
	case r.met:
		verdict = "reached"
	default:
		verdict = "missed"
	}
	cells := append([]string{r.task, r.measure}, r.figures...)
	return "| " + strings.Join(append(cells, r.ratio, r.target, verdict), " | ") + " |"
}

// target is the bound of a figure. Its text is empty if there is none.
type target struct {
	text  string
	bound float64
	least bool
}

var noTarget target

func atMost(bound float64) target  { return target{"≤ " + number(bound), bound, false} }
func atLeast(bound float64) target { return target{"≥ " + number(bound), bound, true} }

func (t target) met(figure float64) bool {
	if t.least {
		return figure >= t.bound
	}
	return figure <= t.bound
}

// judge says whether a figure meets the target. That is certain if all of the figure's confidence interval does, or none of it.
func (t target) judge(r *row, figure benchmath.Summary) {
	r.target, r.met = t.text, t.met(figure.Center)
	r.uncertain = t.met(figure.Lo) != t.met(figure.Hi)
}

// confidence is that of the intervals.
const confidence = 0.95

// summarize returns the median of the rounds' figures and its confidence interval, as benchstat does.
func summarize(rounds []float64) benchmath.Summary {
	return benchmath.AssumeNothing.Summary(benchmath.NewSample(rounds, &benchmath.DefaultThresholds), confidence)
}

// ratioRow is a row whose target is for the ratio of the SDK to the hand-written client. The two are compared in each round, and the median
// of the ratios counts.
func ratioRow(task, measure string, results map[string][]result, figure func(result) float64, t target) row {
	r := row{task: task, measure: measure, figures: figures(results, figure)}
	var ratios []float64
	for i := range results[sdk] {
		ratios = append(ratios, figure(results[sdk][i])/figure(results[byHand][i]))
	}
	ratio := summarize(ratios)
	r.ratio = fmt.Sprintf("%.2f (%.2f to %.2f)", ratio.Center, ratio.Lo, ratio.Hi)
	t.judge(&r, ratio)
	return r
}

// sdkRow is a row whose target is for the figure of the SDK.
func sdkRow(task, measure string, results map[string][]result, figure func(result) float64, t target) row {
	r := row{task: task, measure: measure, figures: figures(results, figure)}
	t.judge(&r, summarize(each(results[sdk], figure)))
	return r
}

func figures(results map[string][]result, figure func(result) float64) []string {
	var cells []string
	for _, client := range clientNames {
		if results[client][0].Unsupported {
			cells = append(cells, "-")
			continue
		}
		cells = append(cells, number(summarize(each(results[client], figure)).Center))
	}
	return cells
}

func each(results []result, figure func(result) float64) []float64 {
	var all []float64
	for _, r := range results {
		all = append(all, figure(r))
	}
	return all
}

// number formats a figure with three significant digits, or as an integer.
func number(f float64) string {
	switch {
	case f == math.Trunc(f) || math.Abs(f) >= 100:
		return fmt.Sprintf("%.0f", f)
	case math.Abs(f) >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

// table is the output of the program.
type table struct{ lines []string }

func newTable() *table {
	return &table{[]string{
		"| Task | Measure | SDK | by hand | ktrysmt/go-bitbucket | SDK / by hand | to reach | |",
		"|---|---|---:|---:|---:|---:|---:|---|",
	}}
}

func (t *table) add(rows ...row) {
	for _, r := range rows {
		t.lines = append(t.lines, r.String())
	}
}

// addFile adds the rows of a file, if name isn't empty.
func (t *table) addFile(name string) error {
	if name == "" {
		return nil
	}
	text, err := os.ReadFile(name) //nolint:gosec // named by the user
	if err != nil {
		return err
	}
	t.lines = append(t.lines, strings.Split(strings.TrimSpace(string(text)), "\n")...)
	return nil
}

// String returns the table as Markdown, between the markers in docs/performance.md.
func (t *table) String() string {
	return fmt.Sprintf("<!-- bench -->\n%s\n\n%s, %s/%s, %d processors. Medians; in brackets the median's 95 %% confidence interval.\n<!-- /bench -->\n",
		strings.Join(t.lines, "\n"), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}
