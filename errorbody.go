package pipelines

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-85ed9bfd/pipelines/internal/header"
	"github.com/seed-85ed9bfd/pipelines/internal/loosejson"
	"github.com/seed-85ed9bfd/pipelines/internal/redact"
)

const (
	maxErrorBody = 64 << 10 // bytes of the body to read
	maxErrorKept = 4 << 10  // bytes of the body to keep
	maxDetail    = 4 << 10  // a detail of this length takes no further messages
	maxNesting   = 8        // nesting depth down to which errors are read
)

// newAPIError makes the error of a response other than 2xx, and reads and closes the body. The mask hides the secrets of the
// request. Of a foreign host, such as a storage host, only the status counts, since its messages are not about the API request.
func newAPIError(at endpoint, attempts int, resp *http.Response, mask *redact.Masker, foreign bool) *APIError {
	defer resp.Body.Close()
	mediaType, params, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	text := toUTF8(body, params["charset"])
	masking := mask.Truncated
	if err == nil && len(body) < maxErrorBody {
		masking = mask.Text
	}
	shown := masking(text)
	e := &APIError{
		Operation: at.op.Name, Method: at.op.Method, Path: at.path, Attempts: attempts,
		StatusCode: resp.StatusCode, RequestID: requestID(resp.Header), RetryAfter: header.RetryAfter(resp.Header),
		Body: []byte(truncate(shown, maxErrorKept)),
	}
	switch {
	case foreign:
		e.Message = http.StatusText(e.StatusCode)
	case !e.parse(text):
		e.Message = textMessage(mediaType, e.StatusCode, shown) // from the masked text: e.redact misses a secret that is cut off or whose lines were joined
	}
	e.redact(mask)
	return e
}

// toUTF8 converts a body in UTF-16, or in Latin-1 if charset names it.
func toUTF8(body []byte, charset string) string {
	var order binary.ByteOrder
	switch charset = strings.ToLower(charset); {
	case bytes.HasPrefix(body, []byte("\xff\xfe")) || charset == "utf-16le":
		order = binary.LittleEndian
	case bytes.HasPrefix(body, []byte("\xfe\xff")) || charset == "utf-16be":
		order = binary.BigEndian
	case slices.Contains([]string{"iso-8859-1", "latin1", "windows-1252"}, charset) && !utf8.Valid(body):
		runes := make([]rune, len(body))
		for i, b := range body {
			runes[i] = rune(b)
		}
		return string(runes)
	default:
		return string(body)
	}
	units := make([]uint16, len(body)/2)
	for i := range units {
		units[i] = order.Uint16(body[2*i:])
	}
	return string(utf16.Decode(units))
}

func trimByteOrderMark(text string) string { return strings.TrimPrefix(text, "\ufeff") }

// textMessage is the message of a body without a message in JSON: its text, or the status text if it is HTML or no text at
// all. The media type is not reliable: gateways also send plain text as JSON or HTML.
func textMessage(mediaType string, status int, body string) string {
	text := strings.TrimSpace(trimByteOrderMark(body))
	asJSON := strings.HasSuffix(mediaType, "json")
	switch {
	case text == "" || text[0] == '<' || mediaType == "text/html" && strings.Contains(text, "<"):
	case asJSON && (strings.ContainsRune(`{["`, rune(text[0])) || loosejson.Valid(jsontext.Value(text))):
	case asJSON || mediaType == "" || strings.HasPrefix(mediaType, "text/"):
		return oneLine(text)
	}
	return http.StatusText(status)
}

var (
	// leadingKey matches an error key at the start of a message, alone or before a colon.
	leadingKey = regexp.MustCompile(`^([a-z][a-z0-9]*(?:[.-][a-z0-9]+)+)(?:$|:(?:$|[^0-9/]))`)
	// errorCode matches codes in the style of OAuth, such as "invalid_grant".
	errorCode = regexp.MustCompile(`^[a-z][a-z0-9]*([._-][a-z0-9]+)*$`)
)

// Names of members by which services and gateways report messages, and the fields these are about.
var (
	messageNames = []string{
		"message", "msg", "errorMessage", "error_message", "errorMessages", "error_description", "faultstring", "title", "reason", "description",
	}
	textNames  = slices.Concat(messageNames, []string{"detail", "error"})
	fieldNames = []string{"field", "property", "param", "parameter", "pointer", "path", "loc", "source", "name"}
)

// parse fills the error from a JSON body and reports whether it found any message. It reads each member by itself, so that an
// unexpected form of one doesn't lose the others.
func (e *APIError) parse(text string) bool {
	v := jsontext.Value(strings.TrimSpace(trimByteOrderMark(text)))
	if v.Kind() != '{' && !loosejson.Valid(v) { // plain text, which may begin like JSON
		return false
	}
	e.readValue(v, maxNesting)
	if key := leadingKey.FindStringSubmatch(e.Message); e.Key == "" && key != nil {
		e.Key = key[1]
	}
	e.Message = cmp.Or(e.Message, e.Key)
	return e.Message+e.Detail+e.reasons() != ""
}

func (e *APIError) readValue(v jsontext.Value, nesting int) {
	switch {
	case nesting == 0 || v.Kind() == '"':
		e.addMessage(loosejson.Text(v))
	case v.Kind() == '{':
		e.readObject(loosejson.Members(v), nesting-1)
	case v.Kind() == '[':
		for _, one := range loosejson.Elements(v) {
			e.readValue(one, nesting-1)
		}
	}
}

func (e *APIError) readObject(o loosejson.Object, nesting int) {
	inner := o.Take("error", "fault")
	for _, v := range inner {
		if v.Kind() != '"' {
			e.readValue(v, nesting)
		}
	}
	for _, v := range o.Take(messageNames...) {
		e.addMessage(loosejson.Text(v))
	}
	for _, v := range o.Take("detail", "details") {
		e.readDetail(v)
	}
	for _, v := range inner {
		if v.Kind() == '"' {
			e.readCode(loosejson.Text(v))
		}
	}
	for _, v := range o.Take("fields") {
		e.readFields(v)
	}
	for _, v := range o.Take("errors") {
		e.readErrors(v, nesting)
	}
	for _, v := range o.Take("data") {
		e.readData(v)
	}
	e.readRest(o)
}

// readRest reads the key and the request ID, and keeps all other members in Data.
func (e *APIError) readRest(o loosejson.Object) {
	for _, m := range o {
		kind := m.Value.Kind()
		switch {
		case kind == 'n' || m.Name == "type" && loosejson.Text(m.Value) == "error":
		case m.Name == "key" && kind == '"':
			e.Key = cmp.Or(e.Key, loosejson.Text(m.Value))
		case m.Name == "id" && kind == '"':
			e.RequestID = cmp.Or(e.RequestID, loosejson.Text(m.Value))
		case m.Name == "id" && kind == '0':
			e.RequestID = cmp.Or(e.RequestID, string(m.Value))
		default:
			e.addData(m.Name, m.Value)
		}
	}
}

// addMessage sets the message, or adds to the detail if there is a message already.
func (e *APIError) addMessage(text string) {
	if e.Message == "" {
		e.Message = text
		return
	}
	if !strings.EqualFold(text, http.StatusText(e.StatusCode)) {
		e.addDetail(text)
	}
}

func (e *APIError) addDetail(text string) {
	switch {
	case text == "" || text == e.Message || len(e.Detail) > maxDetail || strings.Contains(e.Detail, text):
	case e.Detail == "":
		e.Detail = text
	default:
		e.Detail += "; " + text
	}
}

// readCode reads an error that is a string: a code, such as OAuth's token endpoints send, or a message.
func (e *APIError) readCode(text string) {
	if errorCode.MatchString(text) {
		e.Key = cmp.Or(e.Key, text)
		return
	}
	e.addMessage(text)
}

// readDetail reads a detail: a string, an object with missing scopes, or any other value.
func (e *APIError) readDetail(v jsontext.Value) {
	if v.Kind() != '{' {
		e.addDetail(loosejson.Text(v))
		return
	}
	o := loosejson.Members(v)
	required, granted := loosejson.Texts(o.Take("required")...), loosejson.Texts(o.Take("granted")...)
	switch {
	case len(o) == 0 && required == nil && granted == nil:
		return
	case required == nil && granted == nil:
		e.addDetail(string(v))
		return
	}
	e.addDetail("required scopes: " + strings.Join(required, ", ") + "; granted: " + strings.Join(granted, ", "))
	if e.Data == nil {
		e.Data = make(map[string]any, 2)
	}
	e.Data["required"], e.Data["granted"] = required, granted
}

// readFields reads messages about fields: an object with a member for each field, an array, or a string.
func (e *APIError) readFields(v jsontext.Value) {
	switch v.Kind() {
	case '{':
		for _, m := range loosejson.Members(v) {
			if m.Value.Kind() != 'n' {
				e.addField(m.Name, loosejson.Texts(m.Value)...)
			}
		}
	case '[':
		for _, one := range loosejson.Elements(v) {
			if one.Kind() != '{' {
				e.addField("", loosejson.Text(one))
			} else if o := loosejson.Members(one); !e.readField(o) {
				e.readFields(one)
			}
		}
	default:
		e.addField("", loosejson.Text(v))
	}
}

// readErrors reads an array of errors, one error, or messages by field.
func (e *APIError) readErrors(v jsontext.Value, nesting int) {
	switch v.Kind() {
	case '{':
		if o := loosejson.Members(v); len(o.Take(textNames...)) > 0 {
			e.readValue(v, nesting)
			return
		}
		e.readFields(v)
	case '[':
		for _, one := range loosejson.Elements(v) {
			if one.Kind() != '{' || !e.readField(loosejson.Members(one)) {
				e.readValue(one, nesting)
			}
		}
	default:
		e.addMessage(loosejson.Text(v))
	}
}

// readField reads an object that names a field, with the messages about it. It reports whether the object names one.
func (e *APIError) readField(o loosejson.Object) bool {
	name := strings.Join(loosejson.Texts(o.Take(fieldNames...)...), ", ")
	if name == "" {
		return false
	}
	messages := loosejson.Texts(o.Take(textNames...)...)
	if len(messages) == 0 {
		for _, m := range o {
			messages = append(messages, loosejson.Label(m.Name, loosejson.Text(m.Value)))
		}
	}
	e.addField(name, messages...)
	return true
}

func (e *APIError) addField(name string, messages ...string) {
	if e.Fields == nil {
		e.Fields = make(map[string][]string)
	}
	e.Fields[name] = append(e.Fields[name], messages...)
}

func (e *APIError) readData(v jsontext.Value) {
	if v.Kind() != '{' {
		e.addData("data", v)
		return
	}
	for _, m := range loosejson.Members(v) {
		if m.Name == "key" && m.Value.Kind() == '"' {
			e.Key = cmp.Or(e.Key, loosejson.Text(m.Value))
		}
		e.addData(m.Name, m.Value)
	}
}

// addData keeps a member. The first member of a name wins: inner errors are read first.
func (e *APIError) addData(name string, v jsontext.Value) {
	if _, taken := e.Data[name]; taken {
		return
	}
	if e.Data == nil {
		e.Data = make(map[string]any)
	}
	e.Data[name] = loosejson.Decode(v)
}
