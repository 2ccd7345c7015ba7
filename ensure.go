package pipelines

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/ctxtime"
)

// The waits between looks for something that the service shows late grow from the first to the last: five looks in 15 seconds.
const (
	firstLookWait = time.Second
	lastLookWait  = 8 * time.Second
)

// lookAgain calls look until it has found something, for up to 15 seconds. It returns the first error of look, and the context's if
// that ends meanwhile.
func lookAgain(ctx context.Context, look func() (found bool, err error)) error {
	for wait := firstLookWait; ; wait *= 2 {
		found, err := look()
		if found || err != nil || wait > lastLookWait {
			return err
		}
		if err := ctxtime.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// ensurer makes one resource as it is wanted. It finds it in its list by what it is, so that a repeated call creates no second one.
type ensurer[T any] struct {
	ctx    context.Context //nolint:containedctx // of one call
	method string          // such as "Schedules.Set"
	what   string          // the resource in words, for errors
	list   *Pager[T]
	needs  []string // the members of a listed resource that the functions below go by

	uuid     func(*T) string
	is       func(*T) bool        // reports whether it is the wanted resource
	unclear  func(*T) bool        // reports whether is can't tell, because members are missing
	isWanted func(*T) bool        // reports whether there is nothing to change
	change   func(*T) (*T, error) // an [ErrNotFound]: it was deleted since it was listed
	create   func() (*T, error)
}

// set returns the resource as wanted, after it has changed or created it.
func (e *ensurer[T]) set() (*T, error) {
	there, err := e.find()
	if err != nil {
		return nil, err
	}
	if there != nil {
		one, err := e.adopt(there)
		if deleted := errors.Is(err, ErrNotFound) && !errors.Is(err, ErrOutcomeUnknown); !deleted {
			return one, err
		}
	}
	created, err := e.create()
	if err != nil && (created != nil || !errors.Is(err, ErrConflict) && !errors.Is(err, ErrOutcomeUnknown)) {
		return created, err
	}
	listed, lookErr := e.findAgain()
	switch {
	case listed != nil:
		return e.adopt(listed)
	case errors.Is(lookErr, ErrConflict):
		return created, lookErr
	case err == nil: // the response to the creation is evidence enough
		one, err := e.adopt(created)
		return cmp.Or(one, created), err
	case lookErr != nil:
		return nil, fmt.Errorf("%w; whether it exists is unknown: %w", err, lookErr)
	}
	return nil, err
}

func (e *ensurer[T]) adopt(there *T) (*T, error) {
	if e.isWanted(there) {
		return there, nil
	}
	return e.change(there)
}

// find returns the listed resource, or nil if there is none. Several are an error, since which of them is wanted is unknown. So is
// one that may be it, because another one would be created beside it.
func (e *ensurer[T]) find() (*T, error) {
	listed, err := e.list.collectWith(append([]string{"values", "values.uuid"}, e.needs...)...)
	if err != nil {
		return nil, err
	}
	var found *T
	var uuids []string
	for _, one := range listed {
		uuid := oneLine(e.uuid(one))
		switch is := e.is(one); {
		case e.unclear(one), is && uuid == "":
			return nil, fmt.Errorf("pipelines: %s: one with UUID %q is listed without what tells whether it is %s", e.method, uuid, e.what)
		case is && !slices.Contains(uuids, uuid): // a list that changes meanwhile may repeat it
			found, uuids = one, append(uuids, uuid)
		}
	}
	if len(uuids) > 1 {
		return nil, fmt.Errorf("pipelines: %s: there are %d of %s, so delete all but one of %s: %w",
			e.method, len(uuids), e.what, strings.Join(uuids, ", "), ErrConflict)
	}
	return found, nil
}

// findAgain returns the resource once it is listed, which may be late. It returns nil if that takes too long.
func (e *ensurer[T]) findAgain() (found *T, err error) {
	err = lookAgain(e.ctx, func() (bool, error) {
		found, err = e.find()
		return found != nil, err
	})
	return found, err
}

// errNotShown is why it is unknown whether a change took effect that the service has accepted.
var errNotShown = errors.New("the service accepted the change and didn't show it within 15 seconds")

// settled returns the resource once the list shows a change that is carried out later. err is what sending the change returned.
func (e *ensurer[T]) settled(err error) (*T, error) {
	switch {
	case err == nil:
		err = &OutcomeUnknownError{Operation: e.method, Err: errNotShown}
	case !errors.Is(err, ErrOutcomeUnknown):
		return nil, err
	}
	var there *T
	lookErr := lookAgain(e.ctx, func() (shown bool, err error) {
		there, err = e.find()
		return there != nil && e.isWanted(there), err
	})
	switch {
	case lookErr != nil:
		return nil, fmt.Errorf("%w; whether it took effect is unknown: %w", err, lookErr)
	case there == nil || !e.isWanted(there):
		return nil, err
	}
	return there, nil
}
