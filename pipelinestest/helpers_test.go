package pipelinestest_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const site = "/repositories/acme/site"

// clock is a clock that the test advances.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is a server with one repository, and an HTTP client without the SDK.
type fixture struct {
	t      *testing.T
	srv    *pipelinestest.Server
	repo   *pipelinestest.Repository
	clock  *clock
	client *http.Client
}

func setup(t *testing.T, opts ...pipelinestest.ServerOption) *fixture {
	t.Helper()
	c := newClock()
	srv := pipelinestest.NewServer(append([]pipelinestest.ServerOption{pipelinestest.WithClock(c.Now)}, opts...)...)
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		srv.Close()
	})
	return &fixture{t, srv, srv.AddRepository("acme", "site"), c, &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// response is a response whose body has been read.
type response struct {
	*http.Response
	t    *testing.T
	text string
}

// JSON decodes the body.
func (a response) JSON() map[string]any {
	a.t.Helper()
	var v map[string]any
	require.NoError(a.t, json.Unmarshal([]byte(a.text), &v), a.text)
	return v
}

// At returns a member by its dotted path; a number is the index in a list.
func (a response) At(path string) any {
	a.t.Helper()
	return at(a.JSON(), path)
}

func at(v any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			v = x[int(name[0]-'0')]
		default:
			return nil
		}
	}
	return v
}

// Values returns a member of each item of a list.
func (a response) Values(path string) []any {
	a.t.Helper()
	values := []any{}
	for _, item := range a.JSON()["values"].([]any) {
		values = append(values, at(item, path))
	}
	return values
}

// send sends a request with a token. Header is a list of names and values that override its header; an empty value deletes.
func (f *fixture) send(method, path, body string, header ...string) response {
	f.t.Helper()
	url := path
	if !strings.HasPrefix(path, "http") {
		url = f.srv.URL() + path
	}
	req, err := http.NewRequestWithContext(f.t.Context(), method, url, strings.NewReader(body))
	require.NoError(f.t, err)
	req.Header.Set("Authorization", "Bearer token")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			req.Header.Del(header[i])
		}
	}
	resp, err := f.client.Do(req)
	require.NoError(f.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(f.t, err)
	return response{resp, f.t, string(text)}
}

func (f *fixture) get(path string, header ...string) response {
	f.t.Helper()
	return f.send(http.MethodGet, path, "", header...)
}

// run starts a pipeline.
func (f *fixture) run(target string) response {
	f.t.Helper()
	return f.send(http.MethodPost, site+"/pipelines", `{"target":`+target+`}`, "Content-Type", "application/json")
}

const mainBranch = `{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main"}`

// started starts a pipeline on main and returns its path.
func (f *fixture) started() string {
	f.t.Helper()
	a := f.run(mainBranch)
	require.Equal(f.t, http.StatusCreated, a.StatusCode, a.text)
	return strings.TrimPrefix(a.Header.Get("Location"), f.srv.URL())
}

// state is the state of a pipeline and its stage or result.
func (f *fixture) state(path string) string {
	f.t.Helper()
	return stateOf(f.get(path).JSON())
}

func stateOf(v map[string]any) string {
	for _, path := range []string{"state.result.name", "state.stage.name"} {
		if name, ok := at(v, path).(string); ok {
			return at(v, "state.name").(string) + " " + name
		}
	}
	return at(v, "state.name").(string)
}

// steps are the states of the steps of a pipeline.
func (f *fixture) steps(path string) []string {
	f.t.Helper()
	states := []string{}
	for _, item := range f.get(path + "/steps").JSON()["values"].([]any) {
		states = append(states, stateOf(item.(map[string]any)))
	}
	return states
}

// step is the path of a step of a pipeline.
func (f *fixture) step(path string, i int) string {
	f.t.Helper()
	uuid := f.get(path + "/steps").Values("uuid")[i].(string)
	return path + "/steps/" + escape(uuid)
}

func escape(uuid string) string {
	return strings.NewReplacer("{", "%7B", "}", "%7D").Replace(uuid)
}

func (f *fixture) token(form, id, secret string) response {
	f.t.Helper()
	header := []string{"Content-Type", "application/x-www-form-urlencoded", "Authorization", ""}
	if id != "" {
		header[3] = "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
	}
	return f.send(http.MethodPost, strings.TrimSuffix(f.srv.URL(), "/2.0")+"/site/oauth2/access_token", form, header...)
}
