package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/ktrysmt/go-bitbucket"

	"github.com/seed-85ed9bfd/pipelines"
)

// client is a client to compare. Each method checks its result.
type client interface {
	get(ctx context.Context) error
	small(ctx context.Context) error
	list(ctx context.Context, parallel int) (items int, err error)
	log(ctx context.Context) (bytes int64, err error)
}

const (
	sdk     = "sdk"
	byHand  = "handwritten"
	ktrysmt = "ktrysmt"

	token = "t0ken"
)

var clientNames = []string{sdk, byHand, ktrysmt}

func newClient(name, base string) (client, error) {
	switch name {
	case sdk:
		c, err := pipelines.NewClient(pipelines.WithBaseURL(base), pipelines.WithToken(token))
		return sdkClient{c}, err
	case byHand:
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = 32
		return handClient{&http.Client{Transport: transport}, base}, nil
	case ktrysmt:
		c, err := bitbucket.NewOAuthbearerTokenWithBaseUrlStr(token, base)
		if err != nil {
			return nil, err
		}
		c.Pagelen = pageLen
		return ktrysmtClient{c}, nil
	}
	return nil, fmt.Errorf("unknown client %q", name)
}

// sdkClient uses this SDK.
type sdkClient struct{ c *pipelines.Client }

var repo = pipelines.Repo{Workspace: "acme", Slug: "site"}

func (s sdkClient) get(ctx context.Context) error {
	p, err := s.c.Pipelines.Get(ctx, repo, "1")
	if err == nil && !p.State.Succeeded() {
		err = fmt.Errorf("got %v", p.State)
	}
	return err
}

func (s sdkClient) small(ctx context.Context) error {
	cfg, err := s.c.Config.Get(ctx, repo)
	if err == nil && !cfg.Enabled {
		err = fmt.Errorf("got %v", cfg)
	}
	return err
}

func (s sdkClient) list(ctx context.Context, parallel int) (items int, err error) {
	for _, err := range s.c.Pipelines.List(ctx, repo, nil).Parallel(parallel).All() {
		if err != nil {
			return items, err
		}
		items++
	}
	return items, nil
}

func (s sdkClient) log(ctx context.Context) (int64, error) {
	l, err := s.c.Steps.GetLog(ctx, repo, "1", "s", nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return io.Copy(sink{io.Discard}, l)
}

// sink has only the Write method of [io.Discard], like most destinations of users.
type sink struct{ io.Writer }

// handClient uses net/http and encoding/json as a careful programmer would. It decodes every field of the SDK's models, which are plain
// structs to encoding/json.
type handClient struct {
	hc   *http.Client
	base string
}

// open sends a GET request with credentials and checks the status.
func (h handClient) open(ctx context.Context, link string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := h.hc.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("status %s", resp.Status)
	}
	return resp, nil
}

func (h handClient) decode(ctx context.Context, link string, out any) error {
	resp, err := h.open(ctx, link)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(out)
}

func (h handClient) get(ctx context.Context) error {
	var p pipelines.Pipeline
	err := h.decode(ctx, h.base+repositoryPath+"/pipelines/"+url.PathEscape("1"), &p)
	if err == nil && !p.State.Succeeded() {
		err = fmt.Errorf("got %v", p.State)
	}
	return err
}

func (h handClient) small(ctx context.Context) error {
	var cfg pipelines.Config
	err := h.decode(ctx, h.base+repositoryPath+"/pipelines_config", &cfg)
	if err == nil && !cfg.Enabled {
		err = fmt.Errorf("got %v", cfg)
	}
	return err
}

func (h handClient) list(ctx context.Context, _ int) (items int, err error) {
	for next := h.base + repositoryPath + "/pipelines?pagelen=100"; next != ""; {
		var page struct {
			Values []*pipelines.Pipeline `json:"values"`
			Next   string                `json:"next"`
		}
		if err := h.decode(ctx, next, &page); err != nil {
			return items, err
		}
		items += len(page.Values)
		next = page.Next
	}
	return items, nil
}

func (h handClient) log(ctx context.Context) (int64, error) {
	resp, err := h.open(ctx, h.base+repositoryPath+"/pipelines/1/steps/s/log")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return io.Copy(sink{io.Discard}, resp.Body)
}

// ktrysmtClient uses github.com/ktrysmt/go-bitbucket, which returns maps, and a list as one value with all items.
type ktrysmtClient struct{ c *bitbucket.Client }

func (k ktrysmtClient) options() *bitbucket.PipelinesOptions {
	return &bitbucket.PipelinesOptions{Owner: "acme", RepoSlug: "site", IDOrUuid: "1", StepUuid: "s"}
}

func (k ktrysmtClient) get(context.Context) error {
	answer, err := k.c.Repositories.Pipelines.Get(k.options())
	if err != nil {
		return err
	}
	if p, ok := answer.(map[string]any); !ok || p["state"] == nil {
		return fmt.Errorf("got %v", answer)
	}
	return nil
}

func (k ktrysmtClient) small(context.Context) error {
	cfg, err := k.c.Repositories.Repository.GetPipelineConfig(&bitbucket.RepositoryPipelineOptions{Owner: "acme", RepoSlug: "site"})
	if err == nil && !cfg.Enabled {
		err = fmt.Errorf("got %v", cfg)
	}
	return err
}

func (k ktrysmtClient) list(context.Context, int) (items int, err error) {
	answer, err := k.c.Repositories.Pipelines.List(k.options())
	if err != nil {
		return 0, err
	}
	all, _ := answer.(map[string]any)
	values, _ := all["values"].([]any)
	return len(values), nil
}

func (k ktrysmtClient) log(context.Context) (int64, error) {
	text, err := k.c.Repositories.Pipelines.GetLog(k.options())
	return int64(len(text)), err
}
