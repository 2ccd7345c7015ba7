package pipelines_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// These tests prove what is sent: each operation of the service is one call of the SDK, its request is right to the byte, and nothing that
// a caller puts into a path changes the path. The module contract proves the same against the service's OpenAPI description.

func TestEveryOperationHasExactlyOneCall(t *testing.T) {
	var documented, called []string
	for _, o := range documentedOperations(t) {
		documented = append(documented, o.id)
	}
	for _, c := range contractCalls {
		called = append(called, c.id)
	}
	require.Len(t, documented, 75)
	require.ElementsMatch(t, documented, called)
}

// call carries the operation out with these parameters.
func (o documentedOperation) call(t *testing.T, c *pipelines.Client, params []string) error {
	t.Helper()
	require.NotNil(t, o.do, "%s has no call", o.id)
	_, err := o.do(session{c, t.Context(), params})
	return err
}

// elements are the path's elements below the base URL, with the parameters in their places.
func (o documentedOperation) elements(params []string) []string {
	elements := strings.Split("/2.0"+o.path, "/")
	for i, next := 0, 0; i < len(elements); i++ {
		if strings.HasPrefix(elements[i], "{") {
			elements[i] = params[next]
			next++
		}
	}
	return elements
}

// succeed responds as the operation does on success, with a body that every operation accepts.
func (o documentedOperation) succeed(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(o.status)
	if o.status == http.StatusOK || o.status == http.StatusCreated {
		_, _ = io.WriteString(w, `{"uuid":"{1}","values":[],"uri":"https://storage.example/cache"}`)
	}
}

// uuids makes a UUID for each parameter, so that two in each other's place would show.
func (o documentedOperation) uuids(format string) []string {
	ids := make([]string, len(o.params))
	for i := range ids {
		ids[i] = fmt.Sprintf(format, fmt.Sprintf("%08d-aaaa-4bbb-8ccc-dddddddddddd", i))
	}
	return ids
}

func TestEachOperationIsSentToTheByte(t *testing.T) {
	for _, o := range documentedOperations(t) {
		for name, form := range map[string]string{"bare UUIDs": "%s", "UUIDs in braces": "{%s}"} {
			t.Run(o.id+" with "+name, func(t *testing.T) {
				t.Parallel()
				srv := record(t, o.succeed)
				var sent pipelines.Operation
				c := newClient(t, srv.base(), pipelines.WithObserver(func(a pipelines.Attempt) {
					sent, _ = pipelines.OperationFromContext(a.Response.Request.Context())
				}))
				require.NoError(t, o.call(t, c, o.uuids(form)))

				got := srv.only(t)
				require.Equal(t, o.method, got.Method)
				require.Equal(t, strings.Join(o.elements(o.uuids("%%7B%s%%7D")), "/"), got.Path)
				require.Equal(t, o.query, got.Query)
				require.Equal(t, o.body, got.Body)
				require.Equal(t, o.body != "", got.Header.Get("Content-Type") == "application/json", "Content-Type")
				// Metrics are counted by these.
				require.Equal(t, o.method+" "+o.path, sent.Method+" "+sent.Path)
				require.Equal(t, path.Ext(o.sdk), path.Ext(sent.Name))
			})
		}
	}
}

// What callers may put into a path, by mistake or on purpose.
var (
	refusedElements = []string{"", ".", ".."}
	strangeElements = []string{
		"a/b", "../x", "..\\x", "?", "?q=1", "#", "%2F", "%2e%2e", "%", ";v=1", "a b", "a+b", "...",
		"日本語/é", "\x00", "\r\nX-Injected: 1", "\x7f", "\xff", strings.Repeat("x/", 5<<10),
	}
)

// take returns what arrived since the last time.
func (r *recorder) take() []recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.requests
	r.requests = nil
	return taken
}

// unescaped are the elements of a path as it was on the wire.
func unescaped(t *testing.T, escaped string) []string {
	t.Helper()
	elements := strings.Split(escaped, "/")
	for i := range elements {
		var err error
		elements[i], err = url.PathUnescape(elements[i])
		require.NoError(t, err)
	}
	return elements
}

func TestNoPathElementChangesThePath(t *testing.T) {
	for _, o := range documentedOperations(t) {
		t.Run(o.id, func(t *testing.T) {
			t.Parallel()
			srv := record(t, o.succeed)
			c := newClient(t, srv.base())
			for i, param := range o.params {
				with := func(element string) []string {
					params := o.uuids("{%s}")
					params[i] = element
					return params
				}
				for _, element := range refusedElements {
					require.ErrorIs(t, o.call(t, c, with(element)), pipelines.ErrInvalidArgument, "%s is %q", param, element)
					require.Empty(t, srv.take(), "%s is %q", param, element)
				}
				for _, element := range strangeElements {
					require.NoError(t, o.call(t, c, with(element)), "%s is %.20q", param, element)
					sent := srv.take()
					require.Len(t, sent, 1)
					require.Equal(t, o.elements(with(element)), unescaped(t, sent[0].Path), "%s is %.20q", param, element)
					require.Equal(t, o.query, sent[0].Query, "%s is %.20q", param, element)
				}
			}
		})
	}
}

// The service's routes are not looked for by what the call should send, as above, but the other way round: each request finds its own.
func TestAServerThatKnowsOnlyTheDocumentedOperationsServesEachCall(t *testing.T) {
	all := documentedOperations(t)
	for _, o := range all {
		t.Run(o.id, func(t *testing.T) {
			t.Parallel()
			routes := http.NewServeMux()
			routes.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
				t.Errorf("there is no %s %s", r.Method, r.URL.Path)
				http.NotFound(w, r)
			})
			hits := make(map[string]map[string]string)
			for _, route := range all {
				routes.HandleFunc(route.method+" /2.0"+route.path, func(w http.ResponseWriter, r *http.Request) {
					hits[route.id] = make(map[string]string)
					for _, param := range route.params {
						hits[route.id][param] = r.PathValue(param)
					}
					route.succeed(w, r)
				})
			}
			params, want := []string(nil), make(map[string]string)
			for _, param := range o.params {
				params, want[param] = append(params, "the-"+param), "the-"+param
			}
			require.NoError(t, o.call(t, newClient(t, record(t, routes.ServeHTTP).base()), params))
			require.Equal(t, map[string]map[string]string{o.id: want}, hits)
		})
	}
}

func TestRequestsSayWhatIsFalseOrEmpty(t *testing.T) {
	srv := record(t, serve(201, "application/json", `{"uuid":"{u}","key":"K","name":"N"}`))
	c := newClient(t, srv.base())
	vars := c.Variables.InRepository(repo)
	for want, call := range map[string]func() error{
		`{"key":"K","value":"","secured":false}`: func() error { return second(vars.Create(t.Context(), pipelines.VariableRequest{Key: "K"})) },
		`{"value":"","secured":false}`: func() error {
			return second(vars.Update(t.Context(), "{u}", pipelines.VariableUpdate{Value: new(""), Secured: new(false)}))
		},
		`"enabled":false`: func() error {
			return second(c.Schedules.Create(t.Context(), repo, pipelines.ScheduleRequest{
				Target: pipelines.BranchTarget("main"), CronPattern: "0 0 12 * * ? *", Enabled: new(false),
			}))
		},
		`"restrictions":{"admin_only":false}`: func() error {
			return second(c.Deployments.CreateEnvironment(t.Context(), repo, pipelines.EnvironmentRequest{
				Name: "N", EnvironmentType: pipelines.EnvironmentTest, AdminOnly: new(false),
			}))
		},
		`{"change":{"restrictions":{"admin_only":false}}}`: func() error {
			return c.Deployments.UpdateEnvironment(t.Context(), repo, "{e}", pipelines.EnvironmentUpdate{AdminOnly: new(false)})
		},
		`{"labels":[]}`: func() error {
			return second(c.Runners.InRepository(repo).Update(t.Context(), "{r}", pipelines.RunnerUpdate{Labels: []string{}}))
		},
	} {
		t.Run(want, func(t *testing.T) {
			require.NoError(t, call())
			seen := srv.seen()
			require.Contains(t, seen[len(seen)-1].Body, want)
		})
	}
}
