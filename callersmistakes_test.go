package pipelines_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestTheRawBodyOfAParallelListIsThatOfThePageAtHand(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		page := req.URL.Query().Get("page")
		if page == "" {
			page = "1"
		}
		var n int
		fmt.Sscan(page, &n)
		next := ""
		if n < 8 {
			next = fmt.Sprintf(`,"next":"http://%s%s?pagelen=1&page=%d"`, req.Host, req.URL.Path, n+1)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"size":8,"page":%d,"pagelen":1,"values":[{"key":"K%d"}]%s}`, n, n, next)
	})
	c := newClient(t, srv.base())
	var raw []byte
	n := 0
	for page, err := range c.Variables.InRepository(repo).List(t.Context(), &pipelines.ListOptions{PageLen: 1}, pipelines.WithRawBody(&raw)).Parallel(4).Pages() {
		require.NoError(t, err)
		n++
		require.Contains(t, string(raw), fmt.Sprintf(`"page":%d`, page.Number))
	}
	require.Equal(t, 8, n)
}

func TestDoMasksTheSecretsOfAListToo(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(400)
		fmt.Fprint(w, `{"error":{"message":"refused s3cretvalue1"}}`)
	})
	c := newClient(t, srv.base())
	one := pipelines.VariableRequest{Key: "K", Value: "s3cretvalue1"}
	for name, body := range map[string]any{
		"one": one, "pointer": &one, "list": []pipelines.VariableRequest{one}, "pointers": []*pipelines.VariableRequest{&one, nil},
		"map": map[string]pipelines.VariableRequest{"a": one}, "pointer to list": &[]pipelines.VariableRequest{one},
		"updates": []pipelines.VariableUpdate{{Value: &one.Value}},
		"run":     &pipelines.RunRequest{Variables: []pipelines.VariableRequest{one}},
		"change":  pipelines.VariableChange{After: one},
		"plan":    &pipelines.SyncPlan{Create: []pipelines.VariableRequest{one}},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.Do(t.Context(), "POST", "/x", body, nil)
			var e *pipelines.APIError
			require.ErrorAs(t, err, &e)
			require.NotContains(t, err.Error()+string(e.Body), "s3cretvalue1")
		})
	}
}

func TestANilPointerToARequestIsABody(t *testing.T) {
	srv := record(t, answerJSON(`{}`))
	c := newClient(t, srv.base())
	require.NotPanics(t, func() {
		_ = c.Do(t.Context(), "POST", "/x", (*pipelines.VariableRequest)(nil), nil)
		_ = c.Do(t.Context(), "POST", "/x", (*pipelines.RunRequest)(nil), nil)
		_ = c.Do(t.Context(), "POST", "/x", []*pipelines.VariableUpdate{nil}, nil)
	})
}

func TestALogTellsWhyItsContextEnded(t *testing.T) {
	why := errors.New("the deploy was called off")
	ctx, cancel := context.WithCancelCause(t.Context())
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "hello")
		w.(http.Flusher).Flush()
		<-req.Context().Done()
	})
	c := newClient(t, srv.base())
	l, err := c.Steps.GetLog(ctx, repo, "1", "s", nil)
	require.NoError(t, err)
	defer l.Close()
	buf := make([]byte, 5)
	_, err = io.ReadFull(l, buf)
	require.NoError(t, err)
	cancel(why)
	_, err = io.ReadAll(l)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, why)
}

func TestMaxAttemptsOfACallHoldsForTheResumingOfItsLog(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "hello")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	c := newClient(t, srv.base())
	l, err := c.Steps.GetLog(t.Context(), repo, "1", "s", nil, pipelines.WithMaxAttempts(1))
	require.NoError(t, err)
	defer l.Close()
	_, err = io.ReadAll(l)
	require.Error(t, err)
	require.Len(t, srv.seen(), 1)
}

func TestANilContextIsNoPanicOfLogs(t *testing.T) {
	c := newClient(t, "http://127.0.0.1:1")
	require.NotPanics(t, func() {
		_, err := c.Steps.FollowLog(nil, repo, "1", "s", nil) //nolint:staticcheck // on purpose
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
		_, err = c.Steps.GetLog(nil, repo, "1", "s", &pipelines.LogOptions{TailLines: 4}) //nolint:staticcheck // on purpose
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	})
}

// counted is a body that counts how many are open.
type counted struct {
	io.ReadCloser
	open *atomic.Int32
	once sync.Once
}

func (c *counted) Close() error { c.once.Do(func() { c.open.Add(-1) }); return c.ReadCloser.Close() }

func TestTheTailOfALogLeavesNoConnection(t *testing.T) {
	log := []byte(strings.Repeat("0123456789abcde\n", 20000)) // 320 kB
	for _, ranges := range []bool{true, false} {
		var open atomic.Int32
		c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
			resp := respond(req, 200, "")
			from, to := 0, len(log)
			if r := req.Header.Get("Range"); r != "" && ranges {
				var a, b int
				if n, _ := fmt.Sscanf(r, "bytes=%d-%d", &a, &b); strings.HasPrefix(r, "bytes=-") {
					fmt.Sscanf(r, "bytes=-%d", &b)
					from = max(0, len(log)-b)
				} else if n == 2 {
					from, to = a, min(b+1, len(log))
				} else {
					from = a
				}
				resp.StatusCode = 206
				resp.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(log)))
			}
			resp.ContentLength = int64(to - from)
			open.Add(1)
			resp.Body = &counted{ReadCloser: io.NopCloser(bytes.NewReader(log[from:to])), open: &open}
			return resp, nil
		})
		for _, n := range []int{1, 10, 5000, 9000, 19999, 20000, 20001, 1 << 40} {
			l, err := c.Steps.GetLog(t.Context(), repo, "1", "s", &pipelines.LogOptions{TailLines: n})
			require.NoError(t, err)
			text, err := io.ReadAll(l)
			require.NoError(t, err)
			require.Equal(t, min(n, 20000), bytes.Count(text, []byte("\n")))
			require.NoError(t, l.Close())
			require.Zero(t, open.Load(), "ranges %v, %d lines", ranges, n)
		}
	}
}

func TestAGrowingLogsTailIsTheOneItHad(t *testing.T) {
	log := []byte(strings.Repeat("0123456789abcde\n", 20000)) // 320 kB
	c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
		resp := respond(req, 206, "")
		var first, last int
		spec := req.Header.Get("Range")
		var from int
		to := len(log)
		switch n, _ := fmt.Sscanf(spec, "bytes=%d-%d", &first, &last); {
		case strings.HasPrefix(spec, "bytes=-"): // -last, as scanned for first
			from = max(0, len(log)+first)
		case n == 2:
			from, to = first, min(last+1, len(log))
		default:
			from = first
		}
		resp.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(log)))
		resp.ContentLength = int64(to - from)
		resp.Body = io.NopCloser(bytes.NewReader(log[from:to]))
		log = append(log, "another line\n"...)
		return resp, nil
	})
	l, err := c.Steps.GetLog(t.Context(), repo, "1", "s", &pipelines.LogOptions{TailLines: 9000})
	require.NoError(t, err)
	defer l.Close()
	text, err := io.ReadAll(l)
	require.NoError(t, err)
	require.Equal(t, 9000, bytes.Count(text, []byte("\n")))
}
