package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// startDemo starts a fake service with a repository whose pipeline takes about twelve seconds.
func startDemo(fail bool, options []pipelines.Option) (client *pipelines.Client, end func()) {
	srv := pipelinestest.NewServer()
	acme := srv.AddRepository(cli.DemoRepo.Workspace, cli.DemoRepo.Slug)
	acme.Script("default", demoScript(fail))
	client = srv.Client(options...)
	return client, func() {
		client.CloseIdleConnections()
		srv.Close()
	}
}

// demoScript has so few lines that a person can follow them.
func demoScript(fail bool) pipelinestest.Script {
	unit := demoStep("Unit tests", 4*time.Second, "go test ./...", testLog("unit", 9))
	if fail {
		unit.Result = pipelines.ResultFailed
		unit.Log += "\x1b[31m✗\x1b[0m unit/cart.TestTotal\n    cart_test.go:42: Total() = 41.99, want 42.00\n\x1b[31m9 passed, 1 failed\x1b[0m\n" +
			"Searching for test report files in directories named [test-results, test-reports] down to a depth of 4\n" +
			"Finished scanning for test reports. Found 0 test report files.\n"
	} else {
		unit.Log += "\x1b[32m9 passed\x1b[0m\n"
	}
	integration := demoStep("Integration tests", 3*time.Second, "go test -run Integration ./...", testLog("integration", 4)+"\x1b[32m4 passed\x1b[0m\n")
	integration.Parallel = true
	deploy := demoStep("Deploy", 3*time.Second, "./deploy.sh production", deployLog("site.tar.gz", "assets.tar.gz", "docs.tar.gz"))
	deploy.Image = "atlassian/pipelines-awscli"
	return pipelinestest.Script{
		Parsing: 500 * time.Millisecond, Pending: 500 * time.Millisecond,
		Steps: []pipelinestest.Step{demoStep("Build", 3*time.Second, "go build -v ./...", buildLog()), unit, integration, deploy},
	}
}

func demoStep(name string, d time.Duration, command, log string) pipelinestest.Step {
	return pipelinestest.Step{Name: name, Duration: d, Commands: []string{command}, Log: "\x1b[1m+ " + command + "\x1b[0m\n" + log}
}

var packages = []string{"cart", "catalog", "search", "session", "payment", "mail", "stock", "prices", "users"}

func buildLog() string {
	var b strings.Builder
	for i, name := range packages {
		fmt.Fprintf(&b, "example.com/acme/site/%s\x1b[2m [%d/%d]\x1b[0m\n", name, i+1, len(packages))
	}
	b.WriteString("\x1b[32mBuild finished.\x1b[0m\n")
	return b.String()
}

func testLog(kind string, tests int) string {
	var b strings.Builder
	for i, name := range packages[:tests] {
		fmt.Fprintf(&b, "\x1b[32m✓\x1b[0m %s/%s \x1b[2m(%d ms)\x1b[0m\n", kind, name, (i+3)*37%90+1)
	}
	return b.String()
}

// deployLog has progress bars, each of which rewrites its line.
func deployLog(files ...string) string {
	var b strings.Builder
	for _, name := range files {
		for percent := 0; percent <= 100; percent += 4 {
			fmt.Fprintf(&b, "\rUploading %s: %3d %%", name, percent)
		}
		b.WriteString("\n")
	}
	b.WriteString("\x1b[32mDeployed.\x1b[0m\n")
	return b.String()
}
