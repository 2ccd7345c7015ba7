package pipelines_test

import (
	"bytes"
	"context"
	"encoding/base64"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-85ed9bfd/pipelines"
)

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
	"Event":                  reflect.TypeFor[pipelines.Event](),
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

// hiddenFields are neither printed nor logged as such, because nobody knows what is in them. Marshalled they are as they are.
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

// The canaries are found in any spelling by their letters and digits; what stands around these is there to be quoted.
const (
	secretCanary = "zXq7secret9Wv"
	hiddenCanary = "kJ4hidden8Bf"
)

func caged(canary string) string { return "<\"'" + canary + "\n&é>" }

// filler gives every field of a value a content.
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

var (
	printVerbs = "vsqxXdtcUboOeEfFgGT"
	printFlags = []string{"", "+", "#", "-", " ", "0", "# ", "+#", "40", "-40.30"}
)

// printings are all the ways to print v. %p and %w are left out: fmt asks no type about these, and go vet refuses them.
func printings(v any) map[string]string {
	all := map[string]string{"Sprint": fmt.Sprint(v), "Sprintln": fmt.Sprintln(v), "panic": panicText(v)}
	for format := range strings.FieldsSeq("no-verb %v,%v %z") {
		all[format] = fmt.Sprintf(format, v)
	}
	for _, verb := range printVerbs {
		for _, flag := range printFlags {
			format := "%" + flag + string(verb)
			all[format] = fmt.Sprintf(format, v)
		}
	}
	return all
}

// panicText is what a recovered panic prints.
func panicText(v any) (text string) {
	defer func() { text = fmt.Sprint("recovered: ", recover()) }()
	panic(v)
}

// logged is what slog makes of v.
func logged(v any) map[string]string {
	var text, js bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&js, nil)} {
		l := slog.New(h)
		l.Info("x", "v", v)
		l.With("v", v).WithGroup("g").Info("x", slog.Group("h", "v", v))
		l.Info("x", slog.Any("v", slog.GroupValue(slog.Any("v", v))))
	}
	return map[string]string{"slog as text": text.String(), "slog as JSON": js.String()}
}

// marshalled is what the JSON packages make of v. Values that can't be marshalled give the error's text.
func marshalled(v any) map[string]string {
	all := map[string]string{}
	for name, marshal := range map[string]func(any) ([]byte, error){
		"encoding/json":      stdjson.Marshal,
		"indented":           func(v any) ([]byte, error) { return stdjson.MarshalIndent(v, "", " ") },
		"go-json-experiment": func(v any) ([]byte, error) { return json.Marshal(v) },
	} {
		body, err := marshal(v)
		all[name] = string(body) + fmt.Sprint(err)
	}
	return all
}

// spellings keeps what spelled has worked out.
var spellings = map[[2]string][]string{}

// spelled are the ways in which a canary may stand in a text that was made by a format, or in another way.
func spelled(canary, format string) []string {
	key := [2]string{canary, format}
	if spellings[key] == nil {
		spellings[key] = spellOut(canary, format)
	}
	return spellings[key]
}

func spellOut(canary, format string) []string {
	all := []string{canary}
	for shift := range 3 { // the letters of base64 depend on where in the text the canary begins
		code := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + canary))
		all = append(all, code[shift+1:len(code)-2])
	}
	all = append(all, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary))
	if strings.HasPrefix(format, "%") && len(format) > 1 && !strings.HasSuffix(format, "T") {
		for _, as := range []any{canary, []byte(canary)} { // numbers of bytes, among others
			all = append(all, strings.Trim(fmt.Sprintf(format, as), "[] "))
		}
	}
	return all
}

func assertShowsNot(t *testing.T, texts map[string]string, canary, of string) {
	t.Helper()
	for how, text := range texts {
		for _, spelling := range spelled(canary, how) {
			if strings.Contains(text, spelling) {
				assert.Fail(t, "a secret shows", "%s by %s: %q in %.500q", of, how, spelling, text)
				break
			}
		}
	}
}

func TestNoExportedTypeShowsItsSecrets(t *testing.T) {
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

// credentials are all the ways to give a client a secret, here the canary.
func credentials(t *testing.T) map[string][]pipelines.Option {
	fromEnv := func(pairs ...string) pipelines.Option {
		for i := 0; i < len(pairs); i += 2 {
			t.Setenv("BITBUCKET_"+pairs[i], pairs[i+1])
		}
		return pipelines.WithEnv()
	}
	return map[string][]pipelines.Option{
		"token":              {pipelines.WithToken(secretCanary)},
		"password":           {pipelines.WithBasicAuth("me@example.com", secretCanary)},
		"token source":       {pipelines.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: secretCanary, RefreshToken: secretCanary}))},
		"client credentials": {pipelines.WithClientCredentials("id", secretCanary)},
		"environment":        {fromEnv("TOKEN", secretCanary, "EMAIL", "me@example.com", "API_TOKEN", secretCanary)},
	}
}

// assertSilent asserts that v shows the canary in no way.
func assertSilent(t *testing.T, of string, v any) {
	t.Helper()
	for _, texts := range []map[string]string{printings(v), logged(v), marshalled(v)} {
		assertShowsNot(t, texts, secretCanary, of)
	}
}

func TestNothingOfAClientShowsItsCredentials(t *testing.T) {
	srv := record(t, answerJSON(`{"uuid":"{1}","access_token":"`+secretCanary+`","token_type":"bearer","expires_in":3600}`))
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

func TestOptionsThatAreRefusedDoNotRepeatTheirSecret(t *testing.T) {
	broken := secretCanary + "\n"
	for name, opt := range map[string]pipelines.Option{
		"token": pipelines.WithToken(broken), "password": pipelines.WithBasicAuth("me", broken), "username": pipelines.WithBasicAuth("me:"+secretCanary, "x"),
		"client secret": pipelines.WithClientCredentials("id", broken), "client ID": pipelines.WithClientCredentials(broken, "x"),
		"base URL": pipelines.WithBaseURL("https://me:" + secretCanary + "@example.com"), "query": pipelines.WithBaseURL("https://example.com?key=" + secretCanary),
		"malformed base URL": pipelines.WithBaseURL("https://me:" + secretCanary + "@%zz"), "scheme": pipelines.WithBaseURL(secretCanary),
		"token URL": pipelines.WithTokenURL("https://me:" + secretCanary + "@example.com"), "user agent": pipelines.WithUserAgent(broken),
	} {
		_, err := pipelines.NewClient(opt)
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument, name)
		assertErrorSilent(t, name, err)
	}
	c := newClient(t, "http://127.0.0.1:1")
	for name, err := range map[string]error{
		"repo":     second(pipelines.ParseRepo("https://x-token-auth:" + secretCanary + "@bitbucket.org/acme/site")),
		"header":   c.Do(t.Context(), "GET", "/x", nil, nil, pipelines.WithHeader("X-Key", broken)),
		"path":     c.Do(t.Context(), "GET", "/%zz"+secretCanary, nil, nil),
		"body":     c.Do(t.Context(), "PUT", "/x", map[string]any{"a": secretCanary, "b": func() {}}, nil),
		"run":      second(c.Pipelines.Run(t.Context(), repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main"), Variables: []pipelines.VariableRequest{{Value: secretCanary, Secured: new(true)}}})),
		"variable": second(c.Variables.InRepository(repo).Set(t.Context(), pipelines.VariableRequest{Value: secretCanary, Secured: new(true)})),
		"update":   second(c.Variables.InRepository(repo).Update(t.Context(), "..", pipelines.VariableUpdate{Value: new(secretCanary)})),
		"key pair": second(c.SSH.SetKeyPair(t.Context(), repo, pipelines.KeyPair{PrivateKey: secretCanary})),
	} {
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument, name)
		assertErrorSilent(t, name, err)
	}
}

func second[T any](_ T, err error) error { return err }

// assertErrorSilent looks at an error and at all that it wraps.
func assertErrorSilent(t *testing.T, of string, err error) {
	t.Helper()
	for depth := 0; err != nil; depth++ {
		of = fmt.Sprintf("%s, error %d (%T)", of, depth, err)
		assertSilent(t, of, err)
		assertShowsNot(t, map[string]string{"Error": err.Error()}, secretCanary, of)
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, one := range many.Unwrap() {
				assertErrorSilent(t, of, one)
			}
			return
		}
		err = errors.Unwrap(err)
	}
}

// echo is what a service says that repeats all it was told.
func echo(req *http.Request) string {
	body, _ := io.ReadAll(req.Body)
	_, password, _ := req.BasicAuth()
	return req.Header.Get("Authorization") + " " + password + " " + string(body) + " " + req.URL.RawQuery
}

func echoJSON(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		said := echo(req)
		w.Header().Set("X-Echo", said)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = stdjson.NewEncoder(w).Encode(map[string]any{"type": "error", "error": map[string]any{
			"message": said, "detail": said, "id": said, "fields": map[string]any{"value": []string{said}}, "data": map[string]any{"key": said, "more": []any{map[string]any{"x": said}}},
		}})
	}
}

func echoText(status int, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) { answer(status, contentType, echo(req))(w, req) }
}

func TestNoFailingCallShowsASecret(t *testing.T) {
	foreign := record(t, func(w http.ResponseWriter, req *http.Request) { echoJSON(http.StatusForbidden)(w, req) })
	for failure, handle := range map[string]http.HandlerFunc{
		"401 that echoes":           echoJSON(http.StatusUnauthorized),
		"400 that echoes":           echoJSON(http.StatusBadRequest),
		"500 that echoes":           echoJSON(http.StatusInternalServerError),
		"400 that echoes as text":   echoText(http.StatusBadRequest, "text/plain"),
		"502 that echoes as a page": echoText(http.StatusBadGateway, "text/html"),
		"429 that echoes":           echoText(http.StatusTooManyRequests, "text/plain"),
		"200 that echoes as text":   echoText(http.StatusOK, "application/json"),
		"200 of another shape":      func(w http.ResponseWriter, req *http.Request) { answerJSON(fmt.Sprintf(`[%q]`, echo(req)))(w, req) },
		"dropped connection":        drop,
		"redirect to another host": func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, foreign.URL+"/x?sig="+secretCanary, http.StatusFound)
		},
		"redirect without end": func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, "/?sig="+secretCanary, http.StatusFound)
		},
		"redirect that is malformed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://["+secretCanary)
			w.WriteHeader(http.StatusFound)
		},
		"redirect to another scheme": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "ftp://me:"+secretCanary+"@x/")
			w.WriteHeader(http.StatusFound)
		},
		"redirect to nowhere": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://me:"+secretCanary+"@127.0.0.1:1/?"+secretCanary)
			w.WriteHeader(http.StatusFound)
		},
		"401 that echoes in the names": func(w http.ResponseWriter, req *http.Request) {
			answer(401, "application/json", fmt.Sprintf(`{"error":{"message":"m","fields":{%[1]q:["bad"]},"data":{"a":{%[1]q:1}}}}`, echo(req)))(w, req)
		},
		"500 that echoes in the request's ID": func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("X-Request-Id", echo(req))
			answer(500, "text/plain", "")(w, req)
		},
		"malformed answer that echoes": func(w http.ResponseWriter, req *http.Request) {
			said := strings.ReplaceAll(echo(req), "\n", " ")
			conn, _, err := http.NewResponseController(w).Hijack()
			if !assert.NoError(t, err) {
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nsecret "+said+"\r\n\r\n")
		},
		"next page on another origin": func(w http.ResponseWriter, req *http.Request) {
			answerJSON(fmt.Sprintf(`{"values":[{}],"next":"http://%s@x/"}`, secretCanary))(w, req)
		},
		"next page that is malformed": func(w http.ResponseWriter, req *http.Request) {
			answerJSON(fmt.Sprintf(`{"values":[{}],"next":"http://[%s"}`, secretCanary))(w, req)
		},
	} {
		t.Run(failure, func(t *testing.T) {
			for name, opts := range credentials(t) {
				var logs strings.Builder
				srv := record(t, handle)
				opts = append(opts, pipelines.WithTokenURL(tokenServer(t)), pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 2, MinWait: 1, MaxWait: 1, MaxQuotaWait: 1}),
					pipelines.WithLogger(slog.New(slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}))),
					pipelines.WithObserver(func(a pipelines.Attempt) { assertAttemptSilent(t, a) }))
				failing := failingCalls(t, newClient(t, srv.base(), opts...))
				for call, err := range failing {
					assertErrorSilent(t, name+": "+call, err)
				}
				assertShowsNot(t, map[string]string{"log": logs.String()}, secretCanary, name)
				require.NotEmpty(t, logs.String())
				require.GreaterOrEqual(t, len(failing), 2, "failures")
			}
		})
	}
}

func TestNoHalfOfASecretIsLeftWhereATextIsCut(t *testing.T) {
	for length := 470; length < 500; length++ {
		e := apiError(t, 401, http.Header{"Content-Type": {"text/plain"}}, strings.Repeat("x", length)+" Bearer "+secretCanary, pipelines.WithToken(secretCanary))
		require.NotContains(t, e.Error(), secretCanary[:4])
	}
}

// tokenServer gives out the canary as a token.
func tokenServer(t *testing.T) string {
	return record(t, answerJSON(`{"access_token":"`+secretCanary+`","token_type":"bearer","expires_in":3600}`)).URL + "/token"
}

// assertRequestSilent looks at the request that a response of the package leads back to.
func assertRequestSilent(t *testing.T, resp *http.Response) {
	t.Helper()
	assert.Empty(t, resp.Request.Header.Get("Authorization"))
	texts := map[string]string{}
	resp.Request.Header.Del("Referer") // says no more than the URL does
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		texts["request header by "+verb] = fmt.Sprintf(verb, resp.Request.Header)
		texts["context by "+verb] = fmt.Sprintf(verb, resp.Request.Context())
	}
	assertShowsNot(t, texts, secretCanary, "response")
}

func assertAttemptSilent(t *testing.T, a pipelines.Attempt) {
	t.Helper()
	if a.Err != nil {
		assertErrorSilent(t, "observed", a.Err)
	}
	if a.Response != nil {
		assertRequestSilent(t, a.Response)
	}
}

// failingCalls calls what carries secrets, each in its way, and returns the errors there were.
func failingCalls(t *testing.T, c *pipelines.Client) map[string]error {
	secured := pipelines.VariableRequest{Key: "K", Value: secretCanary, Secured: new(true)}
	run := pipelines.RunRequest{Target: pipelines.BranchTarget("main"), Variables: []pipelines.VariableRequest{secured}}
	variables := c.Variables.InRepository(repo)
	var resp *http.Response
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	all := map[string]error{
		"get":       second(c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithResponse(&resp))),
		"run":       second(c.Pipelines.Run(t.Context(), repo, run)),
		"on demand": second(c.Pipelines.RunOnDemand(t.Context(), repo, pipelines.OnDemandRequest{RunRequest: run, YAML: []byte("x")})),
		"list":      second(variables.List(t.Context(), nil).Collect()),
		"create":    second(variables.Create(t.Context(), secured)),
		"update":    second(variables.Update(t.Context(), "{v}", pipelines.VariableUpdate{Value: new(secretCanary)})),
		"set":       second(variables.Set(t.Context(), secured)),
		"key pair":  second(c.SSH.SetKeyPair(t.Context(), repo, pipelines.KeyPair{PrivateKey: secretCanary, PublicKey: "p"})),
		"log":       second(c.Steps.GetLog(t.Context(), repo, "1", "{s}", nil)),
		"do":        c.Do(t.Context(), http.MethodPut, "/x", secured, new(int)),
		"ended":     second(c.Pipelines.Run(ended, repo, run)),
		"wait":      second(c.Pipelines.Wait(ended, repo, "1", nil)),
		"stop":      c.Pipelines.Stop(ended, repo, "1"),
	}
	if resp != nil {
		assertRequestSilent(t, resp)
	}
	maps.DeleteFunc(all, func(_ string, err error) bool { return err == nil })
	return all
}

// What the user's own code panics with comes out as it is, and nothing of the package's is added.
func TestPanicsOfTheUsersCodeShowNoSecret(t *testing.T) {
	srv := record(t, answerJSON(`{}`))
	for name, opt := range map[string]pipelines.Option{
		"transport": pipelines.WithHTTPClient(&http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { panic("mine") })}),
		"observer":  pipelines.WithObserver(func(pipelines.Attempt) { panic("mine") }),
		"limiter":   pipelines.WithLimiter(limiterFunc(func(context.Context) error { panic("mine") })),
	} {
		for with, opts := range credentials(t) {
			c := newClient(t, srv.base(), append(opts, pipelines.WithTokenURL(tokenServer(t)), opt)...)
			if name == "transport" && with == "client credentials" {
				continue // the token is asked for in a goroutine of its own: see below
			}
			require.PanicsWithValue(t, "mine", func() { _ = second(c.Pipelines.Get(t.Context(), repo, "1")) }, "%s with %s", name, with)
		}
	}
}

// crashes are programs that end by a panic whose text, and whose goroutines' stacks, go to standard error.
var crashes = map[string]func(t *testing.T){
	"variable": func(*testing.T) { panic(pipelines.Variable{Key: "K", Value: secretCanary, Secured: true}) },
	"key pair": func(*testing.T) { panic(&pipelines.KeyPair{PrivateKey: secretCanary}) },
	"error": func(t *testing.T) {
		srv := record(t, echoJSON(http.StatusBadRequest))
		_, err := newClient(t, srv.base(), pipelines.WithToken(secretCanary)).Pipelines.Get(t.Context(), repo, "1")
		panic(err)
	},
	"token source": func(t *testing.T) {
		srv := record(t, answerJSON(`{}`))
		source := tokenSource(func() (*oauth2.Token, error) { panic("mine") })
		c := newClient(t, srv.base(), pipelines.WithTokenSource(source))
		_, err := c.Variables.InRepository(repo).Create(t.Context(), pipelines.VariableRequest{Key: "K", Value: secretCanary, Secured: new(true)})
		t.Log(err)
	},
}

func TestACrashShowsNoSecret(t *testing.T) {
	const which = "PIPELINES_TEST_CRASH"
	if crash := crashes[os.Getenv(which)]; crash != nil {
		crash(t)
		return
	}
	for name := range crashes {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), which+"="+name, "GOTRACEBACK=all")
		out, err := cmd.CombinedOutput()
		require.Error(t, err, name)
		require.Contains(t, string(out), "panic: ", name)
		assertShowsNot(t, map[string]string{"standard error": string(out)}, secretCanary, name)
	}
}

func TestAProxyWhosePasswordIsMalformedIsNotShown(t *testing.T) {
	hc := &http.Client{Transport: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) {
		_, err := url.Parse(strings.Join([]string{"http://me:", secretCanary, "%zz@proxy.example"}, ""))
		return nil, fmt.Errorf("invalid proxy address: %w", err)
	}}}
	_, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Pipelines.Get(t.Context(), repo, "1")
	require.ErrorContains(t, err, "proxy")
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), secretCanary)
	require.NotErrorAs(t, err, new(*url.Error))
}
