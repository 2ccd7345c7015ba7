package pipelines_test

import (
	"context"
	"fmt"
	"log"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// The repositories of a workspace. The same works for every other path that is served in pages.
func ExampleList() {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	srv.AddRepository("acme", "docs")
	srv.AddRepository("acme", "site")
	client := srv.Client()

	list := pipelines.List[pipelines.Repository](context.Background(), client, "/repositories/acme?sort=full_name")
	for r, err := range list.All() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.FullName)
	}
	// Output:
	// acme/docs
	// acme/site
}

// A list as a slice.
func ExamplePager_Collect() {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	client := srv.Client()
	repo.AddVariable(pipelines.Variable{Key: "LEVEL", Value: "debug"})
	repo.AddVariable(pipelines.Variable{Key: "REGION", Value: "eu"})

	variables, err := client.Variables.InRepository(repo.Repo()).List(context.Background(), nil).Collect()
	if err != nil {
		log.Fatal(err) // variables has what was read before the error
	}
	fmt.Println(len(variables), "variables")
	// Output: 2 variables
}

// A long list, four pages at a time. Its items come in the same order as without Parallel.
func ExamplePager_Parallel() {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	client := srv.Client()
	repo.AddPipelines(500)

	failed := 0
	for run, err := range client.Pipelines.List(context.Background(), repo.Repo(), nil).Parallel(4).All() {
		if err != nil {
			log.Fatal(err)
		}
		if !run.State.Succeeded() {
			failed++
		}
	}
	fmt.Println(failed, "failed runs, found with", len(srv.Requests()), "requests")
	// Output: 0 failed runs, found with 5 requests
}

// The newest run of each branch, with one request: the newest 100 runs of a repository, with the fields that are shown. A branch whose
// newest run is older than those needs a request of its own, with ListPipelinesOptions.Branch and First.
func ExamplePipelinesService_List_branches() {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	client := srv.Client()
	for _, branch := range []string{"main", "fix-login", "main", "docs", "fix-login", "main"} {
		repo.AddPipeline(pipelines.Pipeline{Target: pipelines.BranchTarget(branch)})
	}
	repo.AddPipeline(pipelines.Pipeline{Target: pipelines.TagTarget("v1.0.0")})

	const shown = "values.build_number,values.state,values.target.ref_type,values.target.ref_name"
	list := client.Pipelines.List(context.Background(), repo.Repo(), &pipelines.ListPipelinesOptions{Sort: pipelines.SortNewestFirst},
		pipelines.WithQuery("fields", shown))
	known := make(map[string]bool)
	for page, err := range list.Pages() {
		if err != nil {
			log.Fatal(err)
		}
		for _, run := range page.Values {
			branch := run.Target.RefName
			if run.Target.RefType != pipelines.RefBranch || known[branch] {
				continue
			}
			known[branch] = true
			fmt.Printf("%-10s #%d %v\n", branch, run.BuildNumber, run.State)
		}
		break // the first page is enough
	}
	fmt.Println(len(srv.Requests()), "request")
	// Output:
	// main       #6 SUCCESSFUL
	// fix-login  #5 SUCCESSFUL
	// docs       #4 SUCCESSFUL
	// 1 request
}
