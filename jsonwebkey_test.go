package pipelines_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestJSONWebKeysBecomePublicKeys(t *testing.T) {
	code := base64.RawURLEncoding.EncodeToString
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	point, err := ecKey.PublicKey.Bytes()
	require.NoError(t, err)
	edKey, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	good := []struct {
		key  pipelines.JSONWebKey
		want any
	}{
		{pipelines.JSONWebKey{Kty: "RSA", N: code(rsaKey.N.Bytes()), E: "AQAB"}, &rsaKey.PublicKey},
		{pipelines.JSONWebKey{Kty: "EC", Crv: "P-256", X: code(point[1:33]), Y: code(point[33:])}, &ecKey.PublicKey},
		{pipelines.JSONWebKey{Kty: "OKP", Crv: "Ed25519", X: code(edKey)}, edKey},
	}
	for _, tc := range good {
		t.Run(tc.key.Kty, func(t *testing.T) {
			got, err := tc.key.PublicKey()
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
	tooLarge := code(new(big.Int).Lsh(big.NewInt(1), 20_000).Bytes())
	for says, key := range map[string]pipelines.JSONWebKey{
		"unknown type":          {Kid: "k1", Kty: "oct"},
		`"n" is not base64url`:  {Kty: "RSA", N: "???", E: "AQAB"},
		`"e" is not base64url`:  {Kty: "RSA", N: good[0].key.N},
		"exponent":              {Kty: "RSA", N: good[0].key.N, E: code([]byte{1})},
		"exponent ":             {Kty: "RSA", N: good[0].key.N, E: code(bytes.Repeat([]byte{255}, 9))},
		"modulus of 8 bits":     {Kty: "RSA", N: code([]byte{200}), E: "AQAB"},
		"modulus of 20001 bits": {Kty: "RSA", N: tooLarge, E: "AQAB"},
		"unknown curve":         {Kty: "EC", Crv: "secp256k1"},
		`"x" is not base64url`:  {Kty: "EC", Crv: "P-256"},
		`"y" is not base64url`:  {Kty: "EC", Crv: "P-256", X: good[1].key.X},
		"another length":        {Kty: "EC", Crv: "P-384", X: good[1].key.X, Y: good[1].key.Y},
		"not on the curve":      {Kty: "EC", Crv: "P-256", X: good[1].key.X, Y: good[1].key.X},
		`curve "X25519"`:        {Kty: "OKP", Crv: "X25519", X: good[2].key.X},
		`"x" is not base64url `: {Kty: "OKP", Crv: "Ed25519", X: "="},
	} {
		t.Run(says, func(t *testing.T) {
			_, err := key.PublicKey()
			require.ErrorContains(t, err, strings.TrimSpace(says))
		})
	}
}
