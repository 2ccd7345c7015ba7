package pipelines

import (
	"context"
	"net/url"

	"github.com/seed-85ed9bfd/pipelines/internal/exactjson"
)

// inTurn ranges over the list with one request after the other. From a page on, counted from 1, it requests the next page as soon as
// it is known that there is one.
func (w *walk[T]) inTurn(aheadFrom int, yield func(*Page[T], error) bool) {
	q := fetchQueue[T]{walk: w, foresees: true, reading: make(chan struct{}, 1)}
	defer q.cancel()
	for n := 1; !w.done; n++ {
		if n >= aheadFrom && len(q.pending) == 0 && w.pager.ctx != nil {
			q.start(w.link)
		}
		got := q.receive()
		got.publish()
		page, err := w.accept(got)
		if n >= aheadFrom && !w.done && !got.stepwise {
			q.expect(w.link)
		}
		if !yieldPage(yield, page, err) {
			return
		}
	}
}

// parallel ranges over the list with several requests at once. If the first page states how many pages there are, it requests them
// by number. Otherwise it only requests the next page.
func (w *walk[T]) parallel(yield func(*Page[T], error) bool) {
	q := fetchQueue[T]{walk: w}
	defer q.cancel()

	limit := w.pager.parallel
	if w.pager.ctx != nil {
		q.start(w.link)
	}
	for !w.done {
		first := w.link.url == nil
		got := q.receive()
		got.publish()
		page, err := w.accept(got)
		if !w.done {
			if first {
				q.plan(page, w.link)
			}
			q.expect(w.link)
			q.fill(limit - 1) // the page that the caller has counts too
		}
		if !yieldPage(yield, page, err) {
			return
		}
		if !w.done {
			q.fill(limit)
		}
	}
}

// fetchQueue holds the requests in progress, in the order of their pages.
type fetchQueue[T any] struct {
	walk       *walk[T]
	pending    []pendingFetch[T]
	foresees   bool          // the next page is requested while one arrives
	reading    chan struct{} // full while one arrives, so that only one is in memory undecoded
	next, last int           // numbers of the planned pages that are not requested yet
	template   pageLink      // for links to the planned pages
}

type pendingFetch[T any] struct {
	key     uint64 // of the link
	result  chan fetched[T]
	cancel  context.CancelFunc
	arrival chan arrival // of the page, before it is decoded
}

// arrival is what is known of the page after one that isn't decoded yet.
type arrival struct {
	page *url.URL // the one that arrives
	link pageLink // to the page after it, by its number; zero: unknown
	next string   // the service's link to it; empty: unknown
}

func (q *fetchQueue[T]) start(link pageLink) {
	ctx, cancel := context.WithCancel(q.walk.pager.ctx)
	p := pendingFetch[T]{link.key, make(chan fetched[T], 1), cancel, make(chan arrival, 1)}
	q.pending = append(q.pending, p)
	read := func(ctx context.Context) fetched[T] { return q.walk.pager.fetch(ctx, link, nil) }
	if q.foresees {
		read = q.observed(link, p.arrival)
	}
	go func() {
		defer cancel()
		got := fetched[T]{err: q.walk.errorf("the transport ended the goroutine that read a page")}
		defer func() {
			got.panicked = recover()
			p.result <- got
		}()
		got = read(ctx)
	}()
}

// observed returns a function that fetches a page and tells of its arrival.
func (q *fetchQueue[T]) observed(link pageLink, to chan<- arrival) func(context.Context) fetched[T] {
	after := q.walk.following(link)
	reading := false
	e := &early{
		arriving: func(page *url.URL, body []byte) {
			if !reading {
				reading = true
				q.reading <- struct{}{} // the page before doesn't take long, and ends with the context
			}
			if !link.unlinked {
				announce(to, page, body, after)
			}
		},
		decoded: func() { // another attempt may have to wait for the connection of the page after
			reading = false
			<-q.reading
		},
	}
	return func(ctx context.Context) fetched[T] { return q.walk.pager.fetch(ctx, link, e) }
}

// announce tells what is known of the page after one: with the response if its link is known, else by the service's link in the body.
func announce(to chan<- arrival, page *url.URL, body []byte, link pageLink) {
	a := arrival{page: page, link: link}
	switch known := link.url != nil; {
	case known != (body == nil):
		return
	case !known:
		a.next = exactjson.Text(body, "next")
	}
	select {
	case to <- a:
	default: // an earlier attempt has told of it
	}
}

// cancel cancels all requests in progress and waits for their goroutines.
func (q *fetchQueue[T]) cancel() {
	for _, p := range q.pending {
		p.cancel()
	}
	for _, p := range q.pending {
		<-p.result
	}
	q.pending = nil
}

// receive returns the page that the walk is to read next. It fetches the page if nothing is in progress, or nothing may be any more.
func (q *fetchQueue[T]) receive() fetched[T] {
	ctx := q.walk.pager.ctx
	if len(q.pending) == 0 || ctx.Err() != nil {
		return q.walk.pager.fetch(ctx, q.walk.link, nil)
	}
	p := q.pending[0]
	for {
		select {
		case a := <-p.arrival:
			q.requestAfter(a)
		case got := <-p.result:
			q.pending = q.pending[1:]
			if got.panicked != nil {
				panic(got.panicked) // to the caller, who may recover
			}
			return got
		}
	}
}

// requestAfter requests the page after the one that arrives.
func (q *fetchQueue[T]) requestAfter(a arrival) {
	if len(q.pending) > 1 { // an earlier attempt has told of it
		return
	}
	link := a.link
	if link.url == nil {
		link = q.walk.foresee(a)
	}
	if link.url != nil {
		q.start(link)
	}
}

// plan computes from the first page the numbers of the others. It goes by the number of items, since the stated page length is
// not reliable.
func (q *fetchQueue[T]) plan(first *Page[T], next pageLink) {
	if first.Size <= 0 || len(first.Values) == 0 || next.number != q.walk.number+1 {
		return // the number of pages is unknown, or the links don't count pages
	}
	q.template = next
	q.next, q.last = next.number, (first.Size-1)/len(first.Values)+1
}

// planned returns the link to the next planned page. It differs from the template in the number only.
func (q *fetchQueue[T]) planned() (link pageLink, ok bool) {
	if q.next == 0 || q.next > q.last {
		return link, false
	}
	u := withPage(q.template.url, q.next)
	return pageLink{url: u, number: q.next, key: q.walk.key(u)}, true
}

// fill requests planned pages until n are in progress.
func (q *fetchQueue[T]) fill(n int) {
	for len(q.pending) < n {
		link, ok := q.planned()
		if !ok {
			return
		}
		q.start(link)
		q.next++
	}
}

// expect makes link the next page to receive. If another page was planned there, the plan was wrong and is dropped.
func (q *fetchQueue[T]) expect(link pageLink) {
	q.fill(1)
	if len(q.pending) > 0 && q.pending[0].key == link.key {
		return
	}
	q.cancel()
	q.next = 0
	q.start(link)
}
