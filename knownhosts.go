package pipelines

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
)

const (
	knownHostsPath = configPath + "/ssh/known_hosts"
	knownHostPath  = knownHostsPath + "/{known_host_uuid}"
)

var (
	opKnownHostsList   = op("SSH.ListKnownHosts", http.MethodGet, knownHostsPath, idempotent)
	opKnownHostsGet    = op("SSH.GetKnownHost", http.MethodGet, knownHostPath, idempotent)
	opKnownHostsCreate = op("SSH.CreateKnownHost", http.MethodPost, knownHostsPath, once)
	opKnownHostsUpdate = op("SSH.UpdateKnownHost", http.MethodPut, knownHostPath, idempotent)
	opKnownHostsDelete = op("SSH.DeleteKnownHost", http.MethodDelete, knownHostPath, idempotent)
)

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

// KnownHostRequest is a known host to create, to replace, or to find by its hostname and key type. All fields are required.
// [ParseKnownHosts] makes it of an OpenSSH file.
type KnownHostRequest struct {
	Hostname string `json:"hostname"` // "example.com", "[example.com]" or "[example.com]:22"
	KeyType  string `json:"key_type"` // such as "ssh-ed25519"
	Key      string `json:"key"`      // base64
}

// Matches reports whether h is the requested host with a key of the requested type. The key itself doesn't count, nor does the case of
// the hostname; "example.com" and "[example.com]" are two. A nil h doesn't match.
func (r KnownHostRequest) Matches(h *KnownHost) bool {
	return h != nil && strings.EqualFold(h.Hostname, r.Hostname) && h.PublicKey != nil && h.PublicKey.KeyType == r.KeyType
}

// isUnclear reports whether h may match, because the service sent too little of it.
func (r KnownHostRequest) isUnclear(h *KnownHost) bool {
	return h.Hostname == "" || strings.EqualFold(h.Hostname, r.Hostname) && (h.PublicKey == nil || h.PublicKey.KeyType == "")
}

// isSet reports whether a host has the requested key.
func (r KnownHostRequest) isSet(h *KnownHost) bool {
	return h.PublicKey != nil && strings.TrimSpace(h.PublicKey.Key) == strings.TrimSpace(r.Key)
}

func (r KnownHostRequest) validate() error {
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

// body adds the types of both objects, which the service requires.
func (r KnownHostRequest) body() any {
	return KnownHost{
		Type: "pipeline_known_host", Hostname: r.Hostname,
		PublicKey: &SSHPublicKey{Type: "pipeline_ssh_public_key", KeyType: r.KeyType, Key: r.Key},
	}
}

// ParseKnownHosts parses the output of ssh-keyscan, or an OpenSSH known_hosts file. It skips comments and empty lines, and returns
// one request for each host of a line. The service doesn't support hashed names, patterns and markers: they are an
// [ErrInvalidArgument] that names the line.
func ParseKnownHosts(r io.Reader) ([]KnownHostRequest, error) {
	var hosts []KnownHostRequest
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parsed, err := parseKnownHostsLine(line)
		if err != nil {
			return nil, fmt.Errorf("pipelines: known hosts: line %d: %w", n, err)
		}
		hosts = append(hosts, parsed...)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("pipelines: known hosts: %w", err)
	}
	return hosts, nil
}

func parseKnownHostsLine(line string) ([]KnownHostRequest, error) {
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
	if err := validateSSHKey(keyType, key); err != nil {
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

// validateSSHKey compares the type with the one inside the key, which begins with its type's length and its type.
func validateSSHKey(keyType, key string) error {
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

// GetKnownHost returns one known host. If there is none, the error is an [ErrNotFound].
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines_config/ssh/known_hosts/{known_host_uuid}
//
// Scope: pipeline.
func (s *SSHService) GetKnownHost(
	ctx context.Context, repo Repo, id string, opts ...CallOption,
) (*KnownHost, error) {
	return send[KnownHost](ctx, s.client, opKnownHostsGet.at(repo.Workspace, repo.Slug, id), nil, opts)
}

// SetKnownHost creates the known host, or replaces the key of the one that [KnownHostRequest.Matches]: it trusts the new key without
// asking. It changes nothing if the host has the key. If several match, the error is an [ErrConflict] that names them: delete all but
// one. If the service knows the host by itself, such as bitbucket.org, the error is an [ErrInvalidRequest].
//
// SetKnownHost is safe to repeat. After a creation it lists the hosts until the new one is there, for up to 15 seconds. If the outcome
// of the creation is unknown and the host isn't listed by then, the error is an [ErrOutcomeUnknown]. If SetKnownHost returns a host
// with an error, it has created that one.
//
// Partial responses must have the members that SetKnownHost goes by: values.uuid, values.hostname and values.public_key. Otherwise the
// error is an [ErrInvalidArgument].
//
// API: as [SSHService.ListKnownHosts], [SSHService.CreateKnownHost] and [SSHService.UpdateKnownHost].
//
// Scope: pipeline:variable; API tokens need read:pipeline:bitbucket and admin:pipeline:bitbucket.
func (s *SSHService) SetKnownHost(
	ctx context.Context, repo Repo, host KnownHostRequest, opts ...CallOption,
) (*KnownHost, error) {
	if err := host.validate(); err != nil {
		return nil, fmt.Errorf("pipelines: SSH.SetKnownHost: %w", err)
	}
	ensured := ensurer[KnownHost]{
		ctx: ctx, method: "SSH.SetKnownHost", what: fmt.Sprintf("the known host %q with a key of type %q", host.Hostname, host.KeyType),
		list:     s.ListKnownHosts(ctx, repo, nil, opts...),
		needs:    []string{"values.hostname", "values.public_key.key_type", "values.public_key.key"},
		uuid:     func(one *KnownHost) string { return one.UUID },
		is:       host.Matches,
		unclear:  host.isUnclear,
		isWanted: host.isSet,
		change: func(one *KnownHost) (*KnownHost, error) {
			return s.UpdateKnownHost(ctx, repo, one.UUID, host, opts...)
		},
		create: func() (*KnownHost, error) { return s.CreateKnownHost(ctx, repo, host, opts...) },
	}
	return ensured.set()
}

// CreateKnownHost creates a known host. If it exists, the error is an [ErrConflict]. If the service knows it by itself, such as
// bitbucket.org, the error is an [ErrInvalidRequest]. A request that may have reached the service is not sent again: the error is
// then an [ErrOutcomeUnknown].
//
// API: POST /repositories/{workspace}/{repo_slug}/pipelines_config/ssh/known_hosts
//
// Scope: pipeline:variable.
func (s *SSHService) CreateKnownHost(
	ctx context.Context, repo Repo, host KnownHostRequest, opts ...CallOption,
) (*KnownHost, error) {
	return send[KnownHost](ctx, s.client, opKnownHostsCreate.at(repo.Workspace, repo.Slug).withError(host.validate()), host.body(), opts)
}

// UpdateKnownHost replaces hostname, key type and key of a known host. If there is none, the error is an [ErrNotFound].
//
// API: PUT /repositories/{workspace}/{repo_slug}/pipelines_config/ssh/known_hosts/{known_host_uuid}
//
// Scope: pipeline:variable.
func (s *SSHService) UpdateKnownHost(
	ctx context.Context, repo Repo, id string, host KnownHostRequest, opts ...CallOption,
) (*KnownHost, error) {
	return send[KnownHost](ctx, s.client, opKnownHostsUpdate.at(repo.Workspace, repo.Slug, id).withError(host.validate()), host.body(), opts)
}

// DeleteKnownHost deletes a known host. If there is none, the error is an [ErrNotFound].
//
// API: DELETE /repositories/{workspace}/{repo_slug}/pipelines_config/ssh/known_hosts/{known_host_uuid}
//
// Scope: pipeline:variable.
func (s *SSHService) DeleteKnownHost(ctx context.Context, repo Repo, id string, opts ...CallOption) error {
	return exec(ctx, s.client, opKnownHostsDelete.at(repo.Workspace, repo.Slug, id), nil, opts)
}
