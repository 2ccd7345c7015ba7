package pipelinestest

import "time"

// ServerOption configures a [Server].
type ServerOption func(*Server)

// WithInProcess keeps the server from ever opening a socket: [Server.URL] names a host that doesn't exist, and [Server.Client] sends
// through [Server.Transport].
func WithInProcess() ServerOption {
	return func(s *Server) { s.inProcess = true }
}

// WithClock makes the server tell the time by now instead of [time.Now]. The latency of a [Fault] is real time all the same.
func WithClock(now func() time.Time) ServerOption {
	return func(s *Server) { s.clock = now }
}

// WithToken makes the server accept only the tokens listed so, each as a Bearer token or as the password of Basic
// authentication; the option may be repeated. A token with scopes, such as "pipeline:write", may do what they allow, one
// without may do everything. [Server.Client] uses the first one.
func WithToken(token string, scopes ...string) ServerOption {
	return func(s *Server) {
		if s.clientToken == "" {
			s.clientToken = token
		}
		s.access.tokens[token] = scopes
	}
}

// WithOAuthConsumer makes the token endpoint accept only the consumers listed so; the option may be repeated. Without it any
// consumer gets a token. Scopes restrict the tokens as they do in [WithToken].
func WithOAuthConsumer(id, secret string, scopes ...string) ServerOption {
	return func(s *Server) { s.access.consumers[id] = consumer{secret, scopes} }
}

// WithQuota answers 429 once more than perHour requests on repositories have arrived within an hour. All callers share it. Those
// with access tokens, which is what comes as a Bearer token that the token endpoint didn't issue, are told in X-RateLimit headers.
func WithQuota(perHour int) ServerOption {
	return func(s *Server) { s.quota = perHour }
}

// WithoutNextLinks leaves next and previous out of every list though there are more pages, as some lists of the service do.
func WithoutNextLinks() ServerOption {
	return func(s *Server) { s.withoutNext = true }
}

// WithLinkLifetime sets how long a link to the storage works, by default an hour. With zero every link comes too late.
func WithLinkLifetime(d time.Duration) ServerOption {
	return func(s *Server) { s.linkLifetime = d }
}

// WithLateVariables sets how long a variable that was created in a deployment environment is missing from the environment's list,
// by default five seconds; 0: not at all. Its key is taken at once.
func WithLateVariables(d time.Duration) ServerOption {
	return func(s *Server) { s.lateVariables = d }
}

// WithLateEnvironments sets how long an environment looks as before after it was changed, by default one second; 0: not at all.
func WithLateEnvironments(d time.Duration) ServerOption {
	return func(s *Server) { s.lateEnvironments = d }
}

// WithScheduleLimit sets how many schedules a repository may have before another one is answered with 401, by default ten; 0: any
// number. The service's own limit is unknown.
func WithScheduleLimit(n int) ServerOption {
	return func(s *Server) { s.scheduleLimit = n }
}

// WithRunnerLimit sets how many runners a repository or a workspace may have before another one is answered with 400, by default a
// hundred; 0: any number. The service's own limit is unknown.
func WithRunnerLimit(n int) ServerOption {
	return func(s *Server) { s.runnerLimit = n }
}
