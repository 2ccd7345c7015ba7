package pipelines

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-85ed9bfd/pipelines/internal/loosejson"
	"github.com/seed-85ed9bfd/pipelines/internal/redact"
)

// The kinds of error, for [errors.Is].
var (
	// ErrNotFound is a 404: the resource doesn't exist, or is hidden from these credentials.
	ErrNotFound = errors.New("not found")

	// ErrRepositoryNotFound is a 404 that names the repository as missing, or as hidden from these
	// credentials. It is also an ErrNotFound. A missing repository may also show as a plain ErrNotFound.
	ErrRepositoryNotFound = errors.New("repository not found")

	// ErrUnauthorized is a 401: credentials are missing, or the service doesn't accept them.
	ErrUnauthorized = errors.New("unauthorized")

	// ErrForbidden is a 403: the credentials lack a scope or a permission.
	ErrForbidden = errors.New("forbidden")

	// ErrConflict is a 409: the resource to create exists already. It is also the error of Schedules.Set,
	// SSH.SetKnownHost and Deployments.SetEnvironment if the resource exists several times, or as another
	// type of environment.
	ErrConflict = errors.New("conflict")

	// ErrInvalidRequest is a 400 or 422: the service rejects the request. APIError.Fields may say why.
	ErrInvalidRequest = errors.New("invalid request")

	// ErrGone is a 410.
	ErrGone = errors.New("gone")

	// ErrRateLimited is a 429, after the waits that RetryPolicy allows. So is the error of a call that was
	// held back because another got a 429: its APIError has the time that is left in RetryAfter.
	ErrRateLimited = errors.New("rate limited")

	// ErrServer is a 5xx.
	ErrServer = errors.New("server error")

	// ErrTooManySchedules says that the repository has as many schedules as the service allows. The error is
	// also an ErrUnauthorized: test for ErrTooManySchedules first.
	ErrTooManySchedules = errors.New("too many schedules")

	// ErrOutcomeUnknown says that a request may have taken effect. See OutcomeUnknownError.
	ErrOutcomeUnknown = errors.New("outcome unknown")

	// ErrInvalidArgument says that an argument is invalid. The rejected change was not sent. Methods called Set,
	// and VariableSet.Plan, may have read a list before.
	ErrInvalidArgument = errors.New("invalid argument")

	// ErrReadOnly says that a client of WithReadOnly has sent no request that may change something.
	ErrReadOnly = errors.New("the client is read-only")

	// ErrPlanStale says that variables have changed since a plan was made, and that nothing of it was applied. See
	// SyncOptions.Verify.
	ErrPlanStale = errors.New("the plan is stale")

	// ErrEmptyList says that a list has no items. It is not an ErrNotFound. See Pager.First.
	ErrEmptyList = errors.New("the list is empty")

	// ErrResponseTooLarge says that a JSON response has more than 32 MiB, or more than 524,288 values. Objects, arrays
	// and nulls count twice.
	ErrResponseTooLarge = errors.New("response too large")
)

func invalidArgument(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalidArgument, fmt.Errorf(format, args...))
}

// APIError is a response other than 2xx, whether its body is JSON, text or HTML. [errors.Is] matches it with the Err… values of
// this package by its status.
//
// Operation is that of the request, which may be another than the method that was called: [PipelinesService.Wait] sends
// Pipelines.Get, and [VariableSet.Set] sends Variables.List and Variables.Create.
type APIError struct {
	Operation  string // such as "Pipelines.Get"
	Method     string
	Path       string // escaped, below the base URL, without the query
	StatusCode int
	Message    string // from the body; the status text for an HTML page
	Detail     string
	Key        string // the service's error code, such as "result-service.pipeline-id.not-found"

	// Fields has the messages about each field of the request. Those that name no field are under "".
	Fields map[string][]string
	// Data has the members of the body that have no field here. Missing scopes are under "required" and
	// "granted".
	Data map[string]any

	RequestID  string        // for Bitbucket's support; empty: the response has none
	RetryAfter time.Duration // from the Retry-After header; 0: the response has none
	Attempts   int           // how often the request was sent; 0: it was held back after another's 429
	Body       []byte        // the first 4 KiB of the body, in UTF-8, with secrets masked
}

// Error returns operation, method, path, status and the service's messages on one line.
func (e *APIError) Error() string {
	status := http.StatusText(e.StatusCode)
	text := fmt.Sprintf("pipelines: %s: %s %s: %d %s", e.Operation, e.Method, plainBraces.Replace(e.Path), e.StatusCode, status)
	if e.Message != "" && !strings.EqualFold(e.Message, status) {
		text += ": " + oneLine(e.Message)
	}
	if e.Detail != "" {
		text = withoutStop(text) + ": " + oneLine(e.Detail)
	}
	if reasons := e.reasons(); reasons != "" {
		text = withoutStop(text) + reasons
	}
	if e.RetryAfter > 0 {
		text = withoutStop(text) + "; retry after " + e.RetryAfter.String()
	}
	if e.Attempts > 1 {
		text = withoutStop(text) + " (after " + strconv.Itoa(e.Attempts) + " attempts)"
	}
	return text
}

// plainBraces shows the braces of UUIDs in an escaped path.
var plainBraces = strings.NewReplacer("%7B", "{", "%7D", "}")

// withoutStop removes the full stop at the end of a text, but leaves an ellipsis.
func withoutStop(text string) string {
	if strings.HasSuffix(text, "..") {
		return text
	}
	return strings.TrimSuffix(text, ".")
}

// reasons formats the messages in Fields and Data.
func (e *APIError) reasons() string {
	fields := make(map[string]any, len(e.Fields))
	for name, messages := range e.Fields {
		fields[name] = messages
	}
	arguments, ok := e.Data["arguments"].(map[string]any)
	if !ok {
		arguments = map[string]any{"": e.Data["arguments"]}
	}
	return namedReasons(fields) + namedReasons(arguments) + namedReasons(map[string]any{"": e.Data["data"]})
}

// namedReasons formats each value as "; name: text". It stops once the result is longer than a kilobyte.
func namedReasons(values map[string]any) string {
	const limit = 1 << 10
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if b.Len() > limit {
			return b.String() + "; …"
		}
		if reason := loosejson.Label(oneLine(name), oneLine(loosejson.Format(values[name]))); reason != "" {
			b.WriteString("; " + reason)
		}
	}
	return b.String()
}

// Format implements [fmt.Formatter]: every verb prints [APIError.Error]. It never prints the body, which may repeat the request.
func (e *APIError) Format(f fmt.State, verb rune) { formatError(f, verb, e) }

// LogValue implements [slog.LogValuer].
func (e *APIError) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("operation", e.Operation), slog.Int("status", e.StatusCode), slog.String("message", oneLine(e.Message)),
		slog.String("key", e.Key), slog.String("request_id", e.RequestID), slog.Int("attempts", e.Attempts))
}

// Is reports whether target is the Err… value of the error's status.
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

// notFoundKey matches a key that names the missing resource, such as "result-service.pipeline-id.not-found".
var notFoundKey = regexp.MustCompile(`^[a-z-]+\.([a-z-]+?)(-id|-uuid)?\.not-found$`)

// notFoundMessage matches a message about a repository or a workspace that is missing or hidden.
var notFoundMessage = regexp.MustCompile(`(?i)^(repository) \S+/\S+ (?:not found|does not exist)|^(workspace) \S+ (?:not found|does not exist)|^no (workspace|repository) with|access to this (repository) or it no longer exists|requested (repository) either does not exist`)

// NotFound returns the kind of resource that the service names as not found: "repository", "pipeline", "step", "variable" or
// another of its words. It returns "" if the status is not 404, or if the service names none. Such a 404 may also mean that the
// repository is missing, or hidden from the credentials. To find out, GET "/repositories/workspace/slug" with [Client.Do], which
// needs the scope repository.
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

// OutcomeUnknownError says that a request which must not be sent twice may have taken effect: it was sent, and no response said
// whether it succeeded. It is an [ErrOutcomeUnknown]. Before sending the request again, find out whether it took effect: by
// [PipelinesService.FindStarted] for a run, by [RunnerSet.FindCreated] for a runner, whose secret is lost, and by a list for anything
// else. [VariableSet.Set], [SchedulesService.Set], [SSHService.SetKnownHost] and [DeploymentsService.SetEnvironment] do so
// themselves. Unwrap returns the cause.
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

// Is reports whether target is [ErrOutcomeUnknown].
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

func requestID(h http.Header) string {
	return cmp.Or(h.Get("X-Request-Id"), h.Get("Atl-Request-Id"), h.Get("Atl-Traceid"))
}

// maxLine is the longest text that oneLine returns, in bytes and without the ellipsis.
const maxLine = 500

// oneLine makes text from the service printable and shortens it to maxLine.
func oneLine(s string) string {
	s = redact.Printable(s)
	if len(s) <= maxLine {
		return s
	}
	return truncate(s, maxLine) + "…"
}

// truncate returns the beginning of s, of n bytes at most. It cuts no character in two.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for cut := n; cut > n-utf8.UTFMax; cut-- {
		if utf8.RuneStart(s[cut]) {
			return s[:cut]
		}
	}
	return s[:n] // not UTF-8
}
