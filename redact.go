package pipelines

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// redact masks secrets once more in what was decoded, where all spellings are one.
func (e *APIError) redact(mask *strings.Replacer) {
	e.Message, e.Detail, e.Key, e.RequestID = mask.Replace(e.Message), mask.Replace(e.Detail), mask.Replace(e.Key), mask.Replace(e.RequestID)
	if e.Fields != nil {
		e.Fields = redactMap(e.Fields, func(texts []string) []string { redactValue(texts, mask); return texts }, mask)
	}
	if e.Data != nil {
		e.Data = redactMap(e.Data, func(value any) any { return redactValue(value, mask) }, mask)
	}
}

// redactMap masks the names too.
func redactMap[V any](m map[string]V, redact func(V) V, mask *strings.Replacer) map[string]V {
	redacted := make(map[string]V, len(m))
	for name, value := range m {
		redacted[mask.Replace(name)] = redact(value)
	}
	return redacted
}

func redactValue(value any, mask *strings.Replacer) any {
	switch v := value.(type) {
	case string:
		return mask.Replace(v)
	case []string:
		for i := range v {
			v[i] = mask.Replace(v[i])
		}
	case []any:
		for i := range v {
			v[i] = redactValue(v[i], mask)
		}
	case map[string]any:
		return redactMap(v, func(value any) any { return redactValue(value, mask) }, mask)
	}
	return value
}

// redactor masks what the request carried, for services and proxies that repeat it: credentials, secured values, and the
// query of a link, by which it is signed. JSON and URLs spell some of it in other ways.
func (k *call) redactor(resp *http.Response, foreign bool) *strings.Replacer {
	var secrets []string
	if resp.Request != nil {
		secrets = append(secrets, resp.Request.URL.RawQuery)
	}
	if foreign { // a storage host's errors quote the signature by itself
		for _, values := range resp.Request.URL.Query() {
			secrets = append(secrets, longOnes(values)...)
		}
	}
	return k.masker(secrets...)
}

// masker masks the call's own secrets and more.
func (k *call) masker(more ...string) *strings.Replacer {
	var all []string
	for _, secret := range slices.Concat(credentialSecrets(k.authorization), k.secrets, more) {
		all = append(all, spellings(secret)...)
	}
	// The longest first, so that a secret which begins like another leaves no rest.
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	pairs := make([]string, 0, 2*len(all))
	for _, spelling := range all {
		pairs = append(pairs, spelling, masked)
	}
	return strings.NewReplacer(pairs...)
}

// maskedError is an error whose text repeats a secret: net/http quotes what it can't read.
type maskedError struct {
	text string
	err  error
}

func (e *maskedError) Error() string { return e.text }

// Is and As find what is inside; an Unwrap would give out its text to everyone who walks the chain.
func (e *maskedError) Is(target error) bool { return errors.Is(e.err, target) }

func (e *maskedError) As(target any) bool { return errors.As(e.err, target) }

// Format implements [fmt.Formatter].
func (e *maskedError) Format(f fmt.State, verb rune) { formatError(f, verb, e) }

// maskError takes the call's secrets out of an error's text.
func (k *call) maskError(err error) error {
	text := err.Error()
	if shown := k.masker().Replace(text); shown != text {
		return &maskedError{shown, err}
	}
	return err
}

// longOnes leaves out texts that are too short to be secrets and would stand in any text.
func longOnes(texts []string) []string {
	return slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return len(strings.TrimSpace(text)) < 8 })
}

// spellings are the ways in which a secret may stand in a body. Of one with several lines each counts.
func spellings(secret string) []string {
	if secret == "" {
		return nil
	}
	all := []string{secret, url.QueryEscape(secret), url.PathEscape(secret)}
	if quoted, err := jsontext.AppendQuote(nil, secret); err == nil {
		inner := string(quoted[1 : len(quoted)-1])
		htmlSafe := strings.NewReplacer("=", `\u003d`, "<", `\u003c`, ">", `\u003e`, "&", `\u0026`, "'", `\u0027`).Replace(inner)
		all = append(all, inner, htmlSafe)
	}
	if lines := strings.Split(secret, "\n"); len(lines) > 1 {
		for _, line := range longOnes(lines) {
			all = append(all, spellings(strings.TrimSpace(line))...)
		}
	}
	return all
}

// credentialSecrets takes an Authorization header apart.
func credentialSecrets(authorization string) []string {
	scheme, credential, _ := strings.Cut(authorization, " ")
	if credential == "" {
		return nil
	}
	plain, err := base64.StdEncoding.DecodeString(credential)
	if scheme != "Basic" || err != nil {
		return []string{credential}
	}
	_, password, _ := strings.Cut(string(plain), ":")
	return []string{credential, password}
}

// masked stands for a secret wherever a value that carries one is printed.
const masked = "******"

// formatMasked prints v, a copy whose secrets are masked and whose type has no Format method, under the verb and flags of f.
func formatMasked(f fmt.State, verb rune, v any) {
	fmt.Fprintf(f, fmt.FormatString(f, verb), v)
}
