package pipelines

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// boards are the boards of a client, which all of its following shares.
type boards struct {
	mu  sync.Mutex
	all map[Repo]*board
}

// join adds a run to the board of its repository.
func (s *boards) join(repo Repo, m *member) *board {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.of(repo)
	b.join(m)
	return b
}

// of returns the board of a repository.
func (s *boards) of(repo Repo) *board {
	if s.all == nil {
		s.all = make(map[Repo]*board)
	}
	if s.all[repo] == nil {
		s.all[repo] = newBoard()
	}
	return s.all[repo]
}

// leave removes a run from its board, and a board that nobody needs any more.
func (s *boards) leave(repo Repo, b *board, m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.leave(m) && s.all[repo] == b {
		delete(s.all, repo)
	}
}

// keep keeps what is seen of a repository's branches.
func (s *boards) keep(repo Repo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of(repo).keep()
}

// latest returns the newest run of a branch that was seen, and when.
func (s *boards) latest(repo Repo, branch string) (*Pipeline, time.Time) {
	s.mu.Lock()
	b := s.all[repo]
	s.mu.Unlock()
	if b == nil {
		return nil, time.Time{}
	}
	return b.latest(branch)
}

// board is what following knows about the runs of one repository. Runs that are followed share a list of the newest ones where
// that is cheaper than to ask for each. It is safe for concurrent use.
type board struct {
	mu       sync.Mutex
	members  map[*member]struct{}
	maxPages int                   // of the list, that a look reads
	broken   time.Time             // when the list could not be read
	newest   map[string]boardEntry // by branch; nil: not kept
}

// boardEntry is the newest run of a branch that was seen, and when.
type boardEntry struct {
	pipeline *Pipeline
	at       time.Time
}

// member is a run that is followed.
type member struct {
	id           string
	withoutSteps bool
	wake         chan struct{} // ready when there is news
	woken        atomic.Bool   // the caller wants a look now

	pipeline *Pipeline // as a list last showed it; nil: no list did
	full     bool      // with all fields
	at       time.Time // when that list was asked for
	wants    bool      // all fields
	unlisted time.Time // when it wasn't on a list
}

// unlistedFor is how long a run that isn't among the newest is asked for by itself, and all of them if the list can't be read. A new
// run may be missing for a moment.
const unlistedFor = 5 * time.Minute

// listedFields are the fields that a list of the newest runs asks for: what following needs, and a dashboard.
const listedFields = "values.uuid,values.build_number,values.state,values.target.type,values.target.ref_name,values.target.ref_type," +
	"values.target.source,values.target.selector,values.creator.display_name,values.created_on,values.completed_on,size,next"

func newBoard() *board {
	return &board{members: make(map[*member]struct{})}
}

func newMember(id string, withoutSteps bool) *member {
	return &member{id: id, withoutSteps: withoutSteps, wake: make(chan struct{}, 1)}
}

func (b *board) join(m *member) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.members[m] = struct{}{}
}

// leave reports whether nobody needs the board any more.
func (b *board) leave(m *member) (unused bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.members, m)
	return len(b.members) == 0 && b.newest == nil
}

func (b *board) keep() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.newest == nil {
		b.newest = make(map[string]boardEntry)
	}
}

// notify wakes the goroutine that follows the run.
func (m *member) notify() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// shares reports whether the run's state is to be read from a list that other runs share. The steps of a run show its end too, so
// that a list is worth it only for some of such runs.
func (b *board) shares(m *member) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !m.isListed() || lately(b.broken) {
		return false
	}
	worth := 0
	for other := range b.members {
		switch {
		case !other.isListed():
		case other.withoutSteps:
			worth += 2
		default:
			worth++
		}
	}
	return worth >= 4
}

func (m *member) isListed() bool { return !lately(m.unlisted) }

// lately reports whether t is less than unlistedFor ago.
func lately(t time.Time) bool { return !t.IsZero() && time.Since(t) < unlistedFor }

// seen returns the run as a list last showed it, whether with all fields, and when that list was asked for.
func (b *board) seen(m *member) (p *Pipeline, full bool, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return m.pipeline, m.full, m.at
}

// want notes whether the run has to be read with all fields, and reports whether a list with all fields serves several such runs.
func (b *board) want(m *member, wants bool) (several bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m.wants = wants
	n := 0
	for other := range b.members {
		if other.wants && other.isListed() {
			n++
		}
	}
	return n > 1
}

// look polls a run: by a list that serves the others too, or by itself. If the run's state is the one that is known, the result may
// have few fields.
func (b *board) look(w *runFollower) (*Pipeline, error) {
	m := w.member
	if b.shares(m) {
		if p, err := b.lookAtList(w); p != nil || err != nil {
			return p, err
		}
	}
	begin := time.Now()
	p, err := w.client.Pipelines.Get(w.ctx, w.repo, w.id, w.opts...)
	if err == nil {
		b.note(m, p, begin)
	}
	return p, err
}

// lookAtList returns a run from a list, or nil if the run has to be asked for by itself.
func (b *board) lookAtList(w *runFollower) (*Pipeline, error) {
	p, full, at := b.seen(w.member)
	news := at.After(w.pipelineTarget.last)
	if news && w.satisfied(p, full) {
		return p, nil
	}
	several := b.want(w.member, news || w.mayBeNew())
	if news && !several {
		return nil, nil //nolint:nilnil // documented
	}
	begin := time.Now()
	if err := b.list(w, several); err != nil {
		if !errors.Is(err, errNotAPage) && (w.patience.temporary(err) || isRefusal(err)) {
			return nil, err
		}
		b.breaks()      // what is no list, or another run that can't be read
		return nil, nil //nolint:nilnil // documented
	}
	p, full, at = b.seen(w.member)
	if at.Before(begin) || !w.satisfied(p, full) {
		return nil, nil //nolint:nilnil // documented
	}
	return p, nil
}

// list reads the newest runs, page after page while that is cheaper than to ask for each run that is left, and tells the runs what
// they show.
func (b *board) list(w *runFollower, full bool) error {
	opts := slices.Clip(w.opts)
	if !full {
		opts = append(opts, WithQuery("fields", listedFields))
	}
	begin := time.Now()
	left, maxPages := b.listed()
	pages, lastUseful := 0, 0
	for page, err := range w.client.Pipelines.List(w.ctx, w.repo, &ListPipelinesOptions{Sort: SortNewestFirst}, opts...).Pages() {
		if err != nil {
			return err
		}
		pages++
		before := len(left)
		left = b.show(page.Values, full, begin, left, w.member)
		if len(left) < before {
			lastUseful = pages
		}
		if len(left) <= pages || pages >= maxPages {
			break
		}
	}
	b.finish(left, lastUseful+1) // newer runs push the others to later pages
	return nil
}

func (b *board) breaks() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = time.Now()
}

func (b *board) listed() (left []*member, maxPages int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for m := range b.members {
		if m.isListed() {
			left = append(left, m)
		}
	}
	if b.maxPages == 0 { // not known yet how far back they are
		return left, len(left)
	}
	return left, b.maxPages
}

// show takes the runs of a page of a list that was asked for at a time: lists may overtake each other. It returns those of left that
// aren't on it.
func (b *board) show(runs []*Pipeline, full bool, at time.Time, left []*member, own *member) []*member {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range runs {
		b.noteNewest(p, at)
		left = slices.DeleteFunc(left, func(m *member) bool {
			if !hasID(p, m.id) {
				return false
			}
			m.unlisted = time.Time{}
			if m.at.After(at) {
				return true
			}
			m.pipeline, m.full, m.at, m.wants = p, full, at, m.wants && !full
			if m != own {
				m.notify()
			}
			return true
		})
	}
	return left
}

// finish notes the runs that the list didn't show.
func (b *board) finish(left []*member, maxPages int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.maxPages = maxPages
	for _, m := range left {
		m.unlisted = time.Now()
	}
}

// note takes a run that was asked for by itself.
func (b *board) note(m *member, p *Pipeline, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m.wants = false
	b.noteNewest(p, at)
}

// noteNewest keeps a run, as it was asked for at a time, if it is the newest one of its branch.
func (b *board) noteNewest(p *Pipeline, at time.Time) {
	branch := p.Target.RefName
	if b.newest == nil || branch == "" || (p.Target.RefType != "" && p.Target.RefType != RefBranch) {
		return
	}
	known, ok := b.newest[branch]
	if !ok || known.pipeline.BuildNumber < p.BuildNumber || (known.pipeline.BuildNumber == p.BuildNumber && !known.at.After(at)) {
		b.newest[branch] = boardEntry{p, at}
	}
}

// latest returns the newest run of a branch that was seen, and when.
func (b *board) latest(branch string) (*Pipeline, time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	entry := b.newest[branch]
	return entry.pipeline, entry.at
}

// hasID reports whether id is the pipeline's UUID or build number.
func hasID(p *Pipeline, id string) bool {
	return strings.EqualFold(p.UUID, braced(id)) || strconv.Itoa(p.BuildNumber) == id
}
