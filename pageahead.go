package pipelines

import (
	"context"
	"strconv"
)

// ahead walks with fetches under way: pages by number where the first page tells how many there are, else the next page.
func (w *walk[T]) ahead(yield func(*Page[T], error) bool) {
	if w.pager.ctx == nil {
		yield(nil, w.pager.fetch(nil, pageLink{}).err) //nolint:staticcheck // which says so
		return
	}
	f := fetches[T]{walk: w}
	defer f.end()

	limit := w.pager.parallel
	f.start(pageLink{})
	for link, more := (pageLink{}), true; more; {
		got := f.receive()
		got.publish()
		s := w.step(got, link)
		if s.more {
			if link.url == nil {
				f.plan(s.page, s.next)
			}
			f.expect(s.next)
			f.fill(limit - 1) // the page at hand is the one more
		}
		if !s.yield(yield) {
			return
		}
		if s.more {
			f.fill(limit)
		}
		link, more = s.next, s.more
	}
}

// fetches are pages under way, in their order.
type fetches[T any] struct {
	walk       *walk[T]
	pending    []pending[T]
	next, last int      // numbers of the planned pages that were not started yet
	template   pageLink // of the planned pages
}

type pending[T any] struct {
	key    uint64
	page   chan fetched[T]
	cancel context.CancelFunc
}

func (f *fetches[T]) start(link pageLink) {
	ctx, cancel := context.WithCancel(f.walk.pager.ctx)
	page := make(chan fetched[T], 1)
	f.pending = append(f.pending, pending[T]{link.key, page, cancel})
	go func() {
		defer cancel()
		got := fetched[T]{err: f.walk.errorf("the transport ended the goroutine that read a page")}
		defer func() { page <- got }()
		got = f.walk.pager.fetch(ctx, link)
	}()
}

// end cancels the fetches that nobody will receive, and waits for them.
func (f *fetches[T]) end() {
	for _, p := range f.pending {
		p.cancel()
	}
	for _, p := range f.pending {
		<-p.page
	}
	f.pending = nil
}

func (f *fetches[T]) receive() fetched[T] {
	got := <-f.pending[0].page
	f.pending = f.pending[1:]
	return got
}

// plan works out from the first page which numbers the others have. "pagelen" isn't to be relied on; how many items came is.
func (f *fetches[T]) plan(first *Page[T], next pageLink) {
	if first.Size <= 0 || len(first.Values) == 0 || next.number != f.walk.number+1 {
		return // or the service links pages in a way of its own
	}
	f.template = next
	f.next, f.last = next.number, (first.Size-1)/len(first.Values)+1
}

// planned is the page that is started next. Its URL differs from the template's by its number only.
func (f *fetches[T]) planned() (link pageLink, ok bool) {
	if f.next == 0 || f.next > f.last {
		return link, false
	}
	u := *f.template.url
	query := u.Query()
	query.Set("page", strconv.Itoa(f.next))
	u.RawQuery = query.Encode()
	return pageLink{url: &u, number: f.next, key: f.walk.key(&u)}, true
}

// fill starts planned pages until there are n under way.
func (f *fetches[T]) fill(n int) {
	for len(f.pending) < n {
		link, ok := f.planned()
		if !ok {
			return
		}
		f.start(link)
		f.next++
	}
}

// expect makes link the page that is received next. Where the plan has another page there, it was wrong and is given up.
func (f *fetches[T]) expect(link pageLink) {
	f.fill(1)
	if len(f.pending) > 0 && f.pending[0].key == link.key {
		return
	}
	f.end()
	f.next = 0
	f.start(link)
}
