package pipelines_test

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// These tests prove that no value of the package shows a secret, however it is printed, logged or marshalled.

// exportedTypes are the exported types of the package. Reflection can't list them; a test compares them with the source.
var exportedTypes = map[string]reflect.Type{
	"APIError":               reflect.TypeFor[pipelines.APIError](),
	"Account":                reflect.TypeFor[pipelines.Account](),
	"Author":                 reflect.TypeFor[pipelines.Author](),
	"BuildNumber":            reflect.TypeFor[pipelines.BuildNumber](),
	"Cache":                  reflect.TypeFor[pipelines.Cache](),
	"CachesService":          reflect.TypeFor[pipelines.CachesService](),
	"CallOption":             reflect.TypeFor[pipelines.CallOption](),
	"ChangeRequestConfig":    reflect.TypeFor[pipelines.ChangeRequestConfig](),
	"Client":                 reflect.TypeFor[pipelines.Client](),
	"Command":                reflect.TypeFor[pipelines.Command](),
	"CommandType":            reflect.TypeFor[pipelines.CommandType](),
	"Commit":                 reflect.TypeFor[pipelines.Commit](),
	"CommitSummary":          reflect.TypeFor[pipelines.CommitSummary](),
	"Config":                 reflect.TypeFor[pipelines.Config](),
	"ConfigService":          reflect.TypeFor[pipelines.ConfigService](),
	"ConfigUpdate":           reflect.TypeFor[pipelines.ConfigUpdate](),
	"ConfigurationSource":    reflect.TypeFor[pipelines.ConfigurationSource](),
	"Deployment":             reflect.TypeFor[pipelines.Deployment](),
	"DeploymentRelease":      reflect.TypeFor[pipelines.DeploymentRelease](),
	"DeploymentRestrictions": reflect.TypeFor[pipelines.DeploymentRestrictions](),
	"DeploymentSort":         reflect.TypeFor[pipelines.DeploymentSort](),
	"DeploymentState":        reflect.TypeFor[pipelines.DeploymentState](),
	"DeploymentStatus":       reflect.TypeFor[pipelines.DeploymentStatus](),
	"DeploymentsService":     reflect.TypeFor[pipelines.DeploymentsService](),
	"Environment":            reflect.TypeFor[pipelines.Environment](),
	"EnvironmentCategory":    reflect.TypeFor[pipelines.EnvironmentCategory](),
	"EnvironmentLock":        reflect.TypeFor[pipelines.EnvironmentLock](),
	"EnvironmentRequest":     reflect.TypeFor[pipelines.EnvironmentRequest](),
	"EnvironmentType":        reflect.TypeFor[pipelines.EnvironmentType](),
	"EnvironmentTypeName":    reflect.TypeFor[pipelines.EnvironmentTypeName](),
	"EnvironmentUpdate":      reflect.TypeFor[pipelines.EnvironmentUpdate](),
	"ErrorDetail":            reflect.TypeFor[pipelines.ErrorDetail](),
	"Cursor":                 reflect.TypeFor[pipelines.Cursor](),
	"Event":                  reflect.TypeFor[pipelines.Event](),
	"Follower":               reflect.TypeFor[pipelines.Follower](),
	"FollowerOptions":        reflect.TypeFor[pipelines.FollowerOptions](),
	"LogSelection":           reflect.TypeFor[pipelines.LogSelection](),
	"WaitError":              reflect.TypeFor[pipelines.WaitError](),
	"FollowOptions":          reflect.TypeFor[pipelines.FollowOptions](),
	"Image":                  reflect.TypeFor[pipelines.Image](),
	"ImportedFrom":           reflect.TypeFor[pipelines.ImportedFrom](),
	"JSONWebKey":             reflect.TypeFor[pipelines.JSONWebKey](),
	"JSONWebKeySet":          reflect.TypeFor[pipelines.JSONWebKeySet](),
	"KeyPair":                reflect.TypeFor[pipelines.KeyPair](),
	"KnownHost":              reflect.TypeFor[pipelines.KnownHost](),
	"KnownHostRequest":       reflect.TypeFor[pipelines.KnownHostRequest](),
	"Attempt":                reflect.TypeFor[pipelines.Attempt](),
	"EventKind":              reflect.TypeFor[pipelines.EventKind](),
	"Links":                  reflect.TypeFor[pipelines.Links](),
	"LogFollower":            reflect.TypeFor[pipelines.LogFollower](),
	"RunnerUpdate":           reflect.TypeFor[pipelines.RunnerUpdate](),
	"VariableRequest":        reflect.TypeFor[pipelines.VariableRequest](),
	"Limiter":                reflect.TypeFor[pipelines.Limiter](),
	"Link":                   reflect.TypeFor[pipelines.Link](),
	"ListDeploymentsOptions": reflect.TypeFor[pipelines.ListDeploymentsOptions](),
	"ListOptions":            reflect.TypeFor[pipelines.ListOptions](),
	"ListPipelinesOptions":   reflect.TypeFor[pipelines.ListPipelinesOptions](),
	"LockOpener":             reflect.TypeFor[pipelines.LockOpener](),
	"Log":                    reflect.TypeFor[pipelines.Log](),
	"LogOptions":             reflect.TypeFor[pipelines.LogOptions](),
	"OIDCService":            reflect.TypeFor[pipelines.OIDCService](),
	"OnDemandRequest":        reflect.TypeFor[pipelines.OnDemandRequest](),
	"OpenIDConfiguration":    reflect.TypeFor[pipelines.OpenIDConfiguration](),
	"Operation":              reflect.TypeFor[pipelines.Operation](),
	"Option":                 reflect.TypeFor[pipelines.Option](),
	"OutcomeUnknownError":    reflect.TypeFor[pipelines.OutcomeUnknownError](),
	"Page":                   reflect.TypeFor[pipelines.Page[pipelines.Variable]](),
	"Pager":                  reflect.TypeFor[pipelines.Pager[pipelines.Variable]](),
	"Participant":            reflect.TypeFor[pipelines.Participant](),
	"Pipeline":               reflect.TypeFor[pipelines.Pipeline](),
	"PipelineRef":            reflect.TypeFor[pipelines.PipelineRef](),
	"PipelineSort":           reflect.TypeFor[pipelines.PipelineSort](),
	"PipelineState":          reflect.TypeFor[pipelines.PipelineState](),
	"PipelineStatus":         reflect.TypeFor[pipelines.PipelineStatus](),
	"PipelinesService":       reflect.TypeFor[pipelines.PipelinesService](),
	"Project":                reflect.TypeFor[pipelines.Project](),
	"PullRequestRef":         reflect.TypeFor[pipelines.PullRequestRef](),
	"Quota":                  reflect.TypeFor[pipelines.Quota](),
	"PullRequest":            reflect.TypeFor[pipelines.PullRequest](),
	"Ref":                    reflect.TypeFor[pipelines.Ref](),
	"RefType":                reflect.TypeFor[pipelines.RefType](),
	"Repo":                   reflect.TypeFor[pipelines.Repo](),
	"Repository":             reflect.TypeFor[pipelines.Repository](),
	"Result":                 reflect.TypeFor[pipelines.Result](),
	"ResultName":             reflect.TypeFor[pipelines.ResultName](),
	"RetryPolicy":            reflect.TypeFor[pipelines.RetryPolicy](),
	"RunRequest":             reflect.TypeFor[pipelines.RunRequest](),
	"Runner":                 reflect.TypeFor[pipelines.Runner](),
	"RunnerOAuthClient":      reflect.TypeFor[pipelines.RunnerOAuthClient](),
	"RunnerRequest":          reflect.TypeFor[pipelines.RunnerRequest](),
	"RunnerSet":              reflect.TypeFor[pipelines.RunnerSet](),
	"RunnerState":            reflect.TypeFor[pipelines.RunnerState](),
	"RunnerStatus":           reflect.TypeFor[pipelines.RunnerStatus](),
	"RunnerVersion":          reflect.TypeFor[pipelines.RunnerVersion](),
	"RunnersService":         reflect.TypeFor[pipelines.RunnersService](),
	"SSHPublicKey":           reflect.TypeFor[pipelines.SSHPublicKey](),
	"SSHService":             reflect.TypeFor[pipelines.SSHService](),
	"Schedule":               reflect.TypeFor[pipelines.Schedule](),
	"ScheduleExecution":      reflect.TypeFor[pipelines.ScheduleExecution](),
	"ScheduleRequest":        reflect.TypeFor[pipelines.ScheduleRequest](),
	"ScheduleUpdate":         reflect.TypeFor[pipelines.ScheduleUpdate](),
	"SchedulesService":       reflect.TypeFor[pipelines.SchedulesService](),
	"Selector":               reflect.TypeFor[pipelines.Selector](),
	"SelectorType":           reflect.TypeFor[pipelines.SelectorType](),
	"Stage":                  reflect.TypeFor[pipelines.Stage](),
	"StageName":              reflect.TypeFor[pipelines.StageName](),
	"StateName":              reflect.TypeFor[pipelines.StateName](),
	"Step":                   reflect.TypeFor[pipelines.Step](),
	"StepClaims":             reflect.TypeFor[pipelines.StepClaims](),
	"StepRef":                reflect.TypeFor[pipelines.StepRef](),
	"SecuredSync":            reflect.TypeFor[pipelines.SecuredSync](),
	"SyncChange":             reflect.TypeFor[pipelines.SyncChange](),
	"SyncError":              reflect.TypeFor[pipelines.SyncError](),
	"SyncOptions":            reflect.TypeFor[pipelines.SyncOptions](),
	"SyncPlan":               reflect.TypeFor[pipelines.SyncPlan](),
	"VariableChange":         reflect.TypeFor[pipelines.VariableChange](),
	"StepState":              reflect.TypeFor[pipelines.StepState](),
	"StepTrigger":            reflect.TypeFor[pipelines.StepTrigger](),
	"StepTriggerType":        reflect.TypeFor[pipelines.StepTriggerType](),
	"StepsService":           reflect.TypeFor[pipelines.StepsService](),
	"Subject":                reflect.TypeFor[pipelines.Subject](),
	"Target":                 reflect.TypeFor[pipelines.Target](),
	"TargetType":             reflect.TypeFor[pipelines.TargetType](),
	"TestCase":               reflect.TypeFor[pipelines.TestCase](),
	"TestCaseReason":         reflect.TypeFor[pipelines.TestCaseReason](),
	"TestReport":             reflect.TypeFor[pipelines.TestReport](),
	"TestStatus":             reflect.TypeFor[pipelines.TestStatus](),
	"Trigger":                reflect.TypeFor[pipelines.Trigger](),
	"TriggerName":            reflect.TypeFor[pipelines.TriggerName](),
	"Variable":               reflect.TypeFor[pipelines.Variable](),
	"VariableSet":            reflect.TypeFor[pipelines.VariableSet](),
	"VariableUpdate":         reflect.TypeFor[pipelines.VariableUpdate](),
	"VariablesService":       reflect.TypeFor[pipelines.VariablesService](),
	"WaitOptions":            reflect.TypeFor[pipelines.WaitOptions](),
	"WatchOptions":           reflect.TypeFor[pipelines.WatchOptions](),
	"Workspace":              reflect.TypeFor[pipelines.Workspace](),
}

func TestEveryExportedTypeIsWalkedForSecrets(t *testing.T) {
	var declared []string
	for _, file := range parsePackage(t, token.NewFileSet(), ".", 0) {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.IsExported() {
				declared = append(declared, spec.Name.Name)
			}
			_, isFunc := n.(*ast.FuncDecl)
			return !isFunc
		})
	}
	require.ElementsMatch(t, declared, slices.Collect(maps.Keys(exportedTypes)), "a new type goes into exportedTypes, and with a secret into secretFields")
	for name, typ := range exportedTypes {
		generic, _, _ := strings.Cut(typ.Name(), "[")
		require.True(t, generic == name || typ == reflect.TypeFor[string](), "%s is listed as %s", typ, name)
	}
}

// secretFields hold what is shown nowhere: neither printed nor logged nor marshalled.
var secretFields = map[string]bool{
	"Variable.Value": true, "VariableRequest.Value": true, "VariableUpdate.Value": true, "KeyPair.PrivateKey": true, "RunnerOAuthClient.Secret": true, "Image.Password": true,
}

// hiddenFields are neither printed nor logged as such, because their content is unknown. Marshalled they are as they are.
var hiddenFields = map[string]bool{"APIError.Body": true, "OnDemandRequest.YAML": true}

// harmlessFields have the name of a secret and hold none.
var harmlessFields = map[string]string{
	"APIError.Key":                    "the service's key of an error",
	"Cache.KeyHash":                   "a hash of the cached files",
	"Deployment.Key":                  "an identifier",
	"DeploymentRelease.Key":           "an identifier",
	"ErrorDetail.Key":                 "the service's key of an error",
	"JSONWebKeySet.Keys":              "public keys",
	"KeyPair.PublicKey":               "public",
	"KnownHost.PublicKey":             "public",
	"Page.Values":                     "the items, each of which looks after itself",
	"Project.Key":                     "an identifier",
	"Runner.OAuthClient":              "looks after itself",
	"RunnerOAuthClient.TokenEndpoint": "an address",
	"SSHPublicKey.Key":                "public",
	"SSHPublicKey.KeyType":            "such as ssh-ed25519",
	"SyncChange.Key":                  "a name",
	"Variable.Key":                    "a name",
	"VariableRequest.Key":             "a name",
	"KnownHostRequest.KeyType":        "such as ssh-ed25519",
	"KnownHostRequest.Key":            "public",
	"VariableUpdate.Key":              "a name",
	"OpenIDConfiguration.IDTokenSigningAlgValuesSupported": "names of algorithms",
}

var secretName = regexp.MustCompile(`(?i)secret|password|passphrase|token|credential|key|value|oauth|authorization|cookie|signature|^(body|yaml|[dpq]|dp|dq|qi)$`)

// Whoever adds a field that sounds like a secret has to say whether it is one.
func TestEveryFieldThatSoundsLikeASecretIsJudged(t *testing.T) {
	unused := slices.Collect(maps.Keys(harmlessFields))
	unused = slices.AppendSeq(slices.AppendSeq(unused, maps.Keys(secretFields)), maps.Keys(hiddenFields))
	for name, typ := range exportedTypes {
		if typ.Kind() != reflect.Struct {
			continue
		}
		for field := range typ.Fields() {
			key := name + "." + field.Name
			judged := slices.Contains(unused, key)
			unused = slices.DeleteFunc(unused, func(s string) bool { return s == key })
			if field.IsExported() && (secretName.MatchString(field.Name) || secretName.MatchString(field.Tag.Get("json"))) {
				assert.True(t, judged, "%s: a secret goes into secretFields, anything else into harmlessFields", key)
			}
		}
	}
	assert.Empty(t, unused, "no such field")
}

// filler sets every field of a value.
type filler struct {
	unset  bool           // pointers to bool are nil
	open   []reflect.Type // structs that are being filled, which end where they contain themselves
	placed map[string]int
}

func (f *filler) fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.String:
		v.SetString("plain")
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte("plain"))
			return
		}
		f.fill(v.Index(0))
	case reflect.Map:
		value := reflect.New(v.Type().Elem()).Elem()
		f.fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("plain").Convert(v.Type().Key()), value)
	case reflect.Pointer:
		if slices.Contains(f.open, v.Type().Elem()) || f.unset && v.Type().Elem().Kind() == reflect.Bool {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Interface:
		f.fillInterface(v)
	case reflect.Struct:
		f.fillStruct(v)
	default: // functions, and numbers that no model has
	}
}

func (f *filler) fillInterface(v reflect.Value) {
	var content any = []any{&pipelines.Variable{Value: caged(secretCanary), Secured: true}}
	if v.Type() == reflect.TypeFor[error]() {
		e := &pipelines.APIError{}
		f.fill(reflect.ValueOf(e).Elem())
		content = e
	}
	if reflect.TypeOf(content).AssignableTo(v.Type()) {
		v.Set(reflect.ValueOf(content))
	}
}

func (f *filler) fillStruct(v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Time]() || slices.Contains(f.open, v.Type()) {
		return
	}
	f.open = append(f.open, v.Type())
	defer func() { f.open = f.open[:len(f.open)-1] }()
	for i := range v.NumField() {
		field := v.Field(i)
		if !field.CanSet() {
			continue
		}
		f.fill(field)
		switch key := v.Type().Name() + "." + v.Type().Field(i).Name; {
		case secretFields[key]:
			f.place(key, field, caged(secretCanary))
		case hiddenFields[key]:
			f.place(key, field, caged(hiddenCanary))
		}
	}
}

func (f *filler) place(key string, field reflect.Value, canary string) {
	f.placed[key]++
	if field.Kind() == reflect.Pointer {
		field = field.Elem()
	}
	field.Set(reflect.ValueOf(canary).Convert(field.Type()))
}

// shapes are v, a pointer to something, as programs hold it.
func shapes(v reflect.Value) map[string]any {
	typ := v.Type().Elem()
	slice := reflect.Append(reflect.MakeSlice(reflect.SliceOf(typ), 0, 1), v.Elem())
	pointers := reflect.Append(reflect.MakeSlice(reflect.SliceOf(v.Type()), 0, 1), v)
	byName := reflect.MakeMap(reflect.MapOf(reflect.TypeFor[string](), typ))
	byName.SetMapIndex(reflect.ValueOf("k"), v.Elem())
	inStruct := func(field reflect.Value) any {
		s := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "V", Type: field.Type()}}))
		s.Elem().Field(0).Set(field)
		return s.Elem().Interface()
	}
	all := map[string]any{
		"value": v.Elem().Interface(), "pointer": v.Interface(), "slice": slice.Interface(), "slice of pointers": pointers.Interface(),
		"map": byName.Interface(), "field": inStruct(v.Elem()), "pointer field": inStruct(v), "interface": []any{v.Elem().Interface(), v.Interface()},
		"interface field": struct{ V any }{v.Interface()},
	}
	if err, ok := v.Interface().(error); ok {
		all["wrapped"], all["joined"] = fmt.Errorf("while testing: %w", err), errors.Join(io.EOF, fmt.Errorf("%w", err))
	}
	return all
}

func TestNoExportedTypeShowsItsSecrets(t *testing.T) {
	t.Parallel()
	placed := map[string]int{}
	for name, typ := range exportedTypes {
		for _, unset := range []bool{false, true} {
			f := filler{unset: unset, placed: map[string]int{}}
			v := reflect.New(typ)
			f.fill(v.Elem())
			for key, n := range f.placed {
				placed[key] += n
			}
			if len(f.placed) == 0 {
				continue
			}
			for shape, value := range shapes(v) {
				of := name + " as " + shape
				printed := printings(value)
				maps.Copy(printed, logged(value))
				assertShowsNot(t, printed, secretCanary, of)
				assertShowsNot(t, marshalled(value), secretCanary, of)
				if shape == "pointer" {
					assertShowsNot(t, printed, hiddenCanary, of)
				}
			}
		}
	}
	for _, fields := range []map[string]bool{secretFields, hiddenFields} {
		for key := range fields {
			assert.Positive(t, placed[key], "%s was never filled", key)
		}
	}
}

func TestNothingOfAClientShowsItsCredentials(t *testing.T) {
	srv := record(t, serveJSON(`{"uuid":"{1}","access_token":"`+secretCanary+`","token_type":"bearer","expires_in":3600}`))
	for name, opts := range credentials(t) {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, srv.base(), append(opts, pipelines.WithUserAgent("me/1"), pipelines.WithHTTPClient(&http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
				return http.DefaultTransport.RoundTrip(req)
			})}))...)
			_, err := c.Variables.InRepository(repo).Create(t.Context(), pipelines.VariableRequest{Key: "K", Value: secretCanary, Secured: new(true)})
			require.NoError(t, err, "a token that is kept is one to show")
			log, err := c.Steps.GetLog(t.Context(), repo, "1", "{s}", nil)
			require.NoError(t, err)
			defer log.Close()
			parts := map[string]any{
				"client": c, "options": opts, "option": opts[0], "call option": pipelines.WithHeader("X-Key", secretCanary),
				"variables": c.Variables.InRepository(repo), "environment": c.Variables.InEnvironment(repo, "{e}"), "runners": c.Runners.InWorkspace("acme"),
				"pager": c.Pipelines.List(t.Context(), repo, nil, pipelines.WithHeader("X-Key", secretCanary)), "log": log,
				"parallel pager": c.Variables.InWorkspace("acme").List(t.Context(), nil).Parallel(3),
			}
			fields := reflect.ValueOf(c).Elem()
			for i := range fields.NumField() {
				if fields.Type().Field(i).IsExported() {
					parts[fields.Type().Field(i).Name] = fields.Field(i).Interface()
				}
			}
			for of, part := range parts {
				if v := reflect.ValueOf(part); v.Kind() == reflect.Pointer {
					for shape, held := range shapes(v) {
						assertSilent(t, of+" as "+shape, held)
					}
					continue
				}
				assertSilent(t, of, part)
			}
			for _, request := range srv.seen() {
				assert.NotEmpty(t, request.Header.Get("Authorization"))
			}
		})
	}
}

// secrets are values that carry one each.
var secrets = []any{
	pipelines.Variable{Key: "K", Value: "s3cret", Secured: true},
	&pipelines.Variable{Key: "K", Value: "s3cret", Secured: true},
	[]pipelines.Variable{{Key: "K", Value: "s3cret", Secured: true}},
	map[string]*pipelines.Variable{"a": {Value: "s3cret", Secured: true}},
	pipelines.RunRequest{Target: pipelines.BranchTarget("main"), Variables: []pipelines.VariableRequest{{Key: "K", Value: "s3cret", Secured: new(true)}}},
	pipelines.OnDemandRequest{RunRequest: pipelines.RunRequest{Variables: []pipelines.VariableRequest{{Value: "s3cret", Secured: new(true)}}}, YAML: []byte("s3cret")},
	&pipelines.Pipeline{Variables: []pipelines.Variable{{Value: "s3cret", Secured: true}}},
	pipelines.VariableRequest{Key: "K", Value: "s3cret"},
	&pipelines.VariableRequest{Key: "K", Value: "s3cret", Secured: new(true)},
	[]pipelines.VariableRequest{{Key: "K", Value: "s3cret"}},
	pipelines.Image{Name: "i", Username: "u", Password: "s3cret"},
	pipelines.Step{Image: &pipelines.Image{Password: "s3cret"}},
}

func TestSecretsNeverShow(t *testing.T) {
	c, err := pipelines.NewClient(pipelines.WithToken("s3cret"))
	require.NoError(t, err)
	basic, err := pipelines.NewClient(pipelines.WithBasicAuth("s3cret", "s3cret"))
	require.NoError(t, err)
	for _, v := range append(secrets, c, basic, c.Pipelines, c.Steps, c.Pipelines.List(t.Context(), repo, nil), pipelines.WithToken("s3cret")) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			got := fmt.Sprintf(verb, v)
			assert.NotContains(t, got, "s3cret", "%T under %s", v, verb)
			assert.NotContains(t, strings.ToLower(got), "733363726574", "%T under %s", v, verb)
			assert.NotContains(t, got, "czNjcmV0", "%T under %s", v, verb)
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		assert.NotContains(t, log.String(), "s3cret", "%T", v)
	}
	require.Contains(t, fmt.Sprintf("%+v", pipelines.Variable{Key: "K", Value: "plain"}), "Value:plain")
	require.Contains(t, fmt.Sprintf("%+v", secrets[0]), "Value:******")
	require.Equal(t, "pipelines.Client(https://api.bitbucket.org/2.0)", fmt.Sprint(c))
}
