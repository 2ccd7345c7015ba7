package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/cronexpr"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// A cron is a Quartz pattern: second, minute, hour, day of month, month, day of week, year, in UTC.
//
// Package cronexpr finds the times. It differs from Quartz: Sunday is 0, a range doesn't wrap around, a step isn't larger than a field,
// "L-3" is unknown, and one of the two days suffices. So it gets lists of numbers, an expression for each length of a month, in which
// "L-3" is a number, and the two days in separate expressions.
type cron struct {
	monthDays []*cronexpr.Expression // one of them has to match
	weekDays  *cronexpr.Expression   // and this one
}

// field describes the values of a field.
type field struct {
	name     string
	min, max int
	names    []string // of the values from min on; three letters suffice
}

var (
	second     = field{"second", 0, 59, nil}
	minute     = field{"minute", 0, 59, nil}
	hour       = field{"hour", 0, 23, nil}
	dayOfMonth = field{"day of month", 1, 31, nil}
	month      = field{"month", 1, 12, strings.Fields("JANUARY FEBRUARY MARCH APRIL MAY JUNE JULY AUGUST SEPTEMBER OCTOBER NOVEMBER DECEMBER")}
	dayOfWeek  = field{"day of week", 1, 7, strings.Fields("SUNDAY MONDAY TUESDAY WEDNESDAY THURSDAY FRIDAY SATURDAY")}
	year       = field{"year", 1970, 2099, nil} // as in Quartz
)

// fields are the values of a pattern.
type fields struct {
	seconds, minutes, hours, months, years []int
	monthDays                              []monthDay
	weekDays                               []string // for cronexpr
}

// maxPattern bounds the length of a pattern. One with every value of every field has about a thousand characters.
const maxPattern = 2000

// parseCron parses a pattern.
func parseCron(pattern string) (*cron, error) {
	if len(pattern) > maxPattern {
		return nil, errors.New("it has more than 2,000 characters")
	}
	texts := strings.Fields(strings.ToUpper(pattern))
	if len(texts) != 7 {
		return nil, fmt.Errorf("%s instead of 7", cli.Count(len(texts), "field", "fields"))
	}
	var f fields
	if err := errors.Join(
		parseList(&f.seconds, second, texts[0], second.parse),
		parseList(&f.minutes, minute, texts[1], minute.parse),
		parseList(&f.hours, hour, texts[2], hour.parse),
		parseList(&f.monthDays, dayOfMonth, anyDay(texts[3]), parseMonthDays),
		parseList(&f.months, month, texts[4], month.parse),
		parseList(&f.weekDays, dayOfWeek, anyDay(texts[5]), parseWeekDays),
		parseList(&f.years, year, texts[6], year.parse),
	); err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return f.compile()
}

// anyDay turns "?", which leaves the day to the other field, into "*".
func anyDay(text string) string {
	if text == "?" {
		return "*"
	}
	return text
}

// compile makes the expressions. Of those for the lengths of a month, it leaves out what has no days.
func (f *fields) compile() (c *cron, err error) {
	c = &cron{}
	if c.weekDays, err = f.expression("*", f.months, strings.Join(f.weekDays, ","), f.years); err != nil {
		return nil, err
	}
	for length := 28; length <= 31; length++ {
		days := daysIn(length, f.monthDays)
		months := keep(f.months, func(m int) bool { return monthLength(2000, m) == max(length, 29) })
		years := keep(f.years, func(y int) bool { return length > 29 || monthLength(y, 2) == length })
		if len(days) == 0 || len(months) == 0 || len(years) == 0 {
			continue
		}
		one, err := f.expression(strings.Join(days, ","), months, "*", years)
		if err != nil {
			return nil, err
		}
		c.monthDays = append(c.monthDays, one)
	}
	return c, nil
}

func (f *fields) expression(monthDays string, months []int, weekDays string, years []int) (*cronexpr.Expression, error) {
	return cronexpr.Parse(strings.Join([]string{join(f.seconds), join(f.minutes), join(f.hours), monthDays, join(months), weekDays, join(years)}, " "))
}

// next returns the first time after another, or false if there is none.
func (c *cron) next(after time.Time) (time.Time, bool) {
	for after = after.UTC(); ; {
		monthDay, weekDay := c.nextMonthDay(after), c.weekDays.Next(after)
		switch order := monthDay.Compare(weekDay); {
		case monthDay.IsZero() || weekDay.IsZero():
			return time.Time{}, false
		case order == 0:
			return monthDay, true
		case order < 0:
			after = weekDay.Add(-time.Second)
		default:
			after = monthDay.Add(-time.Second)
		}
	}
}

// nextMonthDay returns the first time of monthDays, or zero.
func (c *cron) nextMonthDay(after time.Time) (first time.Time) {
	for _, one := range c.monthDays {
		if at := one.Next(after); first.IsZero() || !at.IsZero() && at.Before(first) {
			first = at
		}
	}
	return first
}

// parseList adds to a list what stands between the commas of a field, each value once.
func parseList[T comparable](list *[]T, f field, text string, parse func(part string) ([]T, error)) error {
	for part := range strings.SplitSeq(text, ",") {
		some, err := parse(part)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		for _, value := range some {
			if !slices.Contains(*list, value) {
				*list = append(*list, value)
			}
		}
	}
	return nil
}

// parse parses a value, a range or a step, such as "5-7", "20/5" and "*". It returns the values.
func (f field) parse(text string) ([]int, error) {
	values, stepText, stepped := strings.Cut(text, "/")
	first, last, err := f.bounds(values, stepped)
	if err != nil {
		return nil, err
	}
	size := f.max - f.min + 1
	step := 1
	if stepped {
		step, err = strconv.Atoi(stepText)
		if step < 1 || errors.Is(err, strconv.ErrSyntax) {
			return nil, fmt.Errorf("%q is no step", stepText)
		}
		step = min(step, size) // one that is too large for an int, too
	}
	if last < first { // wraps around, as in FRI-MON
		last += size
	}
	var all []int
	for v := first; v <= last; v += step {
		all = append(all, f.min+(v-f.min)%size)
	}
	return all, nil
}

// bounds returns the first and the last value of a range, or of a single value, which a step makes a range.
func (f field) bounds(text string, stepped bool) (first, last int, err error) {
	if text == "*" || text == "" && stepped {
		return f.min, f.max, nil
	}
	from, to, isRange := strings.Cut(text, "-")
	if first, err = f.value(from); err != nil {
		return 0, 0, err
	}
	switch {
	case isRange:
		last, err = f.value(to)
		return first, last, err
	case stepped:
		return first, f.max, nil
	}
	return first, first, nil
}

func (f field) value(text string) (int, error) {
	if i := slices.IndexFunc(f.names, func(name string) bool { return text == name || text == name[:3] }); i >= 0 {
		return f.min + i, nil
	}
	return number(text, f.min, f.max)
}

func number(text string, lowest, highest int) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return 0, fmt.Errorf("%q is not understood", text)
	case err != nil || int(n) < lowest || int(n) > highest:
		return 0, fmt.Errorf("%s is not from %d to %d", text, lowest, highest)
	}
	return int(n), nil
}

// monthDay is a day of the month.
type monthDay struct {
	day     int  // from 1 on
	fromEnd bool // day is the number of days between it and the last one
	weekday bool // it is the nearest day from Monday to Friday within the month
}

// parseMonthDays parses days of the month, including "L", the last; "L-3", the third before it; "15W", the weekday nearest to the 15th in
// its month; "LW", the last weekday; and "L-3W".
func parseMonthDays(text string) ([]monthDay, error) {
	day, weekday := strings.CutSuffix(text, "W")
	before, fromEnd := strings.CutPrefix(day, "L")
	switch {
	case fromEnd && before == "":
		return []monthDay{{0, true, weekday}}, nil
	case fromEnd && before[0] == '-':
		n, err := number(before[1:], 0, 30)
		return []monthDay{{n, true, weekday}}, err
	case weekday:
		n, err := dayOfMonth.value(day)
		return []monthDay{{n, false, true}}, err
	}
	values, err := dayOfMonth.parse(text)
	var days []monthDay
	for _, v := range values {
		days = append(days, monthDay{day: v})
	}
	return days, err
}

// daysIn returns those of the days that a month of a length has, for cronexpr.
func daysIn(length int, days []monthDay) []string {
	var all []string
	for _, d := range days {
		n, suffix := d.day, ""
		if d.fromEnd {
			n = length - n
		}
		if d.weekday {
			suffix = "W"
		}
		if n >= 1 && n <= length {
			all = append(all, strconv.Itoa(n)+suffix)
		}
	}
	return all
}

// parseWeekDays parses days of the week, with 1 for Sunday, including "6L", the last Friday of the month; "2#1", its first Monday; and
// "L", Saturday. It returns them for cronexpr.
func parseWeekDays(text string) ([]string, error) {
	last, isLast := strings.CutSuffix(text, "L")
	which, nth, isNth := strings.Cut(text, "#")
	switch {
	case text == "L":
		return parseWeekDays("SAT")
	case isLast:
		v, err := dayOfWeek.value(last)
		return []string{strconv.Itoa(v-1) + "L"}, err
	case isNth:
		v, err := dayOfWeek.value(which)
		if err != nil {
			return nil, err
		}
		n, err := number(nth, 1, 5)
		return []string{fmt.Sprintf("%d#%d", v-1, n)}, err
	}
	values, err := dayOfWeek.parse(text)
	var days []string
	for _, v := range values {
		days = append(days, strconv.Itoa(v-1))
	}
	return days, err
}

// monthLength is the number of days of a month.
func monthLength(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

func keep(values []int, good func(int) bool) []int {
	return slices.DeleteFunc(slices.Clone(values), func(v int) bool { return !good(v) })
}

func join(values []int) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = strconv.Itoa(v)
	}
	return strings.Join(texts, ",")
}
