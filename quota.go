package pipelines

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/circuit"
	"github.com/seed-85ed9bfd/pipelines/internal/header"
)

// longestHold bounds how long a 429 holds requests back. The quota is one of a rolling hour, so after that time all of it is back,
// whatever a Retry-After says.
const longestHold = time.Hour

// Quota is what the service has last told about the quota of the client's credentials, and until when the client sends nothing.
//
// The service tells a limit only to access tokens of a repository, project or workspace. It doesn't tell how many requests are left.
type Quota struct {
	Limit     int       // requests an hour; 0: not told
	Resource  string    // what the limit is for, as the service calls it
	NearLimit bool      // the last response that told said that less than a fifth was left
	Told      time.Time // when that response came; zero: none told anything
	HeldUntil time.Time // a 429 holds requests back until then; zero: they are sent
}

// Quota returns what is known about the quota. It sends nothing. Only responses of the base URL's origin count. [WithoutQuotaCircuit]
// and a [RetryPolicy].MaxAttempts of 1 leave HeldUntil at zero.
func (c *Client) Quota() Quota {
	q := c.transport.quota.last()
	q.HeldUntil = c.transport.circuit.Until()
	return q
}

// quotaNews keeps what responses tell about the quota. Its functions are set before the first request; nil ones aren't called.
type quotaNews struct {
	limitTold func(limit int)       // whenever a response tells a limit
	refused   func(until time.Time) // whenever a response is a 429; until then requests are held back

	mu    sync.Mutex
	quota Quota
}

func (n *quotaNews) last() Quota {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.quota
}

// take takes a response of the API, after the circuit has.
func (n *quotaNews) take(resp *http.Response, c *circuit.Circuit) {
	if resp == nil {
		return
	}
	if limit := n.read(resp.Header); limit > 0 && n.limitTold != nil {
		n.limitTold(limit)
	}
	if resp.StatusCode != http.StatusTooManyRequests || n.refused == nil {
		return
	}
	until := c.Until()
	if until.IsZero() {
		until = time.Now().Add(min(header.RetryAfter(resp.Header), longestHold))
	}
	n.refused(until)
}

// read keeps what a response tells, and returns its limit. What it leaves out stays as told before.
func (n *quotaNews) read(h http.Header) (limit int) {
	limitText, resource, nearText := h.Get("X-Ratelimit-Limit"), h.Get("X-Ratelimit-Resource"), h.Get("X-Ratelimit-Nearlimit")
	if limitText == "" && resource == "" && nearText == "" {
		return 0
	}
	limit, resource = quotaLimit(limitText), oneLine(strings.TrimSpace(resource))
	near, err := strconv.ParseBool(strings.ToLower(strings.TrimSpace(nearText)))
	if limit == 0 && resource == "" && err != nil {
		return 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.quota.Told, n.quota.NearLimit = time.Now(), near // false, unless it says true
	if limit > 0 {
		n.quota.Limit = limit
	}
	if resource != "" {
		n.quota.Resource = resource
	}
	return limit
}

// quotaLimit reads a limit, also with the parameters that other services send, such as "1000, 1000;w=3600". It returns 0 for what
// can't be one.
func quotaLimit(s string) int {
	if i := strings.IndexAny(s, ",;"); i >= 0 {
		s = s[:i]
	}
	limit, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(limit >= 1 && limit <= math.MaxInt32) { // NaN too
		return 0
	}
	return int(limit)
}
