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

// row is a line of the table: a figure of each client and what it has to reach.
type row struct {
	task, measure string
	figures       []string // by clientNames
	ratio         string   // of the SDK to the limit
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

// target is what a figure has to reach. Its text is empty where it is only told.
type target struct {
	text  string
	bound float64
	least bool
}

var untold target

func atMost(bound float64) target  { return target{fmt.Sprintf("≤ %.2f", bound), bound, false} }
func atLeast(bound float64) target { return target{fmt.Sprintf("≥ %.2f", bound), bound, true} }

func (t target) met(figure float64) bool {
	if t.least {
		return figure >= t.bound
	}
	return figure <= t.bound
}

// against is a row whose target is the ratio of the SDK to the hand-written client. Those two are compared round by round, and
// the median of these ratios counts.
func against(task, measure string, results map[string][]result, figure func(result) float64, t target) row {
	r := row{task: task, measure: measure, figures: figures(results, figure), target: t.text}
	var ratios []float64
	for i := range results[sdk] {
		ratios = append(ratios, figure(results[sdk][i])/figure(results[byHand][i]))
	}
	ratio := median(ratios)
	r.ratio, r.met = fmt.Sprintf("%.2f", ratio), t.met(ratio)
	return r
}

// absolute is a row whose target, if it isn't 0, is the SDK's own figure.
func absolute(task, measure string, results map[string][]result, figure func(result) float64, most float64) row {
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

// number writes three digits that count, and integers as they are.
func number(f float64) string {
	switch {
	case f == math.Trunc(f) || math.Abs(f) >= 100:
		return fmt.Sprintf("%.0f", f)
	case math.Abs(f) >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

// table is what the program prints.
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

// addFile adds the rows that a file has, if one is named.
func (t *table) addFile(name string) error {
	if name == "" {
		return nil
	}
	text, err := os.ReadFile(name) //nolint:gosec // the user names it
	if err != nil {
		return err
	}
	t.lines = append(t.lines, strings.Split(strings.TrimSpace(string(text)), "\n")...)
	return nil
}

// String returns the table as Markdown, between the marks by which docs/performance.md finds it.
func (t *table) String() string {
	return fmt.Sprintf("<!-- bench -->\n%s\n\n%s, %s/%s, %d processors. Medians.\n<!-- /bench -->\n",
		strings.Join(t.lines, "\n"), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}
