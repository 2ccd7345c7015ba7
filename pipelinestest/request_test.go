package pipelinestest_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestRequestsAreRecorded(t *testing.T) {
	f := setup(t)
	f.send(http.MethodPost, site+"/pipelines?secret=query", `{"target":`+mainBranch+`,"variables":[{"key":"K","value":"hidden"}]}`, "Content-Type", "application/json")
	f.get("/nothing%2Fhere")
	requests := f.srv.Requests()
	require.Len(t, requests, 2)
	r := requests[0]
	require.Equal(t, http.MethodPost, r.Method)
	require.Equal(t, "/2.0"+site+"/pipelines", r.Path)
	require.Equal(t, "query", r.Query.Get("secret"))
	require.Equal(t, "Bearer token", r.Header.Get("Authorization"))
	require.Contains(t, string(r.Body), "hidden")
	require.Equal(t, http.StatusCreated, r.Status)
	require.Equal(t, f.clock.Now(), r.Time)
	require.NotEmpty(t, r.Host)
	require.Equal(t, "/2.0/nothing%2Fhere", requests[1].Path)

	r.Header.Set("Authorization", "changed")
	require.Equal(t, "Bearer token", f.srv.Requests()[0].Header.Get("Authorization"), "the result is a copy")
	f.srv.ClearRequests()
	require.Empty(t, f.srv.Requests())
}

func TestPrintedRequestsContainNoSecrets(t *testing.T) {
	f := setup(t)
	f.get(site+"/pipelines?key=concealed", "Authorization", "Bearer concealed")
	requests := f.srv.Requests()
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("arrived", "request", requests[0])
	texts := []string{log.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, requests), fmt.Sprintf(verb, requests[0]), fmt.Sprintf(verb, &requests[0]))
	}
	for _, text := range texts {
		require.NotContains(t, text, "concealed")
		require.Contains(t, text, "/2.0"+site+"/pipelines")
	}
	require.Equal(t, "GET /x 200 (storage)", pipelinestest.Request{Method: "GET", Path: "/x", Status: 200, Storage: true}.String())
}

func TestRequestsToAPath(t *testing.T) {
	f := setup(t)
	path := f.started()
	f.get(site + "/pipelines")
	f.get(path)
	for _, c := range []struct {
		method, path string
		n            int
	}{
		{"", "", 3},
		{http.MethodGet, "", 2},
		{"", pipelinesTemplate, 2},
		{http.MethodGet, "/2.0" + pipelinesTemplate, 1},
		{http.MethodGet, pipelinesTemplate + "/{pipeline_uuid}", 1},
		{http.MethodGet, "/2.0" + path, 1},
		{http.MethodDelete, pipelinesTemplate, 0},
	} {
		require.Len(t, f.srv.RequestsTo(c.method, c.path), c.n, "%s %s", c.method, c.path)
	}
	require.Len(t, f.srv.Requests(), 3)
	require.Panics(t, func() { f.srv.RequestsTo("post", "") })
	require.Panics(t, func() { f.srv.RequestsTo("", "/[") })
}
