// Command sshkeys shows the SSH key pair and the known hosts of a repository with their fingerprints, generates a new pair, and adds known
// hosts from the output of ssh-keyscan. See its -h.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/fingerprint"
)

const program = "sshkeys"

var help = cli.Help{
	Intro: "sshkeys shows the SSH key pair of a repository's pipelines and the hosts they know, with fingerprints. It generates a new pair, and " +
		"adds known hosts.",
	Usage: []cli.Item{
		{"sshkeys --repo WORKSPACE/SLUG", "show keys and hosts"},
		{"sshkeys --repo WORKSPACE/SLUG --new [--replace]", "make a new key pair"},
		{"ssh-keyscan HOST | sshkeys --repo WORKSPACE/SLUG --known-hosts [--replace]", "add known hosts"},
		{"sshkeys --demo", "a demo on a fake service"},
	},
	Groups: []cli.Group{
		{"Which repository", "repo"},
		{"A new key pair", "new", "type", "bits", "comment"},
		{"Known hosts", "known-hosts"},
		{"With --new and --known-hosts", "replace", "dry-run"},
	},
	Notes: "The pair is generated on this machine. Its private key is sent only to the service, which never returns it. It is neither printed " +
		"nor written to a file. The public key is printed, for the hosts that the pipelines log in to.\n\n" +
		"ssh-keyscan trusts any server that responds: compare the printed fingerprints with those that the host's owner publishes; --dry-run " +
		"shows them and changes nothing. Hashed names and patterns of a known_hosts file aren't supported.",
	Credentials: cli.DemoRuns,
	Scopes: "Scopes: pipeline to look (API token: read:pipeline:bitbucket), pipeline:variable to change keys and " +
		"hosts (admin:pipeline:bitbucket).",
	Statuses: []cli.Item{
		{"0", "done"}, {"1", "not done, because it would have replaced a key"}, cli.TroubleStatus, cli.InterruptedStatus,
	},
}

func main() { cli.Main(run) }

// options are the parsed flags.
type options struct {
	repo            string
	create          bool
	kind            string
	bits            int
	comment         string
	knownHosts      bool
	replace, dryRun bool
	demo            bool
}

func newFlags(o *options) *flag.FlagSet {
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.StringVar(&o.repo, "repo", "", "the repository, as `WORKSPACE/SLUG`")
	flags.BoolVar(&o.create, "new", false, "generate a key pair and store it in the repository")
	flags.StringVar(&o.kind, "type", rsaType, "the `TYPE` of the key, rsa or ed25519; the service isn't documented to accept ed25519")
	flags.IntVar(&o.bits, "bits", 4096, "the size of an RSA key, 2048 to 8192 `BITS`")
	flags.StringVar(&o.comment, "comment", "", "the `COMMENT` of the public key; default: pipelines of the repository's name")
	flags.BoolVar(&o.knownHosts, "known-hosts", false, "add the known hosts that come on standard input, as ssh-keyscan prints them")
	flags.BoolVar(&o.replace, "replace", false, "replace existing keys; without it none is replaced")
	flags.BoolVar(&o.dryRun, "dry-run", false, "only print what would be done")
	cli.DemoFlag(flags, &o.demo)
	help.Set(flags)
	return flags
}

func (o *options) check(flags *flag.FlagSet) error {
	if err := cli.CheckGiven(flags); err != nil {
		return err
	}
	given := cli.Given(flags)
	switch {
	case o.create && o.knownHosts:
		return errors.New("--new and --known-hosts exclude each other")
	case (o.replace || o.dryRun) && !o.create && !o.knownHosts:
		return errors.New("--replace and --dry-run go with --new or --known-hosts: without them nothing is changed")
	case given["bits"] && o.kind == ed25519Type:
		return errors.New("--bits is for RSA keys: an Ed25519 key has one size only")
	case !o.create && (given["type"] || given["bits"] || given["comment"]):
		return errors.New("--type, --bits and --comment go with --new")
	}
	return o.checkKey()
}

func (o *options) checkKey() error {
	switch {
	case o.kind != rsaType && o.kind != ed25519Type:
		return errors.New("--type is neither rsa nor ed25519")
	case o.bits < 2048 || o.bits > 8192:
		return errors.New("--bits is not from 2048 to 8192")
	case cli.Clean(o.comment) != o.comment:
		return errors.New("--comment is not one plain line")
	}
	return nil
}

// errWouldReplace means that a key would be replaced without --replace.
var errWouldReplace = errors.New("would replace a key")

// job is one run of the program.
type job struct {
	options
	env     cli.Env
	service *pipelines.SSHService
	repo    pipelines.Repo
}

func run(ctx context.Context, args []string, env cli.Env) int {
	j := job{env: env}
	flags := newFlags(&j.options)
	if status, ok := env.Parse(flags, args); !ok {
		return status
	}
	var err error
	j.repo, err = cli.Repo("repo", j.options.repo, j.demo, cli.DemoRepo)
	if err = cmp.Or(j.check(flags), err); err != nil {
		return env.Usage(program, err)
	}
	var hosts []pipelines.KnownHostRequest
	if j.knownHosts {
		if hosts, err = readHosts(env.Stdin); err != nil {
			return env.Fail(ctx, program, err)
		}
	}
	client, _, end, err := env.Connect(program, j.demo, seed)
	if err != nil {
		return env.Fail(ctx, program, err)
	}
	defer end()
	j.service = client.SSH
	switch {
	case j.create:
		err = j.newPair(ctx)
	case j.knownHosts:
		err = j.addHosts(ctx, hosts)
	default:
		err = j.show(ctx)
	}
	switch {
	case errors.Is(err, errWouldReplace):
		return cli.Failure
	case err != nil:
		return env.Fail(ctx, program, err)
	}
	return cli.Success
}

// pair returns the repository's key pair, nil if it has none.
func (j *job) pair(ctx context.Context) (*pipelines.KeyPair, error) {
	pair, err := j.service.GetKeyPair(ctx, j.repo)
	if errors.Is(err, pipelines.ErrNotFound) { // also if the repository doesn't exist; listing its hosts then fails
		_, err = j.service.ListKnownHosts(ctx, j.repo, nil).Collect()
		return nil, err
	}
	return pair, err
}

func (j *job) show(ctx context.Context) error {
	pair, err := j.pair(ctx)
	if err != nil {
		return err
	}
	hosts, err := j.service.ListKnownHosts(ctx, j.repo, nil).Collect()
	if err != nil {
		return err
	}
	if pair == nil {
		j.env.Say("%s has no SSH key pair.", j.repo)
	} else {
		j.env.Say("Key pair of %s: %s", j.repo, fingerprint.OfPublicKey(pair.PublicKey))
		j.env.Say("%s", pair.PublicKey)
	}
	if len(hosts) == 0 {
		j.env.Say("It knows no hosts but those that the service knows itself.")
		return nil
	}
	slices.SortStableFunc(hosts, func(a, b *pipelines.KnownHost) int { return cmp.Compare(a.Hostname, b.Hostname) })
	var rows [][]string
	for _, h := range hosts {
		rows = append(rows, []string{h.Hostname, keyOf(h).KeyType, fingerprint.OfHost(keyOf(h))})
	}
	fmt.Fprintln(j.env.Stdout)
	cli.PrintTable(j.env.Stdout, "There are no known hosts.", []string{"KNOWN HOST", "TYPE", "FINGERPRINT"}, rows)
	return nil
}

// newPair generates a key pair and sends it to the service.
func (j *job) newPair(ctx context.Context) error {
	old, err := j.pair(ctx)
	if err != nil {
		return err
	}
	begin := "made"
	if old != nil {
		j.env.Say("The repository has a key pair: %s", fingerprint.OfPublicKey(old.PublicKey))
		if !j.replace {
			fmt.Fprintln(j.env.Stderr, "It is unchanged: --replace replaces it. The service never returns the old private key,\n"+
				"and where only the old public key is known, the pipelines can't log in any more.")
			return errWouldReplace
		}
		begin = "replaced by"
	}
	if j.dryRun {
		j.env.Say("would be %s a new pair of type %s", begin, j.kind)
		return nil
	}
	pair, err := newKeyPair(j.kind, j.bits, cmp.Or(j.comment, "pipelines of "+j.repo.String()))
	if err != nil {
		return err
	}
	if _, err = j.service.SetKeyPair(ctx, j.repo, *pair); err != nil {
		return err
	}
	j.env.Say("%s a new pair of type %s: %s", begin, j.kind, fingerprint.OfPublicKey(pair.PublicKey))
	j.env.Say("The public key, for the hosts that the pipelines log in to:")
	j.env.Say("%s", pair.PublicKey)
	return nil
}

func keyOf(h *pipelines.KnownHost) pipelines.SSHPublicKey {
	if h.PublicKey == nil {
		return pipelines.SSHPublicKey{}
	}
	return *h.PublicKey
}
