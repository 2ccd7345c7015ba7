package pipelines_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// color is a type of a caller's that has a JSON form of its own.
type color struct{ name string }

var errNoColor = errors.New("no such color")

func (c color) MarshalJSON() ([]byte, error) { return json.Marshal("color:" + c.name) }

func (c *color) UnmarshalJSON(data []byte) error {
	name, ok := strings.CutPrefix(strings.Trim(string(data), `"`), "color:")
	if !ok {
		return errNoColor
	}
	c.name = name
	return nil
}

// everyday is a type as callers write it for encoding/json.
type everyday struct {
	IsPrivate bool `json:"is_private,omitempty"`
	Size      int
	Wait      time.Duration   `json:"wait,omitempty"`
	Data      []byte          `json:"data,omitempty"`
	Since     *time.Time      `json:"since,omitempty"`
	Count     int64           `json:"count,string,omitempty"`
	Names     []string        `json:"names"`
	Map       map[string]any  `json:"map,omitempty"`
	Raw       json.RawMessage `json:"raw,omitempty"`
	Color     *color          `json:"color,omitempty"`
	Array     [2]byte         `json:"array"`
	Hidden    string          `json:"-"`
	embedded
}

type embedded struct {
	Inner string `json:"inner,omitempty"`
}

func TestDoEncodesAsEncodingJSONDoes(t *testing.T) {
	srv := record(t, serve(http.StatusNoContent, "", ""))
	c := newClient(t, srv.base())
	for _, body := range []any{
		everyday{},
		&everyday{
			IsPrivate: true, Size: 5, Wait: time.Second, Data: []byte("data"), Since: new(date("2026-08-01T12:00:00Z")), Count: 7, Names: []string{"<a>&b"},
			Map: map[string]any{"b": 1, "a": nil, "c": 1e21}, Raw: json.RawMessage(`{ "x" : 1 }`), Color: &color{"red"}, Hidden: "h", embedded: embedded{"i"},
		},
		map[string]any{"z": false, "a": []any{}, "n": []string(nil)}, map[int]string{2: "b", 1: "a"}, []int(nil), "text", 1.0, json.RawMessage(`[1]`),
		time.Minute, "bad \xff utf8",
	} {
		t.Run(fmt.Sprintf("%T", body), func(t *testing.T) {
			want, err := json.Marshal(body)
			require.NoError(t, err)
			require.NoError(t, c.Do(t.Context(), http.MethodPut, "/a", body, nil))
			seen := srv.seen()
			require.Equal(t, string(want), seen[len(seen)-1].Body)
		})
	}
	require.NotContains(t, srv.seen()[0].Body, "is_private", "what isn't set is not sent")
}

func TestDoDecodesAsEncodingJSONDoes(t *testing.T) {
	body := ""
	c := inProcess(t, 3, func(req *http.Request) *http.Response { return respond(req, 200, body) })
	for _, body = range []string{
		`{"size":5,"IS_PRIVATE":true,"wait":1000000000,"data":"ZGF0YQ==","since":"2026-08-01T12:00:00Z","count":"7","names":null,"map":{"a":[1]},"raw":{ "x" : 1 },"color":"color:red","array":[1,2,3],"Inner":"i"}`,
		`{"size":1,"SIZE":2,"names":["a"],"names":["b","c"]}`, `null`, `{}`, "{\"names\":[\"\xff\"]}", `{"unknown":{"a":[1e400]}}`,
	} {
		var got, want everyday
		require.NoError(t, json.Unmarshal([]byte(body), &want))
		require.NoError(t, c.Do(t.Context(), http.MethodGet, "/a", nil, &got))
		require.Equal(t, want, got, body)
	}
	body = `{"b":1}`
	merged := map[string]int{"a": 1}
	require.NoError(t, c.Do(t.Context(), http.MethodGet, "/a", nil, &merged))
	require.Equal(t, map[string]int{"a": 1, "b": 1}, merged)
}

func TestDoDoesNotRetryWhatDoesNotFit(t *testing.T) {
	for _, method := range []string{"GET", "PUT", "DELETE", "POST"} {
		for body, says := range map[string]string{
			`{"size":"4711"}`:     `"Size"`,
			`{"size":4711.5}`:     `"Size"`,
			`{"wait":"4711s"}`:    `"wait"`,
			`{"names":{}}`:        `"names"`,
			`[4711]`:              "array",
			`"4711"`:              "string",
			`{"color":"4711"}`:    "JSON of another shape",
			`{"since":"4711"}`:    "JSON of another shape",
			`{"data":"4711?"}`:    "JSON of another shape",
			`{"array":{"a":4711}`: "not JSON",
		} {
			t.Run(method+" of "+body, func(t *testing.T) {
				sent := 0
				c := inProcess(t, 3, func(req *http.Request) *http.Response {
					sent++
					return respond(req, 200, body)
				})
				out := everyday{Size: 1}
				err := c.Do(t.Context(), method, "/a", nil, &out)
				require.Contains(t, strings.ToLower(err.Error()), strings.ToLower(says), body)
				require.ErrorContains(t, err, "its body cannot be read")
				require.NotContains(t, err.Error(), "4711")
				require.Equal(t, method == "POST", errors.Is(err, pipelines.ErrOutcomeUnknown))
				require.Equal(t, strings.Contains(body, "color"), errors.Is(err, errNoColor), "the caller's own error can be reached")
				require.Zero(t, out)
				if says == "not JSON" && method != "POST" {
					require.Equal(t, 3, sent, body)
					return
				}
				require.Equal(t, 1, sent, "%s %s", method, body)
			})
		}
	}
}

func TestDoReadsTheModelsOfThePackageAsTheirMethodsDo(t *testing.T) {
	body, sent := "", 0
	c := inProcess(t, 3, func(req *http.Request) *http.Response {
		sent++
		return respond(req, 200, body)
	})
	do := func(out any) error {
		sent = 0
		err := c.Do(t.Context(), http.MethodGet, "/a", nil, out)
		require.Equal(t, 1, sent, "requests sent")
		return err
	}
	const odd = `{"uuid":"{1}","created_on":"2026-08-01 12:00:00","labels":[],"Build_Number":"7"}`
	want := pipelines.Pipeline{UUID: "{1}", CreatedOn: date("2026-08-01T12:00:00Z"), BuildNumber: 7}

	body = odd
	var one pipelines.Pipeline
	require.NoError(t, do(&one))
	require.Equal(t, want, one)

	body = `[` + odd + `,` + odd + `]`
	var values []pipelines.Pipeline
	require.NoError(t, do(&values))
	require.Equal(t, []pipelines.Pipeline{want, want}, values)
	var pointers []*pipelines.Pipeline
	require.NoError(t, do(&pointers))
	require.Equal(t, []*pipelines.Pipeline{&want, &want}, pointers)

	body = `{"a":` + odd + `}`
	var byName map[string]*pipelines.Pipeline
	require.NoError(t, do(&byName))
	require.Equal(t, map[string]*pipelines.Pipeline{"a": &want}, byName)

	body = `{"values":[` + odd + `],"size":"1","next":"n","pagelen":1}`
	var page pipelines.Page[pipelines.Pipeline]
	require.NoError(t, do(&page))
	require.Equal(t, pipelines.Page[pipelines.Pipeline]{Values: []*pipelines.Pipeline{&want}, Size: 1, Next: "n", PageLen: 1}, page)

	body = `{"uuid":"{1}","state":"COMPLETED"}`
	require.ErrorContains(t, do(&one), `"/state"`)
	require.Zero(t, one)
	body = `[{},{"uuid":7}]`
	require.ErrorContains(t, do(&pointers), `"/1/uuid"`)
}

func TestDoSendsTheModelsOfThePackageAsTheirMethodsDo(t *testing.T) {
	srv := record(t, serve(http.StatusNoContent, "", ""))
	c := newClient(t, srv.base())
	secured := pipelines.VariableRequest{Key: "K", Value: "v<", Secured: new(true)}
	for _, body := range []any{secured, &secured, []pipelines.VariableRequest{secured}, map[string]*pipelines.VariableRequest{"a": &secured}, pipelines.RunRequest{
		Target: pipelines.BranchTarget("main"), Variables: []pipelines.VariableRequest{secured},
	}} {
		t.Run(fmt.Sprintf("%T", body), func(t *testing.T) {
			require.NoError(t, c.Do(t.Context(), http.MethodPut, "/a", body, nil))
			seen := srv.seen()
			require.Contains(t, seen[len(seen)-1].Body, `"value":"v<"`, "%T", body)
		})
	}
	type tree []tree
	require.NoError(t, c.Do(t.Context(), http.MethodPut, "/a", tree{{}, {{}}}, nil))
	within := struct{ Variable pipelines.VariableRequest }{secured}
	require.NoError(t, c.Do(t.Context(), http.MethodPut, "/a", within, nil))
	seen := srv.seen()
	require.Equal(t, `{"Variable":{"key":"K","value":"","secured":true}}`, seen[len(seen)-1].Body, "as wherever a program marshals it")
}

func TestDoBoundsWhatAResponseBecomes(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty lists":   `[[]` + strings.Repeat(",[]", 1<<20) + `]`,
		"empty objects": `[{}` + strings.Repeat(",{}", 1<<20) + `]`,
		"numbers":       `[0` + strings.Repeat(",0", 1<<20) + `]`,
		"texts":         `{"a":[""` + strings.Repeat(`,""`, 1<<20) + `]}`,
		"nulls":         `[null` + strings.Repeat(",null", 1<<20) + `]`,
	} {
		for _, out := range []any{new(any), new([]any), new(map[string]any), new(struct{ A []any })} {
			t.Run(fmt.Sprintf("%s into %T", name, out), func(t *testing.T) {
				sent := 0
				c := inProcess(t, 3, func(req *http.Request) *http.Response {
					sent++
					return respond(req, 200, body)
				})
				require.ErrorIs(t, c.Do(t.Context(), http.MethodGet, "/a", nil, out), pipelines.ErrResponseTooLarge, name)
				require.Equal(t, 1, sent, "requests sent")
			})
		}
		c := inProcess(t, 3, func(req *http.Request) *http.Response { return respond(req, 200, body) })
		var raw []byte
		require.NoError(t, c.Do(t.Context(), http.MethodGet, "/a", nil, &raw))
		require.Len(t, raw, len(body), "%s as they are", name)
	}
}

func TestDoRefusesPathsThatLeaveTheBaseURL(t *testing.T) {
	srv := record(t, serveJSON(`{}`))
	c := newClient(t, srv.base())
	for _, path := range []string{
		"", "/", "//evil.example/x", "..", "/../x", "/a/../b", "/a/%2e%2e/b", "/a//b", "/a/./b", "/a#b", "/a/%zz", "/a?b=%zz", "/a?b;c",
		"https://evil.example/x",
	} {
		err := c.Do(t.Context(), http.MethodGet, path, nil, nil)
		if assert.Error(t, err, path) {
			assert.ErrorIs(t, err, pipelines.ErrInvalidArgument, path)
		}
	}
	require.Error(t, c.Do(t.Context(), "G ET", "/a", nil, nil))
	srv.requireSent(t, 0)
}

func TestDoSendsAnythingBelowTheBaseURL(t *testing.T) {
	type thing struct {
		Name string `json:"name"`
	}
	srv := record(t, serveJSON(`{"name":"x"}`))
	c := newClient(t, srv.base())
	var out thing
	require.NoError(t, c.Do(t.Context(), http.MethodPost, "repositories/acme/a%20b/things/?q=1", thing{"in"}, &out, pipelines.WithQuery("p", "2")))
	require.Equal(t, thing{"x"}, out)
	got := srv.only(t)
	require.Equal(t, "/2.0/repositories/acme/a%20b/things/", got.Path)
	require.Equal(t, "p=2&q=1", got.Query)
	require.Equal(t, `{"name":"in"}`, got.Body)
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))
}

func TestDoTakesBytesAsTheyAre(t *testing.T) {
	srv := record(t, serve(http.StatusOK, "text/plain", "raw"))
	c := newClient(t, srv.base())
	var out []byte
	require.NoError(t, c.Do(t.Context(), http.MethodPut, "/a", []byte("a: 1"), &out, pipelines.WithHeader("content-type", "application/yaml")))
	require.Equal(t, "raw", string(out))
	require.Equal(t, "a: 1", srv.only(t).Body)
	require.Equal(t, "application/yaml", srv.only(t).Header.Get("Content-Type"))
}

func TestDoLeavesOutAloneWithoutContent(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	c := newClient(t, srv.base())
	out := map[string]any{"kept": true}
	require.NoError(t, c.Do(t.Context(), http.MethodPut, "/a", nil, &out))
	require.Equal(t, map[string]any{"kept": true}, out)
	require.NoError(t, c.Do(t.Context(), http.MethodDelete, "/a", nil, nil))
}

func TestDoTakesAResponseThatDoesNotClaimToHaveContent(t *testing.T) {
	out := map[string]any{"kept": true}
	for _, method := range []string{"GET", "PUT", "POST", "DELETE"} {
		for _, status := range []int{200, 202} {
			srv := record(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = nil
				w.WriteHeader(status)
			})
			require.NoError(t, newClient(t, srv.base()).Do(t.Context(), method, "/a", nil, &out))
		}
	}
	head := record(t, serveJSON(`{"a":1}`))
	require.NoError(t, newClient(t, head.base()).Do(t.Context(), "HEAD", "/a", nil, &out))
	require.Equal(t, map[string]any{"kept": true}, out)
}

func TestDoRefusesWhatItCannotEncodeOrDecodeInto(t *testing.T) {
	srv := record(t, serveJSON(`{}`))
	c := newClient(t, srv.base())
	for name, err := range map[string]error{
		"a channel":     c.Do(t.Context(), http.MethodPost, "/a", make(chan int), nil),
		"no pointer":    c.Do(t.Context(), http.MethodGet, "/a", nil, struct{}{}),
		"a nil pointer": c.Do(t.Context(), http.MethodGet, "/a", nil, (*int)(nil)),
	} {
		assert.ErrorIs(t, err, pipelines.ErrInvalidArgument, name)
	}
	srv.requireSent(t, 0)
}

func TestDoSendsANilPointerToARequest(t *testing.T) {
	srv := record(t, serveJSON(`{}`))
	c := newClient(t, srv.base())
	require.NotPanics(t, func() {
		_ = c.Do(t.Context(), "POST", "/x", (*pipelines.VariableRequest)(nil), nil)
		_ = c.Do(t.Context(), "POST", "/x", (*pipelines.RunRequest)(nil), nil)
		_ = c.Do(t.Context(), "POST", "/x", []*pipelines.VariableUpdate{nil}, nil)
	})
}

func TestDoSendsAnEmptyBodyWithoutAContentType(t *testing.T) {
	srv := record(t, serveJSON(`{}`))
	c := newClient(t, srv.base())
	require.NoError(t, c.Do(t.Context(), http.MethodPost, "/x", []byte{}, nil))
	require.NoError(t, c.Do(t.Context(), http.MethodPost, "/x", nil, nil))
	for _, req := range srv.seen() {
		require.Empty(t, req.Header.Get("Content-Type"))
	}
}
