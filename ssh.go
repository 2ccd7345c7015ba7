package pipelines

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// SSHService manages a repository's SSH key pair and known hosts.
type SSHService struct{ client *Client }

const keyPairPath = configPath + "/ssh/key_pair"

var (
	opKeyPairGet    = op("SSH.GetKeyPair", http.MethodGet, keyPairPath, idempotent)
	opKeyPairSet    = op("SSH.SetKeyPair", http.MethodPut, keyPairPath, idempotent)
	opKeyPairDelete = op("SSH.DeleteKeyPair", http.MethodDelete, keyPairPath, idempotent)
)

// KeyPair is an SSH key pair. The private key can be written but never read. Printing the pair masks it, and JSON omits it.
type KeyPair struct {
	Type       string `json:"type,omitzero"`
	PrivateKey string `json:"private_key,omitzero"` // PEM; RSA in PKCS #1 is known to work
	PublicKey  string `json:"public_key,omitzero"`  // one line in the format of OpenSSH
}

// plainKeyPair is a KeyPair without its methods.
type plainKeyPair KeyPair

// secrets returns the texts that errors must mask.
func (k KeyPair) secrets() []string { return []string{k.PrivateKey} }

func (k KeyPair) masked() any {
	if k.PrivateKey != "" {
		k.PrivateKey = masked
	}
	return plainKeyPair(k)
}

// Format implements [fmt.Formatter]: every verb masks the private key.
func (k KeyPair) Format(f fmt.State, verb rune) { formatMasked(f, verb, k.masked()) }

// LogValue implements [slog.LogValuer]: the private key is masked.
func (k KeyPair) LogValue() slog.Value { return slog.AnyValue(k.masked()) }

// MarshalJSON implements [encoding/json.Marshaler]: the private key is omitted, because programs log JSON.
func (k KeyPair) MarshalJSON() ([]byte, error) {
	k.PrivateKey = ""
	return json.Marshal(plainKeyPair(k))
}

// encodeKeyPair encodes the body of a request, the private key included.
func encodeKeyPair(enc *jsontext.Encoder, k KeyPair) error {
	k.Type = "pipeline_ssh_key_pair"
	return json.MarshalEncode(enc, plainKeyPair(k))
}

func (k KeyPair) validate() error {
	switch {
	case k.PrivateKey == "":
		return invalidArgument("key pair has no private key")
	case k.PublicKey == "":
		return invalidArgument("key pair has no public key")
	}
	return nil
}

// GetKeyPair returns the repository's key pair without the private key. If there is none, the error is an [ErrNotFound].
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines_config/ssh/key_pair
//
// Scope: pipeline.
func (s *SSHService) GetKeyPair(ctx context.Context, repo Repo, opts ...CallOption) (*KeyPair, error) {
	return send[KeyPair](ctx, s.client, opKeyPairGet.at(repo.Workspace, repo.Slug), nil, opts)
}

// SetKeyPair creates or replaces the repository's key pair. Both keys are required.
//
// API: PUT /repositories/{workspace}/{repo_slug}/pipelines_config/ssh/key_pair
//
// Scope: pipeline:variable.
func (s *SSHService) SetKeyPair(
	ctx context.Context, repo Repo, pair KeyPair, opts ...CallOption,
) (*KeyPair, error) {
	return send[KeyPair](ctx, s.client, opKeyPairSet.at(repo.Workspace, repo.Slug).withError(pair.validate()), pair, opts)
}

// DeleteKeyPair deletes the repository's key pair. If there is none, the error is an [ErrNotFound].
//
// API: DELETE /repositories/{workspace}/{repo_slug}/pipelines_config/ssh/key_pair
//
// Scope: pipeline:variable.
func (s *SSHService) DeleteKeyPair(ctx context.Context, repo Repo, opts ...CallOption) error {
	return exec(ctx, s.client, opKeyPairDelete.at(repo.Workspace, repo.Slug), nil, opts)
}
