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

// These tests prove that every model decodes its payload in testdata, whole and in every other form, and that it encodes again what it
// decoded.

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
	c := newClient(t, record(t, serveJSON(`{"values":[`+payload+`]}`)).base())
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
				serveJSON(strings.ReplaceAll(tc.payload, "BASE", "http://"+req.Host+"/2.0"))(w, req)
			})
			base := srv.base()
			for page, err := range newClient(t, base).Variables.InRepository(repo).List(t.Context(), nil).Pages() {
				require.NoError(t, err)
				page.Next, page.Previous = strings.ReplaceAll(page.Next, base, "BASE"), strings.ReplaceAll(page.Previous, base, "BASE")
				require.Equal(t, &tc.want, page)
				break
			}
			srv.requireSent(t, 1)
		})
	}
}

// decode reads a payload as programs do, from a server.
func (m model) decode(t *testing.T, payload string) any {
	t.Helper()
	if m.listed {
		payload = `{"values":[` + payload + `]}`
	}
	got, err := m.read(newClient(t, record(t, serveJSON(payload)).base()))
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

// objectsIn returns the object that a member is, or the objects of the list that it is.
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
