package loosejson_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/loosejson"
)

func TestValuesAreDecodedAsFarAsTheyCanBeRead(t *testing.T) {
	for text, want := range map[string]any{
		`"a"`:                              "a",
		`{"a":[1,true,null]}`:              map[string]any{"a": []any{1.0, true, nil}},
		`{"a":1,"b":{"c":[2,{"d":3,"e":"x`: map[string]any{"a": 1.0, "b": map[string]any{"c": []any{2.0, map[string]any{"d": 3.0}}}},
		`{"a":1,"b" 2}`:                    map[string]any{"a": 1.0},
		`{"a":1,"a":2}`:                    map[string]any{"a": 2.0},
		"{\"a\xff\":\"\xfe\"}":             map[string]any{"a\ufffd": "\ufffd"},
		`[1,2`:                             []any{1.0, 2.0},
		`"cut`:                             nil,
		``:                                 nil,
		`nonsense`:                         nil,
	} {
		require.Equal(t, want, loosejson.Decode(jsontext.Value(text)), text)
	}
	require.Equal(t, []any{}, loosejson.Decode(jsontext.Value(strings.Repeat("[", 20_000))).([]any)[:0], "too deep")
}

func TestMembersAreTakenByName(t *testing.T) {
	o := loosejson.Members(jsontext.Value(`{"Message":"a","x":1,"message":"b","detail":null,"y":2}`))
	require.Equal(t, []jsontext.Value{jsontext.Value("2"), jsontext.Value(`"a"`), jsontext.Value(`"b"`)}, o.Take("y", "detail", "message"))
	require.Equal(t, loosejson.Object{{Name: "x", Value: jsontext.Value("1")}}, o)
}

func TestValuesAreToldInWords(t *testing.T) {
	for text, want := range map[string]string{
		`" a "`:                           "a",
		`["a",2,[],"",[true,null],"b"]`:   "a, 2, true, b",
		`{"b":"x","a":{"c":1e21,"d":""}}`: "a: c: 1e+21, d, b: x",
		`{"":"x"}`:                        "x",
		`1000000`:                         "1000000",
		`null`:                            "",
		`[[[[[[[[[["x"]]]]]]]]]]`:         "…",
	} {
		require.Equal(t, want, loosejson.Text(jsontext.Value(text)), text)
	}
	require.Equal(t, "a, b", loosejson.Format([]string{"a", "", "b"}))
	require.Equal(t, "7", loosejson.Format(7))
	require.Equal(t, []string{"a", "b", "c: d"}, loosejson.Texts(jsontext.Value(`["a","b"]`), jsontext.Value(`{"c":"d"}`)))
}
