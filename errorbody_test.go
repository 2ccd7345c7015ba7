package pipelines_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestAnErrorShowsTheArgumentsOfItsData(t *testing.T) {
	srv := record(t, serve(400, "application/json", `{"error":{"message":"Bad request","detail":"The request body contains invalid properties",
		"data":{"key":"variable-service.request.validation-error","arguments":{"secured-required":"Property secured is required"}}}}`))
	_, err := newClient(t, srv.base()).Variables.InRepository(repo).Create(t.Context(), pipelines.VariableRequest{Key: "K", Value: "v"})
	require.EqualError(t, err, "pipelines: Variables.Create: POST /repositories/acme/site/pipelines_config/variables: 400 Bad Request: "+
		"The request body contains invalid properties; secured-required: Property secured is required")
	var e *pipelines.APIError
	require.ErrorAs(t, err, &e)
	require.Equal(t, "variable-service.request.validation-error", e.Key)
}

// words are what Error says after the status.
func words(e *pipelines.APIError) string {
	_, said, _ := strings.Cut(e.Error(), fmt.Sprint(e.Path, ": ", e.StatusCode, " ", http.StatusText(e.StatusCode)))
	return said
}

func TestTheWordsOfAnErrorAreReadInWhateverFormTheyCome(t *testing.T) {
	for name, tc := range map[string]struct{ body, want string }{
		"arguments as a list":            {`{"error":{"message":"M","data":{"arguments":["no","never"]}}}`, ": M; no, never"},
		"arguments as text":              {`{"error":{"message":"M","data":{"arguments":"no"}}}`, ": M; no"},
		"arguments that nest":            {`{"error":{"message":"M","data":{"arguments":{"value":{"max":5,"why":["too long",true]}}}}}`, ": M; value: max: 5, why: too long, true"},
		"arguments beside the data":      {`{"error":{"message":"M","arguments":{"a":"b"}}}`, ": M; a: b"},
		"arguments at the top":           {`{"message":"M","arguments":{"a":"b"},"key":"k.k"}`, ": M; a: b"},
		"data as text":                   {`{"error":{"message":"M","detail":"D","data":"more of it"}}`, ": M: D; more of it"},
		"data as a list":                 {`{"error":{"message":"M","data":["more","of it"]}}`, ": M; more, of it"},
		"fields as text":                 {`{"error":{"message":"M","fields":"name is required"}}`, ": M; name is required"},
		"fields as a list":               {`{"error":{"message":"M","fields":["name is required",{"field":"key","message":"is taken"}]}}`, ": M; name is required; key: is taken"},
		"a field as a number":            {`{"error":{"message":"M","fields":{"a":7,"b":"x"}}}`, ": M; a: 7; b: x"},
		"a field as an object":           {`{"error":{"message":"M","fields":{"a":{"message":"x"},"b":[["y"],{"c":"z"}]}}}`, ": M; a: message: x; b: y, c: z"},
		"a field that is null":           {`{"error":{"message":"M","fields":{"a":null,"b":"x"}}}`, ": M; b: x"},
		"a message as a list":            {`{"error":{"message":["M","N"],"detail":"D"}}`, ": M, N: D"},
		"a message as an object":         {`{"error":{"message":{"text":"M"},"detail":"D"}}`, ": text: M: D"},
		"a message as a number":          {`{"error":{"message":42,"detail":"D"}}`, ": 42: D"},
		"a message that is null":         {`{"error":{"message":null,"detail":"D"}}`, ": D"},
		"a detail as a list":             {`{"error":{"message":"M","detail":["D","E"]}}`, ": M: D, E"},
		"a detail as a list of objects":  {`{"detail":[{"loc":["body","key"],"msg":"field required"}]}`, ": loc: body, key, msg: field required"},
		"a detail at the top":            {`{"detail":"D"}`, ": D"},
		"an odd member beside good ones": {`{"error":{"message":"M","detail":7,"fields":false,"data":[[]],"id":{"x":1}}}`, ": M: 7; false"},
		"the error as text":              {`{"error":"Something is wrong"}`, ": Something is wrong"},
		"the error as text, and more":    {`{"error":"Not allowed","message":"M"}`, ": M: Not allowed"},
		"the error as a list of texts":   {`{"error":["M","N"]}`, ": M: N"},
		"the error as a list of objects": {`{"error":[{"message":"M"},{"message":"N","detail":"D"}]}`, ": M: N; D"},
		"an error in an error":           {`{"error":{"error":{"message":"M"}}}`, ": M"},
		"a fault":                        {`{"fault":{"faultstring":"M","detail":{"errorcode":"policies.x"}}}`, `: M: {"errorcode":"policies.x"}`},
		"a list of errors":               {`[{"error":{"message":"M"}},{"message":"N"}]`, ": M: N"},
		"a list of texts":                {`["M","N"]`, ": M: N"},
		"a text":                         {`"M"`, ": M"},
		"errors as a list of objects":    {`{"errors":[{"message":"M","detail":"D"},{"title":"N"}]}`, ": M: D; N"},
		"errors as a list of texts":      {`{"errors":["M","N"]}`, ": M: N"},
		"errors as text":                 {`{"errors":"M"}`, ": M"},
		"errors of fields":               {`{"message":"M","errors":[{"field":"name","message":"is taken"},{"source":{"pointer":"/key"},"detail":"is empty"}]}`, ": M; name: is taken; pointer: /key: is empty"},
		"errors by field":                {`{"errorMessages":["M","N"],"errors":{"name":"is taken","key":["is empty","is odd"]}}`, ": M, N; key: is empty, is odd; name: is taken"},
		"errors within the envelope":     {`{"error":{"message":"M","errors":["N"]}}`, ": M: N"},
		"RFC 9457":                       {`{"type":"https://example.com/probs/x","title":"T","status":400,"detail":"D","instance":"/x","errors":[{"detail":"E","pointer":"#/age"}]}`, ": T: D; #/age: E"},
		"RFC 9457 with errors by name":   {`{"type":"about:blank","title":"T","status":400,"errors":{"Name":["E","F"]}}`, ": T; Name: E, F"},
		"a gateway's":                    {`{"code":401,"message":"M"}`, ": M"},
		"in capitals":                    {`{"Message":"M"}`, ": M"},
		"in snake case":                  {`{"error_message":"M"}`, ": M"},
		"in camel case":                  {`{"errorMessage":"M"}`, ": M"},
		"a reason":                       {`{"code":"x","reason":"M"}`, ": M"},
		"a message at both levels":       {`{"message":"N","error":{"message":"M"}}`, ": M: N"},
		"a message said twice":           {`{"message":"M","error":{"message":"M"}}`, ": M"},
		"two messages":                   {`{"message":"M","message":"N"}`, ": M: N"},
		"with a byte order mark":         {"\ufeff" + `{"error":{"message":"M"}}`, ": M"},
		"with something behind it":       {`{"error":{"message":"M"}}` + "\n<!-- 7 ms -->", ": M"},
		"that ends early":                {`{"error":{"message":"M","detail":"cut in the mid`, ": M"},
		"that ends early in an object":   {`{"error":{"message":"M","data":{"key":"a.b","arguments":{"c":"d","e":"f`, ": M; c: d"},
		"that ends early in a list":      {`{"errors":[{"message":"M"},{"message":"N","det`, ": M: N"},
	} {
		t.Run(name, func(t *testing.T) {
			e := apiError(t, 400, asJSON, tc.body)
			require.Equal(t, tc.want, words(e), "%+v", *e)
			require.Equal(t, tc.body, string(e.Body))
		})
	}
}

func TestWhatHasNoFieldOfAnErrorIsInItsData(t *testing.T) {
	for body, want := range map[string]map[string]any{
		`{"type":"error","error":{"message":"M","hint":"h"},"link":"l"}`:                   {"hint": "h", "link": "l"},
		`{"message":"M","arguments":{"a":"b"},"key":"k.k"}`:                                {"arguments": map[string]any{"a": "b"}},
		`{"code":401,"message":"M"}`:                                                       {"code": 401.0},
		`{"type":"about:blank","title":"M","status":400,"instance":"/x"}`:                  {"type": "about:blank", "status": 400.0, "instance": "/x"},
		`{"error":{"message":"M","data":["x"]}}`:                                           {"data": []any{"x"}},
		`{"error":{"message":"M","data":{"a":1},"a":2},"a":3}`:                             {"a": 1.0},
		`{"error":{"message":"M","data":{"extra":null,"announcement_url":"https://x/y"}}}`: {"extra": nil, "announcement_url": "https://x/y"},
		`{"error":{"message":"M"},"x":null}`:                                               nil,
	} {
		e := apiError(t, 400, asJSON, body)
		assert.Equal(t, want, e.Data, body)
		assert.Equal(t, "M", e.Message, body)
	}
}

func TestTheKeyOfAnErrorIsFoundWhereverItStands(t *testing.T) {
	for body, want := range map[string][2]string{ // key and message
		`{"error":{"message":"hostname-not-allowed: SSH for this hostname is not allowed"}}`: {"hostname-not-allowed", "hostname-not-allowed: SSH for this hostname is not allowed"},
		`{"error":{"message":"hostname-not-allowed"}}`:                                       {"hostname-not-allowed", "hostname-not-allowed"},
		`{"error":{"message":"rest-service.error:no"}}`:                                      {"rest-service.error", "rest-service.error:no"},
		`{"error":{"message":"git-ssh://x is no address"}}`:                                  {"", "git-ssh://x is no address"},
		`{"error":{"message":"a.b: c","data":{"key":"d.e"}}}`:                                {"d.e", "a.b: c"},
		`{"message":"a.b: c","key":"d.e"}`:                                                   {"d.e", "a.b: c"},
		`{"error":{"message":"m","key":"d.e"}}`:                                              {"d.e", "m"},
		`{"error":{"data":{"key":"d.e"}}}`:                                                   {"d.e", "d.e"},
		`{"error":{"message":"m","data":{"key":7}}}`:                                         {"", "m"},
		`{"error":{"message":"Error: no"}}`:                                                  {"", "Error: no"},
		`{"error":{"message":"note: something"}}`:                                            {"", "note: something"},
		`{"error":{"message":"Not-allowed: x"}}`:                                             {"", "Not-allowed: x"},
		`{"error":{"message":"an e-mail: x"}}`:                                               {"", "an e-mail: x"},
		`{"error":{"message":"10.0.0.1: refused"}}`:                                          {"", "10.0.0.1: refused"},
		`{"error":{"message":"example.com:443 refused"}}`:                                    {"", "example.com:443 refused"},
		`{"error":"invalid_grant","error_description":"d"}`:                                  {"invalid_grant", "d"},
		`{"error":"invalid_grant"}`:                                                          {"invalid_grant", "invalid_grant"},
		`{"error":"unauthorized","message":"m"}`:                                             {"unauthorized", "m"},
		`{"status":400,"error":"Bad Request","message":"m"}`:                                 {"", "m"},
	} {
		e := apiError(t, 400, asJSON, body)
		assert.Equal(t, want, [2]string{e.Key, e.Message}, body)
	}
}

func TestTheIDOfAnErrorMayBeANumber(t *testing.T) {
	e := apiError(t, 500, asJSON, `{"error":{"message":"M","id":12345678901234567890}}`)
	require.Equal(t, "12345678901234567890", e.RequestID)
	require.Equal(t, "M", e.Message)
}

func TestAnErrorIsReadInItsCharset(t *testing.T) {
	inUTF16 := func(order binary.AppendByteOrder, text string) (coded string) {
		var body []byte
		for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
			body = order.AppendUint16(body, unit)
		}
		return string(body)
	}
	const text = `{"error":{"message":"Zurück, s3cret"}}`
	for name, tc := range map[string]struct{ contentType, body string }{
		"UTF-16, little endian":   {"application/json; charset=utf-16", inUTF16(binary.LittleEndian, text)},
		"UTF-16, big endian":      {"application/json", inUTF16(binary.BigEndian, text)},
		"Latin-1":                 {"application/json; charset=ISO-8859-1", strings.ReplaceAll(text, "ü", "\xfc")},
		"UTF-8 that says Latin-1": {"application/json; charset=iso-8859-1", text},
		"text with a mark":        {"text/plain", "\ufeffZurück, s3cret"},
	} {
		e := apiError(t, 400, http.Header{"Content-Type": {tc.contentType}}, tc.body, pipelines.WithToken("s3cret"))
		assert.Equal(t, ": Zurück, ******", words(e), name)
		assert.NotContains(t, strings.ReplaceAll(string(e.Body), "\x00", ""), "s3cret", name)
	}
}

func TestTextThatBeginsLikeJSONIsText(t *testing.T) {
	for _, body := range []string{"404 page not found", "[error] no upstream", "{name} is not known", "true story", `"quoted" name`, "[1] see below", "-1 is no size"} {
		t.Run(body, func(t *testing.T) {
			e := apiError(t, 404, http.Header{"Content-Type": {"text/plain"}}, body)
			assert.Equal(t, body, e.Message)
		})
	}
}

func TestAnErrorStaysOnOneLineAndBoundedHoweverMuchItSays(t *testing.T) {
	long := strings.Repeat("äx\\n\\u001b[2J\u202e", 900)
	many := func(format string) string {
		var all []string
		for i := range 900 {
			all = append(all, fmt.Sprintf(format, i))
		}
		return strings.Join(all, ",")
	}
	deep := strings.Repeat(`{"a":[`, 4000) + `"x"` + strings.Repeat(`]}`, 4000)
	for name, body := range map[string]string{
		"a long message":        `{"error":{"message":"` + long + `"}}`,
		"long everything":       `{"error":{"message":"` + long + `","detail":"` + long + `","fields":{"` + long + `":"` + long + `"},"data":{"arguments":{"` + long + `":"x"}}}}`,
		"many fields":           `{"error":{"message":"M","fields":{` + many(`"f%d":"\n"`) + `}}}`,
		"many arguments":        `{"error":{"message":"M","data":{"arguments":{` + many(`"f%d":"\n"`) + `}}}}`,
		"many errors":           `{"errors":[` + many(`{"message":"M%d","detail":"D"}`) + `]}`,
		"many messages":         `{"message":[` + many(`"M%d"`) + `]}`,
		"deep arguments":        `{"error":{"message":"M","data":{"arguments":` + deep + `}}}`,
		"a deep message":        `{"error":{"message":` + deep + `}}`,
		"a deep error":          `{"error":` + deep + `}`,
		"errors within errors":  strings.Repeat(`{"error":`, 7000) + `"x"` + strings.Repeat(`}`, 7000),
		"lists within lists":    strings.Repeat(`[`, 9000) + `"x"` + strings.Repeat(`]`, 9000),
		"errors without an end": strings.Repeat(`{"errors":[`, 7000),
	} {
		e := apiError(t, 400, asJSON, body)
		assert.Less(t, len(e.Error()), 4<<10, name)
		assert.False(t, strings.ContainsFunc(e.Error(), func(r rune) bool { return unicode.IsControl(r) || r == '\u202e' }), "%s: %q", name, e)
	}
}

func TestALongFieldOfAnErrorLeavesRoomForTheArguments(t *testing.T) {
	long := strings.Repeat("x", 5000)
	e := apiError(t, 400, asJSON, `{"error":{"message":"`+long+`","detail":"`+long+`","fields":{"a":"`+long+`"},"data":{"arguments":{"r":"the reason"}}}}`)
	require.Contains(t, e.Error(), "; r: the reason")
}

func TestAMemberOfAnErrorThatNestsTooDeepLosesNoOther(t *testing.T) {
	deep := strings.Repeat(`[`, 25_000) + strings.Repeat(`]`, 25_000)
	for name, body := range map[string]string{
		"after the message":  `{"error":{"message":"M","x":` + deep + `}}`,
		"in place of detail": `{"error":{"message":"M","detail":` + deep + `}}`,
		"at the top":         `{"message":"M","x":` + deep + `}`,
	} {
		assert.Equal(t, "M", apiError(t, 400, asJSON, body).Message, name)
	}
}

func TestAnErrorWhoseBodyIsLostOnTheWayHasTheWordsThatCame(t *testing.T) {
	c := inProcess(t, 1, func(req *http.Request) *http.Response {
		resp := respond(req, 400, "")
		resp.Header.Set("Content-Type", "application/json")
		resp.Body = lostBody{io.MultiReader(strings.NewReader(`{"error":{"message":"Bad request","detail":"Th`), failingReader{})}
		return resp
	})
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	var e *pipelines.APIError
	require.ErrorAs(t, err, &e)
	require.Equal(t, "Bad request", e.Message)
}

func TestEveryFormOfErrorBodyIsRead(t *testing.T) {
	jsonType := http.Header{"Content-Type": {"application/json"}}
	for name, tc := range map[string]struct {
		status int
		header http.Header
		body   string
		want   pipelines.APIError
		text   string // what Error says after the path
	}{
		"the standard form": {
			404, jsonType, `{"type":"error","error":{"message":"Resource not found","detail":"There is no API hosted at this URL"}}`,
			pipelines.APIError{Message: "Resource not found", Detail: "There is no API hosted at this URL"},
			"404 Not Found: Resource not found: There is no API hosted at this URL",
		},
		"without its type": {
			400, jsonType, `{"error":{"message":"Bad request"}}`,
			pipelines.APIError{Message: "Bad request"}, "400 Bad Request",
		},
		"of the pipelines service": {
			400, jsonType, `{"error":{"message":"Bad request","detail":"Nope.","data":{"key":"result-service.pipeline-id.not-found","arguments":{"id":"7"}}}}`,
			pipelines.APIError{
				Message: "Bad request", Detail: "Nope.", Key: "result-service.pipeline-id.not-found",
				Data: map[string]any{"key": "result-service.pipeline-id.not-found", "arguments": map[string]any{"id": "7"}},
			},
			"400 Bad Request: Nope; id: 7",
		},
		"with the key as its message": {
			400, jsonType, `{"error":{"message":"hostname-not-allowed"}}`,
			pipelines.APIError{Message: "hostname-not-allowed", Key: "hostname-not-allowed"}, "400 Bad Request: hostname-not-allowed",
		},
		"with fields as text and lists": {
			400, jsonType, `{"error":{"message":"Bad","fields":{"b":["x","y"],"a":"z","c":7}}}`,
			pipelines.APIError{Message: "Bad", Fields: map[string][]string{"a": {"z"}, "b": {"x", "y"}, "c": {"7"}}}, "400 Bad Request: Bad; a: z; b: x, y; c: 7",
		},
		"of a missing scope": {
			403, jsonType, `{"type":"error","error":{"message":"Your credentials lack one or more required privilege scopes.","detail":{"required":["pipeline:write"],"granted":["pipeline"]}}}`,
			pipelines.APIError{
				Message: "Your credentials lack one or more required privilege scopes.", Detail: "required scopes: pipeline:write; granted: pipeline",
				Data: map[string]any{"required": []string{"pipeline:write"}, "granted": []string{"pipeline"}},
			},
			"403 Forbidden: Your credentials lack one or more required privilege scopes: required scopes: pipeline:write; granted: pipeline",
		},
		"with a detail of another shape": {
			403, jsonType, `{"error":{"message":"No","detail":{"why":1}}}`,
			pipelines.APIError{Message: "No", Detail: `{"why":1}`}, `403 Forbidden: No: {"why":1}`,
		},
		"with an ID": {
			500, jsonType, `{"type":"error","error":{"message":"Something went wrong","id":"f00d"}}`,
			pipelines.APIError{Message: "Something went wrong", RequestID: "f00d"}, "500 Internal Server Error: Something went wrong",
		},
		"without the envelope": {
			500, jsonType, `{"message":"There was an error","arguments":{"a":"b"},"key":"rest-service.error"}`,
			pipelines.APIError{Message: "There was an error", Key: "rest-service.error", Data: map[string]any{"arguments": map[string]any{"a": "b"}}},
			"500 Internal Server Error: There was an error; a: b",
		},
		"of the token endpoint": {
			400, jsonType, `{"error":"invalid_grant","error_description":"No such client"}`,
			pipelines.APIError{Message: "No such client", Key: "invalid_grant"}, "400 Bad Request: No such client",
		},
		"as text": {
			429, http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, "Rate limit for this resource has been exceeded\n",
			pipelines.APIError{Message: "Rate limit for this resource has been exceeded"}, "429 Too Many Requests: Rate limit for this resource has been exceeded",
		},
		"as a page": {
			404, http.Header{"Content-Type": {"text/html; charset=utf-8"}}, "<!DOCTYPE html><title>Not here</title>",
			pipelines.APIError{Message: "Not Found"}, "404 Not Found",
		},
		"as a page that says it is text": {
			502, http.Header{"Content-Type": {"text/plain"}}, "<html>", pipelines.APIError{Message: "Bad Gateway"}, "502 Bad Gateway",
		},
		"as text that says it is JSON": {
			401, jsonType, "Unauthorized; scope does not match", pipelines.APIError{Message: "Unauthorized; scope does not match"}, "401 Unauthorized: Unauthorized; scope does not match",
		},
		"as text that says it is a page": {
			403, http.Header{"Content-Type": {"text/html; charset=utf-8"}}, "Access denied", pipelines.APIError{Message: "Access denied"}, "403 Forbidden: Access denied",
		},
		"as words and a page":  {502, http.Header{"Content-Type": {"text/html"}}, "oops <p>no</p>", pipelines.APIError{Message: "Bad Gateway"}, "502 Bad Gateway"},
		"as an image":          {502, http.Header{"Content-Type": {"image/png"}}, "\x89PNG", pipelines.APIError{Message: "Bad Gateway"}, "502 Bad Gateway"},
		"JSON without words":   {400, jsonType, `null`, pipelines.APIError{Message: "Bad Request"}, "400 Bad Request"},
		"empty":                {503, nil, "", pipelines.APIError{Message: "Service Unavailable"}, "503 Service Unavailable"},
		"JSON of another kind": {400, jsonType, `[7, null]`, pipelines.APIError{Message: "Bad Request"}, "400 Bad Request"},
		"JSON that ends early": {400, jsonType, `{"error":{"message":"B`, pipelines.APIError{Message: "Bad Request"}, "400 Bad Request"},
		"with the request's own ID": {
			404, http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"r-1"}}, `{"error":{"message":"No","id":"x"}}`,
			pipelines.APIError{Message: "No", RequestID: "r-1"}, "404 Not Found: No",
		},
		"with a Retry-After": {
			429, http.Header{"Content-Type": {"text/plain"}, "Retry-After": {"90"}}, "Slow down",
			pipelines.APIError{Message: "Slow down", RetryAfter: 90 * time.Second}, "429 Too Many Requests: Slow down; retry after 1m30s",
		},
		"with a full stop and a Retry-After": {
			429, http.Header{"Content-Type": {"text/plain"}, "Retry-After": {"90"}}, "Slow down.",
			pipelines.APIError{Message: "Slow down.", RetryAfter: 90 * time.Second}, "429 Too Many Requests: Slow down; retry after 1m30s",
		},
		"with an ellipsis and a Retry-After": {
			429, http.Header{"Content-Type": {"text/plain"}, "Retry-After": {"90"}}, "Wait...",
			pipelines.APIError{Message: "Wait...", RetryAfter: 90 * time.Second}, "429 Too Many Requests: Wait...; retry after 1m30s",
		},
		"with a full stop at the end": {
			429, http.Header{"Content-Type": {"text/plain"}}, "Slow down.", pipelines.APIError{Message: "Slow down."}, "429 Too Many Requests: Slow down.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := apiError(t, tc.status, tc.header, tc.body)
			want := tc.want
			want.Operation, want.Method, want.Path = "Pipelines.Get", "GET", "/repositories/acme/site/pipelines/7"
			want.StatusCode, want.Attempts, want.Body = tc.status, 1, []byte(tc.body)
			require.Equal(t, &want, got)
			require.EqualError(t, got, "pipelines: Pipelines.Get: GET /repositories/acme/site/pipelines/7: "+tc.text)
		})
	}
}

func TestAnErrorShowsTheBracesOfAUUID(t *testing.T) {
	c := newClient(t, record(t, serve(404, "text/plain", "")).base())
	err := c.Schedules.Delete(t.Context(), repo, "{a}/b")
	require.EqualError(t, err, "pipelines: Schedules.Delete: DELETE /repositories/acme/site/pipelines_config/schedules/{a}%2Fb: 404 Not Found")
	var apiErr *pipelines.APIError
	require.ErrorAs(t, err, &apiErr)
	require.Equal(t, "/repositories/acme/site/pipelines_config/schedules/%7Ba%7D%2Fb", apiErr.Path)
}

func TestALongErrorBodyIsCut(t *testing.T) {
	e := apiError(t, 500, http.Header{"Content-Type": {"text/plain"}}, strings.Repeat("ä", 1<<20))
	require.Len(t, e.Body, 4<<10)
	require.Less(t, len(e.Error()), 1000)
	e = apiError(t, 500, http.Header{"Content-Type": {"text/plain"}}, "a"+strings.Repeat("ä", 1<<20))
	require.Len(t, e.Body, 4<<10-1, "no character is cut in two")
	e = apiError(t, 500, http.Header{"Content-Type": {"application/octet-stream"}}, strings.Repeat("\x80", 5000))
	require.Len(t, e.Body, 4<<10, "what is no UTF-8")
}

func TestErrorsAreUTF8WhateverTheServiceSends(t *testing.T) {
	const junk = "oops \xff\xc3("
	for name, tc := range map[string]struct{ contentType, body string }{
		"JSON":               {"application/json", `{"error":{"message":"` + junk + `","detail":"` + junk + `","fields":{"` + junk + `":["` + junk + `"]},"data":{"key":"` + junk + `"}}}`},
		"text":               {"text/plain", junk},
		"of a strange type":  {"\xff/\xfe", junk},
		"cut within a rune":  {"text/plain", "a" + strings.Repeat("é", 40_000)},
		"of the old message": {"application/json", `{"message":"` + junk + `"}`},
	} {
		for _, v := range victims() {
			t.Run(name+" from "+v.name, func(t *testing.T) {
				srv := record(t, func(w http.ResponseWriter, req *http.Request) {
					for _, header := range []string{"X-Request-Id", "Atl-Traceid", "Retry-After", "Location", "X-\xff"} {
						w.Header().Set(header, junk)
					}
					serve(422, tc.contentType, tc.body)(w, req)
				})
				err := v.call(t, srv.URL)
				var e *pipelines.APIError
				require.ErrorAs(t, err, &e)
				require.ErrorIs(t, err, pipelines.ErrInvalidRequest)
				assert.True(t, utf8.ValidString(err.Error()), "%q", err)
				assert.True(t, utf8.ValidString(fmt.Sprintf("%+v", err)))
			})
		}
	}
}
