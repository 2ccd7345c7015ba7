package cli

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMessageHasNoPrefixOfTheSDK(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"of an operation":   {errors.New("pipelines: Pipelines.Run: POST /x: pipelines: 404"), "POST /x: pipelines: 404"},
		"of the client":     {errors.New("pipelines: invalid argument: token"), "token"},
		"in another":        {errors.New("pipelines: Pipelines.Watch: pipelines: Pipelines.Get: GET /x: 404"), "GET /x: 404"},
		"of an argument":    {errors.New("pipelines: Pipelines.Run: invalid argument: branch"), "branch"},
		"of something else": {errors.New("EOF"), "EOF"},
		"after a name":      {errors.New("acme/site: pipelines: Pipelines.List: GET /x: 404"), "acme/site: GET /x: 404"},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tt.want, Message(tt.err)) })
	}
}
