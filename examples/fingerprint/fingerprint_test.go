package fingerprint_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/fingerprint"
)

// The key and, from "ssh-keygen -l", its fingerprint.
const (
	key     = "AAAAC3NzaC1lZDI1NTE5AAAAIEa6on/0vEZ99vhEsIwk6Q8FQiRuFChYYQVC1a5+yVY9"
	printed = "SHA256:oW8ta8J5eWcMwrHvxDfGzzYnLkaMJ3exJQT8n1YjmwE"
)

func TestTheFingerprintOfAPublicKeyIsWhatSSHKeygenPrints(t *testing.T) {
	require.Equal(t, printed+" ssh-ed25519", fingerprint.OfPublicKey("ssh-ed25519 "+key))
	require.Equal(t, printed+" ssh-ed25519 deploy@example.com", fingerprint.OfPublicKey("ssh-ed25519 "+key+" deploy@example.com\n"))
	for _, line := range []string{"", "ssh-ed25519", "ssh-ed25519 !", "\x00"} {
		require.Equal(t, "a key that is not understood", fingerprint.OfPublicKey(line), "%q", line)
	}
}

func TestTheFingerprintOfAHostIsComputedFromItsKey(t *testing.T) {
	require.Equal(t, printed, fingerprint.OfHost(pipelines.SSHPublicKey{KeyType: "ssh-ed25519", Key: key, SHA256Fingerprint: "SHA256:another"}))
	require.Equal(t, "SHA256:x (the service's word)", fingerprint.OfHost(pipelines.SSHPublicKey{Key: "!", SHA256Fingerprint: "SHA256:x"}))
	require.Equal(t, "unknown (the service's word)", fingerprint.OfHost(pipelines.SSHPublicKey{}))
}
