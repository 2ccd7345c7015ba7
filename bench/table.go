package main

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
)

// row is a line of the table: a figure for each client and the target.
type row struct {
	task, measure string
	figures       []string // by clientNames
	ratio         string   // SDK to hand-written
	target        string
	met           bool
}

// String returns the row as Markdown.
func (r row) String() string {
	verdict := ""
	if r.target != "" {
		verdict = "missed"
		if r.met {
			verdict = "reached"
		}
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

func atMost(bound float64) target  { return target{fmt.Sprintf("≤ %.2f", bound), bound, false} }
func atLeast(bound float64) target { return target{fmt.Sprintf("≥ %.2f", bound), bound, true} }

func (t target) met(figure float64) bool {
	if t.least {
		return figure >= t.bound
	}
	return figure <= t.bound
}

// ratioRow is a row whose target is for the ratio of the SDK to the hand-written client. The two are compared in each round, and the median
// of the ratios counts.
func ratioRow(task, measure string, results map[string][]result, figure func(result) float64, t target) row {
	r := row{task: task, measure: measure, figures: figures(results, figure), target: t.text}
	var ratios []float64
	for i := range results[sdk] {
		ratios = append(ratios, figure(results[sdk][i])/figure(results[byHand][i]))
	}
	ratio := median(ratios)
	r.ratio, r.met = fmt.Sprintf("%.2f", ratio), t.met(ratio)
	return r
}

// sdkRow is a row whose target, if it isn't 0, is for the figure of the SDK.
func sdkRow(task, measure string, results map[string][]result, figure func(result) float64, most float64) row {
	r := row{task: task, measure: measure, figures: figures(results, figure)}
	if most > 0 {
		r.target, r.met = "≤ "+number(most), medianOf(results[sdk], figure) <= most
	}
	return r
}

func figures(results map[string][]result, figure func(result) float64) []string {
	var cells []string
	for _, client := range clientNames {
		if results[client][0].Unsupported {
			cells = append(cells, "-")
			continue
		}
		cells = append(cells, number(medianOf(results[client], figure)))
	}
	return cells
}

func medianOf(results []result, figure func(result) float64) float64 {
	var all []float64
	for _, r := range results {
		all = append(all, figure(r))
	}
	return median(all)
}

func median[T cmp.Ordered](all []T) T {
	slices.Sort(all)
	return all[len(all)/2]
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
	return fmt.Sprintf("<!-- bench -->\n%s\n\n%s, %s/%s, %d processors. Medians.\n<!-- /bench -->\n",
		strings.Join(t.lines, "\n"), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}
