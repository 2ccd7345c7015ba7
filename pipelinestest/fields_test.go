package pipelinestest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPartialResponses(t *testing.T) {
	f := setup(t)
	f.repo.AddPipelines(11)
	for fields, want := range map[string]string{
		"size":                               `{"size":11}`,
		"values.build_number,size":           `{"size":11,"values":[{"build_number":1}]}`,
		"values.state.result.name":           `{"values":[{"state":{"result":{"name":"SUCCESSFUL"}}}]}`,
		"values.state.*.name":                `{"values":[{"state":{"result":{"name":"SUCCESSFUL"}}}]}`,
		"values.trigger,values.trigger.name": `{"values":[{"trigger":{"name":"MANUAL","type":"pipeline_trigger_manual"}}]}`,
		"size,%2Bvalues.run_number":          `{"size":11,"values":[{"run_number":1}]}`,
		"nothing":                            `{}`,
	} {
		require.JSONEq(t, want, f.get(site+"/pipelines?pagelen=1&fields="+fields).text, fields)
	}
	whole := f.get(site + "/pipelines?pagelen=1")
	require.NotNil(t, whole.At("values.0.state"))
	without := f.get(site + "/pipelines?pagelen=1&fields=-values.state,-values.*.type,-next")
	require.Nil(t, without.At("values.0.state"))
	require.Nil(t, without.At("values.0.trigger.type"))
	require.Nil(t, without.At("next"))
	require.Equal(t, whole.At("values.0.uuid"), without.At("values.0.uuid"))
	require.JSONEq(t, f.get(site+"/pipelines/1").text, f.get(site+"/pipelines/1?fields=+target.commit.message").text)
}
