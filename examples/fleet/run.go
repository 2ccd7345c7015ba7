package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/alicebob/miniredis/v2"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func startMiniredis() (address string, stop func(), err error) {
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		return "", nil, fmt.Errorf("starting a Redis in memory: %w", err)
	}
	return "redis://" + server.Addr(), server.Close, nil
}

// runAll starts a campaign, works on it, and prints the result.
func (p *program) runAll(ctx context.Context) (int, error) {
	client, _, end, err := p.limited(p.quota).Connect("fleet", p.askedForDemo, seed)
	if err != nil {
		return 0, err
	}
	defer end()
	repos, err := p.reposToRun(ctx, client)
	if err != nil {
		return 0, err
	}
	if err := p.declare(ctx, repos); err != nil || p.dryRun {
		return cli.Success, err
	}
	seen, err := p.store.existing(ctx)
	if err != nil {
		return 0, err
	}
	if err := p.workWith(ctx, client, seen); err != nil {
		return 0, err
	}
	return p.summary(ctx)
}

func (p *program) reposToRun(ctx context.Context, client *pipelines.Client) ([]string, error) {
	switch {
	case p.repos != "":
		return cli.ReadRepos(p.repos, p.env.Stdin)
	case p.workspace != "":
		return cli.ListRepos(ctx, client, p.workspace)
	}
	return demoRepos(), nil
}

const (
	demoWorkspace = "acme"
	demoSize      = 240
)

func demoRepos() []string {
	var names []string
	for i := range demoSize {
		names = append(names, fmt.Sprintf("acme/service-%03d", i+1))
	}
	return append(names, "acme/deleted-meanwhile")
}

// seed adds the demo's repositories: some have the variable already, one is locked and one doesn't exist.
func seed(srv *pipelinestest.Server) {
	for i := range demoSize {
		repo := srv.AddRepository(demoWorkspace, fmt.Sprintf("service-%03d", i+1))
		repo.AddPipelines(1 + i%3)
		if i%10 == 3 {
			repo.AddVariable(pipelines.Variable{Key: "GREETING", Value: "hello"})
		}
	}
	srv.Inject(pipelinestest.Fault{
		Path: "/repositories/acme/service-042/pipelines_config/variables", Status: http.StatusForbidden, Body: "This repository is locked.",
	})
}
