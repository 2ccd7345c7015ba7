package pipelines_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/internal/cputime"
)

// These tests prove that no response takes more memory than it may, however large, deep or compressed it is.

const (
	tenGiB = 10 << 30
	// inFlight is what the buffers of a connection may hold unread.
	inFlight = 12 << 20
	// doubling is what a buffer that doubles up to 32 MiB and a byte takes in all, with as much again for the race detector.
	doubling = uint64(320 << 20)
)

// allocated returns how much memory f allocates in all.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// flood is a server that sends ten GiB, and counts what it gets rid of.
type flood struct{ written atomic.Int64 }

func (f *flood) pour(w io.Writer, drops []byte) {
	for f.written.Load() < tenGiB {
		n, err := w.Write(drops)
		f.written.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// serve returns a handler that begins a response of ten GiB.
func (f *flood) serve(status int, beginning string) http.HandlerFunc {
	drops := bytes.Repeat([]byte("a"), 64<<10)
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, beginning)
		f.pour(w, drops)
	}
}

// listen serves raw responses: each connection gets the beginning and then the drops without end.
func (f *flood) listen(t *testing.T, beginning, drops string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	many := []byte(strings.Repeat(drops, 64<<10/len(drops)))
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.WriteString(conn, beginning)
					f.pour(conn, many)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestTenGiBOfJSONAreLeftUnread(t *testing.T) {
	for _, verb := range verbs {
		if verb.name != "GET" && verb.name != "run" {
			continue
		}
		t.Run("of a "+verb.name, func(t *testing.T) {
			var f flood
			srv := record(t, f.serve(http.StatusOK, `{"uuid":"`))
			var err error
			memory := allocated(func() { err = verb.call(t.Context(), newClient(t, srv.base())) })
			require.ErrorIs(t, err, pipelines.ErrResponseTooLarge)
			require.Equal(t, verb.once, errors.Is(err, pipelines.ErrOutcomeUnknown))
			srv.requireSent(t, 1, "a second time it would be as large")
			srv.Close()
			require.Less(t, f.written.Load(), int64(32<<20+inFlight))
			require.Less(t, memory, doubling)
		})
	}
	t.Run("of the token endpoint", func(t *testing.T) {
		var f flood
		srv := record(t, f.serve(http.StatusOK, `{"access_token":"`))
		var err error
		memory := allocated(func() { err = victims()[2].call(t, srv.URL) })
		require.ErrorContains(t, err, "credentials")
		srv.Close()
		require.Less(t, f.written.Load(), int64(quick.MaxAttempts*(1<<20+inFlight)))
		require.Less(t, memory, uint64(48<<20))
	})
}

func TestTenGiBOfAnErrorsBodyAreLeftUnread(t *testing.T) {
	for _, v := range victims() {
		for _, status := range []int{400, 503} {
			t.Run(fmt.Sprint(status, " of ", v.name), func(t *testing.T) {
				var f flood
				srv := record(t, f.serve(status, `{"error":{"message":"`))
				var err error
				memory := allocated(func() { err = v.call(t, srv.URL) })
				var e *pipelines.APIError
				require.ErrorAs(t, err, &e)
				require.Equal(t, status, e.StatusCode)
				require.Len(t, e.Body, 4<<10)
				require.Less(t, len(err.Error()), 2<<10)
				attempts := len(srv.seen())
				require.LessOrEqual(t, attempts, quick.MaxAttempts)
				srv.Close()
				require.Less(t, f.written.Load(), int64(attempts*(1<<20+inFlight)))
				require.Less(t, memory, uint64(48<<20))
			})
		}
	}
}

func TestTenGiBAroundABodyAreLeftUnread(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
	line := "X-Flood: " + strings.Repeat("a", 1<<10) + "\r\n"
	for name, raw := range map[string]struct{ beginning, drops string }{
		"headers":                     {"HTTP/1.1 200 OK\r\n", line},
		"one header":                  {"HTTP/1.1 200 OK\r\nX-Flood: ", "a"},
		"a status line":               {"HTTP/1.1 200 ", "a"},
		"headers of an error":         {"HTTP/1.1 500 Oops\r\n", line},
		"headers of a redirect":       {"HTTP/1.1 307 There\r\nLocation: /x\r\n", line},
		"responses that announce one": {"", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"},
		"a trailer":                   {chunked + "Trailer: X-Flood\r\n\r\n2\r\n{}\r\n0\r\n", line},
		"the extensions of a chunk":   {chunked + "\r\n2;", "a"},
		"chunks of one byte of JSON":  {chunked + "\r\n", "1;" + strings.Repeat("a", 1<<10) + "\r\n \r\n"},
	} {
		for _, v := range victims() {
			t.Run(name+" of "+v.name, func(t *testing.T) {
				var f flood
				base := f.listen(t, raw.beginning, raw.drops)
				var err error
				memory := allocated(func() { err = v.call(t, base) })
				require.Error(t, err)
				require.Less(t, len(err.Error()), 2<<10)
				require.Less(t, f.written.Load(), int64(quick.MaxAttempts*(2<<20+inFlight)))
				require.Less(t, memory, uint64(48<<20))
			})
		}
	}
}

// squeeze compresses n times a MiB of text, as cheaply as a hostile server would: piece by piece the same.
func squeeze(t *testing.T, beginning string, n int) []byte {
	t.Helper()
	piece := func(text string) []byte {
		var b bytes.Buffer
		zip := gzip.NewWriter(&b)
		_, err := io.WriteString(zip, text)
		require.NoError(t, err)
		require.NoError(t, zip.Close())
		return b.Bytes()
	}
	return append(piece(beginning), bytes.Repeat(piece(strings.Repeat(" ", 1<<20)), n)...)
}

func serveGzip(status int, content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(status)
		_, _ = w.Write(content)
	}
}

func TestTheBoundOfAResponseCountsWhatItDecodesTo(t *testing.T) {
	for name, tc := range map[string]struct {
		content []byte
		fits    bool
	}{
		"32 MiB":          {squeeze(t, "{}"+strings.Repeat(" ", 1<<20-2), 31), true},
		"and a byte more": {squeeze(t, "{}"+strings.Repeat(" ", 1<<20-1), 31), false},
		"ten GiB":         {squeeze(t, "{}", tenGiB>>20), false},
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, serveGzip(200, tc.content))
			var err error
			memory := allocated(func() { err = getFrom(t, srv.base()) })
			require.Less(t, memory, doubling)
			srv.requireSent(t, 1)
			if tc.fits {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, pipelines.ErrResponseTooLarge)
		})
	}
}

func TestACompressedErrorIsReadNoFurtherThanAPlainOne(t *testing.T) {
	bomb := squeeze(t, `{"error":{"message":"oops"}}`, tenGiB>>20)
	for _, v := range victims() {
		t.Run("of "+v.name, func(t *testing.T) {
			srv := record(t, serveGzip(400, bomb))
			var err error
			memory := allocated(func() { err = v.call(t, srv.URL) })
			var e *pipelines.APIError
			require.ErrorAs(t, err, &e)
			require.Len(t, e.Body, 4<<10)
			require.Less(t, memory, uint64(48<<20))
		})
	}
	t.Run("of the token endpoint, with a good status", func(t *testing.T) {
		srv := record(t, serveGzip(200, bomb))
		var err error
		memory := allocated(func() { err = victims()[2].call(t, srv.URL) })
		require.ErrorContains(t, err, "credentials")
		require.Less(t, memory, uint64(48<<20))
	})
}

func TestALogThatIsCompressedUnaskedIsInflatedAsItIsRead(t *testing.T) {
	const mib = 1 << 7
	bomb := squeeze(t, "", mib)
	storage := record(t, serveGzip(200, bomb))
	api := record(t, http.RedirectHandler(storage.URL+"/storage", http.StatusTemporaryRedirect).ServeHTTP)
	log := openLog(t, newClient(t, api.base()), nil)
	var n int64
	var err error
	memory := allocated(func() { n, err = io.Copy(io.Discard, log) })
	require.NoError(t, err)
	require.EqualValues(t, mib<<20, n)
	require.Less(t, memory, uint64(8<<20))
	require.Equal(t, "identity", storage.only(t).Header.Get("Accept-Encoding"))
}

// nested are JSON values so deep that a decoder which descends into them without a bound would overflow its stack.
func nested(depth int) map[string]string {
	return map[string]string{
		"arrays":             strings.Repeat("[", depth) + strings.Repeat("]", depth),
		"objects":            strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth),
		"arrays without end": strings.Repeat("[", depth),
	}
}

func TestDeeplyNestedJSONIsRefused(t *testing.T) {
	type call func(*pipelines.Client) error
	model := call(func(c *pipelines.Client) error { return verbs[0].call(t.Context(), c) })
	list := call(func(c *pipelines.Client) error {
		_, err := c.Pipelines.List(t.Context(), repo, nil).Collect()
		return err
	})
	listOrOne := call(func(c *pipelines.Client) error {
		_, err := c.Steps.ListTestCases(t.Context(), repo, "1", "{s}", nil).Collect()
		return err
	})
	anything := call(func(c *pipelines.Client) error { return c.Do(t.Context(), http.MethodGet, "/a", nil, new(any)) })
	for kind, value := range nested(1_000_000) {
		for place, tc := range map[string]struct {
			call call
			body string
		}{
			"in place of a model":          {model, value},
			"in a known field":             {model, `{"build_number":1,"state":` + value + `}`},
			"in an unknown field":          {model, `{"build_number":1,"x":` + value + `}`},
			"in place of a number":         {model, `{"build_number":` + value + `}`},
			"in place of a list":           {list, value},
			"in place of the values":       {list, `{"values":` + value + `}`},
			"in place of a value":          {list, `{"values":[` + value + `]}`},
			"in a value":                   {list, `{"values":[{"state":` + value + `}]}`},
			"in place of the next link":    {list, `{"values":[],"next":` + value + `}`},
			"in place of a list or a case": {listOrOne, value},
			"in a list or a case":          {listOrOne, `{"x":` + value + `}`},
			"in anything":                  {anything, `{"x":` + value + `}`},
		} {
			t.Run(kind+" "+place, func(t *testing.T) {
				hc := &http.Client{Transport: hosts{"http://api.example": serveJSON(tc.body)}}
				err := tc.call(newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)))
				require.ErrorContains(t, err, "body cannot be read")
				require.Less(t, len(err.Error()), 1<<10, "it doesn't tell the way down")
			})
		}
		t.Run(kind+" in a token", func(t *testing.T) {
			srv := record(t, serveJSON(`{"access_token":"t","x":`+value+`}`))
			require.ErrorContains(t, victims()[2].call(t, srv.URL), "credentials")
		})
	}
}

func TestDeeplyNestedErrorsAreErrorsAllTheSame(t *testing.T) {
	for _, depth := range []int{9_000, 1_000_000} {
		for kind, value := range nested(depth) {
			for place, body := range map[string]string{
				"in place of the body":        value,
				"in place of the error":       `{"error":` + value + `}`,
				"in place of the message":     `{"error":{"message":` + value + `}}`,
				"in the detail":               `{"error":{"message":"oops","detail":` + value + `}}`,
				"in the scopes of the detail": `{"error":{"message":"oops","detail":{"required":` + value + `}}}`,
				"in a field":                  `{"error":{"message":"oops","fields":{"a":` + value + `}}}`,
				"in place of the data":        `{"error":{"message":"oops","data":` + value + `}}`,
				"in the data":                 `{"error":{"message":"oops","data":{"key":"a.b","x":` + value + `}}}`,
				"beside all that":             `{"error":{"message":"oops"},"x":` + value + `}`,
			} {
				t.Run(fmt.Sprint(depth, " ", kind, " ", place), func(t *testing.T) {
					hc := &http.Client{Transport: hosts{"http://api.example": serve(400, "application/json", body)}}
					var e *pipelines.APIError
					require.ErrorAs(t, getFrom(t, "http://api.example", pipelines.WithHTTPClient(hc)), &e)
					require.Equal(t, 400, e.StatusCode)
					require.Less(t, len(e.Error()), 2<<10)
					require.NotEmpty(t, fmt.Sprint(e.Data, e.Fields))
				})
			}
			t.Run(fmt.Sprint(depth, " ", kind, " in a token's error"), func(t *testing.T) {
				srv := record(t, serve(400, "application/json", `{"error":`+value+`}`))
				var e *pipelines.APIError
				require.ErrorAs(t, victims()[2].call(t, srv.URL), &e)
				require.Equal(t, 400, e.StatusCode)
			})
		}
	}
}

// endless is a body of n bytes without a newline, made as it is read. sample sees it now and then.
type endless struct {
	n      int64
	sample func()
	read   int64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), e.n)]
	clear(p)
	e.n -= int64(len(p))
	if e.read += int64(len(p)); e.read >= 64<<20 {
		e.read = 0
		e.sample()
	}
	return len(p), nil
}

// heapPeak records how much the heap grows at most after its first sample.
type heapPeak struct{ first, most uint64 }

func (h *heapPeak) sample() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if h.first == 0 {
		h.first = m.HeapAlloc
	}
	h.most = max(h.most, m.HeapAlloc)
}

func TestALineOfAGiBNeedsLittleMemory(t *testing.T) {
	const size = 1 << 30
	for name, read := range map[string]func(*testing.T, *pipelines.Client) int64{
		"through FollowLog": func(t *testing.T, c *pipelines.Client) int64 {
			t.Helper()
			r, err := c.Steps.FollowLog(t.Context(), repo, "1", "{s}", nil)
			require.NoError(t, err)
			defer r.Close()
			n, err := io.Copy(io.Discard, r)
			require.NoError(t, err)
			return n
		},
		"through Watch": func(t *testing.T, c *pipelines.Client) (n int64) {
			t.Helper()
			for e, err := range c.Pipelines.Watch(t.Context(), repo, "1", nil) {
				require.NoError(t, err)
				require.LessOrEqual(t, len(e.Log), 64<<10, "a piece, however long the line")
				n += int64(len(e.Log))
			}
			return n
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var heap heapPeak
				service := hosts{"http://api.example": stubborn(`{"uuid":"{s}","state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`, 1, "")}
				hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
					switch {
					case !strings.HasSuffix(req.URL.Path, "/log"):
						return service.RoundTrip(req)
					case req.Header.Get("Range") != "":
						return respond(req, http.StatusRequestedRangeNotSatisfiable, ""), nil
					}
					resp := respond(req, http.StatusOK, "")
					resp.Body, resp.ContentLength = io.NopCloser(&endless{n: size, sample: heap.sample}), size
					return resp, nil
				})}
				runtime.GC()
				heap.sample()
				n := read(t, newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)))
				require.EqualValues(t, size, n)
				require.Less(t, heap.most-heap.first, uint64(64<<20))
			})
		})
	}
}

func TestNestedReasonsTakeNoMoreMemoryThanTheyAreLong(t *testing.T) {
	for _, levels := range []int{1, 100, 9_000} {
		nest := func(inner string) string {
			return strings.Repeat(`{"reason":`, levels) + inner + strings.Repeat("}", levels)
		}
		reason := nest(`{"message":["a","b"],"stack_trace":"s"}`)
		bodies := map[string]string{
			"in a test case": `{"values":[{"reason":` + reason + `}],"size":1}`, "in a list of reasons": `{"values":[` + reason + `],"size":1}`,
			"in a bare list": `[` + reason + `]`, "alone": reason,
		}
		for place, body := range bodies {
			t.Run(fmt.Sprintf("%s, %d levels", place, levels), func(t *testing.T) {
				c := inProcess(t, 1, func(req *http.Request) *http.Response { return respond(req, 200, body) })
				var got *pipelines.TestCaseReason
				memory := allocated(func() {
					if place == "in a test case" {
						one, err := c.Steps.ListTestCases(t.Context(), repo, "1", "{s}", nil).First()
						require.NoError(t, err)
						got = one.Reason
						return
					}
					one, err := c.Steps.ListTestCaseReasons(t.Context(), repo, "1", "{s}", "{t}", nil).First()
					require.NoError(t, err)
					got = one
				})
				require.Equal(t, &pipelines.TestCaseReason{Message: "a\nb", StackTrace: "s", Raw: []byte(reason)}, got, "%d levels %s", levels, place)
				require.Less(t, memory, uint64(1<<20+64*len(body)), "%d levels %s", levels, place)
			})
		}
	}
}

func TestTheBoundOfAResponseCountsValuesOfEveryKind(t *testing.T) {
	many := func(value string) string {
		return value + strings.Repeat(","+value, min(600_000, (8<<20)/(len(value)+1)))
	}
	deep := strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
	for kind, values := range map[string]string{
		"empty lists": many("[]"), "empty objects": many("{}"), "numbers": many("0"), "texts": many(`""`), "nulls": many("null"), "booleans": many("true"),
		"lists of lists": many("[[]]"), "deep lists": many(deep), "objects": many(`{"a":[]}`), "texts that look like lists": many(`"[,[,{\"\\"`),
	} {
		for place, body := range map[string]string{
			"labels":               `{"labels":{"a":[` + values + `]}}`,
			"data":                 `{"state":{"result":{"error":{"arguments":{"a":[` + values + `]}}}}}`,
			"members of labels":    `{"labels":{"":` + strings.ReplaceAll(values, ",", `,"":`) + `}}`,
			"a list of structs":    `{"target":{"commit":{"parents":[` + values + `]}}}`,
			"a list of texts":      `{"repository":{"mainbranch":{"merge_strategies":[` + values + `]}}}`,
			"a list of numbers":    `{"target":{"pullrequest_ids":[` + values + `]}}`,
			"members unheard of":   `{"x":[` + values + `]}`,
			"what is no such list": `{"trigger":[` + values + `]}`,
		} {
			if place == "members of labels" && strings.ContainsAny(values[:10], `,"{`) {
				continue // the commas are not all between members
			}
			t.Run(kind+" in "+place, func(t *testing.T) {
				sent := 0
				c := inProcess(t, 3, func(req *http.Request) *http.Response {
					sent++
					return respond(req, 200, body)
				})
				var err error
				memory := allocated(func() { _, err = c.Pipelines.Get(t.Context(), repo, "1") })
				require.ErrorIs(t, err, pipelines.ErrResponseTooLarge)
				require.Equal(t, 1, sent, "requests sent")
				require.Less(t, memory, doubling)
			})
		}
	}
}

// What is as large as it may be stays affordable in the worst place.
func TestAResponseJustBelowTheBoundTakesLittleMemory(t *testing.T) {
	for kind, n := range map[string]int{"[]": 260_000, "{}": 260_000, `""`: 520_000} {
		list := "[" + kind + strings.Repeat(","+kind, n) + "]"
		for place, body := range map[string]string{
			"labels": `{"labels":{"a":` + list + `}}`, "labels beside an odd member": `{"labels":{"a":` + list + `},"build_number":"7"}`,
			"a list of texts": `{"repository":{"mainbranch":{"merge_strategies":` + list + `}}}`,
		} {
			t.Run(kind+" in "+place, func(t *testing.T) {
				c := inProcess(t, 1, func(req *http.Request) *http.Response { return respond(req, 200, body) })
				var err error
				memory := allocated(func() { _, err = c.Pipelines.Get(t.Context(), repo, "1") })
				require.NoError(t, err)
				require.Less(t, memory, doubling)
			})
		}
	}
}

func TestLargeListsThatAreWhatTheyShouldBeAreRead(t *testing.T) {
	pipeline := golden(t, "pipeline_full.json")
	trace := strings.Repeat(`\tat com.example, [line] {12}\n`, 3000)
	testCase := `{"uuid":"{1}","name":"adds","fully_qualified_name":"a.b","class_name":"b","status":"FAILED","duration":"PT1S","reason":{"message":"null, null","stack_trace":"` + trace + `"}}`
	list := func(item string, n int) string {
		return fmt.Sprintf(`{"size":%d,"pagelen":%d,"values":[%s%s]}`, n, n, item, strings.Repeat(","+item, n-1))
	}
	body := ""
	c := inProcess(t, 1, func(req *http.Request) *http.Response { return respond(req, 200, body) })

	body = list(pipeline, 100)
	runs, err := c.Pipelines.List(t.Context(), repo, nil).Collect()
	require.NoError(t, err)
	require.Len(t, runs, 100)

	body = list(pipeline, 1000)
	runs, err = c.Pipelines.List(t.Context(), repo, nil).Collect()
	require.NoError(t, err)
	require.Len(t, runs, 1000)

	body = list(testCase, 300)
	require.Greater(t, len(body), 24<<20)
	cases, err := c.Steps.ListTestCases(t.Context(), repo, "1", "{s}", nil).Collect()
	require.NoError(t, err)
	require.Len(t, cases, 300)

	body = list(`{"uuid":"{1}","key":"K","value":"v"}`, 100_000)
	variables, err := c.Variables.InRepository(repo).List(t.Context(), nil).Collect()
	require.NoError(t, err)
	require.Len(t, variables, 100_000)
}

func TestALongNameAboveManyNumbersIsNotReadForEachOfThem(t *testing.T) {
	name := strings.Repeat("k", 1<<20)
	for _, labels := range []string{`[1` + strings.Repeat(",1", 100_000) + `]`, `{"a":1` + strings.Repeat(`,"a":1`, 100_000) + `}`} {
		t.Run("labels that begin with "+labels[:1], func(t *testing.T) {
			srv := record(t, serveJSON(`{"values":[{"build_number":"1","labels":{"`+name+`":`+labels+`}}]}`))
			before := cputime.Used()
			runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Collect()
			require.NoError(t, err)
			require.Len(t, runs, 1)
			require.Less(t, cputime.Used()-before, 20*time.Second)
		})
	}
}

func TestAResponseThatIsTooLargeIsRefused(t *testing.T) {
	for name, compressed := range map[string]bool{"plain": false, "a gzip bomb": true} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, func(w http.ResponseWriter, req *http.Request) {
				out := io.Writer(w)
				if compressed {
					assert.Equal(t, "gzip", req.Header.Get("Accept-Encoding"))
					w.Header().Set("Content-Encoding", "gzip")
					zip := gzip.NewWriter(w)
					defer zip.Close()
					out = zip
				}
				for range 33 {
					_, _ = out.Write([]byte(strings.Repeat(" ", 1<<20)))
				}
			})
			_, err := newClient(t, srv.base()).Pipelines.Get(t.Context(), repo, "1")
			require.ErrorIs(t, err, pipelines.ErrResponseTooLarge)
			srv.requireSent(t, 1, "a second time it would be as large")
		})
	}
}

// An object of two bytes becomes a model of hundreds: what a response takes in memory is bounded too.
func TestAResponseOfTooManyObjectsIsRefused(t *testing.T) {
	bodies := map[string]string{
		"a list of them":        `{"values":[{}` + strings.Repeat(`,{}`, 10<<20) + `]}`,
		"lists within a model":  `{"values":[{"setup_commands":[{}` + strings.Repeat(`,{}`, 10<<20) + `]}]}`,
		"nulls in their place":  `{"values":[{"setup_commands":[null` + strings.Repeat(`,null`, 1<<20) + `]}]}`,
		"a list of braces only": `{"values":[` + strings.Repeat("{", 10<<20),
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			srv := record(t, serveJSON(body))
			c := newClient(t, srv.base())
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := c.Steps.List(t.Context(), repo, "1", nil).Collect()
			runtime.ReadMemStats(&after)
			require.ErrorIs(t, err, pipelines.ErrResponseTooLarge)
			srv.requireSent(t, 1)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(256<<20), "the text itself, its copies included")
		})
	}
}
