package pipelines

import (
	"fmt"
	"log/slog"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// VariableRequest is a variable to create or set. It is a separate type, so that a [Variable] read without its secured value can't
// be written back.
//
// This package compares keys exactly. The service is reported to ignore case when it refuses a duplicate: then the creation of
// "key" is an [ErrConflict] if "KEY" exists.
//
// Unless Secured points to false, printing the request masks the value, and JSON omits it.
type VariableRequest struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	Secured *bool  `json:"secured,omitzero"` // nil: as the existing variable; a new one is not secured
}

// plainVariableRequest is a VariableRequest without its methods.
type plainVariableRequest VariableRequest

// secret reports whether to treat the value as a secret: unless it is empty or Secured points to false.
func (r VariableRequest) secret() bool { return r.Value != "" && (r.Secured == nil || *r.Secured) }

// secured reports whether the variable is to be secured. existing may be nil.
func (r VariableRequest) secured(existing *Variable) bool {
	if r.Secured != nil {
		return *r.Secured
	}
	return existing != nil && existing.Secured
}

// isMetBy reports whether an existing variable surely is as requested. An empty value may be one that a partial response left out.
func (r VariableRequest) isMetBy(existing Variable) bool {
	return r.Value != "" && r.Value == existing.Value && !existing.Secured && !r.secured(&existing)
}

// mayHaveCreated reports whether an existing variable is as the request creates it, as far as the service shows it.
func (r VariableRequest) mayHaveCreated(existing Variable) bool {
	return existing.Secured == r.secured(nil) && (existing.Secured || existing.Value == r.Value)
}

// validate checks a request that creates a variable or overwrites an existing one, which may be nil.
func (r VariableRequest) validate(existing *Variable) error {
	switch {
	case r.Key == "":
		return invalidArgument("variable has no key")
	case r.Value == "" && r.secured(existing):
		return invalidArgument("secured variable %q has no value: what was read of it can't be written back", r.Key)
	}
	return nil
}

// secrets returns the texts that errors must mask.
func (r VariableRequest) secrets() []string {
	if !r.secret() {
		return nil
	}
	return []string{r.Value}
}

// masked dereferences the pointer, so that its value is printed.
func (r VariableRequest) masked() any {
	shown := struct {
		Key, Value string
		Secured    any
	}{Key: r.Key, Value: r.Value}
	if r.secret() {
		shown.Value = masked
	}
	if r.Secured != nil {
		shown.Secured = *r.Secured
	}
	return shown
}

// Format implements [fmt.Formatter]: every verb masks the value, unless Secured points to false.
func (r VariableRequest) Format(f fmt.State, verb rune) { formatMasked(f, verb, r.masked()) }

// LogValue implements [slog.LogValuer]: the value is masked, unless Secured points to false.
func (r VariableRequest) LogValue() slog.Value { return slog.AnyValue(r.masked()) }

// MarshalJSON implements [encoding/json.Marshaler]: the value is omitted, unless Secured points to false, because programs log
// JSON.
func (r VariableRequest) MarshalJSON() ([]byte, error) {
	if r.secret() {
		r.Value = ""
	}
	return json.Marshal(plainVariableRequest(r))
}

// encodeVariableRequest encodes the body of a request. The service rejects a creation without value or secured, so it sends both
// even if they are zero.
func encodeVariableRequest(enc *jsontext.Encoder, r VariableRequest) error {
	return json.MarshalEncode(enc, struct {
		Key     string `json:"key"`
		Value   string `json:"value"`
		Secured bool   `json:"secured"`
	}{r.Key, r.Value, r.secured(nil)})
}

// VariableUpdate is a change of a variable. Unless Secured points to false, printing the update masks the value, and JSON omits
// it. Whether the service accepts an update of a secured variable without its value is unknown.
type VariableUpdate struct {
	Key     string  `json:"key,omitzero"`     // empty: unchanged
	Value   *string `json:"value,omitzero"`   // nil: unchanged
	Secured *bool   `json:"secured,omitzero"` // nil: unchanged
}

// plainVariableUpdate is a VariableUpdate without its methods.
type plainVariableUpdate VariableUpdate

// secret reports whether to treat the value as a secret: unless it is empty or Secured points to false.
func (u VariableUpdate) secret() bool { return u.Value != nil && (u.Secured == nil || *u.Secured) }

func (u VariableUpdate) validate() error {
	switch {
	case u == VariableUpdate{}:
		return invalidArgument("update changes nothing")
	case u.Value != nil && *u.Value == "" && u.Secured != nil && *u.Secured:
		return invalidArgument("update of a secured variable has no value: what was read of it can't be written back")
	}
	return nil
}

// secrets returns the texts that errors must mask.
func (u VariableUpdate) secrets() []string {
	if !u.secret() {
		return nil
	}
	return []string{*u.Value}
}

// masked dereferences the pointers, so that their values are printed.
func (u VariableUpdate) masked() any {
	shown := struct{ Key, Value, Secured any }{Key: u.Key}
	switch {
	case u.secret():
		shown.Value = masked
	case u.Value != nil:
		shown.Value = *u.Value
	}
	if u.Secured != nil {
		shown.Secured = *u.Secured
	}
	return shown
}

// Format implements [fmt.Formatter]: every verb masks the value, unless Secured points to false.
func (u VariableUpdate) Format(f fmt.State, verb rune) { formatMasked(f, verb, u.masked()) }

// LogValue implements [slog.LogValuer]: the value is masked, unless Secured points to false.
func (u VariableUpdate) LogValue() slog.Value { return slog.AnyValue(u.masked()) }

// MarshalJSON implements [encoding/json.Marshaler]: the value is omitted, unless Secured points to false, because programs log
// JSON.
func (u VariableUpdate) MarshalJSON() ([]byte, error) {
	if u.secret() {
		u.Value = nil
	}
	return json.Marshal(plainVariableUpdate(u))
}

// encodeVariableUpdate encodes the body of a request, secrets included.
func encodeVariableUpdate(enc *jsontext.Encoder, u VariableUpdate) error {
	return json.MarshalEncode(enc, plainVariableUpdate(u))
}
