package pipelines

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// OIDCService reads what is needed to verify the OpenID Connect tokens of steps.
type OIDCService struct{ client *Client }

const oidcPath = "/workspaces/{workspace}/pipelines-config/identity/oidc"

var (
	opOIDCConfiguration = op("OIDC.GetConfiguration", http.MethodGet, oidcPath+"/.well-known/openid-configuration", idempotent)
	opOIDCKeys          = op("OIDC.GetKeys", http.MethodGet, oidcPath+"/keys.json", idempotent)
	opOIDCIssuer        = op("OIDC.Issuer", http.MethodGet, oidcPath, idempotent) // no request goes there; the path is the issuer's name
)

// OpenIDConfiguration is the discovery document of a workspace.
type OpenIDConfiguration struct {
	Issuer                           string   `json:"issuer,omitzero"`
	JWKSURI                          string   `json:"jwks_uri,omitzero"`
	SubjectTypesSupported            []string `json:"subject_types_supported,omitzero"`
	ResponseTypesSupported           []string `json:"response_types_supported,omitzero"`
	ClaimsSupported                  []string `json:"claims_supported,omitzero"`
	IDTokenSigningAlgValuesSupported []string `json:"id_token_signing_alg_values_supported,omitzero"`
}

// JSONWebKeySet is the keys that a workspace signs with.
type JSONWebKeySet struct {
	Keys []JSONWebKey `json:"keys,omitzero"`
}

// JSONWebKey is a public key in the form of RFC 7517. The service is known to use RSA keys; others are decoded too.
type JSONWebKey struct {
	Kid string `json:"kid,omitzero"` // the token's header names it
	Kty string `json:"kty,omitzero"` // "RSA", "EC" or "OKP"
	Alg string `json:"alg,omitzero"` // such as "RS256"
	Use string `json:"use,omitzero"` // "sig"
	N   string `json:"n,omitzero"`   // RSA: modulus
	E   string `json:"e,omitzero"`   // RSA: exponent
	Crv string `json:"crv,omitzero"` // EC, OKP: curve
	X   string `json:"x,omitzero"`   // EC, OKP
	Y   string `json:"y,omitzero"`   // EC
}

// Issuer returns the issuer of a workspace's tokens, which their claim "iss" must equal. It is a URL below the client's base URL,
// or "" if workspace can't be a workspace's name. It sends nothing.
func (s *OIDCService) Issuer(workspace string) string {
	at := opOIDCIssuer.at(workspace)
	if at.err != nil {
		return ""
	}
	return s.client.base.String() + at.path
}

// GetConfiguration returns the discovery document of a workspace. It is public: the request goes without credentials, and once
// more with them if that is refused. The service refuses API tokens for it. Until a step has used OpenID Connect for the first
// time the error may be an [ErrNotFound].
//
// API: GET /workspaces/{workspace}/pipelines-config/identity/oidc/.well-known/openid-configuration
//
// Scope: none.
func (s *OIDCService) GetConfiguration(
	ctx context.Context, workspace string, opts ...CallOption,
) (*OpenIDConfiguration, error) {
	return sendPublic[OpenIDConfiguration](ctx, s.client, opOIDCConfiguration.at(workspace), opts)
}

// GetKeys returns the public keys of a workspace's tokens. The request is sent as that of [OIDCService.GetConfiguration]. Keep
// the keys, and call GetKeys again for a token that names another one.
//
// API: GET /workspaces/{workspace}/pipelines-config/identity/oidc/keys.json
//
// Scope: none.
func (s *OIDCService) GetKeys(
	ctx context.Context, workspace string, opts ...CallOption,
) (*JSONWebKeySet, error) {
	return sendPublic[JSONWebKeySet](ctx, s.client, opOIDCKeys.at(workspace), opts)
}

// sendPublic tries without credentials first.
func sendPublic[T any](ctx context.Context, c *Client, at endpoint, opts []CallOption) (*T, error) {
	anonymous := callOption(func(k *call) error {
		k.public = true
		return nil
	})
	out, err := send[T](ctx, c, at, nil, append(opts[:len(opts):len(opts)], anonymous))
	refused := errors.Is(err, ErrUnauthorized) || errors.Is(err, ErrForbidden)
	if refused && c.transport.credentials != nil {
		return send[T](ctx, c, at, nil, opts)
	}
	return out, err
}

// PublicKey returns the key: an [*rsa.PublicKey], an [*ecdsa.PublicKey] on P-256, P-384 or P-521, or an [ed25519.PublicKey].
// Any other, and an RSA key below 2,048 bits, is an error.
func (k JSONWebKey) PublicKey() (crypto.PublicKey, error) {
	key, err := k.publicKey()
	if err != nil {
		return nil, fmt.Errorf("pipelines: JSON web key %q: %w", k.Kid, err)
	}
	return key, nil
}

func (k JSONWebKey) publicKey() (crypto.PublicKey, error) {
	switch k.Kty {
	case "RSA":
		return k.rsaKey()
	case "EC":
		return k.ecKey()
	case "OKP":
		return k.okpKey()
	}
	return nil, fmt.Errorf("unknown type %q", k.Kty)
}

func (k JSONWebKey) rsaKey() (crypto.PublicKey, error) {
	n, err := decodeMember("n", k.N)
	if err != nil {
		return nil, err
	}
	e, err := decodeMember("e", k.E)
	if err != nil {
		return nil, err
	}
	exponent := new(big.Int).SetBytes(e)
	if exponent.BitLen() > 31 || exponent.Int64() < 3 {
		return nil, errors.New("the exponent is out of range")
	}
	modulus := new(big.Int).SetBytes(n)
	if bits := modulus.BitLen(); bits < 2048 || bits > 16384 { // less is broken, more takes too long to verify
		return nil, fmt.Errorf("a modulus of %d bits", bits)
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}, nil
}

func (k JSONWebKey) ecKey() (crypto.PublicKey, error) {
	curves := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}
	curve, ok := curves[k.Crv]
	if !ok {
		return nil, fmt.Errorf("unknown curve %q", k.Crv)
	}
	x, err := decodeMember("x", k.X)
	if err != nil {
		return nil, err
	}
	y, err := decodeMember("y", k.Y)
	if err != nil {
		return nil, err
	}
	size := (curve.Params().BitSize + 7) / 8
	if len(x) != size || len(y) != size {
		return nil, errors.New("a coordinate of another length than the curve's")
	}
	uncompressed := append(append([]byte{4}, x...), y...)
	key, err := ecdsa.ParseUncompressedPublicKey(curve, uncompressed)
	if err != nil {
		return nil, errors.New("the point is not on the curve")
	}
	return key, nil
}

func (k JSONWebKey) okpKey() (crypto.PublicKey, error) {
	x, err := decodeMember("x", k.X)
	if err != nil {
		return nil, err
	}
	if k.Crv != "Ed25519" || len(x) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("curve %q with a key of %d bytes", k.Crv, len(x))
	}
	return ed25519.PublicKey(x), nil
}

func decodeMember(name, value string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("%q is not base64url", name)
	}
	return b, nil
}

// StepClaims are the claims of the OpenID Connect token that a step has in BITBUCKET_STEP_OIDC_TOKEN. Decoding them verifies
// nothing: before you rely on them, verify the token's signature by [OIDCService.GetKeys], its issuer by [OIDCService.Issuer],
// its audience and its expiry, as the example does. Absent claims are zero. UUIDs are in braces.
type StepClaims struct {
	Issuer                    string
	Subject                   string    // see [ParseSubject]
	Audience                  []string  // the workspace's, or the step's own
	IssuedAt                  time.Time // to the millisecond
	Expiry                    time.Time // to the millisecond
	WorkspaceUUID             string
	RepositoryUUID            string
	PipelineUUID              string
	StepUUID                  string
	AccountUUID               string
	BranchName                string
	DeploymentEnvironmentUUID string // "" where the step deploys nothing
}

// stepClaimsBody is a StepClaims as it is in a token.
type stepClaimsBody struct {
	Issuer                    string   `json:"iss,omitzero"`
	Subject                   string   `json:"sub,omitzero"`
	Audience                  audience `json:"aud,omitzero"`
	IssuedAt                  *float64 `json:"iat,omitzero"` // seconds since 1970
	Expiry                    *float64 `json:"exp,omitzero"` // seconds since 1970
	WorkspaceUUID             string   `json:"workspaceUuid,omitzero"`
	RepositoryUUID            string   `json:"repositoryUuid,omitzero"`
	PipelineUUID              string   `json:"pipelineUuid,omitzero"`
	StepUUID                  string   `json:"stepUuid,omitzero"`
	AccountUUID               string   `json:"accountUuid,omitzero"`
	BranchName                string   `json:"branchName,omitzero"`
	DeploymentEnvironmentUUID string   `json:"deploymentEnvironmentUuid,omitzero"`
}

// UnmarshalJSON implements [encoding/json.Unmarshaler]. It is stricter than other decoding in this package, because access is
// granted by claims: their names are case-sensitive, and none may occur twice.
func (c *StepClaims) UnmarshalJSON(data []byte) error {
	var body stepClaimsBody
	if err := json.Unmarshal(data, &body); err != nil {
		return err
	}
	issuedAt, err := fromNumericDate("iat", body.IssuedAt)
	if err != nil {
		return err
	}
	expiry, err := fromNumericDate("exp", body.Expiry)
	if err != nil {
		return err
	}
	*c = StepClaims{
		body.Issuer, body.Subject, body.Audience, issuedAt, expiry, body.WorkspaceUUID, body.RepositoryUUID, body.PipelineUUID, body.StepUUID,
		body.AccountUUID, body.BranchName, body.DeploymentEnvironmentUUID,
	}
	return nil
}

// MarshalJSON implements [encoding/json.Marshaler], in the token's form.
func (c StepClaims) MarshalJSON() ([]byte, error) {
	return json.Marshal(stepClaimsBody{
		c.Issuer, c.Subject, c.Audience, numericDate(c.IssuedAt), numericDate(c.Expiry), c.WorkspaceUUID, c.RepositoryUUID, c.PipelineUUID,
		c.StepUUID, c.AccountUUID, c.BranchName, c.DeploymentEnvironmentUUID,
	}, jsontext.AllowInvalidUTF8(true))
}

// endOfTime is the first second that [time.Time] can't write as JSON.
const endOfTime = 253402300800

// fromNumericDate reads a time of a token, in seconds since 1970 that may have a fraction.
func fromNumericDate(name string, seconds *float64) (time.Time, error) {
	switch {
	case seconds == nil:
		return time.Time{}, nil
	case math.Abs(*seconds) >= endOfTime-1: // the fraction may be rounded up
		return time.Time{}, fmt.Errorf("%q is no time", name)
	}
	return time.UnixMilli(int64(math.Round(*seconds * 1000))).UTC(), nil
}

func numericDate(t time.Time) *float64 {
	if t.IsZero() {
		return nil
	}
	return new(float64(t.UnixMilli()) / 1000)
}

// audience is one text or a list of them.
type audience []string

func (a *audience) UnmarshalJSON(data []byte) error {
	*a = nil
	if jsontext.Value(data).Kind() != jsontext.KindString {
		return json.Unmarshal(data, (*[]string)(a))
	}
	var only string
	if err := json.Unmarshal(data, &only); err != nil {
		return err
	}
	*a = audience{only}
	return nil
}

func (a audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0], jsontext.AllowInvalidUTF8(true))
	}
	return json.Marshal([]string(a), jsontext.AllowInvalidUTF8(true))
}

// Subject is the claim "sub" of a step's token, taken apart by [ParseSubject]. UUIDs are in braces.
type Subject struct {
	RepositoryUUID  string
	EnvironmentUUID string // "" where the step deploys nothing
	StepUUID        string
}

// ParseSubject reads the claim "sub": "{REPOSITORY_UUID}:{STEP_UUID}", or, of a step that deploys,
// "{REPOSITORY_UUID}:{ENVIRONMENT_UUID}:{STEP_UUID}". Anything else is an [ErrInvalidArgument].
func ParseSubject(sub string) (Subject, error) {
	uuids := strings.SplitN(sub, ":", 4)
	for _, id := range uuids {
		if len(id) != 38 || braced(id[1:37]) != id {
			return Subject{}, errNotASubject
		}
	}
	switch len(uuids) {
	case 2:
		return Subject{RepositoryUUID: uuids[0], StepUUID: uuids[1]}, nil
	case 3:
		return Subject{RepositoryUUID: uuids[0], EnvironmentUUID: uuids[1], StepUUID: uuids[2]}, nil
	}
	return Subject{}, errNotASubject
}

// errNotASubject doesn't quote what was given: it may be a whole token.
var errNotASubject = invalidArgument("a subject is of the form {repository}:{step} or {repository}:{environment}:{step}, with UUIDs in braces")

// String returns the form that [ParseSubject] reads.
func (s Subject) String() string {
	if s.EnvironmentUUID == "" {
		return s.RepositoryUUID + ":" + s.StepUUID
	}
	return s.RepositoryUUID + ":" + s.EnvironmentUUID + ":" + s.StepUUID
}
