package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// startDemo starts a fake service with a repository whose pipeline takes about ten seconds.
func startDemo(fail bool, options []pipelines.Option) (client *pipelines.Client, repo pipelines.Repo, end func()) {
	srv := pipelinestest.NewServer()
	acme := srv.AddRepository("acme", "site")
	acme.Script("default", demoScript(fail))
	client = srv.Client(options...)
	return client, acme.Repo(), func() {
		client.CloseIdleConnections()
		srv.Close()
	}
}

func demoScript(fail bool) pipelinestest.Script {
	unit := pipelinestest.Step{Name: "Unit tests", Duration: 4 * time.Second, Log: testLog("unit", 1600, fail)}
	if fail {
		unit.Result = pipelines.ResultFailed
	}
	return pipelinestest.Script{
		Parsing: 500 * time.Millisecond, Pending: 500 * time.Millisecond,
		Steps: []pipelinestest.Step{
			{Name: "Build", Duration: 2 * time.Second, Log: buildLog(700)},
			unit,
			{Name: "Integration tests", Duration: 3 * time.Second, Log: testLog("integration", 900, false), Parallel: true},
			{Name: "Deploy", Duration: 2 * time.Second, Log: deployLog(), Image: "atlassian/pipelines-awscli"},
		},
	}
}

func buildLog(packages int) string {
	var b strings.Builder
	b.WriteString("\x1b[1m+ go build -v ./...\x1b[0m\n")
	for i := range packages {
		fmt.Fprintf(&b, "example.com/acme/site/internal/%s\x1b[2m [%d/%d]\x1b[0m\n", packageName(i), i+1, packages)
	}
	b.WriteString("\x1b[32mBuild finished.\x1b[0m\n")
	return b.String()
}

func testLog(kind string, tests int, fail bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\x1b[1m+ go test -run %s ./...\x1b[0m\n", kind)
	for i := range tests {
		fmt.Fprintf(&b, "\x1b[32m✓\x1b[0m %s/%s \x1b[2m(%d ms)\x1b[0m\n", kind, packageName(i), i*7%90+1)
	}
	if fail {
		b.WriteString("\x1b[31m✗\x1b[0m unit/cart.TestTotal\n    cart_test.go:42: Total() = 41.99, want 42.00\n")
		fmt.Fprintf(&b, "\x1b[31m%d passed, 1 failed\x1b[0m\n", tests)
		return b.String()
	}
	fmt.Fprintf(&b, "\x1b[32m%d passed\x1b[0m\n", tests)
	return b.String()
}

// deployLog has a progress bar that rewrites its line.
func deployLog() string {
	var b strings.Builder
	b.WriteString("\x1b[1m+ ./deploy.sh production\x1b[0m\nUploading:   0 %")
	for percent := 4; percent <= 100; percent += 4 {
		fmt.Fprintf(&b, "\rUploading: %3d %%", percent)
	}
	b.WriteString("\n\x1b[32mDeployed.\x1b[0m\n")
	return b.String()
}

func packageName(i int) string {
	areas := []string{"cart", "catalog", "search", "session", "payment", "mail"}
	return fmt.Sprintf("%s/part%03d", areas[i%len(areas)], i/len(areas))
}
