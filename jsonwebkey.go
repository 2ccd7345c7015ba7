package pipelines

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
)

// JSONWebKeySet has the public keys of a workspace.
type JSONWebKeySet struct {
	Keys []JSONWebKey `json:"keys,omitzero"`
}

// JSONWebKey is a public key in the format of RFC 7517. The service is known to use RSA keys. Others are decoded too.
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

// PublicKey returns the key as an [*rsa.PublicKey], an [*ecdsa.PublicKey] on P-256, P-384 or P-521, or an [ed25519.PublicKey]. Any
// other key, and an RSA key of less than 2,048 or more than 16,384 bits, is an error.
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
