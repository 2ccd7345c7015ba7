package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// chart is a drawing for the template: shapes in drawing order.
type chart struct {
	ID, Title, Desc string
	W, H            float64
	Legend          []legend
	Rules           []rule
	Rects           []rect
	Paths           []path
	Dots            []dot
	Texts           []text
}

type (
	legend struct{ Class, Label string }
	rule   struct {
		X1, Y1, X2, Y2 float64
		Class          string
	}
	rect struct {
		X, Y, W, H float64
		Class, Tip string
	}
	path struct{ D, Class string }
	dot  struct {
		X, Y, R    float64
		Class, Tip string
	}
	text struct {
		X, Y                 float64
		Anchor, Class, Words string
	}
)

// The dimensions of charts by day: a plot with room for the labels of the axes.
const (
	chartWidth = 600.0
	plotLeft   = 52.0
	plotRight  = chartWidth - 8
	plotTop    = 10.0
	plotBottom = 190.0
	dayHeight  = 216.0
)

// round shortens coordinates.
func round(v float64) float64 { return math.Round(v*10) / 10 }

// numberSteps and timeSteps are readable distances between the marks of an axis. Larger ones are multiples of the last.
var (
	numberSteps = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000}
	timeSteps   = []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400}
)

// marks returns about five marks of an axis from 0 to at least a maximum.
func marks(maximum float64, steps []float64) []float64 {
	const most = 5
	step := steps[len(steps)-1]
	for _, s := range steps {
		if maximum <= s*most {
			step = s
			break
		}
	}
	for maximum > step*most {
		step *= 2
	}
	list := []float64{0}
	for len(list) < 2 || list[len(list)-1] < maximum {
		list = append(list, step*float64(len(list)))
	}
	return list
}

// byDay returns a chart with an axis of days and one of values.
func byDay(id, title, desc string, days []Day, axis []float64, format func(float64) string) (c chart, x func(i int) float64, y func(v float64) float64) {
	c = chart{ID: id, Title: title, Desc: desc, W: chartWidth, H: dayHeight}
	width := (plotRight - plotLeft) / float64(len(days))
	x = func(i int) float64 { return plotLeft + width*float64(i) }
	y = func(v float64) float64 { return plotBottom - (plotBottom-plotTop)*v/axis[len(axis)-1] }
	for i, v := range axis {
		class := "grid"
		if i == 0 {
			class = "base"
		}
		c.Rules = append(c.Rules, rule{plotLeft, round(y(v)), plotRight, round(y(v)), class})
		c.Texts = append(c.Texts, text{plotLeft - 8, round(y(v) + 4), "end", "tick", format(v)})
	}
	each := (len(days) + 7) / 8
	for i := 0; i < len(days); i += each {
		c.Texts = append(c.Texts, text{round(x(i) + width/2), plotBottom + 18, "middle", "tick", shortDate(days[i].Date)})
	}
	return c, x, y
}

// runsByDay draws a column of runs by result for each day.
func runsByDay(days []Day) chart {
	most := 0
	for _, d := range days {
		most = max(most, d.Counts.Runs)
	}
	c, x, y := byDay("runs", "Runs by day", "A column for each day, stacked by how the runs ended.", days, marks(float64(most), numberSteps), number)
	c.Legend = []legend{{"good", "successful"}, {"bad", "failed"}, {"other", "stopped or unfinished"}}
	width := (plotRight - plotLeft) / float64(len(days))
	for i, d := range days {
		sum := 0
		tip := fmt.Sprintf("%s: %s, %d successful, %d failed, %d stopped, %d unfinished",
			d.Date, cli.Count(d.Counts.Runs, "run", "runs"), d.Counts.Successful, d.Counts.Failed, d.Counts.Stopped, d.Counts.Unfinished)
		for _, part := range []struct {
			n     int
			class string
		}{{d.Counts.Successful, "good"}, {d.Counts.Failed, "bad"}, {d.Counts.Stopped + d.Counts.Unfinished, "other"}} {
			if part.n == 0 {
				continue
			}
			top, bottom := y(float64(sum+part.n)), y(float64(sum))
			c.Rects = append(c.Rects, rect{round(x(i) + width*0.15), round(top), round(width * 0.7), round(bottom - top), part.class, tip})
			sum += part.n
		}
	}
	return c
}

// series draws a line over the days. It is interrupted if at returns false.
type series struct {
	class, label string
	at           func(Day) (value float64, ok bool)
}

func lines(id, title, desc string, days []Day, axis []float64, format func(float64) string, all ...series) chart {
	c, x, y := byDay(id, title, desc, days, axis, format)
	half := (plotRight - plotLeft) / float64(len(days)) / 2
	for _, s := range all {
		if len(all) > 1 {
			c.Legend = append(c.Legend, legend{s.class, s.label})
		}
		var d strings.Builder
		pen := "M"
		for i, day := range days {
			v, ok := s.at(day)
			if !ok {
				pen = "M"
				continue
			}
			px, py := round(x(i)+half), round(y(v))
			fmt.Fprintf(&d, "%s%g %g", pen, px, py)
			pen = "L"
			c.Dots = append(c.Dots, dot{px, py, 2.5, s.class, day.Date + ": " + s.label + " " + format(v)})
		}
		c.Paths = append(c.Paths, path{d.String(), s.class})
	}
	return c
}

func successByDay(days []Day) chart {
	return lines("success", "Success rate by day", "A line from day to day, from 0 to 100 percent; days without a judged run are left out.",
		days, []float64{0, 0.25, 0.5, 0.75, 1}, percent,
		series{"good", "success", func(d Day) (float64, bool) { return d.Counts.Rate(), d.Counts.Judged() > 0 }})
}

func waitByDay(days []Day) chart {
	most := 0.0
	for _, d := range days {
		most = max(most, d.Wait.P90)
	}
	return lines("wait", "Waiting before the first step, by day", "Two lines from day to day: the median and the 90th percentile.",
		days, marks(most, timeSteps), duration,
		series{"p50", "p50", func(d Day) (float64, bool) { return d.Wait.P50, d.Wait.Count > 0 }},
		series{"p90", "p90", func(d Day) (float64, bool) { return d.Wait.P90, d.Wait.Count > 0 }})
}

// The dimensions of charts with a row for each name, which is above its row.
const (
	rowsWidth  = 460.0
	rowHeight  = 40.0
	rowsLeft   = 4.0
	valueWidth = 84.0
)

// bar is a row of a bar chart.
type bar struct {
	label, value, tip string
	size              float64
}

func bars(id, title, desc, class string, rows []bar) chart {
	c := chart{ID: id, Title: title, Desc: desc, W: rowsWidth, H: rowHeight*float64(len(rows)) + 4}
	most := 0.0
	for _, r := range rows {
		most = max(most, r.size)
	}
	for i, r := range rows {
		top := rowHeight * float64(i)
		width := 0.0
		if most > 0 {
			width = (rowsWidth - rowsLeft - valueWidth) * r.size / most
		}
		width = max(width, 2)
		c.Texts = append(c.Texts, text{rowsLeft, top + 14, "start", "label", shorten(r.label)},
			text{round(rowsLeft + width + 6), top + 31, "start", "value", r.value})
		c.Rects = append(c.Rects, rect{rowsLeft, top + 20, round(width), 14, class, r.tip})
	}
	return c
}

// ranges draws percentiles: a line for each name from p50 to p99, with a dot for each percentile.
func ranges(id, title, desc string, names []string, all []Percentiles) chart {
	most := 0.0
	for _, p := range all {
		most = max(most, p.P99)
	}
	axis := marks(most, timeSteps)
	bottom := rowHeight*float64(len(all)) + 4
	c := chart{
		ID: id, Title: title, Desc: desc, W: rowsWidth, H: bottom + 24,
		Legend: []legend{{"p50", "p50"}, {"p90", "p90"}, {"p99", "p99"}},
	}
	x := func(v float64) float64 { return round(16 + (rowsWidth-40)*v/axis[len(axis)-1]) }
	for _, v := range axis {
		c.Rules = append(c.Rules, rule{x(v), 0, x(v), bottom, "grid"})
		c.Texts = append(c.Texts, text{x(v), bottom + 18, "middle", "tick", duration(v)})
	}
	for i, p := range all {
		top := rowHeight * float64(i)
		c.Texts = append(c.Texts, text{rowsLeft, top + 14, "start", "label halo", shorten(names[i])})
		c.Rules = append(c.Rules, rule{x(p.P50), top + 26, x(p.P99), top + 26, "span"})
		tip := fmt.Sprintf("%s: p50 %s, p90 %s, p99 %s", names[i], duration(p.P50), duration(p.P90), duration(p.P99))
		for _, d := range []struct {
			v     float64
			class string
		}{{p.P99, "p99"}, {p.P90, "p90"}, {p.P50, "p50"}} {
			c.Dots = append(c.Dots, dot{x(d.v), top + 26, 6, d.class, tip})
		}
	}
	return c
}

// shorten cuts a name to the width of its chart. The table has the full name.
func shorten(name string) string {
	const most = 64
	if runes := []rune(name); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return name
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func percent(v float64) string { return strconv.FormatFloat(math.Round(v*1000)/10, 'f', -1, 64) + " %" }

func minutes(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) + " min" }

// duration formats seconds.
func duration(v float64) string {
	s := int(math.Round(v))
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600 && s%60 == 0:
		return fmt.Sprintf("%dm", s/60)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s%3600 < 60:
		return fmt.Sprintf("%dh", s/3600)
	}
	return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
}
