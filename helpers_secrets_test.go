package pipelines_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/stretchr/testify/assert"
	"golang.org/x/oauth2"

	"github.com/seed-85ed9bfd/pipelines"
)

// The canaries are found in any spelling by their letters and digits; what stands around these is there to be quoted.
const (
	secretCanary = "zXq7secret9Wv"
	hiddenCanary = "kJ4hidden8Bf"
)

var (
	printVerbs = "vsqxXdtcUboOeEfFgGT"
	printFlags = []string{"", "+", "#", "-", " ", "0", "# ", "+#", "40", "-40.30"}
)

// printings are all the ways to print v. %p and %w are left out: fmt asks no type about these, and go vet refuses them.
func printings(v any) map[string]string {
	all := map[string]string{"Sprint": fmt.Sprint(v), "Sprintln": fmt.Sprintln(v), "panic": panicText(v)}
	for format := range strings.FieldsSeq("no-verb %v,%v %z") {
		all[format] = fmt.Sprintf(format, v)
	}
	for _, verb := range printVerbs {
		for _, flag := range printFlags {
			format := "%" + flag + string(verb)
			all[format] = fmt.Sprintf(format, v)
		}
	}
	return all
}

// panicText is what a recovered panic prints.
func panicText(v any) (text string) {
	defer func() { text = fmt.Sprint("recovered: ", recover()) }()
	panic(v)
}

// logged is what slog makes of v.
func logged(v any) map[string]string {
	var text, js bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&js, nil)} {
		l := slog.New(h)
		l.Info("x", "v", v)
		l.With("v", v).WithGroup("g").Info("x", slog.Group("h", "v", v))
		l.Info("x", slog.Any("v", slog.GroupValue(slog.Any("v", v))))
	}
	return map[string]string{"slog as text": text.String(), "slog as JSON": js.String()}
}

// marshalled is what the JSON packages make of v. Values that can't be marshalled give the error's text.
func marshalled(v any) map[string]string {
	all := map[string]string{}
	for name, marshal := range map[string]func(any) ([]byte, error){
		"encoding/json":      json.Marshal,
		"indented":           func(v any) ([]byte, error) { return json.MarshalIndent(v, "", " ") },
		"go-json-experiment": func(v any) ([]byte, error) { return jsonv2.Marshal(v) },
	} {
		body, err := marshal(v)
		all[name] = string(body) + fmt.Sprint(err)
	}
	return all
}

// spellings keeps what spelled has worked out.
var spellings = map[[2]string][]string{}

// spelled are the ways in which a canary may stand in a text that was made by a format, or in another way.
func spelled(canary, format string) []string {
	key := [2]string{canary, format}
	if spellings[key] == nil {
		spellings[key] = spellOut(canary, format)
	}
	return spellings[key]
}

func spellOut(canary, format string) []string {
	all := []string{canary}
	for shift := range 3 { // the letters of base64 depend on where in the text the canary begins
		code := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + canary))
		all = append(all, code[shift+1:len(code)-2])
	}
	all = append(all, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary))
	if strings.HasPrefix(format, "%") && len(format) > 1 && !strings.HasSuffix(format, "T") {
		for _, as := range []any{canary, []byte(canary)} { // numbers of bytes, among others
			all = append(all, strings.Trim(fmt.Sprintf(format, as), "[] "))
		}
	}
	return all
}

func caged(canary string) string { return "<\"'" + canary + "\n&é>" }

func assertShowsNot(t *testing.T, texts map[string]string, canary, of string) {
	t.Helper()
	for how, text := range texts {
		for _, spelling := range spelled(canary, how) {
			if strings.Contains(text, spelling) {
				assert.Fail(t, "a secret shows", "%s by %s: %q in %.500q", of, how, spelling, text)
				break
			}
		}
	}
}

// credentials are all the ways to give a client a secret, here the canary.
func credentials(t *testing.T) map[string][]pipelines.Option {
	fromEnv := func(pairs ...string) pipelines.Option {
		for i := 0; i < len(pairs); i += 2 {
			t.Setenv("BITBUCKET_"+pairs[i], pairs[i+1])
		}
		return pipelines.WithEnv()
	}
	return map[string][]pipelines.Option{
		"token":              {pipelines.WithToken(secretCanary)},
		"password":           {pipelines.WithBasicAuth("me@example.com", secretCanary)},
		"token source":       {pipelines.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: secretCanary, RefreshToken: secretCanary}))},
		"client credentials": {pipelines.WithClientCredentials("id", secretCanary)},
		"environment":        {fromEnv("TOKEN", secretCanary, "EMAIL", "me@example.com", "API_TOKEN", secretCanary)},
	}
}

// assertSilent asserts that v shows the canary in no way.
func assertSilent(t *testing.T, of string, v any) {
	t.Helper()
	for _, texts := range []map[string]string{printings(v), logged(v), marshalled(v)} {
		assertShowsNot(t, texts, secretCanary, of)
	}
}
