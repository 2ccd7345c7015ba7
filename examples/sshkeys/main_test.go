package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func newStage(t *testing.T) (*clitest.Fixture, *pipelinestest.Repository) {
	t.Helper()
	s := clitest.New(t, run)
	return s, s.AddRepository("acme", "site")
}

// fingerprintOf returns the fingerprint in ssh-keygen's format.
func fingerprintOf(t *testing.T, line string) string {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	require.NoError(t, err)
	return ssh.FingerprintSHA256(key)
}

// requireSecret fails if the output contains a line of the private key.
func requireSecret(t *testing.T, s *clitest.Fixture, private string) {
	t.Helper()
	require.NotEmpty(t, private)
	for line := range strings.Lines(private) {
		require.NotContains(t, s.Out.String()+s.Errs.String(), strings.TrimSpace(line))
	}
}

func TestANewKeyPairMatchesAndOnlyItsPublicKeyIsPrinted(t *testing.T) {
	for args, header := range map[string]string{
		"--bits 2048":    "-----BEGIN RSA PRIVATE KEY-----\n",
		"--type ed25519": "-----BEGIN OPENSSH PRIVATE KEY-----\n",
	} {
		t.Run(args, func(t *testing.T) {
			s, repo := newStage(t)
			require.Equal(t, cli.Success, s.Run("--repo acme/site --new "+args), s.Errs.String())
			pair := repo.KeyPair()
			require.True(t, strings.HasPrefix(pair.PrivateKey, header))
			signer, err := ssh.ParsePrivateKey([]byte(pair.PrivateKey))
			require.NoError(t, err)
			public, comment, _, _, err := ssh.ParseAuthorizedKey([]byte(pair.PublicKey))
			require.NoError(t, err)
			require.Equal(t, signer.PublicKey().Marshal(), public.Marshal())
			require.Equal(t, "pipelines of acme/site", comment)
			require.NotContains(t, pair.PublicKey, "\n")

			require.Contains(t, s.Out.String(), "\n"+pair.PublicKey+"\n")
			require.Contains(t, s.Out.String(), ssh.FingerprintSHA256(public))
			requireSecret(t, s, pair.PrivateKey)
		})
	}
}

func TestAKeyPairIsReplacedOnlyWithReplace(t *testing.T) {
	s, repo := newStage(t)
	require.Equal(t, cli.Success, s.Run("--repo acme/site --new --type ed25519 --comment old"))
	old := repo.KeyPair()

	require.Equal(t, cli.Failure, s.Run("--repo acme/site --new --type ed25519"))
	require.Contains(t, s.Out.String(), fingerprintOf(t, old.PublicKey)+" ssh-ed25519 old\n")
	require.Contains(t, s.Errs.String(), "--replace replaces it")
	require.Equal(t, cli.Success, s.Run("--repo acme/site --new --replace --dry-run"))
	require.Contains(t, s.Out.String(), "would be replaced by a new pair of type rsa")
	require.Equal(t, old, repo.KeyPair())

	require.Equal(t, cli.Success, s.Run("--repo acme/site --new --replace --type ed25519"), s.Errs.String())
	require.NotEqual(t, old.PublicKey, repo.KeyPair().PublicKey)
	requireSecret(t, s, repo.KeyPair().PrivateKey)
	require.Len(t, s.Changes(), 2)
}

// scanned is a line of ssh-keyscan.
func scanned(t *testing.T, host string) string {
	t.Helper()
	pair, err := newKeyPair(ed25519Type, 0, "")
	require.NoError(t, err)
	return fmt.Sprintf("# %s:22 SSH-2.0-OpenSSH_9.9\n%s %s\n", host, host, strings.TrimSpace(pair.PublicKey))
}

func keyIn(scan string) string {
	_, line, _ := strings.Cut(scan, "\n")
	_, key, _ := strings.Cut(line, " ")
	return strings.TrimSpace(key)
}

func TestTheOutputOfKeyscanBecomesKnownHosts(t *testing.T) {
	s, repo := newStage(t)
	one, other := scanned(t, "one.example.com"), scanned(t, "[other.example.com]:2222")
	s.Stdin = one + other + one
	require.Equal(t, cli.Success, s.Run("--repo acme/site --known-hosts --dry-run"))
	require.Contains(t, s.Out.String(), "would be added: one.example.com ssh-ed25519 "+fingerprintOf(t, keyIn(one))+"\n")
	require.Contains(t, s.Out.String(), "2 of 2 host keys would be added or replaced\n")
	require.Empty(t, repo.KnownHosts())

	require.Equal(t, cli.Success, s.Run("--repo acme/site --known-hosts"), s.Errs.String())
	require.Contains(t, s.Out.String(), "added: [other.example.com]:2222 ssh-ed25519 "+fingerprintOf(t, keyIn(other))+"\n")
	hosts := repo.KnownHosts()
	require.Len(t, hosts, 2)
	require.Equal(t, keyIn(one), hosts[0].PublicKey.KeyType+" "+hosts[0].PublicKey.Key)

	changes := len(s.Changes())
	require.Equal(t, cli.Success, s.Run("--repo acme/site --known-hosts"))
	require.Contains(t, s.Out.String(), "is known: one.example.com")
	require.Contains(t, s.Out.String(), "0 of 2 host keys added or replaced\n")
	require.Len(t, s.Changes(), changes)
}

func TestAKnownHostIsReplacedOnlyWithReplace(t *testing.T) {
	s, repo := newStage(t)
	old, changed := scanned(t, "one.example.com"), scanned(t, "one.example.com")
	s.Stdin = old
	require.Equal(t, cli.Success, s.Run("--repo acme/site --known-hosts"))
	before := repo.KnownHosts()

	s.Stdin = scanned(t, "new.example.com") + changed
	require.Equal(t, cli.Failure, s.Run("--repo acme/site --known-hosts"))
	require.Equal(t, "is known with another key: one.example.com ssh-ed25519 "+fingerprintOf(t, keyIn(old))+", now "+
		fingerprintOf(t, keyIn(changed))+"\n", s.Out.String())
	require.Equal(t, before, repo.KnownHosts(), "nor was the new one added")

	require.Equal(t, cli.Success, s.Run("--repo acme/site --known-hosts --replace"), s.Errs.String())
	after := repo.KnownHosts()
	require.Len(t, after, 2)
	require.Equal(t, before[0].UUID, after[0].UUID)
	require.Equal(t, keyIn(changed), after[0].PublicKey.KeyType+" "+after[0].PublicKey.Key)
}

// The service knows some hosts itself, such as github.com, and refuses them. Whoever uses a known_hosts file has them.
func TestHostsThatTheServiceRefusesKeepNoOthersFromBeingAdded(t *testing.T) {
	s, repo := newStage(t)
	s.Stdin = scanned(t, "github.com") + scanned(t, "one.example.com")
	require.Equal(t, cli.Trouble, s.Run("--repo acme/site --known-hosts"))
	require.Contains(t, s.Out.String(), "1 of 2 host keys added or replaced\n")
	require.Regexp(t, `(?m)^can't be added: github.com ssh-ed25519: POST /.*hostname-not-allowed`, s.Out.String())
	require.Equal(t, "sshkeys: 1 host key can't be added\n", s.Errs.String())
	require.Len(t, repo.KnownHosts(), 1)
}

// A service that has one key for each host refuses the others of that host as duplicates.
func TestAKeyThatTheServiceTakesForADuplicateKeepsNoOthersFromBeingAdded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, repo := newStage(t)
		s.Stdin = scanned(t, "one.example.com") + scanned(t, "two.example.com")
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Status: http.StatusConflict, Times: 1})
		require.Equal(t, cli.Trouble, s.Run("--repo acme/site --known-hosts"))
		require.Contains(t, s.Out.String(), "1 of 2 host keys added or replaced\n")
		require.Regexp(t, `(?m)^can't be added: one.example.com ssh-ed25519: POST /.*409 Conflict`, s.Out.String())
		require.Equal(t, "sshkeys: 1 host key can't be added\n", s.Errs.String())
		require.Len(t, repo.KnownHosts(), 1)
	})
}

func TestAFailureReportsWhichHostsWereAdded(t *testing.T) {
	s, repo := newStage(t)
	s.Stdin = scanned(t, "one.example.com") + scanned(t, "two.example.com")
	s.Inject(pipelinestest.Fault{Method: http.MethodPost, Skip: 1, Status: http.StatusForbidden})
	require.Equal(t, cli.Trouble, s.Run("--repo acme/site --known-hosts"))
	require.Contains(t, s.Out.String(), "1 of 2 host keys added or replaced\n")
	require.Contains(t, s.Errs.String(), "sshkeys: two.example.com ssh-ed25519: ")
	require.Len(t, repo.KnownHosts(), 1)
}

func TestInvalidKeyscanOutputIsRejected(t *testing.T) {
	for stdin, want := range map[string]string{
		"":                            "no known hosts on standard input",
		"\ufeff# one\n":               "no known hosts on standard input",
		"\xff\xfeo\x00n\x00e\x00":     "the standard input is UTF-16 text: save it as UTF-8",
		"# \xe4\n":                    "line 1 of the standard input is not UTF-8 text",
		"# one\n\n":                   "no known hosts on standard input",
		"one ssh-rsa\n":               "line 1",
		"|1|abc|def ssh-ed25519 AAAA": "hashed",
		strings.Repeat("x", 100_000):  "a line is too long",
		strings.Replace(scanned(t, "x"), "x ssh", "x\x00y ssh", 1):    `the host name "x\x00y" is not plain text`,
		strings.Replace(scanned(t, "x"), "x ssh", "x\u202ey ssh", 1):  `the host name "x\u202ey" is not plain text`,
		strings.Replace(scanned(t, "x"), "x ssh", "\x1b[31mx ssh", 1): `the host name "\x1b[31mx" is not plain text`,
		scanned(t, "one.test") + scanned(t, "one.test"):               "two different keys of type ssh-ed25519 of host one.test",
		strings.Replace(scanned(t, "x"), "x ssh", "* ssh", 1):         "not the name of one host",
	} {
		s, _ := newStage(t)
		s.Stdin = stdin
		require.Equal(t, cli.Trouble, s.Run("--repo acme/site --known-hosts"), stdin)
		require.Contains(t, s.Errs.String(), want)
		require.Empty(t, s.Requests())
	}
}

func TestACarriageReturnEndsALine(t *testing.T) {
	s, repo := newStage(t)
	s.Stdin = strings.ReplaceAll(scanned(t, "one.test")+scanned(t, "two.test"), "\n", "\r")
	require.Equal(t, cli.Success, s.Run("--repo acme/site --known-hosts"), s.Errs.String())
	require.Len(t, repo.KnownHosts(), 2)
}

func TestItShowsFingerprints(t *testing.T) {
	s, repo := newStage(t)
	require.Equal(t, cli.Success, s.Run("--repo acme/site"), s.Errs.String())
	require.Equal(t, "acme/site has no SSH key pair.\nIt knows no hosts but those that the service knows itself.\n", s.Out.String())

	seed(s.Server)
	require.Equal(t, cli.Success, s.Run("--repo acme/site"), s.Errs.String())
	require.Contains(t, s.Out.String(), "Key pair of acme/site: "+fingerprintOf(t, repo.KeyPair().PublicKey)+" ssh-ed25519 pipelines of acme/site\n")
	for _, h := range repo.KnownHosts() {
		require.Regexp(t, "(?m)^"+strings.NewReplacer("[", `\[`, "]", `\]`).Replace(h.Hostname)+` +ssh-ed25519 +SHA256:`, s.Out.String())
		require.Contains(t, s.Out.String(), h.PublicKey.SHA256Fingerprint+"\n")
	}
}

func TestFailuresAndInterruptsAreReported(t *testing.T) {
	s, repo := newStage(t)
	require.Equal(t, cli.Trouble, s.Run("--repo acme/nowhere"))
	require.Contains(t, s.Errs.String(), "404")
	s.Inject(pipelinestest.Fault{Method: http.MethodPut, Status: http.StatusForbidden})
	require.Equal(t, cli.Trouble, s.Run("--repo acme/site --new --type ed25519"))
	require.Contains(t, s.Errs.String(), "don't allow this")
	require.Nil(t, repo.KeyPair())
	require.Equal(t, cli.Interrupted, s.RunInterrupted("--repo acme/site --new"))
}

func TestInvalidUsageIsRejected(t *testing.T) {
	for args, want := range map[string]string{
		"--repo acme/site --new --known-hosts":              "exclude each other",
		"--repo acme/site --replace":                        "--replace and --dry-run go with",
		"--repo acme/site --new --type dsa":                 "neither rsa nor ed25519",
		"--repo acme/site --new --type ed25519 --bits 4096": "--bits is for RSA keys",
		"--repo acme/site --new --bits 1024":                "--bits is not",
		"--repo acme/site --bits 4096":                      "go with --new",
		"--repo acme/site --new --comment a\ab":             "not one plain line",
		"--new":                                             "--repo is missing",
	} {
		s, _ := newStage(t)
		s.Refuses(args, want)
	}
}

func TestTheDemoRunsWithoutCredentials(t *testing.T) {
	status, out, errs := clitest.Demo(t, run, "")
	require.Equal(t, cli.Success, status)
	require.Contains(t, errs, "demo")
	require.Contains(t, out, "deploy.example.com")
	out = clitest.RequireDemo(t, run, "--new --replace --bits 2048", "replaced by a new pair of type rsa: SHA256:")
	require.NotContains(t, out, "PRIVATE")
}

func TestHelp(t *testing.T) {
	help := clitest.RequireHelp(t, run)
	require.Contains(t, help, "pipeline:variable")
	require.Contains(t, help, "admin:pipeline:bitbucket")
}

func TestKnownHostsMayComeFromEditorsThatWriteAByteOrderMark(t *testing.T) {
	s, repo := newStage(t)
	s.Stdin = "\ufeff" + strings.ReplaceAll(scanned(t, "one.example.com"), "\n", "\r\n")
	require.Equal(t, cli.Success, s.Run("--repo acme/site --known-hosts"), s.Errs.String())
	require.Contains(t, s.Out.String(), "\n1 of 1 host key added or replaced\n")
	require.Equal(t, "one.example.com", repo.KnownHosts()[0].Hostname)
}
