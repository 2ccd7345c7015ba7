package pipelines

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// SSHService manages a repository's SSH key pair and the hosts that its pipelines know.
type SSHService struct{ client *Client }

const (
	keyPairPath    = configPath + "/ssh/key_pair"
	knownHostsPath = configPath + "/ssh/known_hosts"
	knownHostPath  = knownHostsPath + "/{known_host_uuid}"
)

var (
	opKeyPairGet       = op("SSH.GetKeyPair", http.MethodGet, keyPairPath, idempotent)
	opKeyPairSet       = op("SSH.SetKeyPair", http.MethodPut, keyPairPath, idempotent)
	opKeyPairDelete    = op("SSH.DeleteKeyPair", http.MethodDelete, keyPairPath, idempotent)
	opKnownHostsList   = op("SSH.ListKnownHosts", http.MethodGet, knownHostsPath, idempotent)
	opKnownHostsGet    = op("SSH.GetKnownHost", http.MethodGet, knownHostPath, idempotent)
	opKnownHostsCreate = op("SSH.CreateKnownHost", http.MethodPost, knownHostsPath, once)
	opKnownHostsUpdate = op("SSH.UpdateKnownHost", http.MethodPut, knownHostPath, idempotent)
	opKnownHostsDelete = op("SSH.DeleteKnownHost", http.MethodDelete, knownHostPath, idempotent)
)

// KeyPair is an SSH key pair. The private key can be written but never read; it is masked wherever the value is printed, and
// left out where a program marshals it.
type KeyPair struct {
	Type       string `json:"type,omitzero"`
	PrivateKey string `json:"private_key,omitzero"` // PEM; RSA in PKCS #1 is known to work
	PublicKey  string `json:"public_key,omitzero"`  // one line, as OpenSSH writes it
}

// plainKeyPair is a KeyPair without its methods.
type plainKeyPair KeyPair

func (k KeyPair) secrets() []string { return []string{k.PrivateKey} }

func (k KeyPair) masked() any {
	if k.PrivateKey != "" {
		k.PrivateKey = masked
	}
	return plainKeyPair(k)
}

// Format implements [fmt.Formatter]: the private key is masked under every verb.
func (k KeyPair) Format(f fmt.State, verb rune) { formatMasked(f, verb, k.masked()) }

// LogValue implements [slog.LogValuer]: the private key is masked.
func (k KeyPair) LogValue() slog.Value { return slog.AnyValue(k.masked()) }

// MarshalJSON implements [encoding/json.Marshaler]: the private key is left out, because programs log what they marshal.
func (k KeyPair) MarshalJSON() ([]byte, error) {
	k.PrivateKey = ""
	return json.Marshal(plainKeyPair(k))
}

// encodeKeyPair writes the pair as requests carry it.
func encodeKeyPair(enc *jsontext.Encoder, k KeyPair) error {
	k.Type = "pipeline_ssh_key_pair"
	return json.MarshalEncode(enc, plainKeyPair(k))
}

func (k KeyPair) check() error {
	switch {
	case k.PrivateKey == "":
		return invalidArgument("key pair has no private key")
	case k.PublicKey == "":
		return invalidArgument("key pair has no public key")
	}
	return nil
}

// KnownHost is a host whose key pipelines trust.
type KnownHost struct {
	Type      string        `json:"type,omitzero"`
	UUID      string        `json:"uuid,omitzero"`
	Hostname  string        `json:"hostname,omitzero"` // "example.com", "[example.com]" or "[example.com]:22"
	PublicKey *SSHPublicKey `json:"public_key,omitzero"`
}

// SSHPublicKey is a host's public key. The service computes the fingerprints.
type SSHPublicKey struct {
	Type              string `json:"type,omitzero"`
	KeyType           string `json:"key_type,omitzero"` // such as "ssh-ed25519"
	Key               string `json:"key,omitzero"`      // base64
	MD5Fingerprint    string `json:"md5_fingerprint,omitzero"`
	SHA256Fingerprint string `json:"sha256_fingerprint,omitzero"`
}

// KnownHostRequest is a known host to create, or what to make of one. All three are needed; [ParseKnownHosts] gives them.
type KnownHostRequest struct {
	Hostname string `json:"hostname"` // "example.com", "[example.com]" or "[example.com]:22"
	KeyType  string `json:"key_type"` // such as "ssh-ed25519"
	Key      string `json:"key"`      // base64
}

func (r KnownHostRequest) check() error {
	switch {
	case r.Hostname == "":
		return invalidArgument("known host has no hostname")
	case r.KeyType == "":
		return invalidArgument("known host %q has no key type", r.Hostname)
	case r.Key == "":
		return invalidArgument("known host %q has no key", r.Hostname)
	}
	return nil
}

// body has the discriminators of both levels, without which the service refuses it.
func (r KnownHostRequest) body() any {
	return KnownHost{
		Type: "pipeline_known_host", Hostname: r.Hostname,
		PublicKey: &SSHPublicKey{Type: "pipeline_ssh_public_key", KeyType: r.KeyType, Key: r.Key},
	}
}

// ParseKnownHosts reads the output of ssh-keyscan, or an OpenSSH known_hosts file without hashed names, patterns and
// markers: the service can't take those, and each is an [ErrInvalidArgument] that names the line. Comments and empty lines
// are left out. A line that names several hosts gives one for each.
func ParseKnownHosts(r io.Reader) ([]KnownHostRequest, error) {
	var hosts []KnownHostRequest
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		some, err := parseKnownHost(line)
		if err != nil {
			return nil, fmt.Errorf("pipelines: known hosts: line %d: %w", n, err)
		}
		hosts = append(hosts, some...)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("pipelines: known hosts: %w", err)
	}
	return hosts, nil
}

func parseKnownHost(line string) ([]KnownHostRequest, error) {
	fields := strings.Fields(line)
	switch {
	case strings.HasPrefix(line, "@"):
		return nil, invalidArgument("marker %s is not supported", fields[0])
	case strings.HasPrefix(line, "|"):
		return nil, invalidArgument("the host name is hashed")
	case len(fields) < 3:
		return nil, invalidArgument("not of the form: host, key type, key")
	}
	keyType, key := fields[1], fields[2]
	if err := checkSSHKey(keyType, key); err != nil {
		return nil, err
	}
	var hosts []KnownHostRequest
	for host := range strings.SplitSeq(fields[0], ",") {
		if host == "" || strings.ContainsAny(host, "*?!@|#") {
			return nil, invalidArgument("%q is not the name of one host", host)
		}
		hosts = append(hosts, KnownHostRequest{Hostname: host, KeyType: keyType, Key: key})
	}
	return hosts, nil
}

// checkSSHKey compares the type with the one inside the key: each begins with its own, after its length.
func checkSSHKey(keyType, key string) error {
	blob, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return invalidArgument("the key is not base64")
	}
	if len(blob) < 4 {
		return invalidArgument("the key is too short")
	}
	n := int64(binary.BigEndian.Uint32(blob))
	if n != int64(len(keyType)) || !bytes.HasPrefix(blob[4:], []byte(keyType)) {
		return invalidArgument("the key is not one of type %s", keyType)
	}
	return nil
}

// GetKeyPair returns the repository's key pair, without its private key. None is an [ErrNotFound].
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines_config/ssh/key_pair
//
// Scope: pipeline.
func (s *SSHService) GetKeyPair(ctx context.Context, repo Repo, opts ...CallOption) (*KeyPair, error) {
	return send[KeyPair](ctx, s.client, opKeyPairGet.at(repo.Workspace, repo.Slug), nil, opts)
}

// SetKeyPair creates or replaces the repository's key pair. Both keys are needed.
//
// API: PUT /repositories/{workspace}/{repo_slug}/pipelines_config/ssh/key_pair
//
// Scope: pipeline:variable.
func (s *SSHService) SetKeyPair(
	ctx context.Context, repo Repo, pair KeyPair, opts ...CallOption,
) (*KeyPair, error) {
	return send[KeyPair](ctx, s.client, opKeyPairSet.at(repo.Workspace, repo.Slug).withError(pair.check()), pair, opts)
}

// DeleteKeyPair deletes the repository's key pair. If there is none, the error is an [ErrNotFound].
//
// API: DELETE /repositories/{workspace}/{repo_slug}/pipelines_config/ssh/key_pair
//
// Scope: pipeline:variable.
func (s *SSHService) DeleteKeyPair(ctx context.Context, repo Repo, opts ...CallOption) error {
	return exec(ctx, s.client, opKeyPairDelete.at(repo.Workspace, repo.Slug), nil, opts)
}

// ListKnownHosts lists the known hosts of a repository.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines_config/ssh/known_hosts
//
// Scope: pipeline.
func (s *SSHService) ListKnownHosts(
	ctx context.Context, repo Repo, q *ListOptions, opts ...CallOption,
) *Pager[KnownHost] {
	return list[KnownHost](ctx, s.client, opKnownHostsList.at(repo.Workspace, repo.Slug), q.params(), opts)
}

// GetKnownHost returns one known host. One that does not exist is an [ErrNotFound].
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines_config/ssh/known_hosts/{known_host_uuid}
//
// Scope: pipeline.
func (s *SSHService) GetKnownHost(
	ctx context.Context, repo Repo, id string, opts ...CallOption,
) (*KnownHost, error) {
	return send[KnownHost](ctx, s.client, opKnownHostsGet.at(repo.Workspace, repo.Slug, id), nil, opts)
}

// CreateKnownHost creates a known host from hostname, key type and key; [ParseKnownHosts] gives them. One that exists is an
// [ErrConflict], and one that the service knows itself, such as bitbucket.org, an [ErrInvalidRequest]. A request that may
// have reached the service is not sent again: the error is then an [ErrOutcomeUnknown].
//
// API: POST /repositories/{workspace}/{repo_slug}/pipelines_config/ssh/known_hosts
//
// Scope: pipeline:variable.
func (s *SSHService) CreateKnownHost(
	ctx context.Context, repo Repo, host KnownHostRequest, opts ...CallOption,
) (*KnownHost, error) {
	return send[KnownHost](ctx, s.client, opKnownHostsCreate.at(repo.Workspace, repo.Slug).withError(host.check()), host.body(), opts)
}

// UpdateKnownHost replaces hostname, key type and key of a known host. One that does not exist is an [ErrNotFound].
//
// API: PUT /repositories/{workspace}/{repo_slug}/pipelines_config/ssh/known_hosts/{known_host_uuid}
//
// Scope: pipeline:variable.
func (s *SSHService) UpdateKnownHost(
	ctx context.Context, repo Repo, id string, host KnownHostRequest, opts ...CallOption,
) (*KnownHost, error) {
	return send[KnownHost](ctx, s.client, opKnownHostsUpdate.at(repo.Workspace, repo.Slug, id).withError(host.check()), host.body(), opts)
}

// DeleteKnownHost deletes a known host. One that does not exist is an [ErrNotFound].
//
// API: DELETE /repositories/{workspace}/{repo_slug}/pipelines_config/ssh/known_hosts/{known_host_uuid}
//
// Scope: pipeline:variable.
func (s *SSHService) DeleteKnownHost(ctx context.Context, repo Repo, id string, opts ...CallOption) error {
	return exec(ctx, s.client, opKnownHostsDelete.at(repo.Workspace, repo.Slug, id), nil, opts)
}
