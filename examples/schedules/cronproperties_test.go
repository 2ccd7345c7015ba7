package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// randomPattern is a pattern, and what it means by Quartz's rules, as conditions of a time.
type randomPattern struct {
	*rand.Rand

	texts []string
	days  []func(time.Time) bool
	clock []func(time.Time) bool
}

func newRandomPattern(seed uint64) *randomPattern {
	p := &randomPattern{Rand: rand.New(rand.NewPCG(15, seed))}
	p.clock = append(p.clock, p.values(second, time.Time.Second), p.values(minute, time.Time.Minute), p.values(hour, time.Time.Hour))
	p.days = append(p.days, p.monthDay(), p.values(month, func(t time.Time) int { return int(t.Month()) }), p.weekDay())
	from, step := 2020+p.IntN(20), 1+p.IntN(5)
	to := from + p.IntN(10)
	p.days = append(p.days, p.add(fmt.Sprintf("%d-%d/%d", from, to, step), func(t time.Time) bool {
		return t.Year() >= from && t.Year() <= to && (t.Year()-from)%step == 0
	}))
	return p
}

// add adds a field and returns what it means.
func (p *randomPattern) add(text string, means func(time.Time) bool) func(time.Time) bool {
	if p.IntN(2) == 0 {
		text = strings.ToLower(text)
	}
	p.texts = append(p.texts, text)
	return means
}

func all(conditions []func(time.Time) bool, t time.Time) bool {
	for _, holds := range conditions {
		if !holds(t) {
			return false
		}
	}
	return true
}

// values adds a list of up to three values, ranges and steps, or "*".
func (p *randomPattern) values(f field, of func(time.Time) int) func(time.Time) bool {
	if p.IntN(3) == 0 {
		return p.add("*", func(time.Time) bool { return true })
	}
	var texts []string
	var each []func(int) bool
	for range 1 + p.IntN(3) {
		text, has := p.part(f)
		texts, each = append(texts, text), append(each, has)
	}
	return p.add(strings.Join(texts, ","), func(t time.Time) bool {
		for _, has := range each {
			if has(of(t)) {
				return true
			}
		}
		return false
	})
}

func (p *randomPattern) part(f field) (text string, has func(int) bool) {
	size := f.max - f.min + 1
	from, to, step := f.min+p.IntN(size), f.min+p.IntN(size), 1+p.IntN(2*size)
	has = func(v int) bool { // counted from the first value, as on a clock
		n := (v - from + size) % size
		return n <= (to-from+size)%size && n%step == 0
	}
	text = p.name(f, from)
	switch p.IntN(4) {
	case 0:
		to = from
	case 1:
		text, step = text+"-"+p.name(f, to), 1
	case 2:
		text = fmt.Sprintf("%s-%s/%d", text, p.name(f, to), step)
	default:
		text, to = fmt.Sprintf("%s/%d", text, step), f.max
	}
	return text, has
}

// name writes a value as a number, or as one of its names.
func (p *randomPattern) name(f field, value int) string {
	if f.names == nil || p.IntN(3) == 0 {
		return fmt.Sprint(value)
	}
	name := f.names[value-f.min]
	if p.IntN(2) == 0 {
		return name[:3]
	}
	return name
}

func (p *randomPattern) monthDay() func(time.Time) bool {
	n := p.IntN(31)
	fromFirst := func(time.Time) int { return n + 1 }
	fromLast := func(t time.Time) int { return lengthOf(t) - n }
	switch p.IntN(6) {
	case 0:
		return p.add(fmt.Sprintf("%dW", n+1), func(t time.Time) bool { return t.Day() == nearest(t, fromFirst(t)) })
	case 1:
		return p.add(fmt.Sprintf("L-%dW", n), func(t time.Time) bool { return t.Day() == nearest(t, fromLast(t)) })
	case 2:
		return p.add(fmt.Sprintf("L-%d", n), func(t time.Time) bool { return t.Day() == fromLast(t) })
	case 3:
		return p.add("L", func(t time.Time) bool { return t.Day() == lengthOf(t) })
	case 4:
		return p.add("?", func(time.Time) bool { return true })
	}
	return p.values(dayOfMonth, time.Time.Day)
}

// lengthOf returns the number of days of a month.
func lengthOf(t time.Time) int {
	return time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// nearest returns the day from Monday to Friday of the month with the least distance to the n-th, or 0 if the month has no such day.
func nearest(t time.Time, n int) int {
	length := lengthOf(t)
	if n < 1 || n > length {
		return 0
	}
	for _, d := range []int{n, n - 1, n + 1, n - 2, n + 2} {
		w := t.AddDate(0, 0, d-t.Day()).Weekday()
		if d >= 1 && d <= length && w != time.Saturday && w != time.Sunday {
			return d
		}
	}
	return 0
}

func (p *randomPattern) weekDay() func(time.Time) bool {
	of := func(t time.Time) int { return int(t.Weekday()) + 1 }
	v, nth := 1+p.IntN(7), 1+p.IntN(5)
	switch p.IntN(6) {
	case 0:
		return p.add(p.name(dayOfWeek, v)+"L", func(t time.Time) bool { return of(t) == v && t.AddDate(0, 0, 7).Month() != t.Month() })
	case 1:
		return p.add(fmt.Sprintf("%s#%d", p.name(dayOfWeek, v), nth), func(t time.Time) bool {
			return of(t) == v && t.AddDate(0, 0, -7*(nth-1)).Month() == t.Month() && t.AddDate(0, 0, -7*nth).Month() != t.Month()
		})
	case 2:
		return p.add("L", func(t time.Time) bool { return t.Weekday() == time.Saturday })
	case 3:
		return p.add("?", func(time.Time) bool { return true })
	}
	return p.values(dayOfWeek, of)
}

func TestTheNextTimeIsTheFirstThatMatches(t *testing.T) {
	found := 0
	for seed := range uint64(150) {
		p := newRandomPattern(seed)
		pattern := strings.Join(p.texts, " ")
		c, err := parseCron(pattern)
		require.NoError(t, err, pattern)
		after := time.Date(2020+p.IntN(20), 1, 1+p.IntN(366), p.IntN(24), p.IntN(60), p.IntN(60), p.IntN(1e9), time.UTC)
		for range 3 {
			at, ok := c.next(after)
			if !ok {
				at = after.AddDate(2, 0, 0) // none of these matches
			} else {
				found++
				require.True(t, at.After(after), "%s: %v is not after %v", pattern, at, after)
				require.True(t, all(p.days, at) && all(p.clock, at), "%s: %v doesn't match", pattern, at)
			}
			p.requireNoneBetween(t, after, at)
			if after = at; !ok {
				break
			}
		}
	}
	require.Greater(t, found, 150)
}

// requireNoneBetween tries every day of up to two years, and some times of the first day and of the last one.
func (p *randomPattern) requireNoneBetween(t *testing.T, after, at time.Time) {
	t.Helper()
	first, last := after.Truncate(24*time.Hour), at.Truncate(24*time.Hour)
	for day := first.AddDate(0, 0, 1); day.Before(last) && day.Before(first.AddDate(2, 0, 0)); day = day.AddDate(0, 0, 1) {
		require.False(t, all(p.days, day), "%v matches %v", day, p.texts)
	}
	for _, day := range []time.Time{first, last} {
		if !all(p.days, day) {
			continue
		}
		for range 500 {
			moment := day.Add(time.Duration(p.IntN(24*60*60)) * time.Second)
			if moment.After(after) && moment.Before(at) {
				require.False(t, all(p.clock, moment), "%v matches %v", moment, p.texts)
			}
		}
	}
}

// FuzzCron has any text for a pattern.
func FuzzCron(f *testing.F) {
	for _, pattern := range []string{
		"0 0 12 * * ? *", "0 1/9223372036854775807 * * * ? *", "0 0 0 31 2 ? *", "0 0 0 1-7 * MON#2 *", "* * * L-3W FEBRUARY,3 ? 2020-2024/2",
		"0 0 22-1/2 ? NOV-JAN FRIL *", "@yearly", "0 0 0 , , , ,", "- - - - - - -", "// // // // // // //", "ſ 0 0 ? * ſun *", "0 0 0 ?,1 * 1,? *",
	} {
		f.Add(pattern, int64(1_795_656_714))
	}
	f.Fuzz(func(t *testing.T, pattern string, unix int64) {
		c, err := parseCron(pattern)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		after := time.Unix(unix%4_102_444_800, 0)
		begin := time.Now()
		for range 5 {
			at, ok := c.next(after)
			if !ok {
				break
			}
			require.True(t, at.After(after))
			require.Equal(t, time.UTC, at.Location())
			require.LessOrEqual(t, at.Year(), year.max)
			again, ok := c.next(at.Add(-time.Nanosecond))
			require.True(t, ok)
			require.Equal(t, at, again, "nothing is skipped")
			after = at
		}
		require.Less(t, time.Since(begin), 10*time.Second)
	})
}
