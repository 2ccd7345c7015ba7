package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A cron is a Quartz pattern: second, minute, hour, day of month, month, day of week, year, in UTC.
type cron struct {
	seconds, minutes, hours, months, years []bool // by value
	monthDays, weekDays                    func(day time.Time) bool
}

const (
	firstYear = 1970 // as in Quartz
	lastYear  = 2099
)

// field describes the values of a field.
type field struct {
	name     string
	min, max int
	names    []string // names of the values from min on
}

var (
	second     = field{"second", 0, 59, nil}
	minute     = field{"minute", 0, 59, nil}
	hour       = field{"hour", 0, 23, nil}
	dayOfMonth = field{"day of month", 1, 31, nil}
	month      = field{"month", 1, 12, []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}}
	dayOfWeek  = field{"day of week", 1, 7, []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}}
	year       = field{"year", firstYear, lastYear, nil}
)

// parseCron parses a pattern.
func parseCron(pattern string) (*cron, error) {
	texts := strings.Fields(strings.ToUpper(pattern))
	if len(texts) != 7 {
		return nil, fmt.Errorf("%d fields instead of 7", len(texts))
	}
	var c cron
	errs := make([]error, 7)
	c.seconds, errs[0] = second.parse(texts[0])
	c.minutes, errs[1] = minute.parse(texts[1])
	c.hours, errs[2] = hour.parse(texts[2])
	c.monthDays, errs[3] = parseMonthDays(texts[3])
	c.months, errs[4] = month.parse(texts[4])
	c.weekDays, errs[5] = parseWeekDays(texts[5])
	c.years, errs[6] = year.parse(texts[6])
	if err := errors.Join(errs...); err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return &c, nil
}

// next returns the first time after another, or false if there is none.
func (c *cron) next(after time.Time) (time.Time, bool) {
	start := after.UTC().Truncate(time.Second).Add(time.Second)
	y, m, d := start.Date()
	for day := time.Date(y, m, d, 0, 0, 0, 0, time.UTC); day.Year() <= lastYear; day = day.AddDate(0, 0, 1) {
		if !c.years[day.Year()] || !c.months[day.Month()] || !c.monthDays(day) || !c.weekDays(day) {
			continue
		}
		if at, ok := c.on(day, start); ok {
			return at, true
		}
	}
	return time.Time{}, false
}

// on returns the first time on a day that is not before start.
func (c *cron) on(day, start time.Time) (time.Time, bool) {
	for h := range c.hours {
		if !c.hours[h] || day.Add(time.Duration(h+1)*time.Hour).Before(start) {
			continue
		}
		for m := range c.minutes {
			for s := range c.seconds {
				at := day.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second)
				if c.minutes[m] && c.seconds[s] && !at.Before(start) {
					return at, true
				}
			}
		}
	}
	return time.Time{}, false
}

// parse parses a list of values, ranges and steps, such as "1,5-7,20/5" and "*". It returns the values.
func (f field) parse(text string) ([]bool, error) {
	set := make([]bool, f.max+1)
	for part := range strings.SplitSeq(text, ",") {
		if err := f.add(set, part); err != nil {
			return nil, fmt.Errorf("%s %q: %w", f.name, text, err)
		}
	}
	return set, nil
}

func (f field) add(set []bool, part string) error {
	values, step, stepped := strings.Cut(part, "/")
	from, to, isRange := strings.Cut(values, "-")
	var first, last, each int
	var err error
	switch {
	case values == "*" || values == "" && stepped:
		first, last = f.min, f.max
	case isRange:
		first, last, err = f.bounds(from, to)
	default:
		first, err = f.value(values)
		last = first
		if stepped {
			last = f.max
		}
	}
	each = 1
	if err == nil && stepped {
		each, err = strconv.Atoi(step)
	}
	if err != nil || each < 1 {
		return errors.New("not understood")
	}
	size := f.max - f.min + 1
	if last < first { // wraps around, as in FRI-MON
		last += size
	}
	for v := first; v <= last; v += each {
		set[f.min+(v-f.min)%size] = true
	}
	return nil
}

func (f field) bounds(from, to string) (first, last int, err error) {
	first, err = f.value(from)
	if err == nil {
		last, err = f.value(to)
	}
	return first, last, err
}

func (f field) value(text string) (int, error) {
	if i := slices.Index(f.names, text); i >= 0 {
		return f.min + i, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < f.min || n > f.max {
		return 0, errors.New("out of range")
	}
	return n, nil
}

func anyDay(time.Time) bool { return true }

// parseMonthDays parses the day of the month, including "L", the last; "L-3", the third before it; "15W", the weekday nearest to the 15th
// in its month; and "LW", the last weekday.
func parseMonthDays(text string) (func(time.Time) bool, error) {
	if text == "?" {
		return anyDay, nil
	}
	before, isLast := strings.CutPrefix(text, "L")
	switch near, isNear := strings.CutSuffix(text, "W"); {
	case text == "LW":
		return func(day time.Time) bool { return day.Day() == nearestWeekday(day, daysIn(day)) }, nil
	case isNear:
		n, err := dayOfMonth.value(near)
		if err != nil {
			return nil, fmt.Errorf("day of month %q: not understood", text)
		}
		return func(day time.Time) bool { return n <= daysIn(day) && day.Day() == nearestWeekday(day, n) }, nil
	case isLast:
		n := 0
		if before != "" {
			var err error
			if n, err = strconv.Atoi(strings.TrimPrefix(before, "-")); err != nil || before[0] != '-' || n < 0 || n > 30 {
				return nil, fmt.Errorf("day of month %q: not understood", text)
			}
		}
		return func(day time.Time) bool { return day.Day() == daysIn(day)-n }, nil
	}
	set, err := dayOfMonth.parse(text)
	return func(day time.Time) bool { return set[day.Day()] }, err
}

// parseWeekDays parses the day of the week, with 1 for Sunday, including "6L", the last Friday of the month; "2#1", its first Monday; and
// "L", Saturday.
func parseWeekDays(text string) (func(time.Time) bool, error) {
	weekDay := func(day time.Time) int { return int(day.Weekday()) + 1 }
	if text == "?" {
		return anyDay, nil
	}
	if text == "L" {
		text = "SAT"
	}
	if last, ok := strings.CutSuffix(text, "L"); ok {
		n, err := dayOfWeek.value(last)
		if err != nil {
			return nil, fmt.Errorf("day of week %q: not understood", text)
		}
		return func(day time.Time) bool { return weekDay(day) == n && day.Day()+7 > daysIn(day) }, nil
	}
	if which, nth, ok := strings.Cut(text, "#"); ok {
		n, err := dayOfWeek.value(which)
		k, kErr := strconv.Atoi(nth)
		if err != nil || kErr != nil || k < 1 || k > 5 {
			return nil, fmt.Errorf("day of week %q: not understood", text)
		}
		return func(day time.Time) bool { return weekDay(day) == n && (day.Day()-1)/7 == k-1 }, nil
	}
	set, err := dayOfWeek.parse(text)
	return func(day time.Time) bool { return set[weekDay(day)] }, err
}

func daysIn(day time.Time) int {
	return time.Date(day.Year(), day.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// nearestWeekday returns the day from Monday to Friday nearest to the n-th in the same month.
func nearestWeekday(day time.Time, n int) int {
	switch time.Date(day.Year(), day.Month(), n, 0, 0, 0, 0, time.UTC).Weekday() {
	case time.Saturday:
		if n == 1 {
			return 3
		}
		return n - 1
	case time.Sunday:
		if n == daysIn(day) {
			return n - 2
		}
		return n + 1
	default:
		return n
	}
}
