package exactjson_test

import (
	"bytes"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/exactjson"
)

var options = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

type word string

// loud decodes itself.
type loud string

func (l *loud) UnmarshalJSON(data []byte) error {
	*l = loud(bytes.ToUpper(data))
	return nil
}

// level decodes itself from a text.
type level int

func (l *level) UnmarshalText(text []byte) error {
	*l = level(len(text))
	return nil
}

type thing struct {
	Text     string             `json:"text,omitzero"`
	Word     word               `json:"word"`
	Loud     loud               `json:"loud"`
	Level    level              `json:"level"`
	Int      int                `json:"int"`
	Small    int8               `json:"small"`
	Unsigned uint               `json:"unsigned"`
	Float    float64            `json:"float"`
	Flag     bool               `json:"flag"`
	Maybe    *bool              `json:"maybe"`
	Twice    **int              `json:"twice"`
	Time     time.Time          `json:"time"`
	Since    *time.Time         `json:"since"`
	Any      any                `json:"any"`
	Map      map[string]any     `json:"map"`
	Counts   map[word]int       `json:"counts"`
	Inner    *thing             `json:"inner"`
	Value    struct{ A, B int } `json:"value"`
	Things   []thing            `json:"things"`
	Links    []*thing           `json:"links,omitempty"`
	Numbers  []int              `json:"numbers"`
	Nested   [][]string         `json:"nested"`
	Bytes    []byte             `json:"bytes"`
	Array    [2]int             `json:"array"`
	Raw      jsontext.Value     `json:"raw"`
	Embeds   embeds             `json:"embeds"`
	Untagged string
	Ignored  string `json:"-"`
	private  int    //nolint:unused // package json leaves it alone
}

// embeds is a struct that package json has further rules for.
type embeds struct{ Inner }

type Inner struct {
	Deep string `json:"deep"`
}

// texts are JSON that fits.
var texts = []string{
	`{}`, ` { } `, "\t{\r\n}\n", `null`, `{"text":"a","word":"b","loud":"c","level":"dd","Untagged":"e","untagged":"f","TEXT":"g","-":"h","private":"i"}`,
	`{"text":"","text2":{"a":[1,-2.5e+10,true,false,null,"x",{"b":[]}]},"unknown":0}`,
	`{"text":"a long text of more than sixteen bytes, all of them plain","word":"short"}`,
	`{"text":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 é 😀 \u007f","word":"é","é":1,"es\u0063aped":"\n"}`,
	`{"int":0,"small":-128}`, `{"int":-0,"small":127}`, `{"int":9223372036854775807}`, `{"int":-9223372036854775808,"unsigned":7,"float":1.5e3}`,
	`{"flag":true,"maybe":false,"twice":5}`, `{"flag":false,"maybe":true,"twice":null,"text":null,"int":null,"time":null,"since":null,"things":null,"map":null,"value":null}`,
	`{"time":"2026-08-01T10:12:13Z","since":"2026-08-01T10:12:13.671Z"}`, `{"time":"2026-08-01T10:12:13.671234567+02:00","since":"0001-01-01T00:00:00Z"}`,
	`{"any":{"a":1},"map":{},"counts":{}}`, `{"any":[],"map":{"a":{"b":[1]}},"counts":{"x":1,"y":2}}`, `{"any":null,"map":{ }}`,
	`{"inner":{"inner":{"inner":null,"value":{"A":1,"B":2}}}}`,
	`{"things":[],"links":[],"numbers":[],"nested":[]}`, `{"things":[{},{"int":1},null,{"things":[{}]}],"links":[{},null],"numbers":[1,null,3,4,5,6,7,8,9],"nested":[["a"],[],null]}`,
	`{"bytes":"AQID","array":[1,2],"raw":{"a": 1},"embeds":{"deep":"x"}}`,
}

// others are JSON that package json decodes in a way of its own, or refuses.
var others = []string{
	``, ` `, `{`, `[`, `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `{"text":"a",}`, `{"numbers":[1,]}`, `{"numbers":[,]}`, `{"numbers":[1 2]}`, `{"numbers":[`,
	`{}{}`, `{} x`, `nul`, `{"flag":tru}`, `{"flag":truefalse}`, `{"flag":1}`, `{"flag":"true"}`, `{"int":01}`, `{"int":1.0}`, `{"int":1e2}`, `{"int":"1"}`, `{"int":+1}`, `{"int":-}`, `{"int":1.}`, `{"int":1e}`,
	`{"int":9223372036854775808}`, `{"small":128}`, `{"unsigned":-1}`, `{"float":1e999}`, `{"a":01}`, `{"a":.5}`, `{"a":1.e1}`, `{"a":tru}`, `{"a":nil}`, `{"a":'x'}`, `{a:1}`, `{"a" 1}`, `{"a":1 "b":2}`,
	"{\"text\":\"a\nb\"}", "{\"text\":\"\x00\"}", "{\"text\":\"\xff\"}", "{\"a\":\"\xff\"}", "{\"\xff\":1}", `{"text":"\x"}`, `{"text":"\u12"}`, `{"text":"\ud800"}`, `{"text":"\`, `{"text":"\"`, `{"a":"\x"}`,
	`{"text":"a","text":"b"}`, `{"inner":{"int":1},"inner":{"small":2}}`, `{"map":{"a":1},"map":{"b":2}}`, `{"\u0074ext":"a","text":"b"}`,
	`{"time":"2026-08-01T1:12:13Z"}`, `{"time":"2026-08-01T10:12:13,5Z"}`, `{"time":"2026-08-01 10:12:13Z"}`, `{"time":"2026-08-01T10:12:13+25:00"}`, `{"time":""}`, `{"time":5}`, `{"time":"2026-13-01T10:12:13Z"}`,
	`{"text":{}}`, `{"things":{}}`, `{"inner":[]}`, `{"inner":"x"}`, `{"map":[]}`, `{"map":{"a"}}`, `{"value":7}`, `[]`, `7`, `"x"`, `{"bytes":"!"}`, `{"array":[1]}`, `{"nested":["a"]}`, `{"text":nulL}`, "\ufeff{}",
}

// requireSame requires that both packages decode data into equal values, if this one does.
func requireSame(t *testing.T, data []byte) (decoded bool) {
	t.Helper()
	var got, want thing
	if !exactjson.Unmarshal(data, &got, options) {
		require.Zero(t, got, "%q: zero again", data)
		return false
	}
	require.NoError(t, json.Unmarshal(data, &want, options), "%q", data)
	require.Equal(t, want, got, "%q", data)
	return true
}

func TestJSONThatFitsIsDecodedAsByPackageJSON(t *testing.T) {
	for _, text := range texts {
		require.True(t, requireSame(t, []byte(text)), "%s", text)
	}
}

func TestWhatItCannotDecodeItLeavesToPackageJSON(t *testing.T) {
	for _, text := range others {
		require.False(t, requireSame(t, []byte(text)), "%s", text)
	}
	deep := strings.Repeat(`{"inner":`, 65) + `{}` + strings.Repeat(`}`, 65)
	require.False(t, requireSame(t, []byte(deep)), "nested too deeply")
	require.False(t, requireSame(t, []byte(`{"a":`+strings.Repeat(`[`, 65)+strings.Repeat(`]`, 65)+`}`)), "nested too deeply")
}

func TestEveryBeginningOfATextIsLeftToPackageJSON(t *testing.T) {
	for _, text := range texts {
		text = strings.TrimSpace(text)
		for i := range len(text) {
			require.False(t, requireSame(t, []byte(text[:i])), "%s", text[:i])
		}
	}
}

func TestAByteThatIsSpecialIsFoundWhereverItStands(t *testing.T) {
	for i := range 40 {
		for _, special := range []string{`\n`, "é", "\x7f", " ", "~", "\u0080"} {
			require.True(t, requireSame(t, []byte(`{"text":"`+strings.Repeat("x", i)+special+`yyyyyyyyyy"}`)), "%d %q", i, special)
		}
		for _, special := range []string{"\x00", "\x1f", "\n", "\xff", `\x`, `"`} {
			require.False(t, requireSame(t, []byte(`{"text":"`+strings.Repeat("x", i)+special+`yyyyyyyyyy"}`)), "%d %q", i, special)
		}
	}
}

func TestTypesWithRulesOfTheirOwnAreLeftToPackageJSON(t *testing.T) {
	for _, out := range []any{
		new(loud), new(level), new(any), new([]byte), new([2]int), new(float64), new(time.Duration), new(map[int]string), new(embeds), new(jsontext.Value),
		tagged(`json:",string"`), tagged(`json:"a,case:ignore"`), tagged(`json:"'a'"`), tagged(`json:"a"`, `json:"a"`), tagged(make([]reflect.StructTag, 65)...),
		thing{}, (*thing)(nil), nil, &thing{Int: 1},
	} {
		require.False(t, exactjson.Unmarshal([]byte(`{}`), out, options), "%T", out)
		require.False(t, exactjson.Unmarshal([]byte(`null`), out, options), "%T", out)
	}
	require.True(t, exactjson.Unmarshal([]byte(`{}`), tagged(`json:"a"`, `json:"b,omitzero"`, ``), options))
}

// tagged returns a pointer to a struct of numbers with these tags.
func tagged(tags ...reflect.StructTag) any {
	var fields []reflect.StructField
	for i, tag := range tags {
		fields = append(fields, reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: reflect.TypeFor[int](), Tag: tag})
	}
	return reflect.New(reflect.StructOf(fields)).Interface()
}

func TestOptionsHoldForWhatPackageJSONDecodes(t *testing.T) {
	var got thing
	require.True(t, exactjson.Unmarshal([]byte(`{"embeds":{"deep":"a","DEEP":"b"}}`), &got, json.JoinOptions(options, json.MatchCaseInsensitiveNames(true))))
	require.Equal(t, "b", got.Embeds.Deep)
}

func TestAStringThatRepeatsIsAllocatedOnce(t *testing.T) {
	var got [][]string
	long := strings.Repeat("x", 300)
	require.True(t, exactjson.Unmarshal([]byte(`[["COMPLETED","`+long+`"],["COMPLETED","`+long+`"]]`), &got, options))
	require.Equal(t, [][]string{{"COMPLETED", long}, {"COMPLETED", long}}, got)
	require.Same(t, unsafe.StringData(got[0][0]), unsafe.StringData(got[1][0]))
	require.NotSame(t, unsafe.StringData(got[0][1]), unsafe.StringData(got[1][1]), "a long one is not kept")
}

func TestAStringKeepsNothingElseAlive(t *testing.T) {
	freed := make(chan struct{})
	decode := func() thing {
		data := []byte(`{"text":"kept","raw":"` + strings.Repeat("x", 1<<20) + `"}`)
		runtime.AddCleanup(&data[0], func(done chan struct{}) { close(done) }, freed)
		var got thing
		require.True(t, exactjson.Unmarshal(data, &got, options))
		return thing{Text: got.Text}
	}
	got := decode()
	for range 10 {
		runtime.GC()
		select {
		case <-freed:
			require.Equal(t, "kept", got.Text)
			return
		case <-time.After(time.Second):
		}
	}
	t.Fatal("the text that was decoded is still in memory")
}

func TestTypesThatContainThemselvesAreDecodedByManyAtOnce(t *testing.T) {
	type tree struct{ Left, Right *tree }
	done := make(chan bool)
	for range 8 {
		go func() {
			var got tree
			done <- exactjson.Unmarshal([]byte(`{"Left":{"Right":{}}}`), &got, options) && reflect.DeepEqual(got, tree{Left: &tree{Right: &tree{}}})
		}()
	}
	for range 8 {
		require.True(t, <-done)
	}
}

func TestTextFindsAMemberOfTheOutermostObject(t *testing.T) {
	for data, want := range map[string]string{
		`{"next":"a"}`: "a", "{ \"values\" : [ {\"next\":\"no\"}, 1.5, true, null ] ,\n\"next\" : \"b\\u0026c\" }": "b&c", `{"next":"a","next":"b"`: "a",
		`{}`: "", `{"next":""}`: "", `{"next":7}`: "", `{"next":null}`: "", `{"next":"a`: "", `{"values":[{"next":"no"}]}`: "", `{"values":{"next":"no"}`: "",
		`["next","a"]`: "", `"next"`: "", ``: "", `{"values":[tru],"next":"a"}`: "", `{"a":"\x","next":"a"}`: "",
	} {
		require.Equal(t, want, exactjson.Text([]byte(data), "next"), "%s", data)
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, text := range append(texts, others...) {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) { requireSame(t, data) })
}
