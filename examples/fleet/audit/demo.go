package audit

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const demoWorkspace = "acme"

// hostKeys are public keys of made-up hosts.
var hostKeys = []string{
	"AAAAC3NzaC1lZDI1NTE5AAAAIEfWbvOKdEPFYs2M3YWAY2MQLPVgl5Qb1WTdmOXTQhqi",
	"AAAAC3NzaC1lZDI1NTE5AAAAIBGcmQqzQVqL3P6LRzR1H5sz7sw4g1f7mJkz4QGFvUCV",
}

// seed fills the demo's service: a dozen repositories with the runs of four weeks. One can't be read completely.
func seed(srv *pipelinestest.Server) {
	random := rand.New(rand.NewPCG(15, 9)) //nolint:gosec // a made-up history
	now := time.Now()
	workspace := srv.AddWorkspace(demoWorkspace)
	workspace.AddVariable(pipelines.Variable{Key: "REGION", Value: "eu-west-1"})
	workspace.AddVariable(pipelines.Variable{Key: "NPM_TOKEN", Value: "made-up", Secured: true})
	workspace.AddRunner(pipelines.Runner{Name: "build-1", Labels: []string{"linux"}, State: pipelines.RunnerState{Status: pipelines.RunnerOnline, UpdatedOn: now.Add(-9 * day)}})
	workspace.AddRunner(pipelines.Runner{Name: "mac-mini", Labels: []string{"macos"}, State: pipelines.RunnerState{Status: pipelines.RunnerOffline, UpdatedOn: now.Add(-23 * day)}})
	for i, slug := range []string{"site", "shop", "billing", "search", "mail", "mobile", "docs", "tools", "images", "reports", "legacy", "vault"} {
		repo := srv.AddRepository(demoWorkspace, slug)
		repo.AddBranch("release", "1ab2")
		seedSettings(repo, i)
		for range 4 + random.IntN(40) {
			at := now.Add(-time.Duration(random.Int64N(int64(28 * day))))
			branch := []string{"main", "main", "release", fmt.Sprintf("feature/%d", random.IntN(4))}[random.IntN(4)]
			minutes := func(most int) time.Duration { return time.Second * time.Duration(20+random.IntN(60*most)) }
			steps := []pipelinestest.Step{{Name: "Build", Duration: minutes(4)}, {Name: "Test", Duration: minutes(12)}}
			if branch == "release" {
				steps = append(steps, pipelinestest.Step{Name: "Deploy", Duration: minutes(3)})
			}
			repo.AddRun(pipelinestest.Script{Steps: steps}, at, pipelines.BranchTarget(branch))
		}
	}
	srv.Inject(pipelinestest.Fault{
		Path: "/repositories/" + demoWorkspace + "/vault/pipelines_config/variables", Status: http.StatusForbidden, Body: "Only the vault's owners may see this.",
	})
}

func seedSettings(repo *pipelinestest.Repository, i int) {
	repo.AddVariable(pipelines.Variable{Key: "LOG_LEVEL", Value: "info"})
	if i%3 == 0 {
		repo.AddVariable(pipelines.Variable{Key: "NPM_TOKEN", Value: "made-up-too"})
		repo.AddSchedule(pipelines.Schedule{CronPattern: "0 0 2 * * ? *", Enabled: i%2 == 0, Target: pipelines.BranchTarget("main")})
	}
	if i%2 == 0 {
		production := repo.AddEnvironment("Production", pipelines.EnvironmentProduction)
		production.AddVariable(pipelines.Variable{Key: "REGION", Value: "us-east-1"})
		production.AddVariable(pipelines.Variable{Key: "DB_PASSWORD", Value: "made-up", Secured: true})
	}
	repo.AddKnownHost(pipelines.KnownHost{Hostname: "deploy.example.com", PublicKey: &pipelines.SSHPublicKey{KeyType: "ssh-ed25519", Key: hostKeys[min(1, i/10)]}})
	if i%4 == 0 {
		repo.SetKeyPair(pipelines.KeyPair{PublicKey: "ssh-ed25519 " + hostKeys[min(1, i/8)] + " pipelines"})
	}
	if i%5 == 0 {
		repo.AddRunner(pipelines.Runner{Name: "laptop", State: pipelines.RunnerState{Status: pipelines.RunnerOffline, UpdatedOn: time.Now().Add(-40 * day)}})
	}
}
