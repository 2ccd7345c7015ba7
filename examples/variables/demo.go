package main

import (
	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const demoFile = `variables:
  LOG_LEVEL: debug
  REGION: eu-central-1
  API_URL: https://api.example.com/v2
  API_TOKEN: {secured: true, command: [echo, a-secret-from-a-command]}
`

// seed adds resources to the demo's service.
func seed(srv *pipelinestest.Server) {
	site := srv.AddRepository(cli.DemoRepo.Workspace, cli.DemoRepo.Slug)
	for _, v := range []pipelines.Variable{
		{Key: "LOG_LEVEL", Value: "info"}, {Key: "REGION", Value: "eu-central-1"}, {Key: "API_TOKEN", Value: "old", Secured: true}, {Key: "OBSOLETE", Value: "1"},
	} {
		site.AddVariable(v)
	}
}
