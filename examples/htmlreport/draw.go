package htmlreport

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Everything is drawn in percent of the width and in pixels of the height. So a drawing fits every screen, and its text keeps its size.

// drawnCell is a cell with its drawing for the template.
type drawnCell struct {
	Cell
	Column

	Bar  *span
	Line *span
	Dots []dot
}

// span is a horizontal part of a drawing, in percent of the width.
type span struct {
	From, To float64
	Colour   Colour
}

type dot struct {
	X      float64
	Colour Colour
}

// drawn returns the rows with their drawings.
func (t Table) drawn() [][]drawnCell {
	most := t.largest()
	rows := make([][]drawnCell, len(t.Rows))
	for r, row := range t.Rows {
		for i, cell := range row[:min(len(row), len(most))] {
			rows[r] = append(rows[r], t.Columns[i].drawn(cell, most[i]))
		}
	}
	return rows
}

// largest returns the largest size of each column.
func (t Table) largest() []float64 {
	most := make([]float64, len(t.Columns))
	for _, row := range t.Rows {
		for i, cell := range row[:min(len(row), len(most))] {
			for _, size := range cell.Sizes {
				most[i] = max(most[i], drawable(size))
			}
		}
	}
	return most
}

func (c Column) drawn(cell Cell, most float64) drawnCell {
	drawn := drawnCell{Cell: cell, Column: c}
	if len(c.Draw) == 0 || len(cell.Sizes) < len(c.Draw) {
		return drawn
	}
	if len(c.Draw) == 1 {
		drawn.Bar = &span{To: percentOf(cell.Sizes[0], most), Colour: c.Draw[0]}
		return drawn
	}
	for i, colour := range c.Draw {
		drawn.Dots = append(drawn.Dots, dot{percentOf(cell.Sizes[i], most), colour})
	}
	drawn.Line = &span{From: drawn.Dots[0].X, To: drawn.Dots[len(drawn.Dots)-1].X}
	slices.Reverse(drawn.Dots) // the first is on top
	return drawn
}

func percentOf(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return round(100 * drawable(part) / whole)
}

// round shortens coordinates.
func round(v float64) float64 { return math.Round(v*100) / 100 }

// Chart draws values over a sequence, such as days.
type Chart struct {
	Title   string
	Labels  []string // of the values
	Stacked bool     // columns of all series; otherwise a line for each series
	Scale   Scale
	Series  []Series
}

// Series is a part of a chart. It has a value for each label; NaN is no value. A chart of several has a legend.
type Series struct {
	Name   string
	Colour Colour
	Values []float64
}

// at returns the value of a label; ok is false if there is none.
func (s Series) at(i int) (v float64, ok bool) {
	if i >= len(s.Values) || math.IsNaN(s.Values[i]) || math.IsInf(s.Values[i], 0) {
		return 0, false
	}
	return drawable(s.Values[i]), true
}

// drawable returns a value, or 0 if there is nothing to draw for it.
func drawable(v float64) float64 {
	if !(v > 0) || math.IsInf(v, 1) {
		return 0
	}
	return v
}

// Scale is what a chart's values are.
type Scale struct {
	format func(float64) string
	steps  []float64 // readable distances between the marks of the axis, in ascending order
	whole  float64   // where the axis ends; 0: at the values' maximum
}

// The scales.
var (
	Counts  = Scale{format: func(v float64) string { return Number(int(v)) }, steps: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000}}
	Seconds = Scale{format: Duration, steps: []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400}}
	Shares  = Scale{format: Percent, steps: []float64{0.25}, whole: 1}
)

// marks returns about five marks of the axis, from 0 to at least a maximum.
func (s Scale) marks(maximum float64) []float64 {
	const most = 5
	maximum = max(maximum, s.whole)
	step := s.steps[len(s.steps)-1]
	for _, readable := range s.steps {
		if maximum <= readable*most {
			step = readable
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

// The height of the plot, in pixels, below which are the labels.
const plotHeight = 180

// labelColumns is the number of characters that fit below a chart. On the narrowest screens every second label is hidden.
const labelColumns = 48

// drawing has the shapes of a chart, for the template.
type drawing struct {
	MinWidth int  // in pixels
	Dense    bool // has no room for details
	Marks    []mark
	Labels   []label
	Columns  []column
	Lines    []line
	Points   []point
}

type (
	mark struct {
		Y    float64
		Text string
	}
	label struct {
		X         float64
		Text      string
		Skippable bool
	}
	column struct {
		X, Width, Y, Height float64
		Colour              Colour
		Tip                 string
	}
	line struct {
		X1, Y1, X2, Y2 float64
		Colour         Colour
	}
	point struct {
		X, Y   float64
		Colour Colour
		Tip    string
	}
)

// drawn returns the shapes of the chart.
func (c Chart) drawn() drawing {
	const (
		narrowest = 1  // pixels for each label
		mostLoose = 60 // labels
	)
	axis := c.Scale.marks(c.largest())
	y := func(v float64) float64 { return round(plotHeight * (1 - v/axis[len(axis)-1])) }
	d := drawing{MinWidth: narrowest * len(c.Labels), Dense: len(c.Labels) > mostLoose}
	for _, v := range axis {
		d.Marks = append(d.Marks, mark{y(v), c.Scale.format(v)})
	}
	most := labelColumns / c.longestLabel()
	each := max(1, (len(c.Labels)+most-1)/most)
	for i := 0; i < len(c.Labels); i += each {
		d.Labels = append(d.Labels, label{c.middle(i), c.Labels[i], i/each%2 == 1})
	}
	if c.Stacked {
		d.Columns = c.columns(y)
		return d
	}
	for _, s := range c.Series {
		d.line(c, s, y)
	}
	return d
}

// longestLabel is the number of characters of the longest label, from 6 to 24.
func (c Chart) longestLabel() int {
	longest := 6
	for _, l := range c.Labels {
		longest = max(longest, utf8.RuneCountInString(l))
	}
	return min(longest, labelColumns/2)
}

// middle is where a label is.
func (c Chart) middle(i int) float64 { return round(100 * (float64(i) + 0.5) / float64(len(c.Labels))) }

// largest is the largest value, or the largest column.
func (c Chart) largest() float64 {
	most := 0.0
	for i := range c.Labels {
		sum := 0.0
		for _, s := range c.Series {
			v, _ := s.at(i)
			sum += v
			most = max(most, v)
		}
		if c.Stacked {
			most = max(most, sum)
		}
	}
	return most
}

// columns stacks the series of each label.
func (c Chart) columns(y func(float64) float64) []column {
	const share = 0.7 // of the room
	width := round(100 * share / float64(len(c.Labels)))
	var list []column
	for i := range c.Labels {
		sum := 0.0
		for _, s := range c.Series {
			v, _ := s.at(i)
			if v == 0 {
				continue
			}
			top, bottom := y(sum+v), y(sum)
			list = append(list, column{round(c.middle(i) - width/2), width, top, round(bottom - top), s.Colour, c.tip(i)})
			sum += v
		}
	}
	return list
}

// line draws a series. It is interrupted where there is no value.
func (d *drawing) line(c Chart, s Series, y func(float64) float64) {
	var before *point
	for i := range c.Labels {
		v, ok := s.at(i)
		if !ok {
			before = nil
			continue
		}
		p := point{c.middle(i), y(v), s.Colour, c.tip(i)}
		if before != nil {
			d.Lines = append(d.Lines, line{before.X, before.Y, p.X, p.Y, s.Colour})
		}
		d.Points = append(d.Points, p)
		before = &p
	}
}

// tip says what the values of a label are.
func (c Chart) tip(i int) string {
	var parts []string
	for _, s := range c.Series {
		if v, ok := s.at(i); ok {
			parts = append(parts, fmt.Sprintf("%s %s", c.Scale.format(v), s.Name))
		}
	}
	return c.Labels[i] + ": " + strings.Join(parts, ", ")
}
