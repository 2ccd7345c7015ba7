package pipelines

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The kinds of error, for [errors.Is].
var (
	ErrNotFound         = errors.New("not found")          // 404: it doesn't exist, or the credentials may not see it
	ErrUnauthorized     = errors.New("unauthorized")       // 401
	ErrForbidden        = errors.New("forbidden")          // 403
	ErrConflict         = errors.New("conflict")           // 409: it exists already
	ErrInvalidRequest   = errors.New("invalid request")    // 400, 422
	ErrGone             = errors.New("gone")               // 410
	ErrRateLimited      = errors.New("rate limited")       // 429, after the retries or with a long Retry-After
	ErrServer           = errors.New("server error")       // 5xx
	ErrOutcomeUnknown   = errors.New("outcome unknown")    // see [OutcomeUnknownError]
	ErrInvalidArgument  = errors.New("invalid argument")   // refused before anything was sent
	ErrResponseTooLarge = errors.New("response too large") // a JSON answer of more than 32 MiB, or of more values than anybody lists
)

func invalidArgument(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalidArgument, fmt.Errorf(format, args...))
}

// APIError is any answer of the service that is not a 2xx, whether its body is JSON, text or HTML. [errors.Is] compares it
// by its status with the Err… values of this package.
type APIError struct {
	Operation  string // such as "Pipelines.Get"
	Method     string
	Path       string // escaped, below the base URL, without the query
	StatusCode int
	Message    string // the service's words; for HTML pages the status's text
	Detail     string
	Key        string              // the service's own key of the error, such as "result-service.pipeline-id.not-found"
	Fields     map[string][]string // what is wrong, by field of the request
	Data       map[string]any      // more, as the service gives it; missing scopes are under "required" and "granted"
	RequestID  string
	RetryAfter time.Duration // how long the service asks to wait; 0: it doesn't say
	Attempts   int           // how often the request was sent
	Body       []byte        // the first 4 KiB of the body as it came, credentials taken out
}

// maxErrorBody bounds what is read of an error's body, maxErrorKept what is kept of it.
const (
	maxErrorBody = 64 << 10
	maxErrorKept = 4 << 10
)

// Error tells operation, method, path, status and the service's words on one line.
func (e *APIError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pipelines: %s: %s %s: %d %s", e.Operation, e.Method, e.Path, e.StatusCode, http.StatusText(e.StatusCode))
	if e.Message != "" && !strings.EqualFold(e.Message, http.StatusText(e.StatusCode)) {
		b.WriteString(": " + oneLine(e.Message))
	}
	if e.Detail != "" {
		b.WriteString(": " + oneLine(e.Detail))
	}
	for _, field := range sortedKeys(e.Fields) {
		b.WriteString("; " + oneLine(field) + ": " + oneLine(strings.Join(e.Fields[field], ", ")))
	}
	if e.RetryAfter > 0 {
		b.WriteString("; retry after " + e.RetryAfter.String())
	}
	if e.Attempts > 1 {
		b.WriteString(" (after " + strconv.Itoa(e.Attempts) + " attempts)")
	}
	return b.String()
}

// Format implements [fmt.Formatter]: every verb prints [APIError.Error], never the body, which may repeat what was sent.
func (e *APIError) Format(f fmt.State, verb rune) { formatError(f, verb, e) }

// LogValue implements [slog.LogValuer].
func (e *APIError) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("operation", e.Operation), slog.Int("status", e.StatusCode), slog.String("message", oneLine(e.Message)),
		slog.String("key", e.Key), slog.String("request_id", e.RequestID), slog.Int("attempts", e.Attempts))
}

// Is makes the error one of the Err… values by its status.
func (e *APIError) Is(target error) bool {
	switch e.StatusCode {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return target == ErrInvalidRequest
	case http.StatusUnauthorized:
		return target == ErrUnauthorized
	case http.StatusForbidden:
		return target == ErrForbidden
	case http.StatusNotFound:
		return target == ErrNotFound
	case http.StatusConflict:
		return target == ErrConflict
	case http.StatusGone:
		return target == ErrGone
	case http.StatusTooManyRequests:
		return target == ErrRateLimited
	}
	return e.StatusCode >= 500 && target == ErrServer
}

// OutcomeUnknownError says that a request which must not be sent twice may have taken effect: it was sent, and no answer
// told what became of it. It is an [ErrOutcomeUnknown], and Unwrap gives the cause.
type OutcomeUnknownError struct {
	Operation string // such as "Pipelines.Run"
	Err       error  // the cause
}

// Error tells the operation and the cause.
func (e *OutcomeUnknownError) Error() string {
	prefix := "pipelines: " + e.Operation + ": "
	return prefix + "the request may have taken effect: " + strings.TrimPrefix(errorText(e.Err), prefix)
}

// Format implements [fmt.Formatter]: every verb prints the error's text.
func (e *OutcomeUnknownError) Format(f fmt.State, verb rune) { formatError(f, verb, e) }

// LogValue implements [slog.LogValuer].
func (e *OutcomeUnknownError) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// Unwrap returns the cause.
func (e *OutcomeUnknownError) Unwrap() error { return e.Err }

// Is makes the error an [ErrOutcomeUnknown].
func (e *OutcomeUnknownError) Is(target error) bool { return target == ErrOutcomeUnknown }

func errorText(err error) string {
	if err == nil {
		return "unknown cause"
	}
	return err.Error()
}

func formatError(f fmt.State, verb rune, err error) {
	if verb == 'q' {
		fmt.Fprintf(f, "%q", err.Error())
		return
	}
	fmt.Fprint(f, err.Error())
}

// errorBody is every known form of an error's JSON. Members of more than one form are decoded by [looseStrings].
type errorBody struct {
	Error   jsontext.Value `json:"error"`
	Message string         `json:"message"`           // at the top: seen once on a 500
	Key     string         `json:"key"`               // likewise
	OAuth   string         `json:"error_description"` // of the token endpoint
}

type errorObject struct {
	Message string                    `json:"message"`
	Detail  jsontext.Value            `json:"detail"` // text, or {required, granted}
	Fields  map[string]jsontext.Value `json:"fields"` // text or list of text
	Data    map[string]any            `json:"data"`
	ID      string                    `json:"id"`
}

// serviceKey is the form of the keys that stand in "message" where there is no data.key.
var serviceKey = regexp.MustCompile(`^[a-z0-9]+([.-][a-z0-9]+)+$`)

// newAPIError makes the error from the answer to k's last attempt and closes its body.
func newAPIError(k *call, resp *http.Response) *APIError {
	foreign := k.client != nil && !k.client.transport.own(resp.Request)
	mask := k.redactor(resp, foreign)
	body := k.readError(resp.Body)
	masked := []byte(mask.Replace(string(body)))
	e := &APIError{
		Operation: k.at.op.Name, Method: k.at.op.Method, Path: k.at.path, StatusCode: resp.StatusCode,
		RequestID: requestID(resp.Header), RetryAfter: retryAfter(resp.Header), Attempts: k.attempts,
		Body: masked[:min(len(masked), maxErrorKept)],
	}
	switch {
	case foreign: // a storage host has nothing to say but its status
		e.Message = http.StatusText(e.StatusCode)
	case !e.parse(body):
		e.Message = textMessage(resp.Header, e.StatusCode, masked) // masked first: cut or on one line, a secret isn't found
	}
	e.redact(mask)
	return e
}

// readError reads an error's body, for as long as a connection may stall in all and not after every byte anew.
func (k *call) readError(body io.ReadCloser) []byte {
	if k.client != nil {
		timer := time.AfterFunc(k.client.transport.stall, func() { body.Close() })
		defer timer.Stop()
	}
	return readSome(body, maxErrorBody)
}

// parse fills the error from a JSON body and reports whether it found anything.
func (e *APIError) parse(body []byte) bool {
	var b errorBody
	if json.Unmarshal(body, &b, decodeOptions) != nil {
		return false
	}
	var o errorObject
	switch {
	case b.Error.Kind() == '"': // the token endpoint
		_ = json.Unmarshal(b.Error, &e.Key, decodeOptions)
		e.Message = b.OAuth
	case json.Unmarshal(b.Error, &o, decodeOptions) == nil:
		e.fromObject(o)
	}
	e.Message, e.Key = cmp.Or(e.Message, b.Message, e.Key), cmp.Or(e.Key, b.Key)
	if e.Key == "" && serviceKey.MatchString(e.Message) {
		e.Key = e.Message
	}
	return e.Message != "" || e.Detail != "" || e.Key != ""
}

func (e *APIError) fromObject(o errorObject) {
	e.Message, e.Data, e.RequestID = o.Message, o.Data, cmp.Or(e.RequestID, o.ID)
	e.Key, _ = o.Data["key"].(string)
	for name, value := range o.Fields {
		if texts := looseStrings(value); texts != nil {
			if e.Fields == nil {
				e.Fields = make(map[string][]string, len(o.Fields))
			}
			e.Fields[name] = texts
		}
	}
	if o.Detail.Kind() == '"' {
		_ = json.Unmarshal(o.Detail, &e.Detail, decodeOptions)
		return
	}
	e.scopes(o.Detail)
}

// scopes reads the detail of a missing scope.
func (e *APIError) scopes(detail jsontext.Value) {
	var scopes struct {
		Required jsontext.Value `json:"required"`
		Granted  jsontext.Value `json:"granted"`
	}
	if json.Unmarshal(detail, &scopes, decodeOptions) != nil {
		return
	}
	required, granted := looseStrings(scopes.Required), looseStrings(scopes.Granted)
	if required == nil && granted == nil {
		e.Detail = string(detail)
		return
	}
	e.Detail = "required scopes: " + strings.Join(required, ", ") + "; granted: " + strings.Join(granted, ", ")
	if e.Data == nil {
		e.Data = make(map[string]any, 2)
	}
	e.Data["required"], e.Data["granted"] = required, granted
}

// looseStrings decodes a text or a list of texts, and nil from anything else.
func looseStrings(v jsontext.Value) []string {
	var one string
	if v.Kind() == '"' && json.Unmarshal(v, &one, decodeOptions) == nil {
		return []string{one}
	}
	var many []string
	if v.Kind() == '[' && json.Unmarshal(v, &many, decodeOptions) == nil {
		return many
	}
	return nil
}

// textMessage is the message of a body that is no JSON: a line of plain text, or the status's words where it is a page.
func textMessage(h http.Header, status int, body []byte) string {
	mediaType, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	text := strings.TrimSpace(string(body))
	if text == "" || strings.HasPrefix(text, "<") || (mediaType != "" && !strings.HasPrefix(mediaType, "text/plain")) {
		return http.StatusText(status)
	}
	return oneLine(text)
}

// oneLine makes a text of the service fit to be printed: one line, no control characters (a terminal would obey them), 500
// bytes.
func oneLine(s string) string {
	const limit = 500
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
	if len(s) <= limit {
		return s
	}
	cut := limit
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

func requestID(h http.Header) string {
	return cmp.Or(h.Get("X-Request-Id"), h.Get("Atl-Request-Id"), h.Get("Atl-Traceid"))
}

// retryAfter reads a Retry-After header, seconds or date. 0: there is none, it is malformed or it has passed.
func retryAfter(h http.Header) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	seconds, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err == nil || errors.Is(err, strconv.ErrRange):
		const longest = 10 * 365 * 24 * 60 * 60 // keeps the product within a Duration
		return time.Duration(max(0, min(seconds, longest))) * time.Second
	case value == "":
		return 0
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(0, time.Until(at))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
