package pipelines

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed-85ed9bfd/pipelines/internal/circuit"
	"github.com/seed-85ed9bfd/pipelines/internal/exchange"
	"github.com/seed-85ed9bfd/pipelines/internal/header"
	"github.com/seed-85ed9bfd/pipelines/internal/origin"
	"github.com/seed-85ed9bfd/pipelines/internal/tokencache"
)

// Version is the version of this package; requests carry it in their User-Agent.
const Version = "0.1.0"

const (
	defaultBaseURL   = "https://api.bitbucket.org/2.0"
	defaultTokenURL  = "https://bitbucket.org/site/oauth2/access_token" //nolint:gosec // the endpoint's address, no credential
	defaultUserAgent = "pipelines-go/" + Version
	defaultStall     = time.Minute
)

// Client is a client for the Bitbucket Pipelines API. Make one with [NewClient]. It is safe for concurrent use. One Client for a
// whole program is best: its services share connections, limiter and tokens.
type Client struct {
	Pipelines   *PipelinesService   // starts, lists, stops and follows runs
	Steps       *StepsService       // steps, logs, test reports
	Variables   *VariablesService   // of repositories, workspaces and environments
	Deployments *DeploymentsService // environments and deployments
	Schedules   *SchedulesService
	SSH         *SSHService    // key pair and known hosts
	Caches      *CachesService // of a repository's runs
	Config      *ConfigService // switches Pipelines on and off
	OIDC        *OIDCService   // keys to verify the tokens of steps
	Runners     *RunnersService

	base      *url.URL // without a slash at its end
	userAgent string
	readOnly  bool
	http      *http.Client
	policy    RetryPolicy
	transport *transport
	following *following
	created   createdVariables
}

// Limiter holds requests back. A *rate.Limiter of golang.org/x/time is one.
type Limiter interface {
	// Wait blocks until a request may be sent. The client calls it before every request to the API, retries
	// included. [OperationFromContext] and [AttemptFromContext] tell which one it is, so that a limiter may
	// let some pass before others. An error that isn't the context's counts as a failure before sending, which
	// is retried.
	Wait(ctx context.Context) error
}

// Option configures a [Client]. A later one wins over an earlier one, and a nil one changes nothing.
type Option interface{ configure(*config) error }

// option is an [Option] that is a function.
type option func(*config) error

func (o option) configure(c *config) error { return o(c) }

type config struct {
	baseURL      string
	tokenURL     string
	userAgent    string
	httpClient   http.Client
	policy       RetryPolicy
	limiter      Limiter
	logger       *slog.Logger
	observer     func(Attempt)
	stall        time.Duration
	noCircuit    bool
	readOnly     bool
	followBudget int                       // requests an hour; 0: the default
	credentials  func(*config) credentials // made last, because OAuth needs the rest of the configuration
}

// WithToken sends a Bearer token: a repository, project or workspace access token, or an OAuth access token.
func WithToken(token string) Option {
	return option(func(c *config) error {
		if err := header.CheckSecret(token); err != nil {
			return fmt.Errorf("token %w", err)
		}
		c.credentials = func(*config) credentials { return newStaticCredentials("Bearer " + token) }
		return nil
	})
}

// WithBasicAuth sends a user name and password: an Atlassian account's e-mail address and API token.
func WithBasicAuth(username, password string) Option {
	return option(func(c *config) error {
		if err := header.CheckSecret(username); err != nil {
			return fmt.Errorf("username %w", err)
		}
		if strings.Contains(username, ":") {
			return errors.New("username contains a colon")
		}
		if err := header.CheckSecret(password); err != nil {
			return fmt.Errorf("password %w", err)
		}
		c.credentials = func(*config) credentials { return basicCredentials(username, password) }
		return nil
	})
}

// WithTokenSource takes OAuth access tokens from ts. The client keeps a token until shortly before its expiry. A token without an
// expiry is not cached: ts is asked before every request. If the API refuses a token with 401, the client asks ts for another and
// repeats the call once. If ts returns the same token again, the call ends with an [ErrUnauthorized]. A call waits for ts until its
// context ends.
func WithTokenSource(ts oauth2.TokenSource) Option {
	return option(func(c *config) error {
		if ts == nil {
			return errors.New("token source is nil")
		}
		c.credentials = func(*config) credentials {
			return tokenCredentials{tokencache.New(func(context.Context) (*oauth2.Token, error) { return ts.Token() }, false)}
		}
		return nil
	})
}

// WithClientCredentials gets access tokens as an OAuth consumer from Bitbucket's token endpoint, when they are needed and one at
// a time. Each token request has 30 seconds. A token that the API refuses with 401 is replaced, and the call repeated once. A token
// without an expiry is not cached: the client requests one before every request.
//
// With a base URL other than Bitbucket's own, the endpoint is /site/oauth2/access_token on that URL's origin, so that the secret
// goes to no host that wasn't named. [WithTokenURL] sets another.
func WithClientCredentials(clientID, clientSecret string) Option {
	return option(func(c *config) error {
		if err := header.CheckSecret(clientID); err != nil {
			return fmt.Errorf("client ID %w", err)
		}
		if err := header.CheckSecret(clientSecret); err != nil {
			return fmt.Errorf("client secret %w", err)
		}
		c.credentials = func(c *config) credentials {
			return tokenCredentials{tokencache.New(clientCredentials(clientID, clientSecret, c), true)}
		}
		return nil
	})
}

// WithTokenURL sets the token endpoint of [WithClientCredentials]. It changes nothing for other credentials.
func WithTokenURL(u string) Option {
	return option(func(c *config) error {
		if _, err := parseBaseURL(u); err != nil {
			return fmt.Errorf("token URL %w", err)
		}
		c.tokenURL = u
		return nil
	})
}

// WithEnv takes the credentials from the first of these that the environment has:
//
//   - BITBUCKET_TOKEN, as for [WithToken]
//   - BITBUCKET_EMAIL and BITBUCKET_API_TOKEN, as for [WithBasicAuth]
//   - BITBUCKET_CLIENT_ID and BITBUCKET_CLIENT_SECRET, as for [WithClientCredentials]
//
// If BITBUCKET_BASE_URL is set, it is the base URL. [NewClient] returns an error if there are no credentials or only half of a
// pair.
func WithEnv() Option {
	return option(func(c *config) error {
		if u := os.Getenv("BITBUCKET_BASE_URL"); u != "" {
			if err := c.setBaseURL("BITBUCKET_BASE_URL", u); err != nil {
				return err
			}
		}
		if token := os.Getenv("BITBUCKET_TOKEN"); token != "" {
			return WithToken(token).configure(c)
		}
		for _, pair := range []struct {
			names  [2]string
			option func(string, string) Option
		}{
			{[2]string{"BITBUCKET_EMAIL", "BITBUCKET_API_TOKEN"}, WithBasicAuth},
			{[2]string{"BITBUCKET_CLIENT_ID", "BITBUCKET_CLIENT_SECRET"}, WithClientCredentials},
		} {
			first, second := os.Getenv(pair.names[0]), os.Getenv(pair.names[1])
			switch {
			case first != "" && second != "":
				return pair.option(first, second).configure(c)
			case first != "" || second != "":
				return fmt.Errorf("%s and %s belong together, and only one of them is set", pair.names[0], pair.names[1])
			}
		}
		return errors.New("no credentials in the environment: set BITBUCKET_TOKEN, or BITBUCKET_EMAIL and BITBUCKET_API_TOKEN, " +
			"or BITBUCKET_CLIENT_ID and BITBUCKET_CLIENT_SECRET")
	})
}

// WithBaseURL sets the URL that every path is below. The default is https://api.bitbucket.org/2.0. Tokens and passwords go only to
// its origin, and the secret of [WithClientCredentials] only to the token endpoint.
func WithBaseURL(u string) Option {
	return option(func(c *config) error { return c.setBaseURL("base URL", u) })
}

// setBaseURL sets the base URL. name is what errors call it.
func (cfg *config) setBaseURL(name, u string) error {
	if _, err := parseBaseURL(u); err != nil {
		return fmt.Errorf("%s %w", name, err)
	}
	cfg.baseURL = u
	return nil
}

// WithHTTPClient sends requests through a copy of hc, for a proxy, timeouts or TLS of your own. Its Transport becomes the innermost
// layer, below credentials and retries; without one it is the standard one, which obeys HTTPS_PROXY and NO_PROXY. Its Timeout
// bounds each attempt, the reading of a log included. Its CheckRedirect is replaced by the package's own.
func WithHTTPClient(hc *http.Client) Option {
	return option(func(c *config) error {
		if hc == nil {
			return errors.New("HTTP client is nil")
		}
		c.httpClient = *hc
		return nil
	})
}

// WithUserAgent puts ua, such as "deploy-bot/1.4", before the package's own User-Agent.
func WithUserAgent(ua string) Option {
	return option(func(c *config) error {
		if err := header.CheckSecret(ua); err != nil {
			return fmt.Errorf("user agent %w", err)
		}
		c.userAgent = ua + " " + defaultUserAgent
		return nil
	})
}

// WithRetry sets how often and when requests are retried. Which ones may be retried is fixed: see the package documentation.
func WithRetry(p RetryPolicy) Option {
	return option(func(c *config) (err error) {
		c.policy, err = p.withDefaults()
		return err
	})
}

// WithLimiter calls l before every request to the API, retries included. Requests to storage hosts don't count.
func WithLimiter(l Limiter) Option {
	return option(func(c *config) error {
		if l == nil {
			return errors.New("limiter is nil")
		}
		c.limiter = l
		return nil
	})
}

// WithReadOnly makes the client refuse whatever may change something, before anything is sent: every method whose request isn't a
// GET or HEAD, and [Client.Do] with another method. The error is an [ErrReadOnly]. A method that reads before it writes, such as
// [VariableSet.Set], may have read. [VariableSet.Plan] works. Tokens are still requested.
func WithReadOnly() Option {
	return option(func(c *config) error {
		c.readOnly = true
		return nil
	})
}

// WithoutQuotaCircuit turns off the shared wait after a 429. Each call then finds out for itself that the quota is used up, which
// costs requests that may count.
//
// By default a 429 holds back all requests of the client until the time that its Retry-After names, at most an hour, or for a
// while that grows with each 429. Then one of them probes the service. After another 429 they wait again; after any other result
// they are sent, two more after each response. What changes something goes before reads, and polls go last. A call waits for
// [RetryPolicy].MaxQuotaWait in all. If that isn't enough, it ends at once with an [APIError] that is an [ErrRateLimited] and has the
// time that is left in RetryAfter. 429s don't count against MaxAttempts. If MaxAttempts is 1, nothing is held back.
func WithoutQuotaCircuit() Option {
	return option(func(c *config) error {
		c.noCircuit = true
		return nil
	})
}

// WithLogger logs each request that was sent, at debug level, with the attributes operation, method, path (the template), storage
// (whether it went to a storage host), attempt, duration, and either status and request_id or error. It never logs headers,
// queries or bodies. Without it nothing is logged.
func WithLogger(l *slog.Logger) Option {
	return option(func(c *config) error {
		if l == nil {
			return errors.New("logger is nil")
		}
		c.logger = l
		return nil
	})
}

// WithObserver calls f at the end of every attempt to send a request to the API, for metrics and quota headers: an attempt may
// end in a response or in an error. Many goroutines may call f at once. f may call the client. The call blocks until f returns.
func WithObserver(f func(Attempt)) Option {
	return option(func(c *config) error {
		if f == nil {
			return errors.New("observer is nil")
		}
		c.observer = f
		return nil
	})
}

// WithStallTimeout closes a connection on which nothing arrives for d, before the response's headers or between two pieces of its
// body. The default is one minute. Requests that are safe to repeat are retried; logs and caches resume.
func WithStallTimeout(d time.Duration) Option {
	return option(func(c *config) error {
		if d <= 0 {
			return errors.New("stall timeout is not positive")
		}
		c.stall = d
		return nil
	})
}

// NewClient makes a client. It sends nothing. An option that can't work is an [ErrInvalidArgument]. Without credentials the
// client is anonymous, which is enough to read public repositories, with 60 requests an hour.
func NewClient(opts ...Option) (*Client, error) {
	cfg := config{baseURL: defaultBaseURL, userAgent: defaultUserAgent, stall: defaultStall}
	cfg.policy, _ = RetryPolicy{}.withDefaults()
	for _, opt := range opts {
		if opt == nil {
			continue
		}
		if err := opt.configure(&cfg); err != nil {
			return nil, fmt.Errorf("pipelines: %w: %w", ErrInvalidArgument, err)
		}
	}
	return cfg.client()
}

func (cfg *config) client() (*Client, error) {
	base, err := parseBaseURL(cfg.baseURL)
	if err != nil {
		return nil, fmt.Errorf("pipelines: %w: base URL %w", ErrInvalidArgument, err)
	}
	if cfg.httpClient.Transport == nil {
		cfg.httpClient.Transport = newHTTPTransport()
	}
	if cfg.tokenURL == "" {
		cfg.tokenURL = tokenURL(base)
	}
	t := &transport{
		inner: cfg.httpClient.Transport, base: base, limiter: cfg.limiter, logger: cfg.logger, observer: cfg.observer,
		stall: cfg.stall, guard: exchange.NewGuard(cfg.stall), retries: cfg.policy.retryBudget(),
	}
	if !cfg.noCircuit && cfg.policy.MaxAttempts > 1 { // else no call waits for anything
		t.circuit = circuit.New(cfg.policy.quotaBackoff, cfg.policy.quotaRetryAfter, longestHold)
	}
	if cfg.credentials != nil {
		t.credentials = cfg.credentials(cfg)
	}
	hc := cfg.httpClient
	hc.CheckRedirect = checkRedirect // call.RoundTrip takes the place of Transport
	c := &Client{
		base: base, userAgent: cfg.userAgent, readOnly: cfg.readOnly, policy: cfg.policy, transport: t, http: &hc,
		following: newFollowing(cfg.followBudget),
	}
	t.quota.limitTold, t.quota.refused = c.following.scheduler.Limit, c.following.scheduler.Refused
	c.Pipelines = &PipelinesService{c}
	c.Steps = &StepsService{c}
	c.Variables = &VariablesService{c}
	c.Deployments = &DeploymentsService{c}
	c.Schedules = &SchedulesService{c}
	c.SSH = &SSHService{c}
	c.Caches = &CachesService{c}
	c.Config = &ConfigService{c}
	c.OIDC = &OIDCService{c}
	c.Runners = &RunnersService{c}
	return c, nil
}

// newHTTPTransport is the transport of clients that bring none: the standard one, with room for many connections to one
// host.
func newHTTPTransport() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // a program has replaced it, and means it
		return http.DefaultTransport
	}
	t = t.Clone()
	t.MaxIdleConnsPerHost = 32
	t.MaxResponseHeaderBytes = 1 << 20
	// Pings find a dead HTTP/2 connection while it is idle, before a write goes out on it.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second}
	return t
}

func tokenURL(base *url.URL) string {
	if bitbucket, err := url.Parse(defaultBaseURL); err == nil && origin.Same(base, bitbucket) {
		return defaultTokenURL
	}
	return base.Scheme + "://" + base.Host + "/site/oauth2/access_token"
}

func parseBaseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || strings.Contains(s, "@"): // what is wrong may be the place of a password
		if err == nil && u.User != nil {
			return nil, errors.New("contains credentials: give them by an option")
		}
		return nil, errors.New("is not a URL")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "": // which may hold a token
		return nil, fmt.Errorf("%q has a query or a fragment", u.Scheme+"://"+u.Host+u.Path)
	case u.Scheme != "https" && u.Scheme != "http" && !strings.Contains(s, "://"): // it may be a token in the wrong place
		return nil, errors.New("is not an absolute http or https URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("%q is not an absolute http or https URL", s)
	case u.Hostname() == "":
		return nil, fmt.Errorf("%q has no host", s)
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// CloseIdleConnections closes the connections that are kept for further requests, as [http.Client.CloseIdleConnections] does.
func (c *Client) CloseIdleConnections() {
	if t, ok := c.transport.inner.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// Format implements [fmt.Formatter]: every verb prints the base URL only, because the client holds credentials.
func (c *Client) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "pipelines.Client(%s)", c.baseText()) }

// LogValue implements [slog.LogValuer]: it is the base URL only.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.baseText()) }

func (c *Client) baseText() string {
	if c == nil || c.base == nil {
		return "<nil>"
	}
	return c.base.String()
}
