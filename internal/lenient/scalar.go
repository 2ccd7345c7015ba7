package lenient

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// readScalar converts a string or a number to another type.
func readScalar(into reflect.Value, value jsontext.Value) error {
	text, ok := textOf(value)
	if !ok {
		return errMismatch
	}
	switch into.Kind() {
	case reflect.String:
		into.SetString(text)
		return nil
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		into.SetBool(b)
		return err
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, ok := wholeNumber(text)
		if !ok || into.OverflowInt(n) {
			return errMismatch
		}
		into.SetInt(n)
		return nil
	case reflect.Float32, reflect.Float64:
		f, ok := number(text)
		if !ok || into.OverflowFloat(f) {
			return errMismatch
		}
		into.SetFloat(f)
		return nil
	case reflect.Interface:
		f, ok := number(text)
		if !ok {
			return errMismatch
		}
		into.Set(reflect.ValueOf(f))
		return nil
	default:
		return errMismatch
	}
}

// wholeNumber parses a whole number in any notation, such as 12, 12.0 and 1e2.
func wholeNumber(text string) (int64, bool) {
	if digits, zeros, found := strings.Cut(text, "."); found && strings.Trim(zeros, "0") == "" {
		text = digits // ParseInt is exact, unlike ParseFloat
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	f, ok := number(text)
	if !ok || f != math.Trunc(f) || f < math.MinInt64 || f >= math.MaxInt64 {
		return 0, false
	}
	return int64(f), true
}

// number parses a finite number.
func number(text string) (float64, bool) {
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

var timeType = reflect.TypeFor[time.Time]()

func readTime(into reflect.Value, value jsontext.Value) error {
	text, ok := textOf(value)
	if !ok {
		return errMismatch
	}
	t, ok := parseTime(text)
	if !ok {
		return errMismatch
	}
	into.Set(reflect.ValueOf(t))
	return nil
}

// timeFormat matches a date, or a date and a time of day with an optional fraction and zone. The separators are optional.
var timeFormat = regexp.MustCompile(`^(\d{4})-?(\d\d)-?(\d\d)(?:[Tt ]+(\d\d):?(\d\d)(?::?(\d\d(?:[.,]\d+)?))?)? *(?:([+-]\d\d)(?::?(\d\d))?)? *(?:[Zz]|UTC|GMT)?$`)

// parseTime parses a time in a format similar to RFC 3339, or as seconds or milliseconds since 1970. A time without a zone is UTC.
func parseTime(text string) (time.Time, bool) {
	if n, ok := number(text); ok {
		if t, ok := fromEpoch(n); ok {
			return t, true
		}
	}
	m := timeFormat.FindStringSubmatch(text)
	if m == nil {
		return time.Time{}, false
	}
	for i, otherwise := range map[int]string{4: "00", 5: "00", 6: "00", 7: "+00", 8: "00"} {
		m[i] = cmp.Or(m[i], otherwise)
	}
	t, err := time.Parse(time.RFC3339, fmt.Sprintf("%s-%s-%sT%s:%s:%s%s:%s", m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8]))
	if err != nil {
		return time.Time{}, false
	}
	if _, offset := t.Zone(); offset == 0 {
		t = t.UTC() // Parse may return the local zone if its offset is zero
	}
	_, err = t.MarshalText() // Parse accepts times that can't be encoded
	return t, err == nil
}

// A number between these is a time in seconds since 1970. One a thousand times as large is in milliseconds.
var (
	earliest = float64(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix())
	latest   = float64(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).Unix())
)

func fromEpoch(n float64) (time.Time, bool) {
	if n >= earliest*1000 && n < latest*1000 {
		n /= 1000
	}
	if n < earliest || n >= latest {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(math.Round(n * 1000))).UTC(), true
}
