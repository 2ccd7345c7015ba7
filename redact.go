package pipelines

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-85ed9bfd/pipelines/internal/redact"
)

// redact masks what was decoded from the response, names of members too.
func (e *APIError) redact(mask *redact.Masker) {
	e.Message, e.Detail, e.Key, e.RequestID = mask.Text(e.Message), mask.Text(e.Detail), mask.Text(e.Key), mask.Text(e.RequestID)
	if e.Data != nil {
		e.Data = mask.Value(e.Data).(map[string]any)
	}
	fields := e.Fields
	e.Fields = nil
	for name, texts := range fields {
		e.addField(mask.Text(name), mask.Value(texts).([]string)...)
	}
}

// redactor masks what the request carried, for services and proxies that repeat it: credentials, secured values, and the
// query of a link, by which it is signed.
func (k *call) redactor(resp *http.Response, foreign bool) *redact.Masker {
	secrets := []string{resp.Request.URL.RawQuery}
	if foreign { // a storage host's errors quote the signature by itself
		for _, values := range resp.Request.URL.Query() {
			secrets = append(secrets, longOnes(values)...)
		}
	}
	return k.masker(secrets...)
}

// masker masks the call's own secrets and more.
func (k *call) masker(more ...string) *redact.Masker {
	return redact.New(slices.Concat(credentialSecrets(k.authorization), k.secrets, more)...)
}

// maskedError is an error that shows a secret or control characters, or has one inside that shows a secret: net/http quotes
// what it can't read.
type maskedError struct {
	text     string
	err      error
	harmless []error // the errors inside that show none
}

func (e *maskedError) Error() string { return e.text }

// Is finds what is inside. There is no Unwrap: who walks the chain would come to the secret.
func (e *maskedError) Is(target error) bool { return errors.Is(e.err, target) }

// As finds what is inside and shows no secret.
func (e *maskedError) As(target any) bool {
	return slices.ContainsFunc(e.harmless, func(err error) bool { return errors.As(err, target) })
}

// Format implements [fmt.Formatter].
func (e *maskedError) Format(f fmt.State, verb rune) { formatError(f, verb, e) }

func (k *call) maskError(err error) error { return maskError(err, k.masker()) }

// maskError hides the secrets that an error, or any error inside it, shows, and makes its text printable.
func maskError(err error, mask *redact.Masker) error {
	harmless, whole := harmlessErrors(err, mask)
	text := printable(mask.Text(err.Error()))
	if whole && text == err.Error() {
		return err
	}
	return &maskedError{text, err, harmless}
}

// harmlessErrors returns the errors in err that show no secret, nor does any inside them. Those inside of such a one are left
// out. whole reports whether it is err itself.
func harmlessErrors(err error, mask *redact.Masker) (harmless []error, whole bool) {
	whole = mask.Text(err.Error()) == err.Error()
	for _, inner := range unwrapAll(err) {
		some, clean := harmlessErrors(inner, mask)
		harmless = append(harmless, some...)
		whole = whole && clean
	}
	if whole {
		return []error{err}, true
	}
	return harmless, false
}

func unwrapAll(err error) []error {
	switch err := err.(type) { //nolint:errorlint // one level is wanted
	case interface{ Unwrap() []error }:
		return slices.DeleteFunc(slices.Clone(err.Unwrap()), func(inner error) bool { return inner == nil })
	case interface{ Unwrap() error }:
		if inner := err.Unwrap(); inner != nil {
			return []error{inner}
		}
	}
	return nil
}

// secretsOf are the secrets of a request body, those of what it points to and lists too.
func secretsOf(body reflect.Value) []string {
	if !body.IsValid() || !body.CanInterface() {
		return nil
	}
	if body.Kind() != reflect.Pointer {
		if carrier, ok := body.Interface().(interface{ secrets() []string }); ok {
			return carrier.secrets()
		}
	}
	var all []string
	switch body.Kind() { //nolint:exhaustive // the others hold nothing else
	case reflect.Pointer, reflect.Interface:
		return secretsOf(body.Elem())
	case reflect.Slice, reflect.Array:
		for i := range body.Len() {
			all = append(all, secretsOf(body.Index(i))...)
		}
	case reflect.Map:
		for _, value := range body.Seq2() {
			all = append(all, secretsOf(value)...)
		}
	case reflect.Struct:
		for _, value := range body.Fields() {
			all = append(all, secretsOf(value)...)
		}
	}
	return all
}

// longOnes drops texts under 8 bytes: masking them would hit ordinary words.
func longOnes(texts []string) []string {
	return slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return len(strings.TrimSpace(text)) < 8 })
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
const masked = redact.Mask

// formatMasked prints v, a copy whose secrets are masked and whose type has no Format method, under the verb and flags of f.
func formatMasked(f fmt.State, verb rune, v any) {
	fmt.Fprintf(f, fmt.FormatString(f, verb), v)
}
