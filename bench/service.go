package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	pageLen = 100
	latency = 20 * time.Millisecond
)

// serverProcess serves until its standard input ends, which happens when the parent process ends.
func serverProcess(args []string) error {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	var size size
	size.flags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // doesn't block
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = listener.Close()
	}()
	origin := "http://" + listener.Addr().String()
	handler := newService(origin, size)
	fmt.Println(origin + "/2.0")
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	if err := srv.Serve(listener); !strings.Contains(err.Error(), "closed") {
		return err
	}
	return nil
}

// service serves the clients' requests. All responses exist beforehand, so that the server affects the figures as little as possible.
type service struct {
	origin string
	size   size
	seen   atomic.Int64 // requests
	one    []byte
	pages  map[string][][]byte // by the prefix of their links
}

const repositoryPath = "/repositories/acme/site"

func newService(origin string, size size) http.Handler {
	s := &service{origin: origin, size: size, one: []byte(runJSON(1)), pages: map[string][][]byte{}}
	for _, prefix := range []string{"/2.0", "/slow/2.0"} {
		for page := range size.pages() {
			s.pages[prefix] = append(s.pages[prefix], s.page(prefix, page+1))
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/stats", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s.seen.Load()) })
	for _, prefix := range []string{"/2.0", "/slow/2.0"} {
		mux.HandleFunc(prefix+repositoryPath+"/pipelines/1", s.counted(prefix, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.one) }))
		mux.HandleFunc(prefix+repositoryPath+"/pipelines_config", s.counted(prefix, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, config) }))
		mux.HandleFunc(prefix+repositoryPath+"/pipelines", s.counted(prefix, s.list(prefix)))
		mux.HandleFunc(prefix+repositoryPath+"/pipelines/{$}", s.counted(prefix, s.list(prefix))) // the path of go-bitbucket
		mux.HandleFunc(prefix+repositoryPath+"/pipelines/1/steps/s/log", s.counted(prefix, s.log))
	}
	return mux
}

var config = []byte(`{"type":"repository_pipelines_configuration","enabled":true,"repository":{"type":"repository","name":"site","full_name":"acme/site"}}`)

func (s *service) counted(prefix string, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		arrived := time.Now()
		s.seen.Add(1)
		if prefix == "/slow/2.0" {
			waitUntil(arrived.Add(latency))
		}
		serve(w, req)
	}
}

// waitUntil is more precise than a timer, whose delay would count as the client's.
func waitUntil(t time.Time) {
	const lateness = 300 * time.Microsecond
	time.Sleep(time.Until(t) - lateness)
	for time.Now().Before(t) {
		runtime.Gosched()
	}
}

func (s *service) page(prefix string, number int) []byte {
	var values []string
	for i := (number-1)*pageLen + 1; i <= min(number*pageLen, s.size.runs); i++ {
		values = append(values, runJSON(i))
	}
	next := ""
	if number < s.size.pages() {
		next = fmt.Sprintf(`"next":"%s%s%s/pipelines?pagelen=%d&page=%d",`, s.origin, prefix, repositoryPath, pageLen, number+1)
	}
	return fmt.Appendf(nil, `{"page":%d,"pagelen":%d,"size":%d,%s"values":[%s]}`, number, pageLen, s.size.runs, next, strings.Join(values, ","))
}

func (s *service) list(prefix string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		query := req.URL.Query()
		page, _ := strconv.Atoi(query.Get("page"))
		page = max(page, 1)
		if query.Get("pagelen") != strconv.Itoa(pageLen) || page > s.size.pages() {
			http.Error(w, "the pages have 100 items", http.StatusBadRequest)
			return
		}
		writeJSON(w, s.pages[prefix][page-1])
	}
}

var logChunk = []byte(strings.Repeat("[INFO] Downloaded from central: https://repo.example.com/maven2/a.jar (14 kB at 1.2 MB/s)\n", 2979))[:256<<10]

func (s *service) log(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(s.size.log))
	for left := s.size.log; left > 0; {
		n, err := w.Write(logChunk[:min(left, len(logChunk))])
		if err != nil {
			return
		}
		left -= n
	}
}

func writeJSON(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// runJSON is a pipeline of 2.4 KB, like those of the service.
func runJSON(number int) string {
	const user = `{"type":"user","uuid":"{0b6c1d2e-3f40-4152-8364-758697a8b9ca}","account_id":"557058:0b6c1d2e-3f40-4152","display_name":"Ada Lovelace","nickname":"ada","links":{"self":{"href":"https://api.bitbucket.org/2.0/users/%7B0b6c1d2e-3f40-4152-8364-758697a8b9ca%7D"},"avatar":{"href":"https://avatars.example.com/557058/128"},"html":{"href":"https://bitbucket.org/%7B0b6c1d2e-3f40-4152-8364-758697a8b9ca%7D/"}}}`
	const repository = `{"type":"repository","name":"site","full_name":"acme/site","uuid":"{7e8f9aab-bccd-4dee-8ff0-112233445566}","links":{"self":{"href":"https://api.bitbucket.org/2.0/repositories/acme/site"},"html":{"href":"https://bitbucket.org/acme/site"},"avatar":{"href":"https://bytebucket.org/ravatar/%7B7e8f9aab-bccd-4dee-8ff0-112233445566%7D?ts=go"}}}`
	const commit = `{"type":"commit","hash":"0123456789abcdef0123456789abcdef01234567","links":{"self":{"href":"https://api.bitbucket.org/2.0/repositories/acme/site/commit/0123456789abcdef0123456789abcdef01234567"},"html":{"href":"https://bitbucket.org/acme/site/commits/0123456789abcdef0123456789abcdef01234567"}}}`
	return fmt.Sprintf(`{"type":"pipeline","uuid":"{%08d-1111-4222-8333-444455556666}","build_number":%d,"run_number":1,"creator":%s,"repository":%s,`+
		`"target":{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main","selector":{"type":"branches","pattern":"main"},"commit":%s},`+
		`"trigger":{"name":"PUSH","type":"pipeline_trigger_push"},"state":{"name":"COMPLETED","type":"pipeline_state_completed","result":{"name":"SUCCESSFUL","type":"pipeline_state_completed_successful"}},`+
		`"created_on":"2026-08-01T10:12:13.671Z","completed_on":"2026-08-01T10:15:13.109572944Z","duration_in_seconds":179,"build_seconds_used":301,"first_successful":false,"expired":false,"has_variables":false,"labels":{},`+
		`"configuration_sources":[{"source":"STATIC_LOCAL","uri":"/%%7B9a8b7c6d-5e4f-4031-a2b3-c4d5e6f70819%%7D/%%7B7e8f9aab-bccd-4dee-8ff0-112233445566%%7D/src/0123456789abcdef0123456789abcdef01234567/bitbucket-pipelines.yml"}],`+
		`"links":{"self":{"href":"https://api.bitbucket.org/2.0/repositories/%%7B9a8b7c6d-5e4f-4031-a2b3-c4d5e6f70819%%7D/%%7B7e8f9aab-bccd-4dee-8ff0-112233445566%%7D/pipelines/%%7B%08d-1111-4222-8333-444455556666%%7D"},"steps":{"href":"https://api.bitbucket.org/2.0/repositories/%%7B9a8b7c6d-5e4f-4031-a2b3-c4d5e6f70819%%7D/%%7B7e8f9aab-bccd-4dee-8ff0-112233445566%%7D/pipelines/%%7B%08d-1111-4222-8333-444455556666%%7D/steps/"}}}`,
		number, number, user, repository, commit, number, number)
}
