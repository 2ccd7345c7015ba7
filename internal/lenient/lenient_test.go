package lenient_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/lenient"
)

type kind string

// shout is a type that decodes itself, from texts only.
type shout string

func (s *shout) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	*s = shout(strings.ToUpper(text))
	return nil
}

type thing struct {
	Text    string           `json:"text"`
	Kind    kind             `json:"kind"`
	Int     int              `json:"int"`
	Small   int8             `json:"small"`
	Pointer *int             `json:"pointer"`
	Float   float64          `json:"float"`
	Single  float32          `json:"single"`
	Bool    bool             `json:"bool"`
	Flag    *bool            `json:"flag"`
	Time    time.Time        `json:"time"`
	Since   *time.Time       `json:"since"`
	Shout   shout            `json:"shout"`
	Any     any              `json:"any"`
	Map     map[string]any   `json:"map"`
	Counts  map[string]int   `json:"counts"`
	Inner   *thing           `json:"inner"`
	Value   struct{ A int }  `json:"value"`
	Things  []thing          `json:"things"`
	Links   []*thing         `json:"links"`
	Texts   []string         `json:"texts"`
	Nested  [][]int          `json:"nested"`
	ByName  map[string]thing `json:"by_name"`
}

func TestWhatFitsNowhereIsLeftAtZero(t *testing.T) {
	noon := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	for data, want := range map[string]thing{
		`{"text":12,"kind":1.50,"int":"12","small":"-12","float":"1.5","single":"0.5","bool":"true"}`:         {Text: "12", Kind: "1.50", Int: 12, Small: -12, Float: 1.5, Single: 0.5, Bool: true},
		`{"text":[],"kind":{},"int":{},"small":128,"float":1e400,"single":1e39,"bool":[],"shout":7}`:          {},
		`{"int":1e2,"pointer":"12","flag":"false","time":"2026-08-01 12:00:00","since":"2026-08-01"}`:         {Int: 100, Pointer: new(12), Flag: new(false), Time: noon, Since: new(noon.Add(-12 * time.Hour))},
		`{"int":"","pointer":"x","flag":{},"time":[],"since":"soon","inner":7,"value":"x"}`:                   {},
		`{"int":"","any":1e400,"map":[],"counts":{"a":"1","b":{},"c":3.0},"by_name":{"a":{"int":"1"},"b":7}}`: {Counts: map[string]int{"a": 1, "b": 0, "c": 3}, ByName: map[string]thing{"a": {Int: 1}, "b": {}}},
		`{"int":"","any":{"a":[1,"x",null,true,{}]},"map":{"b":1.5}}`:                                         {Any: map[string]any{"a": []any{1.0, "x", nil, true, map[string]any{}}}, Map: map[string]any{"b": 1.5}},
		`{"things":{"int":"1"},"links":{"int":2},"texts":"a","nested":[7,[8],"9"]}`:                           {Things: []thing{{Int: 1}}, Links: []*thing{{Int: 2}}, Texts: []string{"a"}, Nested: [][]int{{7}, {8}, {9}}},
		`{"things":{},"links":"","texts":" ","nested":true}`:                                                  {},
		`{"things":[{"int":"1"},7,null,{"shout":"a"}],"links":[7,null,{"int":"3"}],"texts":[1,{},"c"]}`:       {Things: []thing{{Int: 1}, {}, {}, {Shout: "A"}}, Links: []*thing{nil, nil, {Int: 3}}, Texts: []string{"1", "", "c"}},
		`{"int":"1","int":2,"inner":{"int":"3"},"inner":{"text":"x"}}`:                                        {Int: 2, Inner: &thing{Int: 3, Text: "x"}},
		"{\"text\":\"\xff\",\"int\":\"1\"}":                                                                   {Text: "\uFFFD", Int: 1},
		`{"int":"1","unknown":{"a":[1e400]},"text":null,"pointer":null,"inner":null,"things":null}`:           {Int: 1},
		`{"inner":{"inner":{"things":[{"inner":{"time":"","int":5}}]}}}`:                                      {Inner: &thing{Inner: &thing{Things: []thing{{Inner: &thing{Int: 5}}}}}},
	} {
		got := thing{Text: "before"}
		if !strings.Contains(data, "text") {
			got = thing{}
		}
		require.NoError(t, lenient.NewDecoder(nil).Unmarshal([]byte(data), &got), data)
		require.Equal(t, want, got, data)
	}
}

func TestWhatIsRequiredIsNamed(t *testing.T) {
	asked := 0
	d := lenient.NewDecoder(func(p jsontext.Pointer, _ reflect.Type) bool {
		asked++
		switch p {
		case "/text", "/int", "/pointer", "/things", "/things/1", "/inner", "/inner/shout", "/time", "/map":
			return true
		}
		return false
	})
	for data, pointer := range map[string]string{
		`[]`: "", `7`: "", `"x"`: "", `{"text":12}`: "/text", `{"text":{}}`: "/text", `{"int":"x"}`: "/int", `{"int":1.5}`: "/int", `{"pointer":[]}`: "/pointer",
		`{"things":{}}`: "/things", `{"things":[{},"x"]}`: "/things/1", `{"inner":""}`: "/inner", `{"inner":{"shout":7}}`: "/inner/shout",
		`{"time":"soon"}`: "/time", `{"map":[]}`: "/map",
	} {
		err := d.Unmarshal([]byte(data), new(thing))
		var mismatch *lenient.MismatchError
		require.ErrorAs(t, err, &mismatch, data)
		require.Equal(t, pointer, string(mismatch.Pointer), data)
		require.NotContains(t, err.Error(), "soon")
	}
	for _, data := range []string{
		`{"text":null,"int":"12","pointer":1e1,"things":[7,null],"inner":null,"time":"2026-08-01","map":null}`, `{"kind":[],"things":["x"]}`, `null`,
	} {
		require.NoError(t, d.Unmarshal([]byte(data), new(thing)), data)
	}
	asked = 0
	require.NoError(t, d.Unmarshal([]byte(strings.Repeat(`{"inner":`, 100)+`{"int":"1"}`+strings.Repeat(`}`, 100)), new(thing)))
	require.Zero(t, asked, "not about what lies deep")
}

func TestAMismatchIsToldInWordsOfJSON(t *testing.T) {
	d := lenient.NewDecoder(func(jsontext.Pointer, reflect.Type) bool { return true })
	for data, want := range map[string]string{
		`[]`:                `JSON of another shape at "": array in place of object`,
		`{"text":{}}`:       `JSON of another shape at "/text": object in place of string`,
		`{"int":"many"}`:    `JSON of another shape at "/int": string in place of number`,
		`{"int":1e99}`:      `JSON of another shape at "/int": number out of range`,
		`{"things":true}`:   `JSON of another shape at "/things": boolean in place of array`,
		`{"things":[{},7]}`: `JSON of another shape at "/things/1": number in place of object`,
		`{"map":[]}`:        `JSON of another shape at "/map": array in place of object`,
	} {
		require.EqualError(t, d.Unmarshal([]byte(data), new(thing)), want, data)
	}
}

func TestWhatIsNoJSONIsNoOtherShape(t *testing.T) {
	for _, data := range []string{``, `{"int":`, `[`, `{"int":"x"`, `7,`, `{"int":{}}}`, strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)} {
		err := lenient.NewDecoder(nil).Unmarshal([]byte(data), new(thing))
		var syntactic *jsontext.SyntacticError
		require.ErrorAs(t, err, &syntactic, data)
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"text":12,"int":"12","time":"2026-08-01 12:00:00 +0200","things":{"int":1e2},"any":[1e400],"links":[7]}`))
	f.Add([]byte(`{"since":1785585600000,"flag":"T","nested":"9","by_name":{"a":7},"shout":7}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var got thing
		if lenient.NewDecoder(nil).Unmarshal(data, &got) != nil {
			return
		}
		_, err := json.Marshal(got)
		require.NoError(t, err, "what decodes encodes again")
	})
}
