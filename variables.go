package pipelines

import (
	"fmt"
	"log/slog"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Variable is a variable of a pipeline. The value of a secured one can be written but never read.
//
// Wherever a Variable is printed, a secured value is masked. Marshalled to JSON by a program, it leaves its value out,
// as the service does; requests of this package carry it.
type Variable struct {
	Type    string `json:"type,omitzero"`
	UUID    string `json:"uuid,omitzero"`
	Key     string `json:"key,omitzero"`
	Value   string `json:"value,omitzero"`
	Secured bool   `json:"secured,omitzero"`
}

// plainVariable is a Variable without its methods.
type plainVariable Variable

func (v Variable) masked() any {
	if v.Secured && v.Value != "" {
		v.Value = masked
	}
	return plainVariable(v)
}

// Format implements [fmt.Formatter]: a secured value is masked under every verb.
func (v Variable) Format(f fmt.State, verb rune) { formatMasked(f, verb, v.masked()) }

// LogValue implements [slog.LogValuer]: a secured value is masked.
func (v Variable) LogValue() slog.Value { return slog.AnyValue(v.masked()) }

// MarshalJSON implements [encoding/json.Marshaler]: a secured value is left out, because programs log what they marshal.
func (v Variable) MarshalJSON() ([]byte, error) {
	if v.Secured {
		v.Value = ""
	}
	return json.Marshal(plainVariable(v))
}

// encodeVariable writes the variable as requests carry it: with its value, which the service wants even where it is empty.
func encodeVariable(enc *jsontext.Encoder, v Variable) error {
	return json.MarshalEncode(enc, struct {
		Key     string `json:"key"`
		Value   string `json:"value"`
		Secured bool   `json:"secured,omitzero"`
	}{v.Key, v.Value, v.Secured})
}
