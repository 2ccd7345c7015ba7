// The tests in this file prove that the server works with HTTP clients other than the SDK's.

package pipelinestest_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// endedLog is the path of a log in the storage.
func (f *fixture) endedLog() string {
	f.t.Helper()
	f.repo.Script("main", logged)
	path := f.started()
	f.clock.Advance(time.Hour)
	return f.step(path, 0) + "/log"
}

// follow gets a URL with an Authorization header and the redirects of net/http.
func follow(t *testing.T, client *http.Client, u string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer token")
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

func TestAnHTTPClientThatFollowsRedirectsGetsTheLog(t *testing.T) {
	f := setup(t)
	log := f.endedLog()
	own := httptest.NewServer(f.srv.Handler())
	defer own.Close()
	f.client.CheckRedirect = nil
	for name, base := range map[string]string{
		"by the address":             f.srv.URL(),
		"by the name":                strings.Replace(f.srv.URL(), "127.0.0.1", "localhost", 1),
		"at a server of one's own":   own.URL + "/2.0",
		"at its own server, by name": strings.Replace(own.URL, "127.0.0.1", "localhost", 1) + "/2.0",
	} {
		status, text := follow(t, f.client, base+log)
		require.Equal(t, http.StatusOK, status, name+": "+text)
		require.Equal(t, logged.Steps[0].Log, text, name)
	}
	for _, r := range f.srv.Requests() {
		require.Equal(t, r.Storage, r.Header.Get("Authorization") == "", r.String())
	}
}

// raw sends a request without an HTTP client and returns the response.
func (f *fixture) raw(text string) response {
	f.t.Helper()
	u, err := url.Parse(f.srv.URL())
	require.NoError(f.t, err)
	conn, err := (&net.Dialer{}).DialContext(f.t.Context(), "tcp", u.Host)
	require.NoError(f.t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, strings.ReplaceAll(text, "\n", "\r\n"))
	require.NoError(f.t, err)
	method, _, _ := strings.Cut(text, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	require.NoError(f.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(f.t, err)
	return response{resp, f.t, string(body)}
}

func TestBracesInAPathNeedNoEncoding(t *testing.T) {
	f := setup(t)
	one := f.repo.AddVariable(pipelines.Variable{Key: "A", Value: "b"}).UUID
	path := site + "/pipelines_config/variables/"
	a := f.raw("GET /2.0" + path + one + " HTTP/1.1\nHost: x\nAuthorization: Bearer x\nConnection: close\n\n")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Equal(t, "b", a.At("value"))
	body := `{"value":"c"}`
	a = f.raw(fmt.Sprintf("PUT /2.0%s%s HTTP/1.1\nHost: x\nAuthorization: Bearer x\nConnection: close\nContent-Length: %d\n\n%s", path, one, len(body), body))
	require.Equal(t, "c", a.At("value"), a.text)
	require.Len(t, f.srv.RequestsTo(http.MethodGet, path+escape(one)), 1, "recorded in encoded form")

	a = f.raw("GET /2.0/repositories/acme%2Fsite/" + f.repo.UUID() + "/pipelines HTTP/1.1\nHost: x\nAuthorization: Bearer x\nConnection: close\n\n")
	require.Equal(t, http.StatusNotFound, a.StatusCode, "an encoded slash stays within its element")
	require.Contains(t, a.Header.Get("Content-Type"), "text/html")

	a = f.raw("GET /2.0" + path + strings.Trim(one, "{}") + " HTTP/1.1\nHost: x\nAuthorization: Bearer x\nConnection: close\n\n")
	require.Equal(t, http.StatusBadRequest, a.StatusCode, "a UUID without braces")
}

func TestAnHTTP10RequestNeedsNoHost(t *testing.T) {
	f := setup(t)
	f.repo.AddPipelines(11)
	a := f.raw("GET /2.0" + site + "/pipelines HTTP/1.0\nAuthorization: bearer x\n\n")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Equal(t, f.srv.URL()+site+"/pipelines?page=2&pagelen=10", a.At("next"))
	require.Len(t, f.get(a.At("next").(string)).Values("uuid"), 1)
}

func TestAHEADResponseIsThatOfGETWithoutTheBody(t *testing.T) {
	for name, opts := range map[string][]pipelinestest.ServerOption{"over a socket": nil, "in process": {pipelinestest.WithInProcess()}} {
		t.Run(name, func(t *testing.T) {
			f := setup(t, opts...)
			if opts != nil {
				f.client.Transport = f.srv.Transport()
			}
			f.repo.AddPipelines(3)
			log := f.endedLog()
			for path, status := range map[string]int{
				site + "/pipelines": 200, site + "/pipelines/1": 200, site + "/pipelines/99": 404, "/nothing": 404, log: 307,
				site + "/pipelines/1/stopPipeline": 405,
			} {
				a := f.send(http.MethodHead, path, "")
				require.Equal(t, status, a.StatusCode, path)
				require.Empty(t, a.text, path)
				got := f.get(path)
				require.Equal(t, got.ContentLength, a.ContentLength, path)
				require.Equal(t, got.Header.Get("Content-Type"), a.Header.Get("Content-Type"), path)
			}
		})
	}
}

func TestRequestsOfOtherClientsAreAccepted(t *testing.T) {
	f := setup(t)
	f.repo.AddPipelines(3)
	uuid := f.repo.Pipelines()[0].Creator.UUID
	for _, path := range []string{
		"/pipelines/", "/pipelines/1/", "/pipelines?creator.uuid=" + escape(uuid), "/pipelines?creator.uuid=" + strings.Trim(uuid, "{}"),
		"/environments/", "/pipelines_config/variables/?pagelen=100", "/pipelines/?page=1&pagelen=100&sort=-created_on",
	} {
		a := f.get(site+path, "Authorization", "bearer  token", "Accept", "", "User-Agent", "")
		require.Equal(t, http.StatusOK, a.StatusCode, path+": "+a.text)
		if strings.HasPrefix(path, "/pipelines?") {
			require.EqualValues(t, 3, a.At("size"), path)
		}
	}
	created := f.send(http.MethodPost, site+"/environments/", `{"name":"QA","environment_type":{"name":"Test"}}`)
	require.Equal(t, http.StatusCreated, created.StatusCode)
	require.Equal(t, f.srv.URL()+site+"/environments/"+escape(created.At("uuid").(string)), created.Header.Get("Location"))
	changed := f.send(http.MethodPost, site+"/environments/"+escape(created.At("uuid").(string))+"/changes/", `{"change":{"name":"Q"}}`)
	require.Equal(t, http.StatusAccepted, changed.StatusCode)
}
