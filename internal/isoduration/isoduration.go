// Package isoduration converts between [time.Duration] and ISO 8601 durations, such as "PT1.5S".
package isoduration

import (
	"strconv"
	"strings"
	"time"
)

// units are the units of fixed length: those of the date and, after "T", those of the time.
var units = map[bool]map[byte]time.Duration{
	false: {'W': 7 * 24 * time.Hour, 'D': 24 * time.Hour},
	true:  {'H': time.Hour, 'M': time.Minute, 'S': time.Second},
}

// Parse parses a duration. It returns zero if s is no duration, has years or months, whose length varies, or does not fit into a
// [time.Duration].
func Parse(s string) time.Duration {
	negative := strings.HasPrefix(s, "-")
	s, ok := strings.CutPrefix(strings.TrimLeft(s, "+-"), "P")
	if !ok {
		return 0
	}
	var sum time.Duration
	inTime := false
	for s != "" {
		if rest, found := strings.CutPrefix(s, "T"); found && !inTime {
			s, inTime = rest, true
			continue
		}
		end := strings.IndexFunc(s, notInNumber)
		if end < 1 {
			return 0
		}
		n, err := strconv.ParseFloat(strings.Replace(s[:end], ",", ".", 1), 64)
		unit, known := units[inTime][s[end]]
		if err != nil || !known {
			return 0
		}
		sum += multiply(n, unit)
		s = s[end+1:]
	}
	if negative {
		return -sum
	}
	return sum
}

func notInNumber(r rune) bool { return (r < '0' || r > '9') && r != '.' && r != ',' && r != '-' }

// FromSeconds converts a number of seconds. It returns zero if that does not fit into a [time.Duration].
func FromSeconds(seconds float64) time.Duration { return multiply(seconds, time.Second) }

// multiply returns n units, or zero if that does not fit into a Duration.
func multiply(n float64, unit time.Duration) time.Duration {
	product := n * float64(unit)
	if !(product < 1<<63 && product > -1<<63) { // NaN too
		return 0
	}
	return time.Duration(product)
}

// Format formats d in seconds, such as "PT90.5S".
func Format(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	return sign + "PT" + strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "S"
}
