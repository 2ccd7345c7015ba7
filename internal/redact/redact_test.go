package redact_test

import (
	"encoding/base64"
	"encoding/hex"
	stdjson "encoding/json"
	"fmt"
	"html"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/cputime"
	"github.com/seed-85ed9bfd/pipelines/internal/redact"
)

func TestSecretsAreMasked(t *testing.T) {
	for name, tc := range map[string]struct {
		secrets []string
		text    string
		want    string
	}{
		"one":                           {[]string{"hunter2"}, "a hunter2 b hunter2", "a ****** b ******"},
		"several":                       {[]string{"hunter2", "passw0rd"}, "hunter2 or passw0rd", "****** or ******"},
		"one in another":                {[]string{"abcd", "abcdefgh", "bcde"}, "x abcdefgh abcd", "x ****** ******"},
		"overlapping":                   {[]string{"abcdef", "defghi"}, "xabcdefghix", "x******x"},
		"overlapping itself":            {[]string{"abaaba"}, "xabaabaabax", "x******x"},
		"side by side":                  {[]string{"hunter2"}, "hunter2hunter2", "******"},
		"nothing of it":                 {[]string{"hunter2"}, "hunter 2, hunter", "hunter 2, hunter"},
		"short ones":                    {[]string{"o", "no", "not", "", "found"}, "result.not-found: no", "result.not-******: no"},
		"of four bytes":                 {[]string{"abcd"}, "xabcdx", "x******x"},
		"of two letters and four bytes": {[]string{"äö"}, "xäöx", "x******x"},
		"white space":                   {[]string{"    ", "\n\n\n\n\t"}, "a      b\n\n\n\n\tc", "a      b\n\n\n\n\tc"},
		"white space around it":         {[]string{" hunter2\n"}, "a hunter2 b", "a ****** b"},
		"white space and little else":   {[]string{"   x"}, "a   x b x", "a****** b x"},
		"several lines":                 {[]string{"-----BEGIN\r\nMIIEow\n  secondline  \n"}, "MIIEow and -----BEGIN\nsecondline", "MIIEow and ******\n******"},
		"all the lines":                 {[]string{"one\ntwo\nthree"}, "one\ntwo\nthree, one\r\ntwo\r\nthree", "******, ******"},
		"no UTF-8":                      {[]string{"a\xffbcd"}, "a\xffbcd and a\ufffdbcd", "****** and ******"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.want, redact.New(tc.secrets...).Text(tc.text))
		})
	}
}

func TestAMaskerWithoutSecretsLeavesTextsAsTheyAre(t *testing.T) {
	var none *redact.Masker
	for _, m := range []*redact.Masker{none, redact.New(), redact.New("", "a")} {
		require.Equal(t, `a \u00e4 %2f`, m.Text(`a \u00e4 %2f`))
		require.Equal(t, "a", m.Truncated("a"))
		require.Equal(t, []any{"a"}, m.Value([]any{"a"}))
	}
}

// encodings are the ways to write a whole text in another form.
var encodings = map[string]func(string) string{
	"plain":           func(s string) string { return s },
	"JSON":            jsonText,
	"Go":              func(s string) string { return unquoted(strconv.Quote(s)) },
	"Go, ASCII":       func(s string) string { return unquoted(strconv.QuoteToASCII(s)) },
	"JSON, all of it": func(s string) string { return escapeAll(s, `\u%04X`) },
	"slashes escaped": func(s string) string { return strings.ReplaceAll(jsonText(s), "/", `\/`) },
	"query":           url.QueryEscape,
	"path":            url.PathEscape,
	"lower case":      func(s string) string { return lowerEscapes(url.QueryEscape(s)) },
	"all of it":       func(s string) string { return escapeBytes(s, "%%%02x") },
	"HTML":            html.EscapeString,
	"HTML by number":  func(s string) string { return escapeAll(s, "&#%d;") },
	"HTML, XML's way": func(s string) string { return escapeAll(s, "&#x%X;") },
	"HTML by name":    strings.NewReplacer("&", "&amp;", "'", "&apos;", `"`, "&quot;", "<", "&lt;", ">", "&gt;", "/", "&sol;", "ä", "&auml;").Replace,
	"bytes in hex":    func(s string) string { return escapeBytes(s, `\x%02x`) },
	"a shell":         shellText,
	"bytes in octal":  func(s string) string { return escapeBytes(s, `\%03o`) },
}

// shellText is what bash's printf %q makes of a text without control characters.
func shellText(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(" \"'\\$`!&;<>()[]{}*?#~^,", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func jsonText(s string) string {
	quoted, _ := stdjson.Marshal(s)
	return unquoted(string(quoted))
}

func unquoted(quoted string) string { return quoted[1 : len(quoted)-1] }

func escapeAll(s, format string) string {
	var b strings.Builder
	for _, r := range s {
		if r > 0xffff {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, format, r)
	}
	return b.String()
}

func escapeBytes(s, format string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, format, c)
	}
	return b.String()
}

func lowerEscapes(s string) string {
	for i := 0; i+2 < len(s); i++ {
		if s[i] == '%' {
			s = s[:i] + strings.ToLower(s[i:i+3]) + s[i+3:]
		}
	}
	return s
}

var oddSecrets = []string{
	"hunter2", "pässwörd", "a/b+c=d&e", "<\"it's\"\n\\n>", "100%41 %2f", `C:\new\u00e4`, "日本語 🔑 key", "&lt;a&b;", "\\\\\\\\\\", "%25%25%25", "  spaced out  ", "tab\tand\x01bell\a",
}

func TestSecretsAreMaskedInWhateverEncoding(t *testing.T) {
	for _, secret := range oddSecrets {
		m := redact.New(secret)
		for _, inner := range []string{"plain", "JSON", "Go, ASCII", "query", "HTML by name", "bytes in hex"} {
			for outer, encodeOuter := range encodings {
				encodeInner := encodings[inner]
				encode := func(s string) string { return encodeOuter(encodeInner(s)) }
				for before, after := range map[string]string{"": "", "you sent |": "| to us"} {
					want := encode(before) + redact.Mask + encode(after)
					got := m.Text(encode(before) + encode(strings.TrimSpace(secret)) + encode(after))
					assert.Equal(t, want, got, "%q in %s in %s", secret, inner, outer)
				}
				for before, after := range map[string]string{"100%": "2f", `C:\`: `\n`, "a&amp": ";", "ä": "ä", "&": "%", `"`: `"`} { // of these, more may be masked
					got := m.Text(encode(before) + encode(secret) + encode(after))
					head, tail, found := strings.Cut(got, redact.Mask)
					assert.True(t, found && strings.HasPrefix(encode(before+"  "), head) && strings.HasSuffix(encode("  "+after), tail), "%q in %s in %s: %q", secret, inner, outer, got)
				}
			}
		}
	}
}

func TestSecretsAreMaskedInOtherWritings(t *testing.T) {
	m := redact.New("pässwörd🔑")
	for name, text := range map[string]string{
		"Latin-1":             "p\xe4ssw\xf6rd",
		"Latin-1 in a URL":    "p%e4ssw%F6rd",
		"Latin-1 by Python":   `p\xe4ssw\xf6rd`,
		"JavaScript's escape": "p%u00e4ssw%u00F6rd%uD83D%uDD11",
		"surrogates":          `p\u00e4ssw\u00F6rd\ud83d\uDD11`,
		"mixed":               `p\u00e4ssw%C3%b6rd&#x1F511;`,
		"hex":                 hex.EncodeToString([]byte("pässwörd🔑")),
		"HEX":                 strings.ToUpper(hex.EncodeToString([]byte("pässwörd🔑"))),
		"three times JSON":    jsonText(jsonText(jsonText("pässwörd🔑"))),
	} {
		latin := redact.New("pässwörd")
		if !strings.Contains(name, "Latin") {
			latin = m
		}
		assert.Equal(t, "a ****** b", latin.Text("a "+text+" b"), name)
	}
}

func TestSecretsAreMaskedInBase64WhereverTheyBegin(t *testing.T) {
	const secret = "s3cret?>~ÿÿ"
	m := redact.New(secret)
	for shift := range 5 {
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
			text := encoding.EncodeToString([]byte(strings.Repeat("x", shift) + secret + "yy"))
			for _, text := range []string{text, url.QueryEscape(text)} {
				got := m.Text(text)
				assert.Contains(t, got, redact.Mask, "%d bytes before it", shift)
				assert.Less(t, len(got), len(redact.Mask)+20)
			}
		}
	}
}

func TestTheHeadOfASecretIsLeftOutAtTheEndOfATruncatedText(t *testing.T) {
	for _, secret := range oddSecrets {
		m := redact.New(secret, "another one")
		for how, encode := range encodings {
			start := encode("you sent |")
			text := start + encode(strings.TrimSpace(secret))
			for end := len(start); end < len(text); end++ {
				got := m.Truncated(text[:end])
				require.True(t, strings.HasPrefix(start, got), "%q in %s: %q became %q", secret, how, text[:end], got)
			}
			require.True(t, strings.HasPrefix(start+redact.Mask, m.Truncated(text)), "%q in %s, whole", secret, how)
		}
	}
	require.Equal(t, "it ends here", redact.New("secret").Truncated("it ends here"))
	require.Equal(t, "a ******", redact.New("abca").Truncated("a abca"), "whole, and begun")
	require.Equal(t, "a ******", redact.New("xxab", "abcdefgh").Truncated("a xxabcde"), "one, and another begun in it")
	require.Equal(t, "a ", redact.New("abcdefgh", "cdef").Truncated("a abcdef"), "one in another that is begun")
}

func TestNamesAndTextsInAValueAreMasked(t *testing.T) {
	got := redact.New("hunter2").Value(map[string]any{
		"a hunter2": "hunter2", "list": []any{"hunter2", 7.0, nil, map[string]any{"x": "hunter2"}}, "texts": []string{"hunter2", "a"}, "not": true,
	})
	require.Equal(t, map[string]any{
		"a ******": "******", "list": []any{"******", 7.0, nil, map[string]any{"x": "******"}}, "texts": []string{"******", "a"}, "not": true,
	}, got)
}

// TestQuotesInQuotes is about what bash's "set -x" prints, dash's, CSV, and SQL and YAML. In JSON that a shell quotes, quotes are escaped, too.
func TestQuotesInQuotes(t *testing.T) {
	for secret, texts := range map[string][]string{
		"it's o'clock": {`it'\''s o'\''clock`, `it'"'"'s o'"'"'clock`, `it''s o''clock`, `it'\\''s o'\\''clock`, `it%27%5C%27%27s+o%27%5C%27%27clock`},
		`a "b" c`:      {`a ""b"" c`},
		`it's "b" \c`:  {`it'\''s "b" \c`, `it'\''s \"b\" \\c`},
		"'quoted'":     {`'\''quoted'\''`, `'"'"'quoted'"'"'`, `'quoted'`},
	} {
		m := redact.New(secret)
		for _, text := range texts {
			require.Equal(t, "x ****** b", m.Text("x "+text+" b"))
			for end := range len(text) {
				require.Equal(t, "x ", m.Truncated("x "+text[:end]), text[:end])
			}
		}
	}
}

// Neither secrets that look like themselves nor texts that are made for it may take long.
func TestMaskingTakesLittleTimeWhateverTheText(t *testing.T) {
	key := strings.Repeat("MIIEowIBAAKCAQEA1234567890abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL\n", 50)
	same := strings.Repeat("a", 32<<10)
	for name, tc := range map[string]struct {
		secret, text string
	}{
		"a secret of one letter":        {same, strings.Repeat(same[1:]+"b", 2)},
		"a secret of backslashes":       {strings.Repeat(`\`, 4<<10), strings.Repeat(`\`, 64<<10)},
		"a key, again and again begun":  {key, strings.Repeat(key[:600], 110)},
		"escapes within escapes":        {key, strings.Repeat(`\\u0025%2525&amp;amp;`, 3<<10)},
		"entities without an end":       {key, strings.Repeat(`&`, 64<<10)},
		"percents":                      {key, strings.Repeat(`%25`, 21<<10)},
		"a long secret that may be cut": {same, same + same[1:]},
	} {
		before := cputime.Used()
		m := redact.New(tc.secret)
		_ = m.Truncated(tc.text)
		assert.Less(t, cputime.Used()-before, 5*time.Second, name) // it takes some 0.1 s
		t.Log(name, cputime.Used()-before)
	}
}

func TestFindAndCutSayWhereSecretsAre(t *testing.T) {
	m := redact.New("hunter2!", "secret-value")
	text := "a hunter2! b hunter2%21hunter2! secr"
	require.Equal(t, []redact.Span{{From: 2, To: 10}, {From: 13, To: 31}}, m.Find(text))
	require.Equal(t, len("a hunter2! b hunter2%21hunter2! "), m.Cut(text))
	require.Equal(t, 4, m.Cut("abc."))

	var none *redact.Masker
	require.Empty(t, none.Find(text))
	require.Equal(t, len(text), none.Cut(text))
	require.Equal(t, []redact.Span{{From: 0, To: 5}, {From: 7, To: 9}}, redact.Union([]redact.Span{{From: 7, To: 9}, {From: 2, To: 5}, {From: 0, To: 3}}))
}

// Logs have long lines of JSON, in which URLs are. The encodings are taken off in each order.
func TestALongLineWithSomeEscapesTakesLittleMemory(t *testing.T) {
	text := strings.Repeat(`{"level":"info","message":"the \"cart\" is at https://example.com/a%2Fb?x=1&amp;y=2 and some more words follow here"}, `, 500)
	m := redact.New("hunter2-secret-value", "another.secret")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.Equal(t, text, m.Text(text))
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(100*len(text)))
}
