package redact_test

import (
	stdjson "encoding/json"
	"html"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/redact"
)

// codings are encodings that the standard library can take off.
var codings = []struct {
	encode func(string) string
	decode func(string) (string, error)
}{
	{encodings["plain"], func(s string) (string, error) { return s, nil }},
	{jsonText, func(s string) (decoded string, err error) {
		err = stdjson.Unmarshal([]byte(`"`+s+`"`), &decoded)
		return decoded, err
	}},
	{encodings["Go, ASCII"], func(s string) (string, error) { return strconv.Unquote(`"` + s + `"`) }},
	{url.QueryEscape, url.QueryUnescape},
	{url.PathEscape, url.PathUnescape},
	{html.EscapeString, func(s string) (string, error) { return html.UnescapeString(s), nil }},
}

func FuzzText(f *testing.F) {
	for i, secret := range oddSecrets {
		f.Add(secret, "you sent ", " to us", uint8(i), uint8(i/6), uint16(0))
		f.Add(secret, `100%C:\`, `\u00`, uint8(i), uint8(2*i), uint16(3))
		f.Add("one\ntwo, a longer line\n"+secret, "&amp;", ";", uint8(1), uint8(i), uint16(5))
	}
	f.Add("0\"!0", "0", "0", uint8(5), uint8(3), uint16(283))
	f.Add("0\r\n\n\n\n0", "0", "4", uint8(1), uint8(4), uint16(3))
	f.Fuzz(func(t *testing.T, secret, before, after string, inner, outer uint8, cut uint16) {
		core := strings.TrimSpace(secret)
		if len(core) < 4 || strings.Contains(secret, "*") || !utf8.ValidString(secret+before+after) {
			return
		}
		m := redact.New(secret)
		in, out := codings[int(inner)%len(codings)], codings[int(outer)%len(codings)]
		encode := func(s string) string { return out.encode(in.encode(s)) }

		text := encode(before + secret + after)
		got := m.Text(text)
		require.Contains(t, got, redact.Mask, "%q", text)
		if decoded, err := out.decode(got); err == nil {
			if decoded, err = in.decode(decoded); err == nil {
				require.NotContains(t, decoded, core, "%q became %q", text, got)
			}
		}

		whole, head := encode(before+core), encode(before)
		end := len(head) + int(cut)%(len(whole)-len(head))
		if got = m.Truncated(whole[:end]); !strings.Contains(got, redact.Mask) {
			require.True(t, strings.HasPrefix(head, got), "%q became %q", whole[:end], got)
		}
	})
}
