package pipelines_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestParseKnownHosts(t *testing.T) {
	hosts, err := pipelines.ParseKnownHosts(strings.NewReader("# example.com:22 SSH-2.0-OpenSSH\n\nexample.com,192.0.2.1 " + edKeyLine + " a comment\n[example.com]:2222\t" + edKeyLine + "\r\n"))
	require.NoError(t, err)
	require.Len(t, hosts, 3)
	key := strings.Fields(edKeyLine)[1]
	for i, name := range []string{"example.com", "192.0.2.1", "[example.com]:2222"} {
		require.Equal(t, pipelines.KnownHostRequest{Hostname: name, KeyType: "ssh-ed25519", Key: key}, hosts[i])
	}
	none, err := pipelines.ParseKnownHosts(strings.NewReader("# nothing\n"))
	require.NoError(t, err)
	require.Empty(t, none)

	for line, says := range map[string]string{
		"@cert-authority *.example.com " + edKeyLine:                                "marker",
		"|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= " + edKeyLine: "hashed",
		"example.com ssh-ed25519":                                                   "not of the form",
		"*.example.com " + edKeyLine:                                                "not the name of one host",
		"example.com,, " + edKeyLine:                                                "not the name of one host",
		"example.com ssh-ed25519 !!":                                                "not base64",
		"example.com ssh-ed25519 AAA=":                                              "too short",
		"example.com ssh-rsa " + strings.Fields(edKeyLine)[1]:                       "not one of type ssh-rsa",
		"example.com ssh-rsa /////w==":                                              "not one of type ssh-rsa",
	} {
		t.Run(line, func(t *testing.T) {
			_, err := pipelines.ParseKnownHosts(strings.NewReader("\n" + line + "\n"))
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument, line)
			require.ErrorContains(t, err, says)
			require.ErrorContains(t, err, "line 2")
		})
	}
	_, err = pipelines.ParseKnownHosts(strings.NewReader(strings.Repeat("x", 1<<20)))
	require.ErrorContains(t, err, "too long")
}

func TestKnownHostRequestsThatTheServiceWouldRefuseAreNotSent(t *testing.T) {
	requireRefused(t, map[string]func(context.Context, *pipelines.Client) error{
		"no hostname": func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.SSH.CreateKnownHost(ctx, repo, pipelines.KnownHostRequest{KeyType: "ssh-ed25519", Key: "AAAA"})
			return err
		},
		"no key type": func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.SSH.UpdateKnownHost(ctx, repo, "{h}", pipelines.KnownHostRequest{Hostname: "h", Key: "AAAA"})
			return err
		},
		"no key": func(ctx context.Context, c *pipelines.Client) error {
			return second(c.SSH.SetKnownHost(ctx, repo, pipelines.KnownHostRequest{Hostname: "h", KeyType: "ssh-ed25519"}))
		},
	})
}

func TestAKnownHostIsFoundByItsNameAndTheTypeOfItsKey(t *testing.T) {
	key := func(kind, key string) *pipelines.SSHPublicKey {
		return &pipelines.SSHPublicKey{KeyType: kind, Key: key}
	}
	require.True(t, trustedHost.Matches(&pipelines.KnownHost{Hostname: "example.com", PublicKey: key("ssh-ed25519", "BBBB")}))
	require.True(t, trustedHost.Matches(&pipelines.KnownHost{Hostname: "Example.COM", PublicKey: key("ssh-ed25519", "AAAA")}), "hosts have no case")
	for _, other := range []*pipelines.KnownHost{
		nil, {Hostname: "example.com"},
		{Hostname: "example.com", PublicKey: key("ssh-rsa", "AAAA")},
		{Hostname: "[example.com]:2222", PublicKey: key("ssh-ed25519", "AAAA")},
	} {
		require.False(t, trustedHost.Matches(other), "%v", other)
	}
}

func TestSetKnownHostReplacesNoKeyForItsSpaces(t *testing.T) {
	srv := record(t, serveJSON(`{"values":[{"uuid":"{1}","hostname":"example.com"},
		{"uuid":"{2}","hostname":"example.com","public_key":{"key_type":"ssh-ed25519","key":"AAAA"}}]}`))
	host := trustedHost
	host.Key += "\n"
	_, err := newClient(t, srv.base()).SSH.SetKnownHost(t.Context(), repo, host)
	require.ErrorContains(t, err, "is listed without what tells", "the first may be it")

	srv = record(t, serveJSON(`{"values":[{"uuid":"{1}","hostname":"example.org"},
		{"uuid":"{2}","hostname":"example.com","public_key":{"key_type":"ssh-ed25519","key":"AAAA"}}]}`))
	found, err := newClient(t, srv.base()).SSH.SetKnownHost(t.Context(), repo, host)
	require.NoError(t, err)
	require.Equal(t, "{2}", found.UUID)
	srv.requireSent(t, 1)
}

func TestSetKnownHostOfAHostThatTheServiceKnowsIsRefused(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	srv.AddRepository("acme", "site")
	host := trustedHost
	host.Hostname = "github.com"
	_, err := srv.Client().SSH.SetKnownHost(t.Context(), repo, host)
	require.ErrorIs(t, err, pipelines.ErrInvalidRequest)
}
