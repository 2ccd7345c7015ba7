package pipelinestest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestTheKeyPair(t *testing.T) {
	f := setup(t)
	path := site + "/pipelines_config/ssh/key_pair"
	require.Nil(t, f.repo.KeyPair())
	require.Equal(t, http.StatusNotFound, f.get(path).StatusCode)
	require.Equal(t, http.StatusNotFound, f.send(http.MethodDelete, path, "").StatusCode)
	for _, body := range []string{`{}`, `{"private_key":"p"}`, `{"public_key":"p"}`} {
		require.Equal(t, http.StatusBadRequest, f.send(http.MethodPut, path, body).StatusCode, body)
	}
	for _, private := range []string{"first", "second"} {
		a := f.send(http.MethodPut, path, `{"private_key":"`+private+`","public_key":"ssh-rsa AAAA"}`)
		require.Equal(t, http.StatusOK, a.StatusCode)
		require.Equal(t, map[string]any{"type": "pipeline_ssh_key_pair", "public_key": "ssh-rsa AAAA"}, a.JSON())
		require.Equal(t, a.JSON(), f.get(path).JSON())
		require.Equal(t, private, f.repo.KeyPair().PrivateKey)
		require.NotContains(t, fmt.Sprintf("%v %+v", f.repo.KeyPair(), *f.repo.KeyPair()), private)
	}
	require.Equal(t, http.StatusNoContent, f.send(http.MethodDelete, path, "").StatusCode)
	require.Nil(t, f.repo.KeyPair())
}

// knownHost is the body of a request.
func knownHost(hostname, keyType string) string {
	return `{"type":"pipeline_known_host","hostname":"` + hostname + `","public_key":{"type":"pipeline_ssh_public_key","key_type":"` + keyType +
		`","key":"` + ed25519Key + `","md5_fingerprint":"mine"}}`
}

func TestAKnownHostGetsFingerprints(t *testing.T) {
	f := setup(t)
	path := site + "/pipelines_config/ssh/known_hosts"
	a := f.send(http.MethodPost, path, knownHost("[example.com]:22", "ssh-ed25519"))
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	// These are the fingerprints that ssh-keygen -l prints for the key.
	require.Equal(t, map[string]any{
		"type": "pipeline_known_host", "uuid": a.At("uuid"), "hostname": "[example.com]:22",
		"public_key": map[string]any{
			"type": "pipeline_ssh_public_key", "key_type": "ssh-ed25519", "key": ed25519Key,
			"md5_fingerprint":    "md5:73:82:11:fa:f2:cc:83:e7:18:27:3f:76:c8:e0:0c:bc",
			"sha256_fingerprint": "SHA256:YdOrsKUlAM7GQ+OdgIp4l/7/pQK4AazGrglPiogc//c",
		},
	}, a.JSON())
	one := path + "/" + escape(a.At("uuid").(string))
	require.Equal(t, a.JSON(), f.get(one).JSON())
	require.Equal(t, http.StatusConflict, f.send(http.MethodPost, path, knownHost("[example.com]:22", "ssh-ed25519")).StatusCode)
	require.Equal(t, http.StatusCreated, f.send(http.MethodPost, path, knownHost("[example.com]:22", "ssh-rsa")).StatusCode, "another key")
	require.Equal(t, http.StatusConflict, f.send(http.MethodPut, one, knownHost("[example.com]:22", "ssh-rsa")).StatusCode)
	changed := f.send(http.MethodPut, one, knownHost("example.org", "ssh-ed25519"))
	require.Equal(t, http.StatusOK, changed.StatusCode)
	require.Equal(t, []any{"example.org", "[example.com]:22"}, f.get(path).Values("hostname"))
	require.Equal(t, "example.org", f.repo.KnownHosts()[0].Hostname)
}

// Known clients send the type, an empty one, or none.
func TestAKnownHostNeedsNoTypes(t *testing.T) {
	f := setup(t)
	path := site + "/pipelines_config/ssh/known_hosts"
	for i, typ := range []string{"", `"type":"",`, `"type":null,`} {
		body := strings.NewReplacer(
			`"type":"pipeline_known_host",`, typ, `"type":"pipeline_ssh_public_key",`, typ,
		).Replace(knownHost("example.com", "ssh-ed25519"))
		a := f.send(http.MethodPost, path, body)
		require.Equal(t, http.StatusCreated, a.StatusCode, body+" "+a.text)
		require.Equal(t, "pipeline_known_host", a.At("type"))
		require.Equal(t, "pipeline_ssh_public_key", a.At("public_key.type"))
		one := path + "/" + escape(a.At("uuid").(string))
		changed := f.send(http.MethodPut, one, strings.Replace(body, "example.com", "other.example.com", 1))
		require.Equal(t, http.StatusOK, changed.StatusCode, body+" "+changed.text)
		require.Equal(t, http.StatusNoContent, f.send(http.MethodDelete, one, "").StatusCode, i)
	}
}

func TestInvalidKnownHostsAreRefused(t *testing.T) {
	f := setup(t)
	path := site + "/pipelines_config/ssh/known_hosts"
	one := path + "/" + escape(f.repo.AddKnownHost(pipelines.KnownHost{
		Hostname: "example.com", PublicKey: &pipelines.SSHPublicKey{KeyType: "ssh-ed25519", Key: ed25519Key},
	}).UUID)
	body := knownHost("example.org", "ssh-ed25519")
	const invalidField = "An invalid field was found in the JSON payload"
	for _, c := range []struct{ body, want string }{
		{strings.Replace(body, `"pipeline_known_host"`, `"known_host"`, 1), invalidField},
		{strings.Replace(body, `"pipeline_ssh_public_key"`, `"key"`, 1), invalidField},
		{`{"type":"pipeline_known_host","hostname":"example.org"}`, "A known host needs a public_key with key_type and key."},
		{`{"hostname":"example.org"}`, "A known host needs a public_key with key_type and key."},
		{strings.Replace(body, `"key_type":"ssh-ed25519",`, "", 1), "A known host needs a public_key with key_type and key."},
		{strings.Replace(body, "example.org", "", 1), "A known host needs a hostname."},
		{strings.Replace(body, ed25519Key, "!", 1), "The key is not base64."},
	} {
		for method, path := range map[string]string{http.MethodPost: path, http.MethodPut: one} {
			a := f.send(method, path, c.body)
			require.Equal(t, http.StatusBadRequest, a.StatusCode, c.body)
			require.Equal(t, c.want, a.At("error.detail"))
		}
	}
	require.Len(t, f.repo.KnownHosts(), 1)
	require.Panics(t, func() { f.repo.AddKnownHost(pipelines.KnownHost{Hostname: "a"}) })
	require.Panics(t, func() { f.repo.AddKnownHost(pipelines.KnownHost{PublicKey: &pipelines.SSHPublicKey{Key: "!"}}) })
}

// The recorded response came although the request had no public_key either.
func TestBuiltinHostsAreRefused(t *testing.T) {
	f := setup(t)
	path := site + "/pipelines_config/ssh/known_hosts"
	seeded := f.repo.AddKnownHost(pipelines.KnownHost{Hostname: "example.com", PublicKey: &pipelines.SSHPublicKey{KeyType: "ssh-rsa", Key: ed25519Key}})
	for _, host := range []string{
		"bitbucket.org", "github.com", "gitlab.com", "GitHub.com", "[github.com]:22", "[github.com]", "github.com:22", "[Bitbucket.org]:2222", "github.com.",
	} {
		for _, body := range []string{knownHost(host, "ssh-ed25519"), `{"hostname":"` + host + `"}`} {
			for method, path := range map[string]string{http.MethodPost: path, http.MethodPut: path + "/" + escape(seeded.UUID)} {
				a := f.send(method, path, body)
				require.Equal(t, http.StatusBadRequest, a.StatusCode, body)
				require.Equal(t, map[string]any{"type": "error", "error": map[string]any{
					"message": "hostname-not-allowed: SSH for this hostname is already configured by Bitbucket",
				}}, a.JSON())
			}
		}
	}
	for _, host := range []string{"git.example.com", "github.com.example.com", "notgithub.com", "[2001:db8::1]:22", "2001:db8::1"} {
		a := f.send(http.MethodPost, path, knownHost(host, "ssh-ed25519"))
		require.Equal(t, http.StatusCreated, a.StatusCode, host+" "+a.text)
	}
}

func TestTheClientManagesSSH(t *testing.T) {
	f := setup(t)
	ctx, client, repo := t.Context(), f.srv.Client().SSH, f.repo.Repo()
	_, err := client.GetKeyPair(ctx, repo)
	require.ErrorIs(t, err, pipelines.ErrNotFound)
	pair, err := client.SetKeyPair(ctx, repo, pipelines.KeyPair{PrivateKey: secret, PublicKey: "ssh-rsa AAAA"})
	require.NoError(t, err)
	require.Empty(t, pair.PrivateKey)
	require.Equal(t, secret, f.repo.KeyPair().PrivateKey)
	require.NoError(t, client.DeleteKeyPair(ctx, repo))

	hosts, err := pipelines.ParseKnownHosts(strings.NewReader("example.com,[example.com]:2222 ssh-ed25519 " + ed25519Key + "\n"))
	require.NoError(t, err)
	for _, host := range hosts {
		created, err := client.CreateKnownHost(ctx, repo, host)
		require.NoError(t, err)
		require.Equal(t, "SHA256:YdOrsKUlAM7GQ+OdgIp4l/7/pQK4AazGrglPiogc//c", created.PublicKey.SHA256Fingerprint)
		_, err = client.CreateKnownHost(ctx, repo, host)
		require.ErrorIs(t, err, pipelines.ErrConflict)
		host.Hostname = "other." + created.UUID[1:5]
		updated, err := client.UpdateKnownHost(ctx, repo, created.UUID, host)
		require.NoError(t, err)
		same, err := client.GetKnownHost(ctx, repo, created.UUID)
		require.NoError(t, err)
		require.Equal(t, updated, same)
	}
	all, err := client.ListKnownHosts(ctx, repo, nil).Collect()
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.NoError(t, client.DeleteKnownHost(ctx, repo, all[0].UUID))
	hosts[0].Hostname = "github.com"
	_, err = client.CreateKnownHost(ctx, repo, hosts[0])
	var errResp *pipelines.APIError
	require.ErrorAs(t, err, &errResp)
	require.Contains(t, errResp.Message, "hostname-not-allowed: SSH for this hostname")
}
