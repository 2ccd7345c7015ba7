// Command oidc is a server that accepts requests only from steps of Bitbucket Pipelines, by their OpenID Connect tokens, and responds with
// the caller's identity. With --demo, or without credentials and flags, it runs against a fake service in its own process. See its -h.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path"
	"regexp"
	"strings"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

const program = "oidc"

var help = cli.Help{
	Intro: "oidc is a server that accepts requests only from steps of Bitbucket Pipelines. It verifies signature, issuer, audience and expiry of " +
		"the step's OpenID Connect token (oidc: true in its YAML), and checks the repository, and optionally the environment and the branch, " +
		"against your lists. It responds with the caller's identity in JSON, or with the reason and 401 (the token is invalid), 403 (it is " +
		"valid but not on the lists) or 503 (the keys can't be read). In the step:\n\n" +
		"  curl -H \"Authorization: Bearer $BITBUCKET_STEP_OIDC_TOKEN\" https://your.server/",
	Usage: []cli.Item{
		{"oidc --workspace WORKSPACE --audience AUDIENCE --repository UUID [flags]"},
		{"oidc --demo", "which tokens are accepted and refused"},
	},
	Groups: []cli.Group{
		{"Who may call (all that is given must match)", "workspace", "audience", "repository", "environment", "branch"},
		{"The server", "listen", "tls-cert", "tls-key"},
	},
	Notes: "The keys come from the service and are cached for an hour. A token with an unknown key ID makes the server read them again, at most " +
		"twice a minute after the first three times. BITBUCKET_BASE_URL is the service's address; the issuer is below it.",
	Credentials: "They are used only if a request for the keys is refused without them: the keys are public. Without credentials and without " +
		"flags the demo runs, on a fake service within the program.",
	Scopes: "Scopes: none.",
	Statuses: []cli.Item{
		{"0", "the server was ended by an interrupt and has answered its last request, or the demo went as it should"},
		{"1", "the demo didn't go as it should"}, {"2", "wrong usage, or the server couldn't go on"},
	},
}

// options are the flags.
type options struct {
	listen, workspace, audience string
	certificate, key            string
	tls                         *tls.Config // with the certificate; nil: no HTTPS
	rules                       rules
	demo                        bool
}

func main() { cli.Main(run) }

// run runs the program and returns the exit status. Cancelling ctx is an interrupt.
func run(ctx context.Context, args []string, env cli.Env) int {
	o := &options{}
	flags := o.flags()
	help.Set(flags)
	if status, ok := env.Parse(flags, args); !ok {
		return status
	}
	o.demo = o.demo || len(args) == 0 && !cli.HasCredentials()
	if err := o.check(flags); err != nil {
		return env.Usage(program, err)
	}
	if o.demo {
		return demo(ctx, env)
	}
	client, err := connect(env)
	if err != nil {
		return env.Fail(ctx, program, err)
	}
	defer client.CloseIdleConnections()
	return start(ctx, env, o, client)
}

func (o *options) flags() *flag.FlagSet {
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8080", "the `ADDRESS` to listen on")
	flags.StringVar(&o.workspace, "workspace", "", "the `WORKSPACE`, by its slug, as in the tokens' issuer")
	flags.StringVar(&o.audience, "audience", "", "the `AUDIENCE` that tokens have to be for: the workspace's, which is ari:cloud:bitbucket::workspace/UUID, or a custom one")
	flags.Func("repository", "the `UUID` of a repository that may call, or * for all of the workspace; may be repeated", uuids(&o.rules.repositories, "*"))
	flags.Func("environment", "the `UUID` of a deployment environment; may be repeated; then only steps that deploy to one of them may call", uuids(&o.rules.environments, ""))
	flags.Func("branch", "the `PATTERN` of a branch, such as release/*; may be repeated; then only runs of such a branch may call", func(s string) error {
		if _, err := path.Match(s, ""); err != nil || s == "" {
			return errors.New("not a pattern")
		}
		o.rules.branches = append(o.rules.branches, s)
		return nil
	})
	flags.StringVar(&o.certificate, "tls-cert", "", "the `FILE` with the certificate, to serve HTTPS; without it a proxy in front has to")
	flags.StringVar(&o.key, "tls-key", "", "the `FILE` with the certificate's key")
	flags.BoolVar(&o.demo, "demo", false, "show which tokens are accepted and refused, against a fake service, on loopback only")
	return flags
}

var bareUUID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// uuids is a flag for UUIDs, with or without braces. It accepts the value of also, too.
func uuids(list *[]string, also string) func(string) error {
	return func(s string) error {
		bare := strings.TrimSuffix(strings.TrimPrefix(s, "{"), "}")
		switch {
		case s != "" && s == also:
			*list = append(*list, s)
		case bareUUID.MatchString(bare):
			*list = append(*list, "{"+strings.ToLower(bare)+"}")
		default:
			return errors.New("not a UUID")
		}
		return nil
	}
}

func (o *options) check(flags *flag.FlagSet) error {
	if err := cli.CheckGiven(flags, "repository", "environment", "branch"); err != nil { // those check their values themselves
		return err
	}
	switch {
	case o.demo && flags.NFlag() > 1:
		return errors.New("--demo goes with no other flag: the demo has a service and a server of its own")
	case o.demo:
		return nil
	case o.workspace == "":
		return errors.New("--workspace is missing")
	case o.audience == "":
		return errors.New("--audience is missing: without it a token for another audience would be accepted")
	case len(o.rules.repositories) == 0:
		return errors.New("--repository is missing: name those that may call, or * for all of the workspace")
	case (o.certificate == "") != (o.key == ""):
		return errors.New("--tls-cert and --tls-key belong together")
	}
	return nil
}

// readCertificate reads the files for HTTPS.
func (o *options) readCertificate() error {
	if o.certificate == "" {
		return nil
	}
	certificate, err := cli.ReadText(o.certificate, nil)
	if err != nil {
		return fmt.Errorf("--tls-cert: %w", err)
	}
	key, err := cli.ReadText(o.key, nil)
	if err != nil {
		return fmt.Errorf("--tls-key: %w", err)
	}
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		return fmt.Errorf("--tls-cert and --tls-key: %s", strings.TrimPrefix(err.Error(), "tls: "))
	}
	o.tls = &tls.Config{Certificates: []tls.Certificate{pair}}
	return nil
}

// connect returns a client of the service, with credentials if there are some.
func connect(env cli.Env) (*pipelines.Client, error) {
	if cli.HasCredentials() {
		return env.NewClient(program, pipelines.WithEnv())
	}
	if base := os.Getenv("BITBUCKET_BASE_URL"); base != "" {
		return env.NewClient(program, pipelines.WithBaseURL(base))
	}
	return env.NewClient(program)
}

// start serves until ctx ends.
func start(ctx context.Context, env cli.Env, o *options, client *pipelines.Client) int {
	a := &access{issuer: client.OIDC.Issuer(o.workspace), audience: o.audience, keys: newKeySet(client, o.workspace), rules: o.rules}
	if a.issuer == "" || strings.Contains(o.workspace, "/") {
		return env.Fail(ctx, program, fmt.Errorf("--workspace: %q names no workspace", o.workspace))
	}
	if err := o.readCertificate(); err != nil {
		return env.Fail(ctx, program, err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.listen)
	if err != nil {
		text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "listen tcp"), ":")
		return env.Fail(ctx, program, fmt.Errorf("--listen: %s", strings.TrimSpace(text)))
	}
	scheme := "http"
	if o.tls != nil {
		scheme = "https"
	}
	fmt.Fprintf(env.Stderr, "Listening on %s://%s for tokens of %s\n", scheme, listener.Addr(), a.issuer)
	if err := serve(ctx, env, listener, o, a); err != nil {
		return env.Fail(context.WithoutCancel(ctx), program, err) // also after an interrupt: the last requests didn't end
	}
	return cli.Success
}
