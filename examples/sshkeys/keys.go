package main

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/seed-85ed9bfd/pipelines"
)

const (
	rsaType     = "rsa"
	ed25519Type = "ed25519"
)

// newKeyPair generates a key pair: RSA in PKCS #1, which the service is known to accept, or Ed25519 in OpenSSH's format.
func newKeyPair(kind string, bits int, comment string) (*pipelines.KeyPair, error) {
	private, block, err := newPrivateKey(kind, bits, comment)
	if err != nil {
		return nil, err
	}
	public, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		return nil, err
	}
	line := strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(public)), "\n") + " " + comment
	return &pipelines.KeyPair{PrivateKey: string(pem.EncodeToMemory(block)), PublicKey: line}, nil
}

func newPrivateKey(kind string, bits int, comment string) (crypto.Signer, *pem.Block, error) {
	if kind == ed25519Type {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		block, err := ssh.MarshalPrivateKey(key, comment)
		return key, block, err
	}
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, nil, err
	}
	return key, &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}, nil
}
