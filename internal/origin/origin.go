// Package origin compares the origins of URLs: scheme, host and port.
package origin

import (
	"cmp"
	"net/url"
	"strings"
)

// Same reports whether a and b have one origin. The default port is the one of a URL without a port.
func Same(a, b *url.URL) bool {
	if a.Scheme == b.Scheme && a.Host == b.Host {
		return true
	}
	return equalFold(a.Scheme, b.Scheme) && equalFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

// equalFold reports whether a and b are the same but for the case of ASCII letters. Letters of other alphabets that Unicode folds
// together make different DNS names.
func equalFold(a, b string) bool {
	return len(a) == len(b) && lower(a) == lower(b)
}

func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

func port(u *url.URL) string {
	if equalFold(u.Scheme, "http") {
		return cmp.Or(u.Port(), "80")
	}
	return cmp.Or(u.Port(), "443")
}
