package origin_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/origin"
)

func TestSame(t *testing.T) {
	for _, c := range []struct {
		name, a, b string
		want       bool
	}{
		{"identical", "https://api.example/2.0", "https://api.example/other", true},
		{"another case", "HTTPS://API.example", "https://api.Example", true},
		{"default port of https", "https://api.example", "https://api.example:443", true},
		{"default port of http", "http://api.example:80", "http://api.example", true},
		{"another port", "https://api.example", "https://api.example:8443", false},
		{"another scheme", "http://api.example", "https://api.example", false},
		{"another scheme on one port", "http://api.example:443", "https://api.example:443", false},
		{"another host", "https://api.example", "https://api.example.evil", false},
		{"letters that Unicode folds", "https://\u03c2.example", "https://\u03c3.example", false},
		{"the Kelvin sign", "https://\u212a.example", "https://k.example", false},
		{"user information isn't compared", "https://me@api.example", "https://api.example", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := url.Parse(c.a)
			require.NoError(t, err)
			b, err := url.Parse(c.b)
			require.NoError(t, err)
			require.Equal(t, c.want, origin.Same(a, b))
			require.Equal(t, c.want, origin.Same(b, a))
		})
	}
}
