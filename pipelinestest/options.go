package pipelinestest

import "time"

// ServerOption configures a [Server].
type ServerOption func(*Server)

// WithInProcess makes the server open no socket. [Server.URL] then names a host that doesn't exist, and [Server.Client] sends through
// [Server.Transport].
func WithInProcess() ServerOption {
	return func(s *Server) { s.inProcess = true }
}

// WithClock makes the server use now instead of [time.Now]. The Latency of a [Fault] is real time in any case.
func WithClock(now func() time.Time) ServerOption {
	return func(s *Server) { s.clock = now }
}

// WithToken adds a token that the server accepts, as a Bearer token or as the password of Basic authentication. It may be repeated. Without
// it, any token is accepted. A token with scopes, such as "pipeline:write", may do what they allow; one without may do everything.
// The scopes are those of OAuth: those of API tokens, such as "read:pipeline:bitbucket", allow nothing. [Server.Client] uses the first
// token.
func WithToken(token string, scopes ...string) ServerOption {
	return func(s *Server) {
		if s.clientToken == "" {
			s.clientToken = token
		}
		s.access.anyToken = false
		s.access.tokens[token] = scopes
	}
}

// WithOAuthConsumer adds a consumer that the token endpoint accepts. It may be repeated. Without it, any consumer gets a token. Scopes
// restrict the tokens as in [WithToken].
func WithOAuthConsumer(id, secret string, scopes ...string) ServerOption {
	return func(s *Server) { s.access.consumers[id] = consumer{secret, scopes} }
}

// WithQuota makes the server respond with 429 to a caller's requests on repositories after perHour of them within a rolling hour; 0: never.
// A caller is the user of Basic authentication, an access token or an OAuth consumer; clients with the same credentials share the quota.
// Requests to the storage don't count, nor do those that were refused for want of quota or credentials.
//
// Responses to access tokens have the headers X-RateLimit-Limit, X-RateLimit-Resource and X-RateLimit-NearLimit. An access token is any
// Bearer token that the token endpoint didn't issue. [Server.SetQuota] changes the quota later.
func WithQuota(perHour int) ServerOption {
	return func(s *Server) { s.quota = perHour }
}

// WithoutNextLinks leaves next and previous out of every list, as the service does in some lists.
func WithoutNextLinks() ServerOption {
	return func(s *Server) { s.withoutNext = true }
}

// WithLinkLifetime sets how long a link to the storage is valid, by default an hour. With 0 every link has expired.
func WithLinkLifetime(d time.Duration) ServerOption {
	return func(s *Server) { s.linkLifetime = d }
}

// WithLateVariables sets how long the list of an environment lacks a variable that was created by a request, by default five seconds; 0: no
// time. The key is taken at once.
func WithLateVariables(d time.Duration) ServerOption {
	return func(s *Server) { s.lateVariables = d }
}

// WithLateEnvironments sets how long the API shows an environment unchanged after a change, by default one second; 0: no time.
func WithLateEnvironments(d time.Duration) ServerOption {
	return func(s *Server) { s.lateEnvironments = d }
}

// WithScheduleLimit sets how many schedules a repository may have, by default ten; 0: any number. The response to one more is 401. The
// service's own limit is unknown.
func WithScheduleLimit(n int) ServerOption {
	return func(s *Server) { s.scheduleLimit = n }
}

// WithRunnerLimit sets how many runners a repository or a workspace may have, by default a hundred; 0: any number. The response to one more
// is 400. The service's own limit is unknown.
func WithRunnerLimit(n int) ServerOption {
	return func(s *Server) { s.runnerLimit = n }
}
