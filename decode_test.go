package pipelines_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestDecodeIsTolerant(t *testing.T) {
	for name, body := range map[string]string{
		"duplicate names":      `{"build_number":1,"build_number":2,"state":{"name":"COMPLETED"}}`,
		"invalid UTF-8":        "{\"build_number\":2,\"uuid\":\"\xff\xfe\",\"state\":{\"name\":\"COMPLETED\"}}",
		"unknown members":      `{"build_number":2,"what":{"is":["this",null]},"state":{"name":"COMPLETED","x":1}}`,
		"null for everything":  `{"build_number":2,"uuid":null,"creator":null,"created_on":null,"target":null,"variables":null,"labels":null,"expired":null,"state":{"name":"COMPLETED","stage":null}}`,
		"a byte more of space": " \n{\"build_number\":2,\"state\":{\"name\":\"COMPLETED\"}}\n ",
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, serve(200, "text/plain", body))
			p, err := newClient(t, srv.base()).Pipelines.Get(t.Context(), repo, "1")
			require.NoError(t, err)
			require.Equal(t, 2, p.BuildNumber)
			require.True(t, p.State.Done())
		})
	}
}

// oddValues are what may stand in the place of a member's value.
var oddValues = []string{`[[]]`, `""`, `[]`, `{}`, `12`, `"12"`, `true`, `null`, `"text"`, `1e400`, `-1.5`, `{"a":{}}`, `"` + strings.Repeat("9", 30) + `"`}

// actedOn are the members of a resource that the package acts on. All others only inform.
var actedOn = map[string]bool{
	"/uuid": true, "/state": true, "/state/name": true, "/state/status": true, "/state/status/name": true,
	"/state/stage": true, "/state/stage/name": true, "/state/result": true, "/state/result/name": true,
}

// place is where a member stands in a decoded payload.
type place struct {
	pointer string
	get     func() any
	set     func(any)
	remove  func()
}

// places finds every member of a payload, and every element of its lists.
func places(v any) (all []place) {
	var walk func(pointer string, v any)
	walk = func(pointer string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name := range v {
				at := pointer + "/" + name
				all = append(all, place{at, func() any { return v[name] }, func(value any) { v[name] = value }, func() { delete(v, name) }})
				walk(at, v[name])
			}
		case []any:
			for i := range v {
				at := fmt.Sprint(pointer, "/", i)
				all = append(all, place{at, func() any { return v[i] }, func(value any) { v[i] = value }, func() { v[i] = nil }})
				walk(at, v[i])
			}
		}
	}
	walk("", v)
	return all
}

func parse(t *testing.T, payload string) any {
	t.Helper()
	var v any
	dec := json.NewDecoder(strings.NewReader(payload))
	dec.UseNumber()
	require.NoError(t, dec.Decode(&v))
	return v
}

func kindOf(v any) string {
	data, _ := json.Marshal(v)
	switch data[0] {
	case '{', '[', '"', 'n':
		return string(data[:1])
	case 't', 'f':
		return "t"
	}
	return "0"
}

// without is a payload with one of its places empty.
func without(t *testing.T, payload, pointer string) any {
	t.Helper()
	v := parse(t, payload)
	for _, p := range places(v) {
		if p.pointer == pointer {
			p.remove()
		}
	}
	return v
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return string(data)
}

// reader makes a function that reads a payload and returns how many requests it took.
func (m model) reader(t *testing.T) func(payload string) (got any, sent int, err error) {
	t.Helper()
	body, requests := "", 0
	c := inProcess(t, 3, func(req *http.Request) *http.Response {
		requests++
		return respond(req, 200, body)
	})
	return func(payload string) (got any, sent int, err error) {
		if body, requests = payload, 0; m.listed {
			body = `{"values":[` + payload + `]}`
		}
		got, err = m.read(c)
		return got, requests, err
	}
}

func TestDecodeEveryMemberInAnotherShape(t *testing.T) {
	t.Parallel()
	for name, m := range models(t) {
		t.Run(name, func(t *testing.T) {
			payload := parse(t, strings.ReplaceAll(golden(t, m.file+"_full.json"), "+00:00", "Z"))
			for _, secret := range m.secret {
				payload = without(t, marshal(t, payload), strings.ReplaceAll(secret, ".", "/"))
			}
			whole := marshal(t, payload)
			read := m.reader(t)
			for _, p := range places(payload) {
				proper := p.get()
				p.set("@odd@")
				template := marshal(t, payload)
				p.set(proper)
				for _, odd := range append(oddValues, `[`+marshal(t, proper)+`]`) {
					got, sent, err := read(strings.Replace(template, `"@odd@"`, odd, 1))
					require.Equal(t, 1, sent, "%s: %s", p.pointer, odd)
					fits := odd == "null" || kindOf(proper) == kindOf(json.RawMessage(odd))
					if actedOn[p.pointer] && !fits {
						require.ErrorContains(t, err, p.pointer, odd)
						require.NotContains(t, err.Error(), "999")
						continue
					}
					require.NoError(t, err, "%s: %s", p.pointer, odd)
					if odd != oddValues[0] {
						continue // one comparison a member is slow enough
					}
					again := without(t, marshal(t, settled(got)), p.pointer)
					require.Equal(t, without(t, whole, p.pointer), again, "the rest is as it was: %s: %s", p.pointer, odd)
				}
			}
		})
	}
}

func TestDecodePlausibleForms(t *testing.T) {
	noon := date("2026-08-01T12:00:00Z")
	type pipeline = pipelines.Pipeline
	for payload, want := range map[string]pipeline{
		// times
		`{"created_on":"","completed_on":"  "}`:                {},
		`{"created_on":"2026-08-01"}`:                          {CreatedOn: date("2026-08-01T00:00:00Z")},
		`{"created_on":"2026-08-01T12:00:00"}`:                 {CreatedOn: noon},
		`{"created_on":"2026-08-01T12:00:00.000"}`:             {CreatedOn: noon},
		`{"created_on":"2026-08-01T12:00"}`:                    {CreatedOn: noon},
		`{"created_on":"2026-08-01T12:00Z"}`:                   {CreatedOn: noon},
		`{"created_on":"2026-08-01T12:00:00+0000"}`:            {CreatedOn: noon},
		`{"created_on":"2026-08-01T14:00:00.000+0200"}`:        {CreatedOn: noon},
		`{"created_on":"2026-08-01T14:00:00+02"}`:              {CreatedOn: noon},
		`{"created_on":"2026-08-01 12:00:00"}`:                 {CreatedOn: noon},
		`{"created_on":"2026-08-01 12:00:00Z"}`:                {CreatedOn: noon},
		`{"created_on":"2026-08-01 14:00:00+02:00"}`:           {CreatedOn: noon},
		`{"created_on":"2026-08-01 12:00:00 +0000"}`:           {CreatedOn: noon},
		`{"created_on":"2026-08-01 12:00:00 UTC"}`:             {CreatedOn: noon},
		`{"created_on":"2026-08-01 12:00:00 +0000 UTC"}`:       {CreatedOn: noon},
		`{"created_on":"2026-08-01t12:00:00z"}`:                {CreatedOn: noon},
		`{"created_on":" 2026-08-01T12:00:00Z "}`:              {CreatedOn: noon},
		`{"created_on":1785585600}`:                            {CreatedOn: noon},
		`{"created_on":1785585600000}`:                         {CreatedOn: noon},
		`{"created_on":1785585600.25}`:                         {CreatedOn: noon.Add(250 * time.Millisecond)},
		`{"created_on":"1785585600"}`:                          {CreatedOn: noon},
		`{"created_on":"20260801T120000Z"}`:                    {CreatedOn: noon},
		`{"created_on":"2026-08-01T14:00+0200"}`:               {CreatedOn: noon},
		`{"created_on":"2026-08-01T12:00:00,5Z"}`:              {CreatedOn: noon.Add(500 * time.Millisecond)},
		`{"created_on":"2026-08-01T12:00:00.12345678912 +00"}`: {CreatedOn: noon.Add(123456789)},
		`{"created_on":12}`:                                    {},
		`{"created_on":1e400}`:                                 {},
		`{"created_on":"yesterday"}`:                           {},
		`{"created_on":"2026-02-30"}`:                          {},
		`{"created_on":"2026-08-01T12:00:00+24:00"}`:           {},
		`{"created_on":{"date":"2026-08-01"}}`:                 {},
		// whole numbers
		`{"build_number":12.0}`:                         {BuildNumber: 12},
		`{"build_number":1e2}`:                          {BuildNumber: 100},
		`{"build_number":"12"}`:                         {BuildNumber: 12},
		`{"build_number":" 12.0 "}`:                     {BuildNumber: 12},
		`{"build_number":-12}`:                          {BuildNumber: -12},
		`{"build_number":12.5}`:                         {},
		`{"build_number":""}`:                           {},
		`{"build_number":"twelve"}`:                     {},
		`{"build_number":true}`:                         {},
		`{"build_number":92233720368547758070}`:         {},
		`{"build_number":1e400}`:                        {},
		`{"build_number":"NaN"}`:                        {},
		`{"build_number":"Infinity"}`:                   {},
		`{"build_number":9223372036854775807}`:          {BuildNumber: 9223372036854775807},
		`{"build_number":9007199254740993.0}`:           {BuildNumber: 9007199254740993},
		`{"repository":{"size":"1e18"}}`:                {Repository: &pipelines.Repository{Size: 1e18}},
		`{"target":{"pullrequest":{"id":"17"}}}`:        {Target: pipelines.Target{PullRequest: &pipelines.PullRequest{ID: 17}}},
		`{"target":{"pullrequest_ids":17}}`:             {Target: pipelines.Target{PullRequestIDs: []int{17}}},
		`{"target":{"pullrequest_ids":["17",{},18.0]}}`: {Target: pipelines.Target{PullRequestIDs: []int{17, 0, 18}}},
		// booleans
		`{"expired":"true"}`:  {Expired: true},
		`{"expired":"True"}`:  {Expired: true},
		`{"expired":"false"}`: {},
		`{"expired":1}`:       {Expired: true},
		`{"expired":0}`:       {},
		`{"expired":"1"}`:     {Expired: true},
		`{"expired":12}`:      {},
		`{"expired":[true]}`:  {},
		// texts
		`{"type":12,"trigger":{"name":1.50}}`:     {Type: "12", Trigger: &pipelines.Trigger{Name: "1.50"}},
		`{"type":{},"trigger":{"name":["PUSH"]}}`: {Trigger: &pipelines.Trigger{}},
		// objects and maps
		`{"trigger":[],"creator":"","repository":"acme/site","target":[],"links":false}`: {},
		`{"trigger":[{"name":"PUSH"}]}`:                         {},
		`{"labels":[],"configuration_sources":""}`:              {},
		`{"labels":"a"}`:                                        {},
		`{"labels":{"a":1e400,"b":[1e400,1]}}`:                  {Labels: map[string]any{"a": nil, "b": []any{nil, 1.0}}},
		`{"state":{"result":{"error":{"arguments":[]}}}}`:       {State: pipelines.PipelineState{Result: &pipelines.Result{Error: &pipelines.ErrorDetail{}}}},
		`{"state":{"result":{"error":"oops","terminator":[]}}}`: {State: pipelines.PipelineState{Result: &pipelines.Result{}}},
		// lists
		`{"configuration_sources":{"source":"A"}}`:                                    {ConfigurationSources: []pipelines.ConfigurationSource{{Source: "A"}}},
		`{"configuration_sources":{}}`:                                                {},
		`{"configuration_sources":"A"}`:                                               {},
		`{"configuration_sources":[{"source":"A"},"B",{"source":{}},{"source":"D"}]}`: {ConfigurationSources: []pipelines.ConfigurationSource{{Source: "A"}, {}, {}, {Source: "D"}}},
		`{"repository":{"mainbranch":{"merge_strategies":"squash"}}}`:                 {Repository: &pipelines.Repository{MainBranch: &pipelines.Ref{MergeStrategies: []string{"squash"}}}},
		`{"repository":{"mainbranch":{"merge_strategies":""}}}`:                       {Repository: &pipelines.Repository{MainBranch: &pipelines.Ref{}}},
		`{"repository":{"links":{"clone":{"href":"h"},"self":"s"}}}`:                  {Repository: &pipelines.Repository{Links: &pipelines.Links{Clone: []pipelines.Link{{Href: "h"}}}}},
		// what the package acts on, missing
		`{"uuid":null,"state":null,"build_number":"7"}`:                        {BuildNumber: 7},
		`{"state":{"name":null,"stage":null,"result":null},"build_number":""}`: {},
	} {
		sent := 0
		c := inProcess(t, 3, func(req *http.Request) *http.Response {
			sent++
			return respond(req, 200, payload)
		})
		got, err := c.Pipelines.Get(t.Context(), repo, "1")
		require.NoError(t, err, payload)
		require.Equal(t, &want, settled(got), payload)
		require.Equal(t, 1, sent, payload)
		_, err = json.Marshal(got)
		require.NoError(t, err, "what decodes encodes again: %s", payload)
	}
}

func TestDecodeLosesNoOtherRunOfAListToAnOddMember(t *testing.T) {
	for _, odd := range []string{
		`"created_on":"yesterday"`, `"creator":"ada"`, `"duration_in_seconds":{}`, `"labels":["a"]`, `"links":[]`, `"target":"main"`, `"build_number":"2"`,
		`"trigger":"PUSH"`, `"expired":"no"`, `"repository":{"uuid":1,"parent":{"uuid":[]}}`, `"creator":{"uuid":7,"links":{"self":"s"}}`,
		`"state":{"name":"COMPLETED","type":7,"result":{"name":"FAILED","error":"oops"}}`, `"completed_on":1e400`, `"variables":[{"uuid":7,"secured":"maybe"}]`,
	} {
		t.Run(odd, func(t *testing.T) {
			sent := 0
			c := inProcess(t, 3, func(req *http.Request) *http.Response {
				sent++
				return respond(req, 200, `{"values":[{"uuid":"{1}","build_number":1},{"uuid":"{2}",`+odd+`},{"uuid":"{3}","created_on":"2026-08-01T12:00:00Z"}],"page":"x","pagelen":[]}`)
			})
			runs, err := c.Pipelines.List(t.Context(), repo, nil).Collect()
			require.NoError(t, err, odd)
			require.Len(t, runs, 3, odd)
			require.Equal(t, []string{"{1}", "{2}", "{3}"}, []string{runs[0].UUID, runs[1].UUID, runs[2].UUID}, odd)
			require.Equal(t, 1, runs[0].BuildNumber)
			require.Equal(t, date("2026-08-01T12:00:00Z"), runs[2].CreatedOn)
			require.Equal(t, 1, sent, odd)
		})
	}
}

func TestDecodeNamesWhatIsActedOnAndDoesNotRetry(t *testing.T) {
	get := func(ctx context.Context, c *pipelines.Client) error {
		_, err := c.Pipelines.Get(ctx, repo, "1")
		return err
	}
	list := func(ctx context.Context, c *pipelines.Client) error {
		_, err := c.Pipelines.List(ctx, repo, nil).Collect()
		return err
	}
	parallel := func(ctx context.Context, c *pipelines.Client) error {
		_, err := c.Pipelines.List(ctx, repo, nil).Parallel(4).Collect()
		return err
	}
	for _, tc := range []struct {
		name, body, pointer string
		call                func(context.Context, *pipelines.Client) error
	}{
		{"a UUID that is a number", `{"uuid":4711}`, `"/uuid"`, get},
		{"a UUID that is an object", `{"uuid":{"raw":"x"}}`, `"/uuid"`, get},
		{"a state that is a text", `{"state":"COMPLETED"}`, `"/state"`, get},
		{"a state that is a list", `{"state":[]}`, `"/state"`, get},
		{"the name of a state that is an object", `{"state":{"name":{"a":1}}}`, `"/state/name"`, get},
		{"a stage that is a text", `{"state":{"name":"IN_PROGRESS","stage":"PAUSED"}}`, `"/state/stage"`, get},
		{"the name of a stage that is a number", `{"state":{"stage":{"name":4711}}}`, `"/state/stage/name"`, get},
		{"a result that is a text", `{"state":{"name":"COMPLETED","result":"SUCCESSFUL"}}`, `"/state/result"`, get},
		{"the name of a result that is a list", `{"state":{"result":{"name":["FAILED"]}}}`, `"/state/result/name"`, get},
		{"a list for a run", `[{"uuid":"{1}"}]`, `""`, get},
		{"a text for a run", `"{1}"`, `""`, get},
		{"null for a run", `null`, "null", get},
		{"a UUID in a list", `{"values":[{"uuid":"{1}"},{"created_on":"","uuid":4711}]}`, `"/values/1/uuid"`, list},
		{"a state in a list", `{"values":[{},{},{},{"state":"COMPLETED"}]}`, `"/values/3/state"`, list},
		{"a text among the runs", `{"values":[{},"{2}"]}`, `"/values/1"`, list},
		{"a list among the runs", `{"values":[[]]}`, `"/values/0"`, list},
		{"values that are an object", `{"values":{"uuid":"{1}"}}`, `"/values"`, list},
		{"values that are a text", `{"values":"none"}`, `"/values"`, list},
		{"a next link that is a number", `{"values":[],"next":4711}`, `"/next"`, list},
		{"a next link that is an object", `{"values":[],"next":{"href":"x"}}`, `"/next"`, list},
		{"a size that is an object", `{"values":[],"size":{}}`, `"/size"`, list},
		{"a size that is no number", `{"values":[],"size":"many"}`, `"/size"`, list},
		{"a size that is no whole number", `{"values":[],"size":12.5}`, `"/size"`, list},
		{"a size beyond all numbers", `{"values":[],"size":1e400}`, `"/size"`, list},
		{"a list for a page", `[{"uuid":"{1}"}]`, `""`, list},
		{"a size of a parallel list", `{"values":[],"size":"many"}`, `"/size"`, parallel},
		{"a state of a step", `{"state":"COMPLETED"}`, `"/state"`, func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Steps.Get(ctx, repo, "1", "{s}")
			return err
		}},
		{"the status of a deployment", `{"state":{"name":"COMPLETED","status":"FAILED"}}`, `"/state/status"`, func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Deployments.Get(ctx, repo, "{d}")
			return err
		}},
		{"the status of a runner", `{"values":[{"state":{"status":{}}}]}`, `"/values/0/state/status"`, func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Runners.InWorkspace("acme").List(ctx, nil).Collect()
			return err
		}},
		{"the UUID of a test case", `{"values":[{},{"uuid":4711}]}`, `"/values/1/uuid"`, func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Steps.ListTestCases(ctx, repo, "1", "{s}", nil).Collect()
			return err
		}},
		{"a text for a test case", `{"values":["adds"]}`, `"/values/0"`, func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Steps.ListTestCases(ctx, repo, "1", "{s}", nil).Collect()
			return err
		}},
		{"a text for an execution", `{"values":["{x}"]}`, `"/values/0"`, func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Schedules.ListExecutions(ctx, repo, "{s}", nil).Collect()
			return err
		}},
		{"a text for a test report", `"none"`, `""`, func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Steps.GetTestReport(ctx, repo, "1", "{s}")
			return err
		}},
		{"the values of a list whose form isn't known", `{"values":"none"}`, `"/values"`, func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Steps.ListTestCaseReasons(ctx, repo, "1", "{s}", "{t}", nil).Collect()
			return err
		}},
		{"the URI of a cache's content", `{"uri":4711}`, `"/uri"`, func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Caches.GetContentURI(ctx, repo, "{c}")
			return err
		}},
		{"the UUID in the response to a PUT", `{"uuid":4711}`, `"/uuid"`, func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Variables.InRepository(repo).Update(ctx, "{v}", pipelines.VariableUpdate{Key: "K"})
			return err
		}},
		{"a run that is waited for", `{"state":"COMPLETED"}`, `"/state"`, func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Pipelines.Wait(ctx, repo, "1", nil)
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				c := inProcess(t, 3, func(req *http.Request) *http.Response {
					sent++
					return respond(req, 200, tc.body)
				})
				err := tc.call(t.Context(), c)
				require.ErrorContains(t, err, "its body cannot be read")
				require.ErrorContains(t, err, tc.pointer)
				require.NotContains(t, err.Error(), "4711", "nothing of it is repeated")
				require.Equal(t, 1, sent, "requests sent")
			})
		})
	}
}

func TestDecodeASizeInAnotherForm(t *testing.T) {
	for _, size := range []string{`"3"`, `3.0`, `3e0`} {
		t.Run(size, func(t *testing.T) {
			sent := 0
			c := inProcess(t, 3, func(req *http.Request) *http.Response {
				sent++
				return respond(req, 200, fmt.Sprintf(`{"values":[{"uuid":"{%d}"}],"size":%s}`, sent, size))
			})
			runs, err := c.Pipelines.List(t.Context(), repo, nil).Collect()
			require.NoError(t, err)
			require.Len(t, runs, 3, size)
		})
	}
}

func TestDecodeRetriesWhatIsNoJSON(t *testing.T) {
	for _, body := range []string{``, `{"uuid":`, `{"uuid":"{1}"}}`, `{"state":"COMPLETED"`, `<html>`, `{"size":1 "values":[]}`} {
		t.Run(fmt.Sprintf("%q", body), func(t *testing.T) {
			sent := 0
			c := inProcess(t, 3, func(req *http.Request) *http.Response {
				sent++
				return respond(req, 200, body)
			})
			_, err := c.Pipelines.Get(t.Context(), repo, "1")
			require.Error(t, err)
			require.Equal(t, 3, sent, body)
		})
	}
}

func TestDecodeSaysWhatABodyIsInsteadOfJSON(t *testing.T) {
	for body, says := range map[string]string{
		" \n<!DOCTYPE html><title>s3cret</title>": "it is a web page, not JSON",
		"no such host as s3cret":                  "it is text, not JSON",
		"the s3cret":                              "it is text, not JSON",
		`{"uuid":"{1}","s3cret`:                   "not JSON after 21 bytes: unexpected EOF",
		"true s3cret":                             "not JSON after 5 bytes: unexpected EOF",
	} {
		t.Run(body, func(t *testing.T) {
			c := inProcess(t, 1, func(req *http.Request) *http.Response { return respond(req, 200, body) })
			for name, call := range map[string]func() error{
				"Get": func() error { _, err := c.Pipelines.Get(t.Context(), repo, "1"); return err },
				"Do":  func() error { return c.Do(t.Context(), http.MethodGet, "/a", nil, new(any)) },
			} {
				err := call()
				require.ErrorIs(t, err, io.ErrUnexpectedEOF, name)
				require.NotContains(t, err.Error(), "s3cret", name)
				if name == "Get" {
					require.ErrorContains(t, err, "its body cannot be read: "+says)
				}
			}
		})
	}
}

func TestDecodeSkipsAByteOrderMark(t *testing.T) {
	c := inProcess(t, 1, func(req *http.Request) *http.Response {
		return respond(req, 200, "\ufeff"+`{"uuid":"{1}","values":[]}`)
	})
	p, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	require.Equal(t, "{1}", p.UUID)
	var out struct{ UUID string }
	require.NoError(t, c.Do(t.Context(), http.MethodGet, "/a", nil, &out))
	require.Equal(t, "{1}", out.UUID)
}

func TestDecodeReadsJSONThatIsNoUTF8AsFarAsItIs(t *testing.T) {
	srv := record(t, serveJSON("{\"uuid\":\"a\xffb\xc3\",\"\xfe\":1,\"next\":\"\xff\",\"values\":[{\"uuid\":\"\xed\xa0\x80\"}]}"))
	c := newClient(t, srv.base())
	p, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	require.Equal(t, "a\uFFFDb\uFFFD", p.UUID)

	runs, err := c.Pipelines.List(t.Context(), repo, nil).Collect()
	require.ErrorContains(t, err, "read before", "a link is followed as far as it is one")
	require.Len(t, runs, 2, "the page whose link leads back comes before the error")
	require.Equal(t, "\uFFFD\uFFFD\uFFFD", runs[0].UUID)
}

func TestDecodeTakesNoWebPageForSuccess(t *testing.T) {
	srv := record(t, serve(200, "text/html; charset=utf-8", "<html>Sign in to the network"))
	c := newClient(t, srv.base())
	require.ErrorContains(t, c.Pipelines.Stop(t.Context(), repo, "1"), "it is a web page")
	require.ErrorContains(t, c.Caches.Delete(t.Context(), repo, "{c}"), "it is a web page")
	require.ErrorIs(t, c.Deployments.UpdateEnvironment(t.Context(), repo, "{e}", pipelines.EnvironmentUpdate{Name: new("x")}), pipelines.ErrOutcomeUnknown)
}
