// Package fingerprint shows SSH keys as people compare them.
package fingerprint

import (
	"cmp"
	"encoding/base64"

	"golang.org/x/crypto/ssh"

	"github.com/seed-85ed9bfd/pipelines"
)

// OfPublicKey returns the fingerprint, the type and the comment of a public key in OpenSSH's format.
func OfPublicKey(line string) string {
	key, comment, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return "a key that is not understood"
	}
	text := ssh.FingerprintSHA256(key) + " " + key.Type()
	if comment != "" {
		text += " " + comment
	}
	return text
}

// OfHost returns the fingerprint of a host's key. It is computed here, because users compare it.
func OfHost(host pipelines.SSHPublicKey) string {
	blob, err := base64.StdEncoding.DecodeString(host.Key)
	if err == nil {
		var key ssh.PublicKey
		if key, err = ssh.ParsePublicKey(blob); err == nil {
			return ssh.FingerprintSHA256(key)
		}
	}
	return cmp.Or(host.SHA256Fingerprint, "unknown") + " (the service's word)"
}
