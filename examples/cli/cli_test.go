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
		"of an operation":   {errors.New("pipelines: Pipelines.Run: POST /x: pipelines: 404"), "POST /x: 404"},
		"of the client":     {errors.New("pipelines: invalid argument: token"), "token"},
		"in another":        {errors.New("pipelines: Pipelines.Watch: pipelines: Pipelines.Get: GET /x: 404"), "GET /x: 404"},
		"of an argument":    {errors.New("pipelines: Pipelines.Run: invalid argument: branch"), "branch"},
		"of a list":         {errors.New("listing acme: pipelines: List: GET /x: 404"), "listing acme: GET /x: 404"},
		"of a line":         {errors.New("pipelines: known hosts: line 1: invalid argument: no key"), "known hosts: line 1: no key"},
		"of another word":   {errors.New("bitbucket-pipelines: no"), "bitbucket-pipelines: no"},
		"of something else": {errors.New("EOF"), "EOF"},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tt.want, Message(tt.err)) })
	}
}
