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
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-85ed9bfd/pipelines/internal/header"
	"github.com/seed-85ed9bfd/pipelines/internal/loosejson"
	"github.com/seed-85ed9bfd/pipelines/internal/redact"
)

const (
	maxErrorBody = 64 << 10 // what is read of an error's body
	maxErrorKept = 4 << 10  // what is kept of it
	maxDetail    = 4 << 10  // up to where further words are added to a detail
	maxNesting   = 8        // how deep in one another errors are searched for
)

// apiError makes the error from the response to the last attempt and closes its body.
func (k *call) apiError(resp *http.Response) *APIError {
	stalled := time.AfterFunc(k.client.transport.stall, func() { resp.Body.Close() }) // for the whole body, not for each read
	defer stalled.Stop()
	foreign := !k.client.transport.own(resp.Request)
	e := &APIError{Operation: k.at.op.Name, Method: k.at.op.Method, Path: k.at.path, Attempts: int(k.info.attempts.Load())}
	e.read(resp, k.redactor(resp, foreign), foreign)
	return e
}

// read fills the error from a response and closes the body. The words of a foreign host are left out: a storage host has
// nothing to say but its status.
func (e *APIError) read(resp *http.Response, mask *redact.Masker, foreign bool) {
	defer resp.Body.Close()
	mediaType, params, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	text := toUTF8(body, params["charset"])
	var shown string
	if err == nil && len(body) < maxErrorBody {
		shown = mask.Text(text)
	} else {
		shown = mask.Truncated(text)
	}
	e.StatusCode, e.RequestID, e.RetryAfter = resp.StatusCode, requestID(resp.Header), header.RetryAfter(resp.Header)
	e.Body = []byte(shown[:min(len(shown), maxErrorKept)])
	switch {
	case foreign:
		e.Message = http.StatusText(e.StatusCode)
	case !e.parse(text):
		e.Message = textMessage(mediaType, e.StatusCode, shown) // masked already: a secret that is cut or on one line is not found
	}
	e.redact(mask)
}

// toUTF8 converts a body in UTF-16, or in Latin-1 where its charset says so.
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

// withoutMark removes a byte order mark.
func withoutMark(text string) string { return strings.TrimPrefix(text, "\ufeff") }

// textMessage is the message of a body that has no words as JSON: its text, or the status's words for a page and for what is
// no text. Gateways send plain text as JSON or HTML too.
func textMessage(mediaType string, status int, body string) string {
	text := strings.TrimSpace(withoutMark(body))
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
	// leadingKey finds a key of the service that stands in the message, alone or before a colon.
	leadingKey = regexp.MustCompile(`^([a-z][a-z0-9]*(?:[.-][a-z0-9]+)+)(?:$|:(?:$|[^0-9/]))`)
	// errorCode is the form of the codes of OAuth, such as "invalid_grant".
	errorCode = regexp.MustCompile(`^[a-z][a-z0-9]*([._-][a-z0-9]+)*$`)
)

// The names under which services and gateways say what is wrong, and of which field.
var (
	messageNames = []string{
		"message", "msg", "errorMessage", "error_message", "errorMessages", "error_description", "faultstring", "title", "reason", "description",
	}
	wordNames  = slices.Concat(messageNames, []string{"detail", "error"})
	fieldNames = []string{"field", "property", "param", "parameter", "pointer", "path", "loc", "source", "name"}
)

// parse fills the error from a JSON body and reports whether it found any words. Each member is read by itself, so that one
// of an unexpected form loses no other.
func (e *APIError) parse(text string) bool {
	v := jsontext.Value(strings.TrimSpace(withoutMark(text)))
	if v.Kind() != '{' && !loosejson.Valid(v) { // text, perhaps with a number or a bracket at its beginning
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
		e.say(loosejson.Words(v))
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
		e.say(loosejson.Words(v))
	}
	for _, v := range o.Take("detail", "details") {
		e.readDetail(v)
	}
	for _, v := range inner {
		if v.Kind() == '"' {
			e.readCode(loosejson.Words(v))
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

// readRest reads the members that name the error, and keeps what has no field.
func (e *APIError) readRest(o loosejson.Object) {
	for _, m := range o {
		kind := m.Value.Kind()
		switch {
		case kind == 'n' || m.Name == "type" && loosejson.Words(m.Value) == "error":
		case m.Name == "key" && kind == '"':
			e.Key = cmp.Or(e.Key, loosejson.Words(m.Value))
		case m.Name == "id" && kind == '"':
			e.RequestID = cmp.Or(e.RequestID, loosejson.Words(m.Value))
		case m.Name == "id" && kind == '0':
			e.RequestID = cmp.Or(e.RequestID, string(m.Value))
		default:
			e.addData(m.Name, m.Value)
		}
	}
}

// say adds words of the service: the first are the message, further ones go into the detail.
func (e *APIError) say(text string) {
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

// readCode reads an error that is a text: a code, as of OAuth's token endpoints, or words.
func (e *APIError) readCode(text string) {
	if errorCode.MatchString(text) {
		e.Key = cmp.Or(e.Key, text)
		return
	}
	e.say(text)
}

// readDetail reads a text, the scopes that are missing, or anything else.
func (e *APIError) readDetail(v jsontext.Value) {
	if v.Kind() != '{' {
		e.addDetail(loosejson.Words(v))
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

// readFields reads what is wrong by field: an object, a list, or a text about all of them.
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
				e.addField("", loosejson.Words(one))
			} else if o := loosejson.Members(one); !e.readField(o) {
				e.readFields(one)
			}
		}
	default:
		e.addField("", loosejson.Words(v))
	}
}

// readErrors reads a list of errors, or an object with what is wrong by field.
func (e *APIError) readErrors(v jsontext.Value, nesting int) {
	switch v.Kind() {
	case '{':
		if o := loosejson.Members(v); len(o.Take(wordNames...)) > 0 {
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
		e.say(loosejson.Words(v))
	}
}

// readField reads an object that names a field and says what is wrong with it, if it is one.
func (e *APIError) readField(o loosejson.Object) bool {
	name := strings.Join(loosejson.Texts(o.Take(fieldNames...)...), ", ")
	if name == "" {
		return false
	}
	said := loosejson.Texts(o.Take(wordNames...)...)
	if len(said) == 0 {
		for _, m := range o {
			said = append(said, loosejson.Named(m.Name, loosejson.Words(m.Value)))
		}
	}
	e.addField(name, said...)
	return true
}

func (e *APIError) addField(name string, texts ...string) {
	if e.Fields == nil {
		e.Fields = make(map[string][]string)
	}
	e.Fields[name] = append(e.Fields[name], texts...)
}

func (e *APIError) readData(v jsontext.Value) {
	if v.Kind() != '{' {
		e.addData("data", v)
		return
	}
	for _, m := range loosejson.Members(v) {
		if m.Name == "key" && m.Value.Kind() == '"' {
			e.Key = cmp.Or(e.Key, loosejson.Words(m.Value))
		}
		e.addData(m.Name, m.Value)
	}
}

// addData keeps a member. The first of a name counts, and that is the innermost.
func (e *APIError) addData(name string, v jsontext.Value) {
	if _, taken := e.Data[name]; taken {
		return
	}
	if e.Data == nil {
		e.Data = make(map[string]any)
	}
	e.Data[name] = loosejson.Decode(v)
}
