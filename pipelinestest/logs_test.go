package pipelinestest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const service = "{11111111-2222-4333-8444-555555555555}"

var logged = pipelinestest.Script{Pending: time.Second, Steps: []pipelinestest.Step{
	{Duration: 10 * time.Second, Log: "first\nsecond\nthird\nfourth\nfifth", Services: map[string]string{service: "ready\n"}},
	{Duration: 10 * time.Second},
}}

func TestALogGrowsByLines(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", logged)
	path := f.started()
	log := f.step(path, 0) + "/log"
	for _, moment := range []struct {
		wait   time.Duration
		status int
		text   string
	}{
		{0, 404, ""},
		{time.Second, 404, ""},
		{2 * time.Second, 200, "first\n"},
		{3 * time.Second, 200, "first\nsecond\n"},
		{4 * time.Second, 200, "first\nsecond\nthird\nfourth\n"},
	} {
		f.clock.Advance(moment.wait)
		a := f.get(log, "Accept", "*/*")
		require.Equal(t, moment.status, a.StatusCode, a.text)
		if moment.status == http.StatusOK {
			require.Equal(t, moment.text, a.text)
			require.Equal(t, "application/octet-stream", a.Header.Get("Content-Type"))
		}
	}
	f.clock.Advance(time.Second)
	require.Equal(t, http.StatusTemporaryRedirect, f.get(log).StatusCode)
}

func TestAMissingLogIsNotFound(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", logged)
	path := f.started()
	f.clock.Advance(time.Hour)
	uuid := f.get(path + "/steps").Values("uuid")[1].(string)
	a := f.get(path + "/steps/" + escape(uuid) + "/log")
	require.Equal(t, http.StatusNotFound, a.StatusCode)
	require.Equal(t, "Log in step "+uuid+" does not exist.", a.At("error.detail"))
}

func TestALogIsNotAcceptableAsJSON(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", logged)
	path := f.started()
	f.clock.Advance(10 * time.Second)
	log := f.step(path, 0) + "/log"
	for accept, status := range map[string]int{
		"": 200, "*/*": 200, "application/*": 200, "application/octet-stream": 200, "text/html, application/octet-stream;q=0.5": 200,
		"application/json": 406, "text/plain": 406,
	} {
		require.Equal(t, status, f.get(log, "Accept", accept).StatusCode, accept)
	}
}

func TestARunningLogIsServedInRanges(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", logged)
	path := f.started()
	f.clock.Advance(3 * time.Second)
	log := f.step(path, 0) + "/log"
	for bytes, want := range map[string]string{"bytes=2-": "rst\n", "bytes=2-3": "rs", "bytes=-3": "st\n"} {
		a := f.get(log, "Range", bytes)
		require.Equal(t, http.StatusPartialContent, a.StatusCode)
		require.Equal(t, want, a.text)
	}
	nothingNew := f.get(log, "Range", "bytes=6-")
	require.Equal(t, http.StatusRequestedRangeNotSatisfiable, nothingNew.StatusCode)
	require.Equal(t, "bytes */6", nothingNew.Header.Get("Content-Range"))
}

func TestTheLogOfAnEndedStepIsServedByTheStorage(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", logged)
	path := f.started()
	f.clock.Advance(time.Hour)
	log := f.step(path, 0) + "/log"
	link := f.get(log).Header.Get("Location")
	require.NotEqual(t, strings.Split(f.srv.URL(), "/")[2], strings.Split(link, "/")[2], "another origin")

	a := f.get(link, "Authorization", "")
	require.Equal(t, http.StatusOK, a.StatusCode)
	require.Equal(t, logged.Steps[0].Log, a.text)
	require.Equal(t, "bytes", a.Header.Get("Accept-Ranges"))
	etag := a.Header.Get("Etag")
	require.NotEmpty(t, etag)

	part := f.get(link, "Authorization", "", "Range", "bytes=6-11", "If-Range", etag)
	require.Equal(t, http.StatusPartialContent, part.StatusCode)
	require.Equal(t, "second", part.text)
	require.Equal(t, "bytes 6-11/31", part.Header.Get("Content-Range"))
	require.Equal(t, http.StatusOK, f.get(link, "Authorization", "", "Range", "bytes=6-11", "If-Range", `"other"`).StatusCode)
	require.Equal(t, http.StatusRequestedRangeNotSatisfiable, f.get(link, "Authorization", "", "Range", "bytes=31-").StatusCode)
	require.Equal(t, http.StatusNotModified, f.get(log, "If-None-Match", etag).StatusCode)
	require.Equal(t, http.StatusTemporaryRedirect, f.get(log, "If-None-Match", `"other"`).StatusCode)

	last := f.srv.Requests()
	require.True(t, last[len(last)-3].Storage)
	require.False(t, last[len(last)-1].Storage)
}

func TestContainerLogs(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", logged)
	path := f.started()
	f.clock.Advance(time.Hour)
	step := f.step(path, 0)
	for id, want := range map[string]string{service: "ready\n", f.get(step).At("uuid").(string): logged.Steps[0].Log} {
		a := f.get(step + "/logs/" + escape(id))
		require.Equal(t, http.StatusTemporaryRedirect, a.StatusCode)
		require.Equal(t, want, f.get(a.Header.Get("Location"), "Authorization", "").text)
	}
	require.Equal(t, http.StatusNotFound, f.get(step+"/logs/%7B1%7D").StatusCode)
}

func TestTheLogOfAStoppedStepStopsGrowing(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", logged)
	path := f.started()
	f.clock.Advance(4 * time.Second)
	f.send(http.MethodPost, path+"/stopPipeline", "")
	f.clock.Advance(time.Hour)
	link := f.get(f.step(path, 0) + "/log").Header.Get("Location")
	require.Equal(t, "first\nsecond\n", f.get(link, "Authorization", "").text)
}
