package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

const (
	runs    = 1000
	pageLen = 100
	logSize = 64 << 20
)

var repo = pipelines.Repo{Workspace: "acme", Slug: "site"}

// runJSON is a pipeline of 2.4 KB, as the service sends them.
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

// service serves what the benchmarks read; all of it is made before.
func service(b *testing.B) (base string) {
	b.Helper()
	one := []byte(runJSON(1))
	var pages [][]byte
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	b.Cleanup(srv.Close)
	for page := range runs / pageLen {
		var values []string
		for i := range pageLen {
			values = append(values, runJSON(page*pageLen+i+1))
		}
		next := ""
		if (page+1)*pageLen < runs {
			next = fmt.Sprintf(`"next":"%s/repositories/acme/site/pipelines?pagelen=%d&page=%d",`, srv.URL, pageLen, page+2)
		}
		pages = append(pages, fmt.Appendf(nil, `{"page":%d,"pagelen":%d,"size":%d,%s"values":[%s]}`, page+1, pageLen, runs, next, strings.Join(values, ",")))
	}
	write := func(w http.ResponseWriter, body []byte) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}
	mux.HandleFunc("/repositories/acme/site/pipelines/1", func(w http.ResponseWriter, _ *http.Request) { write(w, one) })
	mux.HandleFunc("/repositories/acme/site/pipelines", func(w http.ResponseWriter, req *http.Request) {
		page, _ := strconv.Atoi(req.URL.Query().Get("page"))
		write(w, pages[max(page, 1)-1])
	})
	chunk := make([]byte, 256<<10)
	mux.HandleFunc("/repositories/acme/site/pipelines/1/steps/s/log", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(logSize))
		for range logSize / len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	return srv.URL
}

// byHand gets a URL as a careful programmer would, credentials and status included.
func byHand(ctx context.Context, hc *http.Client, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer t0ken")
	resp, err := hc.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("status %s", resp.Status)
	}
	return resp, nil
}

func decodeByHand(ctx context.Context, hc *http.Client, url string, out any) error {
	resp, err := byHand(ctx, hc, url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(out)
}

// each runs a benchmark with the SDK and by hand.
func each(b *testing.B, sdk func(context.Context, *pipelines.Client) error, hand func(context.Context, *http.Client, string) error) {
	b.Helper()
	base := service(b)
	c, err := pipelines.NewClient(pipelines.WithBaseURL(base), pipelines.WithToken("t0ken"))
	require.NoError(b, err)
	b.Run("client=sdk", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			require.NoError(b, sdk(b.Context(), c))
		}
	})
	b.Run("client=hand", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			require.NoError(b, hand(b.Context(), http.DefaultClient, base))
		}
	})
}

func BenchmarkGet(b *testing.B) {
	each(b, func(ctx context.Context, c *pipelines.Client) error {
		p, err := c.Pipelines.Get(ctx, repo, "1")
		if err == nil && !p.State.Succeeded() {
			return fmt.Errorf("got %v", p.State)
		}
		return err
	}, func(ctx context.Context, hc *http.Client, base string) error {
		var p pipelines.Pipeline
		if err := decodeByHand(ctx, hc, base+"/repositories/acme/site/pipelines/1", &p); err != nil {
			return err
		}
		if !p.State.Succeeded() {
			return fmt.Errorf("got %v", p.State)
		}
		return nil
	})
}

func BenchmarkList1000(b *testing.B) {
	each(b, func(ctx context.Context, c *pipelines.Client) error {
		n := 0
		for _, err := range c.Pipelines.List(ctx, repo, nil).All() {
			if err != nil {
				return err
			}
			n++
		}
		return expect(n, runs)
	}, func(ctx context.Context, hc *http.Client, base string) error {
		n := 0
		for next := base + "/repositories/acme/site/pipelines?pagelen=100"; next != ""; {
			var page struct {
				Values []*pipelines.Pipeline `json:"values"`
				Next   string                `json:"next"`
			}
			if err := decodeByHand(ctx, hc, next, &page); err != nil {
				return err
			}
			n += len(page.Values)
			next = page.Next
		}
		return expect(n, runs)
	})
}

// BenchmarkLog64MiB reads a log through its Read, piece by piece.
func BenchmarkLog64MiB(b *testing.B) {
	copyLog(b, func(r io.Reader) (int64, error) { return io.Copy(io.Discard, onlyReader{r}) })
}

// BenchmarkLogWriteTo64MiB is the copy as users write it: io.Copy finds the log's WriteTo.
func BenchmarkLogWriteTo64MiB(b *testing.B) {
	copyLog(b, func(r io.Reader) (int64, error) { return io.Copy(onlyWriter{io.Discard}, r) })
}

func copyLog(b *testing.B, read func(io.Reader) (int64, error)) {
	b.Helper()
	whole := func(r io.ReadCloser) error {
		defer r.Close()
		n, err := read(r)
		if err != nil {
			return err
		}
		return expect(int(n), logSize)
	}
	each(b, func(ctx context.Context, c *pipelines.Client) error {
		log, err := c.Steps.Log(ctx, repo, "1", "s", nil)
		if err != nil {
			return err
		}
		return whole(log)
	}, func(ctx context.Context, hc *http.Client, base string) error {
		resp, err := byHand(ctx, hc, base+"/repositories/acme/site/pipelines/1/steps/s/log")
		if err != nil {
			return err
		}
		return whole(resp.Body)
	})
}

// onlyReader and onlyWriter hide what else a value can do, so that both clients are copied in the same way.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

func expect(got, want int) error {
	if got != want {
		return fmt.Errorf("got %d, not %d", got, want)
	}
	return nil
}

// TestServiceServesWhatTheServiceWould keeps the payload at the size that the benchmarks speak of.
func TestServiceServesWhatTheServiceWould(t *testing.T) {
	body := runJSON(7)
	require.InDelta(t, 2400, len(body), 100)
	var p pipelines.Pipeline
	require.NoError(t, json.Unmarshal([]byte(body), &p))
	require.Equal(t, 7, p.BuildNumber)
}
