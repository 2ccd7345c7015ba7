// Package header checks and reads fields of HTTP headers.
package header

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ValidName reports whether s is a token of RFC 9110, as field names and methods are.
func ValidName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// ValidValue reports whether s has no control characters but tabs.
func ValidValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return (r < ' ' && r != '\t') || r == 0x7f })
}

// CheckSecret returns an error if s can't be a field's value. The error doesn't show s, which may be a credential.
func CheckSecret(s string) error {
	switch {
	case s == "":
		return errors.New("is empty")
	case !ValidValue(s) || strings.TrimSpace(s) != s:
		return errors.New("contains control characters or surrounding spaces")
	}
	return nil
}

// longest keeps a number of seconds within a [time.Duration].
const longest = 10 * 365 * 24 * 60 * 60

// RetryAfter reads Retry-After: seconds, also with a fraction, or a date. A date counts from the response's own Date, because the
// two clocks may differ. It returns 0 if there is none, it is malformed or it has passed.
func RetryAfter(h http.Header) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(value, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		if !(seconds > 0) { // NaN too
			return 0
		}
		return time.Duration(min(seconds, longest) * float64(time.Second))
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(0, at.Sub(now))
}
