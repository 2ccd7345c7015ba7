package pipelines

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-85ed9bfd/pipelines/internal/redact"
)

// redact masks the decoded fields, where escapes are resolved, names of members too.
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

// redactor masks what the request carried, for services and proxies that repeat it: credentials, secured values, and a link's query,
// which is its signature.
func (k *call) redactor(resp *http.Response, foreign bool) *redact.Masker {
	secrets := []string{resp.Request.URL.RawQuery}
	if foreign { // errors of storage hosts quote the signature by itself
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

// maskError hides the call's secrets in an error.
func (k *call) maskError(err error) error { return k.masker().Error(err) }

// stripURL removes the URLs from an error of net/http: links to storage are signed, and queries may hold secured values.
func stripURL(err error) error {
	var withURL *url.Error
	for errors.As(err, &withURL) {
		err = withURL.Err
	}
	return err
}

// secretsOf returns the secrets of a request body, including those in pointers, lists and maps.
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

// longOnes drops strings under 8 bytes; masking them would hit ordinary text.
func longOnes(texts []string) []string {
	return slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return len(strings.TrimSpace(text)) < 8 })
}

// credentialSecrets returns the secrets of an Authorization header.
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

// masked is printed in place of a secret.
const masked = redact.Mask

// formatMasked formats v, a copy whose secrets are masked and whose type has no Format method, with the verb and flags of f.
func formatMasked(f fmt.State, verb rune, v any) {
	fmt.Fprintf(f, fmt.FormatString(f, verb), v)
}
