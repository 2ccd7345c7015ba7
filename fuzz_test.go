package pipelines_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// The fuzz targets of the package. Each proves that no input makes it panic, and what must hold for every input besides.

func FuzzPath(f *testing.F) {
	for _, seed := range []string{"", ".", "..", "a/b", "../x", "?", "#", "%2F", "%2e%2e", "{a}", "ä", "\x00", "a b", "//", "11111111-2222-4333-8444-555555555555"} {
		f.Add(seed, "x")
		f.Add("x", seed)
	}
	f.Fuzz(func(t *testing.T, workspace, id string) {
		var sent *url.URL
		c := inProcess(t, 1, func(req *http.Request) *http.Response {
			sent = req.URL
			return respond(req, 200, `{}`)
		})
		_, err := c.Pipelines.Get(t.Context(), pipelines.Repo{Workspace: workspace, Slug: "s"}, id)
		for _, element := range []string{workspace, id} {
			if element == "" || element == "." || element == ".." {
				require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
				require.Nil(t, sent)
				return
			}
		}
		require.NoError(t, err)
		elements := strings.Split(sent.EscapedPath(), "/")
		require.Len(t, elements, 7)
		for i, want := range map[int]string{3: workspace, 6: id} {
			got, err := url.PathUnescape(elements[i])
			require.NoError(t, err)
			if got != "{"+want+"}" { // a bare UUID
				require.Equal(t, want, got)
			}
		}
	})
}

// decoders decode a response into each model.
var decoders = map[string]func(context.Context, *pipelines.Client) (any, error){
	"Pipeline": func(ctx context.Context, c *pipelines.Client) (any, error) { return c.Pipelines.Get(ctx, repo, "1") },
	"Pipelines": func(ctx context.Context, c *pipelines.Client) (any, error) {
		return c.Pipelines.List(ctx, repo, nil).Collect()
	},
	"Step": func(ctx context.Context, c *pipelines.Client) (any, error) { return c.Steps.Get(ctx, repo, "1", "s") },
	"TestReport": func(ctx context.Context, c *pipelines.Client) (any, error) {
		return c.Steps.GetTestReport(ctx, repo, "1", "s")
	},
	"TestCases": func(ctx context.Context, c *pipelines.Client) (any, error) {
		return c.Steps.ListTestCases(ctx, repo, "1", "s", nil).Collect()
	},
	"TestCaseReasons": func(ctx context.Context, c *pipelines.Client) (any, error) {
		return c.Steps.ListTestCaseReasons(ctx, repo, "1", "s", "t", nil).Collect()
	},
	"Variable": func(ctx context.Context, c *pipelines.Client) (any, error) {
		return c.Variables.InRepository(repo).Get(ctx, "v")
	},
	"Environment": func(ctx context.Context, c *pipelines.Client) (any, error) {
		return c.Deployments.GetEnvironment(ctx, repo, "e")
	},
	"Deployment": func(ctx context.Context, c *pipelines.Client) (any, error) { return c.Deployments.Get(ctx, repo, "d") },
	"Schedule":   func(ctx context.Context, c *pipelines.Client) (any, error) { return c.Schedules.Get(ctx, repo, "s") },
	"Executions": func(ctx context.Context, c *pipelines.Client) (any, error) {
		return c.Schedules.ListExecutions(ctx, repo, "s", nil).Collect()
	},
	"KeyPair":   func(ctx context.Context, c *pipelines.Client) (any, error) { return c.SSH.GetKeyPair(ctx, repo) },
	"KnownHost": func(ctx context.Context, c *pipelines.Client) (any, error) { return c.SSH.GetKnownHost(ctx, repo, "h") },
	"Caches": func(ctx context.Context, c *pipelines.Client) (any, error) {
		return c.Caches.List(ctx, repo, nil).Collect()
	},
	"Config": func(ctx context.Context, c *pipelines.Client) (any, error) { return c.Config.Get(ctx, repo) },
	"OIDC":   func(ctx context.Context, c *pipelines.Client) (any, error) { return c.OIDC.GetConfiguration(ctx, "w") },
	"Keys":   func(ctx context.Context, c *pipelines.Client) (any, error) { return c.OIDC.GetKeys(ctx, "w") },
	"Runner": func(ctx context.Context, c *pipelines.Client) (any, error) {
		return c.Runners.InWorkspace("w").Get(ctx, "r")
	},
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"values":[{"name":"a","duration":"PT1S","reason":{"message":"m"}},null,7]}`))
	f.Add([]byte(`{"values":[{"pipeline":{"uuid":"{p}"},"error":"no"}],"size":-1,"page":-1}`))
	f.Add([]byte(`[{"message":["a"],"reason":{"reason":{"message":1}}}]`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AA","e":"AQAB"}],"state":{"name":"COMPLETED","result":{"name":"x"}}}`))
	f.Add([]byte("{\"uuid\":\"\xff\",\"uuid\":null,\"created_on\":\"2026-08-01T10:12:13.1234567891Z\"}"))
	for _, name := range []string{"pipeline_full.json", "step_full.json"} {
		f.Add([]byte(readSeed(f, name)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		asked := 0
		c := inProcess(t, 1, func(req *http.Request) *http.Response {
			if asked++; asked > 100 { // a body that links to ever new pages
				return respond(req, 200, `{}`)
			}
			return respond(req, 200, string(body))
		})
		for name, decode := range decoders {
			asked = 0
			got, err := decode(t.Context(), c)
			if err != nil {
				continue
			}
			_, err = json.Marshal(got)
			require.NoError(t, err, "what decodes encodes again: %s", name)
			_ = fmt.Sprintf("%v %+v %#v", got, got, got)
			if set, ok := got.(*pipelines.JSONWebKeySet); ok {
				for _, key := range set.Keys {
					_, _ = key.PublicKey()
				}
			}
		}
	})
}

func readSeed(f *testing.F, name string) string {
	f.Helper()
	data, err := os.ReadFile("testdata/" + name)
	require.NoError(f, err)
	return string(data)
}

func FuzzErrorBody(f *testing.F) {
	for _, body := range []string{
		`{"type":"error","error":{"message":"m","detail":{"required":["a"],"granted":[]},"fields":{"a":["b"],"c":"d"},"data":{"key":"k.k"}}}`,
		`{"error":"invalid_client","error_description":"d"}`, `{"message":"m","key":"k"}`, `<html>`, "Rate limit\x1b[2J", "\xff\xfe", `{"error":[[[[`, `null`, `"x"`,
		`{"errors":[{"message":"m"},"n",{"field":"f","message":["t0ken"]}],"errorMessages":{"a":[1,true]}}`, "\xef\xbb\xbf" + `{"title":"t","detail":["d"],"data":"x"}`,
		`{"error":{"message":"a-key: t0\u006ben","fields":["x"],"data":{"arguments":{"t%30ken":[{"a":"\n"}]}},"id":7`, `Bearer t0&#107;en dDBrZW4=`, `{"detail":{"required":"a"}}`,
	} {
		f.Add(400, "application/json", body)
		f.Add(503, "text/plain", body)
	}
	f.Fuzz(func(t *testing.T, status int, contentType, body string) {
		if status < 400 || status > 999 {
			return
		}
		c := inProcess(t, 1, func(req *http.Request) *http.Response {
			resp := respond(req, status, body)
			resp.Header.Set("Content-Type", contentType)
			return resp
		})
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		var e *pipelines.APIError
		require.ErrorAs(t, err, &e)
		require.Equal(t, status, e.StatusCode)
		require.LessOrEqual(t, len(e.Body), 4<<10)
		require.False(t, strings.ContainsFunc(err.Error(), unicode.IsControl), "%q", err)
		require.True(t, utf8.ValidString(err.Error()), "%q", err)
		require.Less(t, len(err.Error()), 8<<10)
		require.NotContains(t, fmt.Sprint(err, string(e.Body), e.Message, e.Detail, e.Key, e.Fields, e.Data), "t0ken")
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{"", "0", "120", "-1", "1.5", "soon", "31536000", "99999999999999999999999", "Mon, 01 Jan 2035 00:00:00 GMT", "Mon, 01 Jan 1990 00:00:00 GMT"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		c := inProcess(t, 1, func(req *http.Request) *http.Response {
			resp := respond(req, 429, "")
			resp.Header["Retry-After"] = []string{value}
			return resp
		})
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		var e *pipelines.APIError
		require.ErrorAs(t, err, &e)
		require.GreaterOrEqual(t, e.RetryAfter, time.Duration(0))
		if seconds, err := strconv.ParseUint(value, 10, 16); err == nil {
			require.Equal(t, time.Duration(seconds)*time.Second, e.RetryAfter)
		}
	})
}

// FuzzRange reads a log from a server that lies about what it sends: each response takes two bytes of the script. Every body has the
// right bytes for the place that its header names, so whatever is read has to be a piece of the log from the offset on.
func FuzzRange(f *testing.F) {
	f.Add([]byte{0, 0}, uint16(0), uint16(0), uint16(0))
	f.Add([]byte{1, 7, 2, 9, 3, 3, 4, 1, 5, 5, 6, 0}, uint16(10), uint16(0), uint16(0))
	f.Add([]byte{2, 0, 2, 200, 0, 3, 1, 1}, uint16(100), uint16(500), uint16(0))
	f.Add([]byte{10, 100, 8, 100, 10, 250, 8, 250}, uint16(0), uint16(0), uint16(0))
	f.Add([]byte{5, 100, 11, 3, 9, 0, 8, 9}, uint16(300), uint16(0), uint16(0))
	f.Add([]byte{10, 250, 4, 0}, uint16(0), uint16(0), uint16(30))
	content := noise(1000)
	stored := zip(f, content, 2)
	f.Fuzz(func(t *testing.T, script []byte, offset, length, tail uint16) {
		if tail > 0 {
			offset, length = 0, 0
		}
		asked, endIsTrue := 0, true
		c := inProcess(t, 2, func(req *http.Request) *http.Response {
			kind, n := byte(0), 0
			if asked++; 2*asked <= len(script) {
				kind, n = script[2*asked-2]%12, int(script[2*asked-1])
			}
			endIsTrue = endIsTrue && kind != 7 && kind != 8
			if kind == 9 || kind == 11 {
				return lieCompressed(req, stored, kind == 11, n)
			}
			return lie(req, content, kind, n, asked > 50)
		})
		log, err := c.Steps.GetLog(t.Context(), repo, "1", "s", &pipelines.LogOptions{Offset: int64(offset), Length: int64(length), Tail: int64(tail)})
		if err != nil {
			return
		}
		defer log.Close()
		got, err := io.ReadAll(log)
		if tail > 0 { // a lie about the size moves it
			require.LessOrEqual(t, len(got), int(tail))
			require.True(t, bytes.Contains(content, got), "%d bytes are not the log's", len(got))
			return
		}
		rest := content[min(int(offset), len(content)):]
		require.True(t, bytes.HasPrefix(rest, got), "%d bytes from %d on are not the log's", len(got), offset)
		if length > 0 {
			require.LessOrEqual(t, len(got), int(length))
		}
		if len(script) == 0 {
			require.NoError(t, err)
		}
		if err == nil && length == 0 && endIsTrue {
			require.Len(t, got, len(rest), "an end that is none")
		}
	})
}

// lieCompressed responds with the content as it lies in storage, or with the end of that.
func lieCompressed(req *http.Request, stored []byte, end bool, n int) *http.Response {
	resp := respond(req, 200, string(stored))
	if end {
		n = min(n, len(stored)-1)
		resp = respond(req, 206, string(stored[n:]))
		resp.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", n, len(stored)-1, len(stored)))
	}
	resp.Header.Set("Content-Encoding", "gzip")
	return resp
}

// lie responds to a request for a range in one of ten ways.
func lie(req *http.Request, content []byte, kind byte, n int, stop bool) *http.Response {
	var from int
	_, _ = fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-", &from)
	partial := func(from, to int, size string) *http.Response {
		from = max(0, min(from, len(content)-1))
		to = max(from+1, min(to, len(content)))
		resp := respond(req, 206, string(content[from:to]))
		resp.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%s", from, to-1, size))
		return resp
	}
	switch {
	case stop:
		return respond(req, 403, "")
	case kind == 0 && from < len(content): // the truth
		return partial(from, len(content), strconv.Itoa(len(content)))
	case kind == 1: // another beginning
		return partial(from-100+n, len(content), strconv.Itoa(len(content)))
	case kind == 2: // a piece
		return partial(from, from+n, strconv.Itoa(len(content)))
	case kind == 3: // a piece of an unknown whole
		return partial(from, from+n, "*")
	case kind == 4: // the whole, of unknown length
		resp := respond(req, 200, string(content))
		resp.ContentLength = -1
		return resp
	case kind == 5: // cut off
		resp := partial(from, len(content), strconv.Itoa(len(content)))
		resp.Body = io.NopCloser(io.MultiReader(io.LimitReader(resp.Body, int64(n)), failingReader{}))
		resp.Header.Set("ETag", `"`+strconv.Itoa(n%2)+`"`)
		return resp
	case kind == 6: // no range that anybody understands
		resp := respond(req, 206, string(content))
		resp.Header.Set("Content-Range", strconv.Itoa(n))
		return resp
	case kind == 8: // past the end of nobody knows what
		resp := respond(req, 416, "")
		resp.Header.Set("Content-Range", fmt.Sprintf("bytes */%d", 4*n))
		return resp
	case kind == 10: // the whole or less of it, and nothing tells
		resp := respond(req, 200, string(content[:min(4*n, len(content))]))
		resp.ContentLength, resp.Close = -1, true
		return resp
	}
	return respond(req, 416, "")
}

func FuzzNextLink(f *testing.F) {
	for _, link := range []string{
		"http://api.example/2.0/x?page=2", "//evil.example/x", "http://api.example@evil.example/", "http://API.EXAMPLE:80/x", "https://api.example/x",
		"file:///etc/passwd", "javascript:alert(1)", "?page=2", "/x", "http://[::1", "http://api.example.evil.example/", "http:\\\\evil.example", "\x00",
	} {
		f.Add(link, 3)
	}
	f.Fuzz(func(t *testing.T, link string, size int) {
		var asked atomic.Int32
		c := inProcess(t, 1, func(req *http.Request) *http.Response {
			n := asked.Add(1)
			require.Equal(t, "http", req.URL.Scheme)
			require.Equal(t, "api.example", strings.TrimSuffix(strings.ToLower(req.URL.Host), ":80"))
			next, err := json.Marshal(link)
			require.NoError(t, err)
			return respond(req, 200, fmt.Sprintf(`{"values":[{"build_number":%d}],"size":%d,"next":%s}`, n, size%10, next))
		})
		for _, parallel := range []int{0, 3} {
			_, _ = c.Pipelines.List(t.Context(), repo, nil).Parallel(parallel).Collect()
		}
		require.Less(t, asked.Load(), int32(50))
	})
}

func FuzzParseKnownHosts(f *testing.F) {
	for _, text := range []string{"# c\nexample.com " + edKeyLine, "a,b,[c]:22 " + edKeyLine + " x", "|1|a|b ssh-rsa AAAA", "@revoked * x y", "x ssh-rsa /////w=="} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		hosts, err := pipelines.ParseKnownHosts(strings.NewReader(text))
		if err != nil {
			require.Empty(t, hosts)
			return
		}
		var again strings.Builder
		for _, host := range hosts {
			require.NotEmpty(t, host.Hostname)
			fmt.Fprintln(&again, host.Hostname, host.KeyType, host.Key)
		}
		reread, err := pipelines.ParseKnownHosts(strings.NewReader(again.String()))
		require.NoError(t, err)
		require.Equal(t, hosts, reread)
	})
}

func FuzzParseRepo(f *testing.F) {
	for _, s := range []string{"a/b", "", "/", "a/", "../b", "a/b/c", "{11111111-2222-4333-8444-555555555555}/x", " a/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := pipelines.ParseRepo(s)
		if err != nil {
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
			return
		}
		require.Equal(t, s, got.String())
	})
}
