package pipelinestest

import (
	"cmp"
	"crypto/md5" //nolint:gosec // one of the two fingerprints is MD5
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-85ed9bfd/pipelines"
)

type knownHost struct{ pipelines.KnownHost }

func (h *knownHost) id() string { return h.UUID }

// SetKeyPair sets the repository's SSH key pair.
func (r *Repository) SetKeyPair(pair pipelines.KeyPair) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.setKeyPair(pair)
}

func (r *Repository) setKeyPair(pair pipelines.KeyPair) {
	pair.Type = "pipeline_ssh_key_pair"
	r.keyPair = &pair
}

// KeyPair returns the repository's SSH key pair, or nil. Unlike the API it includes the private key; printed, it is masked.
func (r *Repository) KeyPair() *pipelines.KeyPair {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	if r.keyPair == nil {
		return nil
	}
	pair := *r.keyPair
	return &pair
}

// AddKnownHost adds a known host and returns it as stored, with its fingerprints. It panics if there is no public key or the key isn't
// base64.
func (r *Repository) AddKnownHost(h pipelines.KnownHost) *pipelines.KnownHost {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	if h.PublicKey == nil {
		panic("pipelinestest: known host " + h.Hostname + " has no public key")
	}
	stored, err := r.addKnownHost(clone(h))
	if err != nil {
		panic("pipelinestest: the key of known host " + h.Hostname + ": " + err.Error())
	}
	c := clone(stored.KnownHost)
	return &c
}

// KnownHosts returns the known hosts in the order in which they were created.
func (r *Repository) KnownHosts() []pipelines.KnownHost {
	return copies(r.server, &r.knownHosts, func(h *knownHost) pipelines.KnownHost { return clone(h.KnownHost) })
}

func (r *Repository) addKnownHost(h pipelines.KnownHost) (*knownHost, error) {
	stored := &knownHost{pipelines.KnownHost{UUID: r.server.newUUID()}}
	if err := stored.set(h); err != nil {
		return nil, err
	}
	r.knownHosts = append(r.knownHosts, stored)
	return stored, nil
}

// set replaces everything but the UUID, and computes the fingerprints.
func (h *knownHost) set(to pipelines.KnownHost) error {
	key, err := base64.StdEncoding.DecodeString(to.PublicKey.Key)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(key)
	h.Type, h.Hostname = "pipeline_known_host", to.Hostname
	h.PublicKey = &pipelines.SSHPublicKey{
		Type: "pipeline_ssh_public_key", KeyType: to.PublicKey.KeyType, Key: to.PublicKey.Key,
		MD5Fingerprint:    "md5:" + strings.ReplaceAll(fmt.Sprintf("% x", md5.Sum(key)), " ", ":"), //nolint:gosec // as in SSH
		SHA256Fingerprint: "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]),
	}
	return nil
}

const (
	keyPairPath    = configPath + "/ssh/key_pair"
	knownHostsPath = configPath + "/ssh/known_hosts"
	knownHostPath  = knownHostsPath + "/{known_host_uuid}"
	sshService     = "ssh-service"
)

var knownHosts = kind[*knownHost]{"known_host", sshService, func(c *call) (*collection[*knownHost], *response) {
	return &c.repo.knownHosts, nil
}, func(_ *call, h *knownHost) any { return h.KnownHost }}

var sshRoutes = []route{
	{http.MethodGet, keyPairPath, readPipeline, (*call).getKeyPair},
	{http.MethodPut, keyPairPath, writeVariable, (*call).putKeyPair},
	{http.MethodDelete, keyPairPath, writeVariable, (*call).deleteKeyPair},
	{http.MethodGet, knownHostsPath, readPipeline, knownHosts.list},
	{http.MethodPost, knownHostsPath, writeVariable, (*call).createKnownHost},
	{http.MethodGet, knownHostPath, readPipeline, knownHosts.get},
	{http.MethodPut, knownHostPath, writeVariable, (*call).updateKnownHost},
	{http.MethodDelete, knownHostPath, writeVariable, knownHosts.delete},
}

// getKeyPair responds without the private key, which the model never encodes.
func (c *call) getKeyPair() *response {
	if c.repo.keyPair == nil {
		return noKeyPair()
	}
	return c.json(http.StatusOK, c.repo.keyPair)
}

func noKeyPair() *response {
	return serviceError(http.StatusNotFound, sshService+".key-pair.not-found", "The repository has no SSH key pair.", map[string]string{})
}

func (c *call) putKeyPair() *response {
	var pair pipelines.KeyPair
	if !c.decode(&pair) || pair.PrivateKey == "" || pair.PublicKey == "" {
		return invalidRequest(sshService, "A key pair needs private_key and public_key.")
	}
	c.repo.setKeyPair(pair)
	return c.getKeyPair()
}

func (c *call) deleteKeyPair() *response {
	if c.repo.keyPair == nil {
		return noKeyPair()
	}
	c.repo.keyPair = nil
	return emptyResponse(http.StatusNoContent)
}

func (c *call) createKnownHost() *response {
	req, errResp := c.knownHostRequest("")
	if errResp != nil {
		return errResp
	}
	h, err := c.repo.addKnownHost(req)
	if err != nil {
		return invalidKey()
	}
	return c.created(h.UUID, h.KnownHost)
}

func (c *call) updateKnownHost() *response {
	h, errResp := knownHosts.find(c)
	if errResp != nil {
		return errResp
	}
	req, errResp := c.knownHostRequest(h.UUID)
	if errResp != nil {
		return errResp
	}
	if h.set(req) != nil {
		return invalidKey()
	}
	return c.json(http.StatusOK, h.KnownHost)
}

func invalidKey() *response { return invalidRequest(sshService, "The key is not base64.") }

// builtinHosts are the hosts whose keys the service has itself.
var builtinHosts = []string{"bitbucket.org", "github.com", "gitlab.com"}

// knownHostRequest reads the body of a request to create a known host, or to replace the one with a UUID. Its types may be missing or
// empty.
func (c *call) knownHostRequest(uuid string) (pipelines.KnownHost, *response) {
	var h pipelines.KnownHost
	decoded := c.decode(&h)
	key := cmp.Or(h.PublicKey, &pipelines.SSHPublicKey{})
	switch {
	case !decoded || !typeMatches(h.Type, "pipeline_known_host") || !typeMatches(key.Type, "pipeline_ssh_public_key"):
		return h, invalidRequest(sshService, "An invalid field was found in the JSON payload")
	case slices.Contains(builtinHosts, hostName(h.Hostname)):
		return h, errorResponse(http.StatusBadRequest, "hostname-not-allowed: SSH for this hostname is already configured by Bitbucket", nil)
	case key.Key == "" || key.KeyType == "":
		return h, invalidRequest(sshService, "A known host needs a public_key with key_type and key.")
	case h.Hostname == "":
		return h, invalidRequest(sshService, "A known host needs a hostname.")
	}
	duplicate := func(other *knownHost) bool {
		return other.UUID != uuid && other.Hostname == h.Hostname && other.PublicKey.KeyType == h.PublicKey.KeyType
	}
	if slices.ContainsFunc(c.repo.knownHosts, duplicate) {
		return h, knownHosts.conflict("There is a known host " + h.Hostname + " with such a key already.")
	}
	return h, nil
}

func typeMatches(given, want string) bool { return given == "" || given == want }

// hostName returns the name of a host without brackets, port and final dot.
func hostName(name string) string {
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	return strings.ToLower(strings.TrimSuffix(name, "."))
}
