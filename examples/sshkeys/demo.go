package main

import (
	"strings"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// seed adds resources to the demo's service.
func seed(srv *pipelinestest.Server) {
	repo := srv.AddRepository(cli.DemoRepo.Workspace, cli.DemoRepo.Slug)
	pair, err := newKeyPair(ed25519Type, 0, "pipelines of "+cli.DemoRepo.String())
	if err != nil {
		panic(err) // no source of randomness
	}
	repo.SetKeyPair(*pair)
	for _, host := range []string{"deploy.example.com", "[git.example.com]:2222"} {
		key, err := newKeyPair(ed25519Type, 0, "")
		if err != nil {
			panic(err)
		}
		fields := strings.Fields(key.PublicKey)
		repo.AddKnownHost(pipelines.KnownHost{Hostname: host, PublicKey: &pipelines.SSHPublicKey{KeyType: fields[0], Key: fields[1]}})
	}
}
