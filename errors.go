package pipelines

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
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

	"github.com/seed-85ed9bfd/pipelines/internal/loosejson"
)

// The kinds of error, for [errors.Is].
var (
	// ErrNotFound is a 404: what was asked for doesn't exist, or the credentials may not see it.
	ErrNotFound = errors.New("not found")

	// ErrRepositoryNotFound is a 404 where the service says that the repository is missing, or hidden from
	// these credentials. It is also an ErrNotFound. A 404 for something in the repository may say nothing
	// of it.
	ErrRepositoryNotFound = errors.New("repository not found")

	// ErrUnauthorized is a 401: there are no credentials, or the service doesn't accept them.
	ErrUnauthorized = errors.New("unauthorized")

	// ErrForbidden is a 403: the credentials lack a scope or a permission.
	ErrForbidden = errors.New("forbidden")

	// ErrConflict is a 409: what was to be created exists already.
	ErrConflict = errors.New("conflict")

	// ErrInvalidRequest is a 400 or 422: the service refuses what was sent. APIError.Fields may say why.
	ErrInvalidRequest = errors.New("invalid request")

	// ErrGone is a 410.
	ErrGone = errors.New("gone")

	// ErrRateLimited is a 429, after waiting as long as RetryPolicy allows.
	ErrRateLimited = errors.New("rate limited")

	// ErrServer is a 5xx.
	ErrServer = errors.New("server error")

	// ErrTooManySchedules says that the repository has as many schedules as the service allows.
	ErrTooManySchedules = errors.New("too many schedules")

	// ErrOutcomeUnknown says that a request may have taken effect: see OutcomeUnknownError.
	ErrOutcomeUnknown = errors.New("outcome unknown")

	// ErrInvalidArgument is an error of the caller's, found before anything was sent.
	ErrInvalidArgument = errors.New("invalid argument")

	// ErrEmptyList says that a list has no first item. It is no ErrNotFound. See Pager.First.
	ErrEmptyList = errors.New("the list is empty")

	// ErrResponseTooLarge says that a JSON response has more than 32 MiB or more than 262,144 objects.
	ErrResponseTooLarge = errors.New("response too large")
)

func invalidArgument(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalidArgument, fmt.Errorf(format, args...))
}

// APIError is a response other than 2xx, whether its body is JSON, text or HTML. [errors.Is] compares it with the Err… values of
// this package, by its status.
type APIError struct {
	Operation  string // such as "Pipelines.Get"
	Method     string
	Path       string // escaped, below the base URL, without the query
	StatusCode int
	Message    string // the service's words; the status's text for an HTML page
	Detail     string
	Key        string // the service's own, such as "result-service.pipeline-id.not-found"

	// Fields says what is wrong with which field of the request. The key "" has what names no field.
	Fields map[string][]string
	// Data is what else the service says, and what has no field here. Missing scopes are under "required"
	// and "granted".
	Data map[string]any

	RequestID  string        // as support asks for it; empty: none was sent
	RetryAfter time.Duration // how long the service asks to wait; 0: it doesn't say
	Attempts   int           // how often the request was sent
	Body       []byte        // the first 4 KiB of the body, in UTF-8, with secrets masked
}

// Error returns operation, method, path, status and the service's words on one line.
func (e *APIError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pipelines: %s: %s %s: %d %s", e.Operation, e.Method, e.Path, e.StatusCode, http.StatusText(e.StatusCode))
	if e.Message != "" && !strings.EqualFold(e.Message, http.StatusText(e.StatusCode)) {
		b.WriteString(": " + oneLine(e.Message))
	}
	if e.Detail != "" {
		b.WriteString(": " + oneLine(e.Detail))
	}
	b.WriteString(e.reasons())
	if e.RetryAfter > 0 {
		b.WriteString("; retry after " + e.RetryAfter.String())
	}
	if e.Attempts > 1 {
		b.WriteString(" (after " + strconv.Itoa(e.Attempts) + " attempts)")
	}
	return b.String()
}

// reasons are the words in fields and data.
func (e *APIError) reasons() string {
	fields := make(map[string]any, len(e.Fields))
	for name, texts := range e.Fields {
		fields[name] = texts
	}
	arguments, ok := e.Data["arguments"].(map[string]any)
	if !ok {
		arguments = map[string]any{"": e.Data["arguments"]}
	}
	return namedReasons(fields) + namedReasons(arguments) + namedReasons(map[string]any{"": e.Data["data"]})
}

// namedReasons writes "; name: text" for each value, and leaves out the rest where that becomes too long.
func namedReasons(values map[string]any) string {
	const limit = 1 << 10
	var b strings.Builder
	for _, name := range sortedKeys(values) {
		if b.Len() > limit {
			return b.String() + "; …"
		}
		if reason := loosejson.Named(oneLine(name), oneLine(loosejson.InWords(values[name]))); reason != "" {
			b.WriteString("; " + reason)
		}
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
		return target == ErrNotFound || (target == ErrRepositoryNotFound && e.NotFound() == "repository")
	case http.StatusConflict:
		return target == ErrConflict
	case http.StatusGone:
		return target == ErrGone
	case http.StatusTooManyRequests:
		return target == ErrRateLimited
	}
	return e.StatusCode >= 500 && target == ErrServer
}

// notFoundKey is the form of a key that names what was not found, such as "result-service.pipeline-id.not-found".
var notFoundKey = regexp.MustCompile(`^[a-z-]+\.([a-z-]+?)(-id|-uuid)?\.not-found$`)

// notFoundMessage is how the service names a repository or a workspace that was not found, or that it doesn't show.
var notFoundMessage = regexp.MustCompile(`(?i)^(repository) \S+/\S+ (?:not found|does not exist)|^(workspace) \S+ (?:not found|does not exist)|^no (workspace|repository) with|access to this (repository) or it no longer exists`)

// NotFound returns what the service says was not found: "repository", "pipeline", "step", "variable" or another of its words. It
// is empty where the status is not 404, and where the service doesn't say. Such a 404 may also mean that the repository is
// gone, or that the credentials may not see it. A GET of "/repositories/workspace/slug" by [Client.Do] tells, with the scope
// repository.
func (e *APIError) NotFound() string {
	if e.StatusCode != http.StatusNotFound {
		return ""
	}
	if match := notFoundKey.FindStringSubmatch(e.Key); match != nil {
		return match[1]
	}
	if match := notFoundMessage.FindStringSubmatch(e.Message); match != nil {
		return strings.ToLower(cmp.Or(match[1:]...))
	}
	return ""
}

// OutcomeUnknownError says that a request which must not be sent twice may have taken effect: it was sent, and no
// response said whether it succeeded. It is an [ErrOutcomeUnknown]. List what there is before sending it again. Unwrap returns
// the cause.
type OutcomeUnknownError struct {
	Operation string // such as "Pipelines.Run"
	Err       error  // the cause
}

// Error returns the operation and the cause.
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

// maxLine bounds what oneLine makes of a text.
const maxLine = 500

// oneLine makes a text of the service fit to be printed: on one line and not too long.
func oneLine(s string) string {
	if s = printable(s); len(s) <= maxLine {
		return s
	}
	cut := maxLine
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// printable takes out of a text what a terminal would obey: ends of lines, other control characters, and those that change
// the direction of writing.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

func requestID(h http.Header) string {
	return cmp.Or(h.Get("X-Request-Id"), h.Get("Atl-Request-Id"), h.Get("Atl-Traceid"))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
