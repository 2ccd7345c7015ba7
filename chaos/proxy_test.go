package chaos_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// toxic is a fault in the JSON of toxiproxy. Toxicity is the share of connections that it affects.
type toxic struct {
	Type       string           `json:"type"`
	Stream     string           `json:"stream"`
	Toxicity   float32          `json:"toxicity"`
	Attributes map[string]int64 `json:"attributes"`
}

func (x toxic) name() string { return x.Type + " " + x.Stream }

// toxicKinds are all kinds of toxics, in both directions.
var toxicKinds = []func(*rand.Rand) toxic{
	latency("upstream"), latency("downstream"),
	bandwidth("upstream", 20), bandwidth("downstream", 500),
	slicer("upstream", 40), slicer("downstream", 2000),
	limitData("upstream", 8<<10), limitData("downstream", 128<<10),
	resetPeer("upstream"), resetPeer("downstream"),
	timeout("upstream"), timeout("downstream"),
}

func latency(stream string) func(*rand.Rand) toxic {
	return func(r *rand.Rand) toxic {
		ms := 2 + r.Int64N(10)
		return toxic{"latency", stream, 1, map[string]int64{"latency": ms, "jitter": ms / 2}}
	}
}

func bandwidth(stream string, slowest int64) func(*rand.Rand) toxic {
	return func(r *rand.Rand) toxic {
		return toxic{"bandwidth", stream, 1, map[string]int64{"rate": slowest * (1 + r.Int64N(8))}} // KB/s
	}
}

func slicer(stream string, smallest int64) func(*rand.Rand) toxic {
	return func(r *rand.Rand) toxic {
		size := smallest * (1 + r.Int64N(4))
		return toxic{"slicer", stream, 1, map[string]int64{"average_size": size, "size_variation": size / 2, "delay": 10}}
	}
}

func limitData(stream string, most int64) func(*rand.Rand) toxic {
	return func(r *rand.Rand) toxic {
		return toxic{"limit_data", stream, 0.4, map[string]int64{"bytes": most >> r.IntN(9)}} // as often few bytes as many
	}
}

func resetPeer(stream string) func(*rand.Rand) toxic {
	return func(r *rand.Rand) toxic {
		return toxic{"reset_peer", stream, 0.3, map[string]int64{"timeout": r.Int64N(20)}}
	}
}

func timeout(stream string) func(*rand.Rand) toxic {
	return func(r *rand.Rand) toxic {
		return toxic{"timeout", stream, 0.2, map[string]int64{"timeout": 20 + r.Int64N(400)}} // some exceed the client's stall timeout
	}
}

// phase is a period with the same toxics, and the connections opened in it.
type phase struct {
	toxics  []toxic
	proxies map[string]*toxiproxy.Proxy // by the address that they forward to

	opened, broken atomic.Int64
}

func (g *phase) stop() {
	for _, p := range g.proxies {
		p.Stop()
	}
}

// network dials through proxies that have the current toxics. Each phase has its own proxies, because changing a link in toxiproxy can
// deadlock: it waits for the link with a lock held that the link's writers need.
type network struct {
	server *toxiproxy.ApiServer
	dialer net.Dialer

	mu     sync.Mutex
	phases []*phase // the last one is current

	open atomic.Int64
}

func newNetwork() *network {
	n := &network{server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())}
	n.setToxics()
	return n
}

// keptPhases is how many phases a connection may outlive its own before it is cut.
const keptPhases = 4

// setToxics starts a new phase.
func (n *network) setToxics(toxics ...toxic) {
	n.mu.Lock()
	n.phases = append(n.phases, &phase{toxics: toxics, proxies: map[string]*toxiproxy.Proxy{}})
	gone := max(0, len(n.phases)-keptPhases-1)
	over := n.phases[max(0, gone-1):gone]
	n.mu.Unlock()
	for _, g := range over {
		g.stop()
	}
}

// varyToxics changes the toxics repeatedly until the context ends. Each kind is used once before any is used again.
func (n *network) varyToxics(ctx context.Context, r *rand.Rand, changed func()) {
	var order []int
	for {
		if len(order) < 2 {
			order = r.Perm(len(toxicKinds))
		}
		n.setToxics(toxicKinds[order[0]](r), toxicKinds[order[1]](r))
		order = order[2:]
		changed()
		select {
		case <-ctx.Done():
			n.setToxics()
			return
		case <-time.After(time.Duration(100+r.Int64N(200)) * time.Millisecond):
		}
	}
}

// stop stops all proxies.
func (n *network) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, g := range n.phases {
		g.stop()
	}
}

// DialContext is the dialer of an [http.Transport].
func (n *network) DialContext(ctx context.Context, protocol, address string) (net.Conn, error) {
	g, listen, err := n.proxy(address)
	if err != nil {
		return nil, err
	}
	conn, err := n.dialer.DialContext(ctx, protocol, listen)
	if err != nil {
		return nil, err
	}
	g.opened.Add(1)
	n.open.Add(1)
	return &connection{Conn: conn, network: n, phase: g}, nil
}

// proxy returns the current proxy for an address. It starts one when the address is first dialled.
func (n *network) proxy(address string) (*phase, string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	g := n.phases[len(n.phases)-1]
	if p := g.proxies[address]; p != nil {
		return g, p.Listen, nil
	}
	p := toxiproxy.NewProxy(n.server, address, "127.0.0.1:0", address)
	for _, x := range g.toxics {
		text, err := json.Marshal(x)
		if err == nil {
			_, err = p.Toxics.AddToxicJson(bytes.NewReader(text))
		}
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", text, err)
		}
	}
	if err := p.Start(); err != nil {
		return nil, "", err
	}
	g.proxies[address] = p
	return g, p.Listen, nil
}

// connection is the client's end of a connection. It is broken if it fails or ends before the client closes it, since the server closes
// none.
type connection struct {
	net.Conn
	network *network
	phase   *phase
	closed  atomic.Bool
	broken  atomic.Bool
}

func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.note(err)
	return n, err
}

func (c *connection) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.note(err)
	return n, err
}

func (c *connection) note(err error) {
	if err != nil && !c.closed.Load() && c.broken.CompareAndSwap(false, true) {
		c.phase.broken.Add(1)
	}
}

func (c *connection) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.network.open.Add(-1)
	}
	return c.Conn.Close()
}

// toxicStats counts the effects of a kind of toxic.
type toxicStats struct{ phases, opened, broken int64 }

// stats returns the counts of all toxics, and by kind. A connection with two toxics counts for both.
func (n *network) stats() (all toxicStats, byKind map[string]toxicStats) {
	n.mu.Lock()
	defer n.mu.Unlock()
	byKind = map[string]toxicStats{}
	for _, g := range n.phases {
		if len(g.toxics) > 0 {
			all = all.with(g)
		}
		for _, x := range g.toxics {
			byKind[x.name()] = byKind[x.name()].with(g)
		}
	}
	return all, byKind
}

func (h toxicStats) with(g *phase) toxicStats {
	return toxicStats{h.phases + 1, h.opened + g.opened.Load(), h.broken + g.broken.Load()}
}
