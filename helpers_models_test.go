package pipelines_test

import (
	"testing"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

// model is something that the service returns. Its payload has every member that is documented or was observed.
type model struct {
	file   string
	listed bool // read from a list
	read   func(*pipelines.Client) (any, error)
	want   any      // a pointer, new with each table
	secret []string // members that are not encoded again
}

// models makes the table of all of them.
func models(t *testing.T) map[string]model {
	t.Helper()
	ctx := t.Context()
	return map[string]model{
		"a pipeline": {
			file: "pipeline", want: fullPipeline(),
			read: func(c *pipelines.Client) (any, error) { return c.Pipelines.Get(ctx, repo, "412") },
		},
		"a step": {
			file: "step", want: fullStep(), secret: []string{".image.password"},
			read: func(c *pipelines.Client) (any, error) { return c.Steps.Get(ctx, repo, "412", "{s}") },
		},
		"a step that has ended": {
			file: "step_ended", want: endedStep(),
			read: func(c *pipelines.Client) (any, error) { return c.Steps.Get(ctx, repo, "412", "{s}") },
		},
		"a test report": {
			file: "test_report", want: &pipelines.TestReport{
				NumberOfTestCases: 1354, NumberOfSuccessfulTestCases: 1344, NumberOfFailedTestCases: 5, NumberOfErrorTestCases: 3,
				NumberOfSkippedTestCases: 2, StepUUID: "{6f1c2e0a-3f0e-4c58-9d0b-0f6f4f6a1b02}",
			},
			read: func(c *pipelines.Client) (any, error) { return c.Steps.GetTestReport(ctx, repo, "412", "{s}") },
		},
		"a test case": {
			file: "test_case", listed: true, want: &pipelines.TestCase{
				UUID: "{66666666-2222-4333-8444-555555555555}", Name: "adds", FullyQualifiedName: "acme.math.AdderTest.adds", ClassName: "AdderTest",
				SuiteName: "math", PackageName: "acme.math", Status: pipelines.TestFailed, Duration: 958926400 * time.Nanosecond,
				Reason: &pipelines.TestCaseReason{Message: "expected 4 but was 5", StackTrace: "at AdderTest.java:12"},
			},
			read: func(c *pipelines.Client) (any, error) {
				return c.Steps.ListTestCases(ctx, repo, "412", "{s}", nil).First()
			},
		},
		"a test case's reason": {
			file: "test_case_reason", listed: true,
			want: &pipelines.TestCaseReason{Message: "expected 4 but was 5", StackTrace: "at AdderTest.java:12"},
			read: func(c *pipelines.Client) (any, error) {
				return c.Steps.ListTestCaseReasons(ctx, repo, "412", "{s}", "{t}", nil).First()
			},
		},
		"a variable": {
			file: "variable", want: &pipelines.Variable{Type: "pipeline_variable", UUID: "{55555555-2222-4333-8444-555555555555}", Key: "REGION", Value: "eu-west-1"},
			read: func(c *pipelines.Client) (any, error) { return c.Variables.InRepository(repo).Get(ctx, "{v}") },
		},
		"a secured variable of an environment": {
			file: "variable_secured", listed: true,
			want: &pipelines.Variable{Type: "deployment_variable", UUID: "{55555555-2222-4333-8444-555555555556}", Key: "TOKEN", Secured: true},
			read: func(c *pipelines.Client) (any, error) {
				return c.Variables.InEnvironment(repo, "{e}").List(ctx, nil).First()
			},
		},
		"an environment": {
			file: "environment", want: fullEnvironment(),
			read: func(c *pipelines.Client) (any, error) { return c.Deployments.GetEnvironment(ctx, repo, "{e}") },
		},
		"a deployment": {
			file: "deployment", want: fullDeployment(),
			read: func(c *pipelines.Client) (any, error) { return c.Deployments.Get(ctx, repo, "{d}") },
		},
		"a schedule": {
			file: "schedule", want: &pipelines.Schedule{
				Type: "pipeline_schedule", UUID: "{99999999-2222-4333-8444-555555555555}", Enabled: true,
				Target: pipelines.Target{
					Type: pipelines.TargetRef, RefType: pipelines.RefBranch, RefName: "main", Commit: &pipelines.Commit{Type: "commit", Hash: "0123456789ab"},
					Selector: &pipelines.Selector{Type: pipelines.SelectorCustom, Pattern: "nightly"},
				},
				CronPattern: "0 0 12 * * ? *", CreatedOn: date("2026-01-01T00:00:00Z"), UpdatedOn: date("2026-01-02T00:00:00.000001Z"),
			},
			read: func(c *pipelines.Client) (any, error) { return c.Schedules.Get(ctx, repo, "{s}") },
		},
		"an execution that started a pipeline": {
			file: "schedule_execution_executed", listed: true, want: &pipelines.ScheduleExecution{
				Type: "pipeline_schedule_execution_executed", Pipeline: &pipelines.Pipeline{
					Type: "pipeline", UUID: "{6f1c2e0a-3f0e-4c58-9d0b-0f6f4f6a1b04}", BuildNumber: 413,
					State: pipelines.PipelineState{
						Type: "pipeline_state_in_progress", Name: pipelines.StateInProgress,
						Stage: &pipelines.Stage{Type: "pipeline_state_in_progress_running", Name: pipelines.StageRunning},
					},
					Trigger: &pipelines.Trigger{Type: "pipeline_trigger_schedule", Name: pipelines.TriggerSchedule},
				},
			},
			read: func(c *pipelines.Client) (any, error) {
				return c.Schedules.ListExecutions(ctx, repo, "{s}", nil).First()
			},
		},
		"an execution that started none": {
			file: "schedule_execution_errored", listed: true, want: &pipelines.ScheduleExecution{
				Type: "pipeline_schedule_execution_errored", Error: &pipelines.ErrorDetail{
					Type: "pipeline_error", Key: "plan-service.parse.error", Message: "No such branch", Arguments: map[string]any{"branch": "main"},
				},
			},
			read: func(c *pipelines.Client) (any, error) {
				return c.Schedules.ListExecutions(ctx, repo, "{s}", nil).First()
			},
		},
		"a key pair": {
			file: "key_pair", secret: []string{".private_key"}, want: &pipelines.KeyPair{
				Type:       "pipeline_ssh_key_pair",
				PrivateKey: "-----BEGIN RSA PRIVATE KEY-----\n(never returned)\n-----END RSA PRIVATE KEY-----\n", PublicKey: "ssh-rsa AAAAB3NzaC1yc2E= pipelines",
			},
			read: func(c *pipelines.Client) (any, error) { return c.SSH.GetKeyPair(ctx, repo) },
		},
		"a known host": {
			file: "known_host", want: &pipelines.KnownHost{
				Type: "pipeline_known_host", UUID: "{aaaaaaaa-2222-4333-8444-555555555555}", Hostname: "[example.com]:22",
				PublicKey: &pipelines.SSHPublicKey{
					Type: "pipeline_ssh_public_key", KeyType: "ssh-ed25519", Key: "AAAAC3NzaC1lZDI1NTE5AAAAIG==",
					MD5Fingerprint: "md5:97:8c:1b:f2:6f:14:6b:5c:3b:ec:aa:46:46:74:7c:40", SHA256Fingerprint: "SHA256:zzXQOXSRBEiUtuE8AikJYKwbHaxvSc0ojez9YXaGp1A",
				},
			},
			read: func(c *pipelines.Client) (any, error) { return c.SSH.GetKnownHost(ctx, repo, "{h}") },
		},
		"a cache": {
			file: "cache", listed: true, want: &pipelines.Cache{
				Type: "pipeline_cache", UUID: "{bbbbbbbb-2222-4333-8444-555555555555}", Name: "node", PipelineUUID: "{6f1c2e0a-3f0e-4c58-9d0b-0f6f4f6a1b01}",
				StepUUID: "{6f1c2e0a-3f0e-4c58-9d0b-0f6f4f6a1b02}", KeyHash: "3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea",
				Path: "node_modules", FileSizeBytes: 5 << 30, CreatedOn: date("2026-08-01T10:12:13.671Z"),
			},
			read: func(c *pipelines.Client) (any, error) { return c.Caches.List(ctx, repo, nil).First() },
		},
		"a configuration": {
			file: "config", want: &pipelines.Config{Type: "pipelines_config", Enabled: true, Repository: &pipelines.Repository{
				Type: "repository", UUID: "{33333333-2222-4333-8444-555555555555}", Name: "site", FullName: "acme/site",
				Links: &pipelines.Links{Self: link("s"), HTML: link("h"), Avatar: link("a")},
			}},
			read: func(c *pipelines.Client) (any, error) { return c.Config.Get(ctx, repo) },
		},
		"a build number": {
			file: "build_number", want: &pipelines.BuildNumber{Type: "pipeline_build_number", Next: 500},
			read: func(c *pipelines.Client) (any, error) { return c.Config.SetNextBuildNumber(ctx, repo, 500) },
		},
		"an OpenID configuration": {
			file: "openid_configuration", want: &pipelines.OpenIDConfiguration{
				Issuer:                "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc",
				JWKSURI:               "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc/keys.json",
				SubjectTypesSupported: []string{"public"}, ResponseTypesSupported: []string{"id_token"},
				ClaimsSupported: []string{"iss", "sub", "aud", "workspaceUuid"}, IDTokenSigningAlgValuesSupported: []string{"RS256"},
			},
			read: func(c *pipelines.Client) (any, error) { return c.OIDC.GetConfiguration(ctx, "acme") },
		},
		"a set of keys": {
			file: "json_web_key_set", want: &pipelines.JSONWebKeySet{Keys: []pipelines.JSONWebKey{
				{Kid: "1", Kty: "RSA", Alg: "RS256", Use: "sig", N: "sXchDaQebHnPiGvyDOAT4saGEUetSyo9MKLOoWFsueri", E: "AQAB"},
				{
					Kid: "2", Kty: "EC", Alg: "ES256", Use: "sig", Crv: "P-256",
					X: "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", Y: "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
				},
			}},
			read: func(c *pipelines.Client) (any, error) { return c.OIDC.GetKeys(ctx, "acme") },
		},
		"a runner": {
			file: "runner", secret: []string{".oauth_client.secret"}, want: &pipelines.Runner{
				Type: "pipeline_runner", UUID: "{cccccccc-2222-4333-8444-555555555555}", Name: "rack 7", Labels: []string{"self.hosted", "linux"},
				State: pipelines.RunnerState{
					Type: "pipeline_runner_state", Status: pipelines.RunnerOnline, UpdatedOn: date("2026-08-01T10:12:13.671Z"), Cordoned: true,
					Version: &pipelines.RunnerVersion{Type: "pipeline_runner_version", Version: "3.1.0", Current: "3.2.0"},
				},
				CreatedOn: date("2026-01-01T00:00:00Z"), UpdatedOn: date("2026-01-02T00:00:00Z"),
				OAuthClient: &pipelines.RunnerOAuthClient{
					Type: "pipeline_runner_oauth_client", ID: "client", Secret: "once", TokenEndpoint: "https://auth.example/oauth/token", Audience: "api.example",
				},
			},
			read: func(c *pipelines.Client) (any, error) { return c.Runners.InRepository(repo).Get(ctx, "{r}") },
		},
	}
}

func link(href string) *pipelines.Link { return &pipelines.Link{Href: href} }

func fullPipeline() *pipelines.Pipeline {
	return &pipelines.Pipeline{
		Type: "pipeline", UUID: "{6f1c2e0a-3f0e-4c58-9d0b-0f6f4f6a1b01}", BuildNumber: 412, RunNumber: 2,
		State: pipelines.PipelineState{Type: "pipeline_state_completed", Name: pipelines.StateCompleted, Result: &pipelines.Result{
			Type: "pipeline_state_completed_stopped", Name: pipelines.ResultStopped,
			Error: &pipelines.ErrorDetail{
				Type: "pipeline_error", Key: "plan-service.parse.error", Message: "No matching pipeline definition", Arguments: map[string]any{"branch": "main"},
			},
			Terminator: &pipelines.Account{
				Type: "user", UUID: "{11111111-2222-4333-8444-555555555555}", AccountID: "557058:abc", AccountStatus: "active", DisplayName: "Ada",
				Nickname: "ada", Has2FAEnabled: true, IsStaff: true, CreatedOn: date("2020-01-02T03:04:05Z"),
				Links: &pipelines.Links{
					Self: link("https://api.example/users/ada"), HTML: link("https://example/ada"), Avatar: link("https://example/ada.png"),
					Repositories: link("https://api.example/repositories/ada"), Members: link("m"), Projects: link("p"),
				},
			},
		}},
		Target: pipelines.Target{
			Type: pipelines.TargetPullRequest, RefType: pipelines.RefBranch, RefName: "feature/x", Source: "feature/x", Destination: "main",
			DestinationCommit: &pipelines.Commit{Type: "commit", Hash: "aaaaaaaaaaaa"},
			Commit: &pipelines.Commit{
				Type: "commit", Hash: fullHash, Date: date("2026-08-01T10:11:12Z"), Message: "Fix\n",
				Summary:      &pipelines.CommitSummary{Raw: "Fix", Markup: "markdown", HTML: "<p>Fix</p>"},
				Author:       &pipelines.Author{Type: "author", Raw: "Ada <ada@example.com>", User: &pipelines.Account{Type: "user", DisplayName: "Ada"}},
				Committer:    &pipelines.Author{Type: "committer", Raw: "Bob <bob@example.com>"},
				Parents:      []pipelines.Commit{{Type: "commit", Hash: "bbbbbbb"}},
				Repository:   &pipelines.Repository{Type: "repository", Name: "site"},
				Participants: []pipelines.Participant{{Type: "participant", User: &pipelines.Account{Type: "user"}, Role: "REVIEWER", Approved: true, State: "approved", ParticipatedOn: date("2026-08-01T09:00:00.5Z")}},
				Links:        &pipelines.Links{Self: link("c"), HTML: link("h")},
			},
			Selector: &pipelines.Selector{
				Type: pipelines.SelectorPullRequests, Pattern: "**",
				ImportedFrom: &pipelines.ImportedFrom{RepoUUID: "{22222222-2222-4333-8444-555555555555}", Revision: "main", PipelineName: "shared"},
			},
			PullRequest:  &pipelines.PullRequest{Type: "pullrequest", ID: 17, Title: "Fix it", Draft: true, Queued: true, Links: &pipelines.Links{Self: link("s"), HTML: link("h")}},
			TargetBranch: "main", PullRequestIDs: []int{17, 18},
		},
		Trigger: &pipelines.Trigger{Type: "pipeline_trigger_schedule", Name: pipelines.TriggerSchedule},
		Creator: &pipelines.Account{Type: "app_user", Kind: "repository_access_token", DisplayName: "bot"},
		Repository: &pipelines.Repository{
			Type: "repository", UUID: "{33333333-2222-4333-8444-555555555555}", Name: "site", FullName: "acme/site", Slug: "site",
			Workspace: &pipelines.Workspace{
				Type: "workspace", UUID: "{44444444-2222-4333-8444-555555555556}", Name: "Acme", Slug: "acme",
				Links: &pipelines.Links{Self: link("s"), HTML: link("h"), Avatar: link("a")},
			},
			Description: "The site", Website: "https://acme.example", IsPrivate: true,
			Parent: &pipelines.Repository{Type: "repository", FullName: "acme/base"}, SCM: "git", Owner: &pipelines.Account{Type: "team", DisplayName: "Acme"},
			CreatedOn: date("2019-01-01T00:00:00Z"), UpdatedOn: date("2026-01-01T00:00:00Z"), Size: 123456789012, Language: "go", HasIssues: true, HasWiki: true,
			ForkPolicy: "no_forks",
			Project: &pipelines.Project{
				Type: "project", UUID: "{44444444-2222-4333-8444-555555555555}", Key: "WEB", Name: "Web", Description: "d", Owner: &pipelines.Account{Type: "team"},
				IsPrivate: true, HasPubliclyVisibleRepos: true, CreatedOn: date("2019-01-01T00:00:00Z"), UpdatedOn: date("2019-01-01T00:00:00Z"),
				Links: &pipelines.Links{HTML: link("h"), Avatar: link("a")},
			},
			MainBranch: &pipelines.Ref{
				Type: "branch", Name: "main", Target: &pipelines.Commit{Type: "commit", Hash: "cccccccccccc"}, MergeStrategies: []string{"squash"},
				DefaultMergeStrategy: "squash", Message: "m", Date: date("2019-01-01T00:00:00Z"), Tagger: &pipelines.Author{Type: "author", Raw: "r"},
				Links: &pipelines.Links{Self: link("s"), Commits: link("c"), HTML: link("h")},
			},
			Links: &pipelines.Links{
				Self: link("s"), HTML: link("h"), Avatar: link("a"), PullRequests: link("p"), Commits: link("c"), Forks: link("f"), Watchers: link("w"),
				Downloads: link("d"), Clone: []pipelines.Link{{Name: "ssh", Href: "git@example"}}, Hooks: link("k"),
				Branches: link("B"), Tags: link("T"), Source: link("S"), Owners: link("O"), Snippets: link("N"), Statuses: link("U"), Diff: link("D"), Patch: link("P"), Comments: link("C"), Approve: link("A"),
			},
		},
		CreatedOn: date("2026-08-01T10:12:13.671Z"), RunCreationDate: date("2026-08-01T10:12:14.5Z"), CompletedOn: date("2026-08-01T10:15:13.109572944Z"), DurationInSeconds: 180, BuildSecondsUsed: 300,
		FirstSuccessful: true, Expired: true, HasVariables: true,
		Variables: []pipelines.Variable{
			{Type: "pipeline_variable", UUID: "{55555555-2222-4333-8444-555555555555}", Key: "K", Value: "v"}, {Key: "S", Secured: true},
		},
		ConfigurationSources: []pipelines.ConfigurationSource{{Source: "STATIC_LOCAL", URI: "/%7Ba%7D/%7Bb%7D/src/c/bitbucket-pipelines.yml"}},
		Labels:               map[string]any{"team": "web"},
		Links: &pipelines.Links{
			Type: "pipelines_pipeline_links", Self: &pipelines.Link{Type: "pipelines_links_section_href", Href: "s"}, Steps: link("t"),
		},
	}
}

func fullStep() *pipelines.Step {
	return &pipelines.Step{
		Type: "pipeline_step", UUID: "{6f1c2e0a-3f0e-4c58-9d0b-0f6f4f6a1b02}", Name: "Test", RunNumber: 2,
		State: pipelines.StepState{
			Type: "pipeline_step_state_pending", Name: pipelines.StatePending,
			Stage: &pipelines.Stage{Type: "pipeline_step_state_pending_paused", Name: pipelines.StagePaused},
		},
		Trigger:          &pipelines.StepTrigger{Type: pipelines.StepTriggerManual},
		Image:            &pipelines.Image{Name: "golang:1.26", Username: "u", Password: "p", Email: "e"},
		SetupCommands:    []pipelines.Command{{Name: "Clone", Command: "git clone", CommandType: pipelines.CommandSystem}},
		ScriptCommands:   []pipelines.Command{{Name: "go test", Command: "go test ./...", CommandType: pipelines.CommandUser}},
		TeardownCommands: []pipelines.Command{{Name: "Reports", Command: "x", CommandType: pipelines.CommandSystem, Action: "PROCESS_TEST_REPORTS"}},
		StartedOn:        date("2026-08-01T10:12:20.14397Z"), CompletedOn: date("2026-08-01T10:12:30Z"),
		DurationInSeconds: 10, BuildSecondsUsed: 11, MaxTime: 120,
		Pipeline: &pipelines.PipelineRef{Type: "pipeline", UUID: "{6f1c2e0a-3f0e-4c58-9d0b-0f6f4f6a1b01}"},
	}
}

func endedStep() *pipelines.Step {
	return &pipelines.Step{
		Type: "pipeline_step", UUID: "{6f1c2e0a-3f0e-4c58-9d0b-0f6f4f6a1b03}",
		State: pipelines.StepState{
			Type: "pipeline_step_state_completed", Name: pipelines.StateCompleted,
			Result: &pipelines.Result{
				Type: "pipeline_step_state_completed_error", Name: pipelines.ResultError,
				Error: &pipelines.ErrorDetail{
					Type: "pipeline_step_error", Key: "runner.image.pull", Message: "The image could not be pulled", Arguments: map[string]any{"image": "golang:1"},
				},
				Terminator: &pipelines.Account{Type: "user", DisplayName: "Ada"},
			},
		},
	}
}

func fullEnvironment() *pipelines.Environment {
	return &pipelines.Environment{
		Type: "deployment_environment", UUID: "{77777777-2222-4333-8444-555555555555}", Name: "Production EU", Slug: "production-eu", Rank: 1, Hidden: true,
		Category:        &pipelines.EnvironmentCategory{Name: pipelines.EnvironmentProduction},
		EnvironmentType: &pipelines.EnvironmentType{Type: "deployment_environment_type", Name: pipelines.EnvironmentProduction, Rank: 2},
		Restrictions:    &pipelines.DeploymentRestrictions{Type: "deployment_restrictions_configuration", AdminOnly: true},
		Lock: &pipelines.EnvironmentLock{
			Type: "deployment_environment_lock_open", Name: "OPEN",
			LockOpener: &pipelines.LockOpener{
				Type: "deployment_environment_lock_opener", PipelineUUID: "{6f1c2e0a-3f0e-4c58-9d0b-0f6f4f6a1b01}",
				DeploymentGroupUUID: "{77777777-2222-4333-8444-555555555556}", StepUUID: "{6f1c2e0a-3f0e-4c58-9d0b-0f6f4f6a1b02}",
			},
			Triggerer: &pipelines.Account{Type: "user", DisplayName: "Ada"},
		},
		EnvironmentLockEnabled: true, DeploymentGateEnabled: true, ChangeRequestConfig: &pipelines.ChangeRequestConfig{Configured: true},
	}
}

func fullDeployment() *pipelines.Deployment {
	release := func() *pipelines.DeploymentRelease {
		return &pipelines.DeploymentRelease{
			Type: "deployment_release", UUID: "{88888888-2222-4333-8444-555555555556}", Key: "pipelines-{6f1c2e0a-3f0e-4c58-9d0b-0f6f4f6a1b01}", Name: "#412",
			URL: "https://bitbucket.org/acme/site/pipelines/results/412", Commit: &pipelines.Commit{Type: "commit", Hash: "0123456789ab"},
			Pipeline: &pipelines.PipelineRef{Type: "pipeline", UUID: "{6f1c2e0a-3f0e-4c58-9d0b-0f6f4f6a1b01}"}, CreatedOn: date("2026-08-01T10:12:13.671Z"),
		}
	}
	return &pipelines.Deployment{
		Type: "deployment", UUID: "{88888888-2222-4333-8444-555555555555}", Key: "steps-{6f1c2e0a-3f0e-4c58-9d0b-0f6f4f6a1b02}", Version: 3,
		State: pipelines.DeploymentState{
			Type: "deployment_state_completed", Name: pipelines.StateCompleted,
			Status: &pipelines.DeploymentStatus{Type: "deployment_state_completed_successful", Name: pipelines.ResultSuccessful},
			URL:    "https://bitbucket.org/acme/site/pipelines/results/412/steps/2", TriggerURL: "https://bitbucket.org/acme/site/pipelines/results/412",
			Deployer:  &pipelines.Account{Type: "user", DisplayName: "Ada"},
			StartedOn: date("2026-08-01T10:12:20.14397Z"), CompletedOn: date("2026-08-01T10:12:30Z"),
			StartDate: date("2026-08-01T10:12:20Z"), CompletionDate: date("2026-08-01T10:12:31Z"),
		},
		Environment: &pipelines.Environment{Type: "deployment_environment", UUID: "{77777777-2222-4333-8444-555555555555}"},
		Release:     release(), Deployable: release(), Step: &pipelines.StepRef{UUID: "{6f1c2e0a-3f0e-4c58-9d0b-0f6f4f6a1b02}"},
		Commit: &pipelines.Commit{Type: "commit", Hash: "0123456789ab"}, LastUpdateTime: date("2026-08-01T10:12:31.5Z"),
	}
}
