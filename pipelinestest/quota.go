package pipelinestest

import (
	"net/http"
	"strconv"
	"time"
)

// SetQuota changes the quota of [WithQuota] while programs run; 0: none. Requests that were counted before still count.
func (s *Server) SetQuota(perHour int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quota = perHour
}

// quotaOwner is whose requests count together: an account's, an access token's or an OAuth consumer's.
type quotaOwner struct{ credential, name string }

// checkQuota counts the request, or refuses it if the caller's quota of the rolling hour is used up.
func (c *call) checkQuota(route *route) *response {
	s := c.server
	if c.caller == nil || !route.countsAgainstQuota() {
		return nil
	}
	recent := c.recentRequests()
	if s.quota > 0 && len(recent) >= s.quota {
		return textResponse(http.StatusTooManyRequests, "text/plain", "Rate limit for this resource has been exceeded")
	}
	s.counted[c.quotaOwner()] = append(recent, c.now)
	return nil
}

// recentRequests returns the times of the caller's requests within the last hour that count against the quota, and drops older ones.
func (c *call) recentRequests() []time.Time {
	counted, owner := c.server.counted, c.quotaOwner()
	recent := counted[owner]
	for len(recent) > 0 && c.now.Sub(recent[0]) >= time.Hour {
		recent = recent[1:]
	}
	counted[owner] = recent
	return recent
}

func (c *call) quotaOwner() quotaOwner { return quotaOwner{c.caller.credential, c.caller.name} }

// setQuotaHeaders adds the headers that describe the quota, if the request can count against one.
func (c *call) setQuotaHeaders(header http.Header, route *route) {
	quota := c.server.quota
	if quota <= 0 || !route.countsAgainstQuota() {
		return
	}
	left := quota - len(c.recentRequests())
	header.Set("X-Ratelimit-Limit", strconv.Itoa(quota))
	header.Set("X-Ratelimit-Resource", "api")
	header.Set("X-Ratelimit-Nearlimit", strconv.FormatBool(left*5 < quota)) // less than 20 % is left
}
