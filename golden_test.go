package pipelines_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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

// fullPage has links below BASE.
func fullPage() pipelines.Page[pipelines.Variable] {
	return pipelines.Page[pipelines.Variable]{
		Number: 2, PageLen: 1, Size: 3, Next: "BASE/repositories/acme/site/pipelines_config/variables?page=3",
		Previous: "BASE/repositories/acme/site/pipelines_config/variables?page=1",
		Values:   []*pipelines.Variable{{Type: "pipeline_variable", UUID: "{55555555-2222-4333-8444-555555555555}", Key: "REGION", Value: "eu-west-1"}},
	}
}

func TestEveryModelIsDecodedWhole(t *testing.T) {
	for name, m := range models(t) {
		t.Run(name, func(t *testing.T) {
			payload := golden(t, m.file+"_full.json")
			got := m.decode(t, payload)
			require.Equal(t, m.want, got)
			want := members(t, payload)
			for _, secret := range m.secret {
				require.Contains(t, want, secret)
				delete(want, secret)
			}
			encoded, err := json.Marshal(got)
			require.NoError(t, err)
			require.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(members(t, string(encoded)))), "every member has its place in the model")
			m.requireSameAgain(t, got)
		})
	}
}

func TestEveryFieldIsFilledByAPayload(t *testing.T) {
	filled := map[string]bool{ // in TestWhatIsReadLooselyIsKeptAsItCame
		"pipelines.TestCaseReason.Raw": true, "pipelines.ScheduleExecution.Raw": true,
	}
	wants := []any{fullPage()}
	for _, m := range models(t) {
		wants = append(wants, m.want)
	}
	for _, want := range wants {
		each(reflect.ValueOf(want), func(v reflect.Value) {
			for i := range v.NumField() {
				name := v.Type().String() + "." + v.Type().Field(i).Name
				filled[name] = filled[name] || !empty(v.Field(i))
			}
		})
	}
	for name, ok := range filled {
		assert.True(t, ok, name)
	}
}

func TestEveryModelIsDecodedInEveryForm(t *testing.T) {
	type object = map[string]any
	for form, change := range map[string]struct {
		payload func(object)
		want    func(reflect.Value)
	}{
		"as an empty object":      {empties, reflect.Value.SetZero},
		"with nulls":              {nulls, reflect.Value.SetZero},
		"with empty objects":      {hollow(empties), hollowStruct},
		"with objects of nulls":   {hollow(nulls), hollowStruct},
		"without types":           {inEveryObject(func(o object) { delete(o, "type") }), inEveryStruct(retype(""))},
		"with types unheard of":   {inEveryObject(func(o object) { replace(o, "type", "moon") }), inEveryStruct(retype("moon"))},
		"with members unheard of": {inEveryObject(func(o object) { o["moon"] = []any{object{"phase": "full"}, nil, 1.5} }), func(reflect.Value) {}},
	} {
		for name, m := range models(t) {
			t.Run(name+" "+form, func(t *testing.T) {
				var payload object
				require.NoError(t, json.Unmarshal([]byte(golden(t, m.file+"_full.json")), &payload))
				change.payload(payload)
				body, err := json.Marshal(payload)
				require.NoError(t, err)
				change.want(reflect.ValueOf(m.want).Elem())
				got := m.decode(t, string(body))
				require.Equal(t, m.want, got)
				m.requireSameAgain(t, got)
			})
		}
	}
}

func TestStrangeFormsAreDecodedAsTheyCome(t *testing.T) {
	for strange, tc := range map[string]struct {
		model, payload string
		want           any
	}{
		"nothing where a state, a trigger and a target belong": {
			"a pipeline", `{"state":{"name":"IN_PROGRESS","stage":null,"result":null},"trigger":null,"target":{"ref_name":null,"selector":null},"completed_on":null}`,
			&pipelines.Pipeline{State: pipelines.PipelineState{Name: "IN_PROGRESS"}},
		},
		"an unknown target": {
			"a pipeline", `{"target":{"type":"pipeline_moon_target","ref_type":"phase","ref_name":"full","phase":"full","selector":{"type":"tides","pattern":"*"}}}`,
			&pipelines.Pipeline{Target: pipelines.Target{
				Type: "pipeline_moon_target", RefType: "phase", RefName: "full", Selector: &pipelines.Selector{Type: "tides", Pattern: "*"},
			}},
		},
		"an unknown state": {
			"a pipeline", `{"state":{"type":"pipeline_state_dreaming","name":"DREAMING","stage":{"name":"REM"}}}`,
			&pipelines.Pipeline{State: pipelines.PipelineState{Type: "pipeline_state_dreaming", Name: "DREAMING", Stage: &pipelines.Stage{Name: "REM"}}},
		},
		"an unknown result": {
			"a pipeline", `{"state":{"name":"COMPLETED","result":{"type":"pipeline_state_completed_so_so","name":"SO_SO"}}}`,
			&pipelines.Pipeline{State: pipelines.PipelineState{Name: "COMPLETED", Result: &pipelines.Result{Type: "pipeline_state_completed_so_so", Name: "SO_SO"}}},
		},
		"an unknown trigger": {
			"a pipeline", `{"trigger":{"type":"x","name":"TELEPATHY"}}`, &pipelines.Pipeline{Trigger: &pipelines.Trigger{Type: "x", Name: "TELEPATHY"}},
		},
		"an unknown creator": {
			"a pipeline", `{"creator":{"type":"robot","display_name":"R2","links":{}}}`,
			&pipelines.Pipeline{Creator: &pipelines.Account{Type: "robot", DisplayName: "R2", Links: &pipelines.Links{}}},
		},
		"labels and arguments of every kind": {
			"a pipeline", `{"labels":{"a":null,"b":[1.5,{"c":true}]},"state":{"result":{"error":{"arguments":{"type":{"x":1}}}}}}`,
			&pipelines.Pipeline{
				Labels: map[string]any{"a": nil, "b": []any{1.5, map[string]any{"c": true}}},
				State:  pipelines.PipelineState{Result: &pipelines.Result{Error: &pipelines.ErrorDetail{Arguments: map[string]any{"type": map[string]any{"x": 1.0}}}}},
			},
		},
		"an unknown state, trigger and command of a step": {
			"a step", `{"state":{"name":"DREAMING","stage":{"name":"REM"},"result":{"name":"SO_SO"}},"trigger":{"type":"x"},"script_commands":[{"commandType":"robot"}]}`,
			&pipelines.Step{
				State:   pipelines.StepState{Name: "DREAMING", Stage: &pipelines.Stage{Name: "REM"}, Result: &pipelines.Result{Name: "SO_SO"}},
				Trigger: &pipelines.StepTrigger{Type: "x"}, ScriptCommands: []pipelines.Command{{CommandType: "robot"}},
			},
		},
		"an unknown status of a test and its duration in seconds": {
			"a test case", `{"status":"FLAKY","duration":1.25}`, &pipelines.TestCase{Status: "FLAKY", Duration: 1250 * time.Millisecond},
		},
		"a duration that is none": {"a test case", `{"name":"adds","duration":"a while"}`, &pipelines.TestCase{Name: "adds"}},
		"a reason as a text":      {"a test case", `{"reason":"it broke"}`, &pipelines.TestCase{Reason: &pipelines.TestCaseReason{Message: "it broke"}}},
		"a reason in a reason":    {"a test case's reason", `{"reason":{"message":"m","stack_trace":"s"}}`, &pipelines.TestCaseReason{Message: "m", StackTrace: "s"}},
		"a reason in lines":       {"a test case's reason", `{"message":["a","b"],"stack_trace":["c"]}`, &pipelines.TestCaseReason{Message: "a\nb", StackTrace: "c"}},
		"a secured variable with an empty value": {
			"a variable", `{"key":"TOKEN","value":"","secured":true}`, &pipelines.Variable{Key: "TOKEN", Secured: true},
		},
		"an unknown kind of environment and lock": {
			"an environment", `{"category":{"name":"Moon"},"environment_type":{"name":"Moon","rank":9},"lock":{"type":"deployment_environment_lock_moon","name":"ECLIPSED"}}`,
			&pipelines.Environment{
				Category: &pipelines.EnvironmentCategory{Name: "Moon"}, EnvironmentType: &pipelines.EnvironmentType{Name: "Moon", Rank: 9},
				Lock: &pipelines.EnvironmentLock{Type: "deployment_environment_lock_moon", Name: "ECLIPSED"},
			},
		},
		"a deployment that hasn't begun": {
			"a deployment", `{"state":{"type":"deployment_state_undeployed","name":"UNDEPLOYED","trigger_url":"u"}}`,
			&pipelines.Deployment{State: pipelines.DeploymentState{Type: "deployment_state_undeployed", Name: pipelines.StateUndeployed, TriggerURL: "u"}},
		},
		"an unknown state of a deployment": {
			"a deployment", `{"state":{"name":"ORBITING","status":{"type":"x","name":"SO_SO"}}}`,
			&pipelines.Deployment{State: pipelines.DeploymentState{Name: "ORBITING", Status: &pipelines.DeploymentStatus{Type: "x", Name: "SO_SO"}}},
		},
		"a schedule without a selector": {
			"a schedule", `{"enabled":false,"target":{"type":"pipeline_ref_target","ref_type":"moon","selector":null}}`,
			&pipelines.Schedule{Target: pipelines.Target{Type: "pipeline_ref_target", RefType: "moon"}},
		},
		"an execution of neither kind": {
			"an execution that started none", `{"type":"pipeline_schedule_execution_dreamt","pipeline":7,"error":[]}`,
			&pipelines.ScheduleExecution{Type: "pipeline_schedule_execution_dreamt"},
		},
		"an execution with a name for its pipeline": {
			"an execution that started a pipeline", `{"pipeline":"{p}"}`, &pipelines.ScheduleExecution{Pipeline: &pipelines.Pipeline{UUID: "{p}"}},
		},
		"a key pair as it is read": {
			"a key pair", `{"type":"pipeline_ssh_key_pair","private_key":"","public_key":"ssh-rsa A"}`,
			&pipelines.KeyPair{Type: "pipeline_ssh_key_pair", PublicKey: "ssh-rsa A"},
		},
		"an unknown type of host key": {
			"a known host", `{"hostname":"example.com","public_key":{"key_type":"ssh-moon"}}`,
			&pipelines.KnownHost{Hostname: "example.com", PublicKey: &pipelines.SSHPublicKey{KeyType: "ssh-moon"}},
		},
		"an unknown type of key": {"a set of keys", `{"keys":[{"kty":"MOON","phase":1}]}`, &pipelines.JSONWebKeySet{Keys: []pipelines.JSONWebKey{{Kty: "MOON"}}}},
		"an unknown status of a runner": {
			"a runner", `{"labels":[],"state":{"status":"ORBITING"},"oauth_client":{"id":"c"}}`,
			&pipelines.Runner{
				Labels: []string{}, State: pipelines.RunnerState{Status: "ORBITING"}, OAuthClient: &pipelines.RunnerOAuthClient{ID: "c"},
			},
		},
	} {
		t.Run(strange, func(t *testing.T) {
			m := models(t)[tc.model]
			got := m.decode(t, tc.payload)
			require.Equal(t, tc.want, got)
			m.secret = nil // there is none in these
			m.requireSameAgain(t, got)
		})
	}
}

func TestWhatIsReadLooselyIsKeptAsItCame(t *testing.T) {
	const payload = `{"message": "m", "moon": [1.50]}`
	c := newClient(t, record(t, answerJSON(`{"values":[`+payload+`]}`)).base())
	reason, err := c.Steps.ListTestCaseReasons(t.Context(), repo, "412", "{s}", "{t}", nil).First()
	require.NoError(t, err)
	require.Equal(t, payload, string(reason.Raw))
	execution, err := c.Schedules.ListExecutions(t.Context(), repo, "{s}", nil).First()
	require.NoError(t, err)
	require.Equal(t, payload, string(execution.Raw))
}

func TestAPageIsDecodedWhole(t *testing.T) {
	one := []*pipelines.Variable{{Key: "A"}}
	for name, tc := range map[string]struct {
		payload string
		want    pipelines.Page[pipelines.Variable]
	}{
		"with every member":       {golden(t, "page_full.json"), fullPage()},
		"with values only":        {`{"values":[{"key":"A"}]}`, pipelines.Page[pipelines.Variable]{Values: one, Number: 1, Size: -1}},
		"with nulls":              {`{"values":[null,{"key":"A"}],"page":null,"pagelen":null,"size":null,"next":null,"previous":null}`, pipelines.Page[pipelines.Variable]{Values: one, Number: 1, Size: -1}},
		"with members unheard of": {`{"values":[{"key":"A"}],"size":1,"moon":{"next":"x"}}`, pipelines.Page[pipelines.Variable]{Values: one, Number: 1, Size: 1}},
		"without anything on it":  {`{"values":[],"page":1,"size":0,"pagelen":0}`, pipelines.Page[pipelines.Variable]{Values: []*pipelines.Variable{}, Number: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, func(w http.ResponseWriter, req *http.Request) {
				answerJSON(strings.ReplaceAll(tc.payload, "BASE", "http://"+req.Host+"/2.0"))(w, req)
			})
			base := srv.base()
			for page, err := range newClient(t, base).Variables.InRepository(repo).List(t.Context(), nil).Pages() {
				require.NoError(t, err)
				page.Next, page.Previous = strings.ReplaceAll(page.Next, base, "BASE"), strings.ReplaceAll(page.Previous, base, "BASE")
				require.Equal(t, &tc.want, page)
				break
			}
			require.Len(t, srv.seen(), 1)
		})
	}
}

// decode reads a payload as programs do, from a server.
func (m model) decode(t *testing.T, payload string) any {
	t.Helper()
	if m.listed {
		payload = `{"values":[` + payload + `]}`
	}
	got, err := m.read(newClient(t, record(t, answerJSON(payload)).base()))
	require.NoError(t, err)
	return settled(got)
}

// requireSameAgain finds what is lost where a program encodes and decodes a value again. Secrets are meant to be.
func (m model) requireSameAgain(t *testing.T, got any) {
	t.Helper()
	encoded, err := json.Marshal(got)
	require.NoError(t, err, "what decodes encodes again")
	if m.secret != nil {
		return
	}
	again := reflect.New(reflect.TypeOf(got).Elem()).Interface()
	require.NoError(t, json.Unmarshal(encoded, again))
	require.Equal(t, got, settled(again))
}

// settled takes from a value what two equal ones may differ in: "+00:00" is UTC under another name, and Raw has spaces too.
func settled(v any) any {
	each(reflect.ValueOf(v), func(s reflect.Value) {
		for i := range s.NumField() {
			switch field := s.Field(i); {
			case field.Type() == timeType:
				field.Set(reflect.ValueOf(field.Interface().(time.Time).UTC()))
			case field.Type() == rawType:
				field.SetZero()
			}
		}
	})
	return v
}

var timeType, rawType = reflect.TypeFor[time.Time](), reflect.TypeFor[[]byte]()

// each calls f with every struct in v, the outer first. Times are values.
func each(v reflect.Value, f func(reflect.Value)) {
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil():
		each(v.Elem(), f)
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			each(v.Index(i), f)
		}
	case isStruct(v.Type()):
		f(v)
		for i := range v.NumField() {
			each(v.Field(i), f)
		}
	}
}

func isStruct(t reflect.Type) bool { return t.Kind() == reflect.Struct && t != timeType }

func inEveryStruct(f func(reflect.Value)) func(reflect.Value) {
	return func(v reflect.Value) { each(v, f) }
}

func empty(v reflect.Value) bool {
	if v.Kind() == reflect.Slice || v.Kind() == reflect.Map {
		return v.Len() == 0
	}
	return v.IsZero()
}

// retype changes the type of a struct that has one.
func retype(name string) func(reflect.Value) {
	return func(v reflect.Value) {
		if field := v.FieldByName("Type"); field.IsValid() && !field.IsZero() {
			field.SetString(name)
		}
	}
}

// hollowStruct empties a struct but for the structs in it, which are empty themselves.
func hollowStruct(v reflect.Value) {
	for i := range v.NumField() {
		switch field := v.Field(i); {
		case field.Kind() == reflect.Pointer && !field.IsNil():
			field.Elem().SetZero()
		case field.Kind() == reflect.Slice && isStruct(field.Type().Elem()):
			for j := range field.Len() {
				field.Index(j).SetZero()
			}
		case field.Kind() == reflect.Map:
			field.Clear()
		default:
			field.SetZero()
		}
	}
}

// hollow is the same of an object: inner empties the objects in it.
func hollow(inner func(map[string]any)) func(map[string]any) {
	return func(o map[string]any) {
		for name, member := range o {
			objects := objectsIn(member)
			if objects == nil {
				o[name] = nil
			}
			for _, object := range objects {
				if freeForm[name] {
					clear(object)
				} else {
					inner(object)
				}
			}
		}
	}
}

// objectsIn gives the object that a member is, or those of the list that it is.
func objectsIn(member any) []map[string]any {
	switch member := member.(type) {
	case map[string]any:
		return []map[string]any{member}
	case []any:
		var objects []map[string]any
		for _, element := range member {
			objects = append(objects, objectsIn(element)...)
		}
		return objects
	}
	return nil
}

// empties and nulls leave an object without members, or without values for them.
func empties(o map[string]any) { clear(o) }

func nulls(o map[string]any) {
	for name := range o {
		o[name] = nil
	}
}

// freeForm are the members whose own members may have any name.
var freeForm = map[string]bool{"labels": true, "arguments": true}

// inEveryObject changes the objects of a payload, the outer last.
func inEveryObject(f func(map[string]any)) func(map[string]any) {
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, element := range v {
				walk(element)
			}
		case map[string]any:
			for name, member := range v {
				if !freeForm[name] {
					walk(member)
				}
			}
			f(v)
		}
	}
	return func(o map[string]any) { walk(o) }
}

func replace(o map[string]any, name, value string) {
	if _, ok := o[name]; ok {
		o[name] = value
	}
}

// members are the paths of the members of a payload, such as ".keys[].kid".
func members(t *testing.T, payload string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	var walk func(string, any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case []any:
			for _, element := range v {
				walk(path+"[]", element)
			}
		case map[string]any:
			for name, member := range v {
				found[path+"."+name] = true
				walk(path+"."+name, member)
			}
		}
	}
	var decoded any
	require.NoError(t, json.Unmarshal([]byte(payload), &decoded))
	walk("", decoded)
	return found
}
