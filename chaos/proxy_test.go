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

// toxic is a fault as toxiproxy takes it. Toxicity is the share of connections that it strikes.
type toxic struct {
	Type       string           `json:"type"`
	Stream     string           `json:"stream"`
	Toxicity   float32          `json:"toxicity"`
	Attributes map[string]int64 `json:"attributes"`
}

func (x toxic) name() string { return x.Type + " " + x.Stream }

// deck holds a card for each kind of toxic in each direction.
var deck = []func(*rand.Rand) toxic{
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
		return toxic{"timeout", stream, 0.2, map[string]int64{"timeout": 20 + r.Int64N(400)}} // some outlast the client's patience
	}
}

// gust is a spell of bad weather: some toxics, and the connections that were opened under them.
type gust struct {
	toxics  []toxic
	proxies map[string]*toxiproxy.Proxy // by the address that they stand before

	opened, broken atomic.Int64
}

func (g *gust) stop() {
	for _, p := range g.proxies {
		p.Stop()
	}
}

// network dials any address by way of a proxy that has the toxics of the moment. Each gust has proxies of its own: toxiproxy can change a
// link under way, but waits, holding its lock, for links whose writers wait for that lock.
type network struct {
	server *toxiproxy.ApiServer
	dialer net.Dialer

	mu    sync.Mutex
	gusts []*gust // the last one blows

	open atomic.Int64
}

func newNetwork() *network {
	n := &network{server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())}
	n.change()
	return n
}

// kept is how many gusts a connection may last through before it is cut off.
const kept = 4

// change lets a new gust blow.
func (n *network) change(toxics ...toxic) {
	n.mu.Lock()
	n.gusts = append(n.gusts, &gust{toxics: toxics, proxies: map[string]*toxiproxy.Proxy{}})
	gone := max(0, len(n.gusts)-kept-1)
	over := n.gusts[max(0, gone-1):gone]
	n.mu.Unlock()
	for _, g := range over {
		g.stop()
	}
}

// blow changes the toxics again and again until the context ends. All kinds have their turn before one comes again.
func (n *network) blow(ctx context.Context, r *rand.Rand, changed func()) {
	var cards []int
	for {
		if len(cards) < 2 {
			cards = r.Perm(len(deck))
		}
		n.change(deck[cards[0]](r), deck[cards[1]](r))
		cards = cards[2:]
		changed()
		select {
		case <-ctx.Done():
			n.change()
			return
		case <-time.After(time.Duration(100+r.Int64N(200)) * time.Millisecond):
		}
	}
}

// stop ends all proxies.
func (n *network) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, g := range n.gusts {
		g.stop()
	}
}

// DialContext is for an [http.Transport].
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
	return &connection{Conn: conn, network: n, gust: g}, nil
}

// proxy returns the proxy of the moment for an address, which is made when the address is first dialled.
func (n *network) proxy(address string) (*gust, string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	g := n.gusts[len(n.gusts)-1]
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

// connection is the client's end. It is broken when it fails or ends before the client closes it: the server closes none by itself.
type connection struct {
	net.Conn
	network *network
	gust    *gust
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
		c.gust.broken.Add(1)
	}
}

func (c *connection) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.network.open.Add(-1)
	}
	return c.Conn.Close()
}

// harm is what a kind of toxic has come to.
type harm struct{ gusts, opened, broken int64 }

// harms tells the harm of all toxics, and by their kinds. A connection under two of them counts for both.
func (n *network) harms() (all harm, byKind map[string]harm) {
	n.mu.Lock()
	defer n.mu.Unlock()
	byKind = map[string]harm{}
	for _, g := range n.gusts {
		if len(g.toxics) > 0 {
			all = all.with(g)
		}
		for _, x := range g.toxics {
			byKind[x.name()] = byKind[x.name()].with(g)
		}
	}
	return all, byKind
}

func (h harm) with(g *gust) harm {
	return harm{h.gusts + 1, h.opened + g.opened.Load(), h.broken + g.broken.Load()}
}
