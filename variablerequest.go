package pipelines

import (
	"fmt"
	"log/slog"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// VariableRequest is a variable to create or to set. It is no [Variable], so that a variable that was read, whose secured
// value is missing, can't be written back by mistake.
//
// The value is masked wherever the request is printed, unless Secured points to false, and left out where a program marshals
// it.
type VariableRequest struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	Secured *bool  `json:"secured,omitzero"` // nil: as the variable is; a new one is not secured then
}

// plainVariableRequest is a VariableRequest without its methods.
type plainVariableRequest VariableRequest

// secret reports whether the value has to be taken for one: only a request that says so has none.
func (r VariableRequest) secret() bool { return r.Value != "" && (r.Secured == nil || *r.Secured) }

// secured is what the variable is to be, there being the one that exists, or nil.
func (r VariableRequest) secured(there *Variable) bool {
	if r.Secured != nil {
		return *r.Secured
	}
	return there != nil && there.Secured
}

// check refuses a request for a variable, there being the one that exists, or nil.
func (r VariableRequest) check(there *Variable) error {
	switch {
	case r.Key == "":
		return invalidArgument("variable has no key")
	case r.Value == "" && r.secured(there):
		return invalidArgument("variable %q is secured and its value is empty: a secured value can't be read, so what was read is none to write", r.Key)
	}
	return nil
}

// secrets are what no error may repeat.
func (r VariableRequest) secrets() []string {
	if !r.secret() {
		return nil
	}
	return []string{r.Value}
}

// masked shows what the pointer points to.
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

// Format implements [fmt.Formatter]: the value is masked under every verb, unless it is not secured.
func (r VariableRequest) Format(f fmt.State, verb rune) { formatMasked(f, verb, r.masked()) }

// LogValue implements [slog.LogValuer]: the value is masked, unless it is not secured.
func (r VariableRequest) LogValue() slog.Value { return slog.AnyValue(r.masked()) }

// MarshalJSON implements [encoding/json.Marshaler]: the value is left out, unless it is not secured, because programs log what
// they marshal.
func (r VariableRequest) MarshalJSON() ([]byte, error) {
	if r.secret() {
		r.Value = ""
	}
	return json.Marshal(plainVariableRequest(r))
}

// encodeVariableRequest writes the request for the service: with its value where that is empty too, and with secured where
// that is false, without either of which the service refuses a creation.
func encodeVariableRequest(enc *jsontext.Encoder, r VariableRequest) error {
	return json.MarshalEncode(enc, struct {
		Key     string `json:"key"`
		Value   string `json:"value"`
		Secured bool   `json:"secured"`
	}{r.Key, r.Value, r.secured(nil)})
}

// VariableUpdate is what to change of a variable. The value is masked wherever the update is printed, unless Secured points to
// false, and left out where a program marshals it. Whether the service takes a secured variable without its value is unknown.
type VariableUpdate struct {
	Key     string  `json:"key,omitzero"`     // empty: as it is
	Value   *string `json:"value,omitzero"`   // nil: as it is
	Secured *bool   `json:"secured,omitzero"` // nil: as it is
}

// plainVariableUpdate is a VariableUpdate without its methods.
type plainVariableUpdate VariableUpdate

// secret reports whether the value has to be taken for one: only an update that says so has none.
func (u VariableUpdate) secret() bool { return u.Value != nil && (u.Secured == nil || *u.Secured) }

func (u VariableUpdate) check() error {
	switch {
	case u == VariableUpdate{}:
		return invalidArgument("update changes nothing")
	case u.Value != nil && *u.Value == "" && u.Secured != nil && *u.Secured:
		return invalidArgument("update makes the value of a secured variable empty: a secured value can't be read, so what was read is none to write")
	}
	return nil
}

func (u VariableUpdate) secrets() []string {
	if !u.secret() {
		return nil
	}
	return []string{*u.Value}
}

// masked shows what the pointers point at.
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

// Format implements [fmt.Formatter]: the value is masked under every verb.
func (u VariableUpdate) Format(f fmt.State, verb rune) { formatMasked(f, verb, u.masked()) }

// LogValue implements [slog.LogValuer]: the value is masked.
func (u VariableUpdate) LogValue() slog.Value { return slog.AnyValue(u.masked()) }

// MarshalJSON implements [encoding/json.Marshaler]: the value is left out, because programs log what they marshal.
func (u VariableUpdate) MarshalJSON() ([]byte, error) {
	if u.secret() {
		u.Value = nil
	}
	return json.Marshal(plainVariableUpdate(u))
}

func encodeVariableUpdate(enc *jsontext.Encoder, u VariableUpdate) error {
	return json.MarshalEncode(enc, plainVariableUpdate(u))
}
