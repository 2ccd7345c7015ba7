package pipelines

import "context"

// ahead ranges over the list with several requests at once. If the first page states how many pages there are, it requests them
// by number. Otherwise it only requests the next page.
func (w *walk[T]) ahead(yield func(*Page[T], error) bool) {
	if w.pager.ctx == nil {
		yield(nil, w.pager.fetch(nil, pageLink{}).err) //nolint:staticcheck // the error says that it is nil
		return
	}
	q := fetchQueue[T]{walk: w}
	defer q.cancel()

	limit := w.pager.parallel
	q.start(w.link)
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
	next, last int      // numbers of the planned pages that are not requested yet
	template   pageLink // for links to the planned pages
}

type pendingFetch[T any] struct {
	key    uint64 // of the link
	result chan fetched[T]
	cancel context.CancelFunc
}

func (q *fetchQueue[T]) start(link pageLink) {
	ctx, cancel := context.WithCancel(q.walk.pager.ctx)
	result := make(chan fetched[T], 1)
	q.pending = append(q.pending, pendingFetch[T]{link.key, result, cancel})
	go func() {
		defer cancel()
		got := fetched[T]{err: q.walk.errorf("the transport ended the goroutine that read a page")}
		defer func() { result <- got }()
		got = q.walk.pager.fetch(ctx, link)
	}()
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

func (q *fetchQueue[T]) receive() fetched[T] {
	got := <-q.pending[0].result
	q.pending = q.pending[1:]
	return got
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
