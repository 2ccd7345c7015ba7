package pipelines

import (
	"bytes"
	"io"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/poll"
	"github.com/seed-85ed9bfd/pipelines/internal/rangereader"
)

// stepLog is one run of a step and its log.
type stepLog struct {
	pollTarget
	step     *Step               // as last polled
	reader   *rangereader.Reader // nil before the log exists, and once it is complete
	found    bool                // the log was found
	upToDate bool                // read since the pipeline's state was deferred
	complete bool                // read to its end, after the step's end
}

// logOf returns the log of a step as just polled. A step that runs again has another log.
func (w *runFollower) logOf(step *Step) *stepLog {
	l := w.logs[step.UUID]
	if l == nil || l.step.RunNumber != step.RunNumber {
		l.close()
		told := w.told.step(step)
		l = &stepLog{found: told.Log > 0, complete: step.State.Done() && told.State == step.State.String()}
		l.pollTarget = pollTarget{
			poll: func() (bool, error) { return w.pollLog(l) }, class: poll.Log, interval: logInterval, last: time.Now(),
		}
		w.logs[step.UUID] = l
	}
	l.step = step
	if step.State.Done() { // the step's end waits for its log's
		l.class = poll.State
	}
	return l
}

// pollActiveLogsNow makes the logs due that may have grown before the pipeline's deferred state.
func (w *runFollower) pollActiveLogsNow() {
	for _, step := range w.steps {
		if l := w.logs[step.UUID]; isActive(step.State) {
			l.upToDate, l.due = false, time.Time{}
		}
	}
}

func (w *runFollower) pollLog(l *stepLog) (changed bool, err error) {
	if l.step.State.Done() {
		return w.emitStep(l)
	}
	changed, _, err = w.readLog(l)
	return changed, err
}

// emitStep emits the step's state if it has changed. The end of a step comes after the end of its log: if the log can't be read
// to its end yet, a later poll tries again.
func (w *runFollower) emitStep(l *stepLog) (changed bool, err error) {
	told, state := w.told.step(l.step), l.step.State.String()
	if told.State == state {
		return false, nil
	}
	if l.step.State.Done() && !l.complete {
		if err := w.completeLog(l); err != nil || !l.complete {
			return false, err
		}
	}
	told = w.told.step(l.step)
	told.State = state
	w.told.Steps[l.step.UUID] = told
	return true, w.send(&Event{Kind: EventStep, Step: l.step})
}

// completeLog reads the rest of the log of a step that has ended. If it finds no log, but the step has run, the log may be on its
// way to storage: later polls try again.
func (w *runFollower) completeLog(l *stepLog) error {
	if l.absence.Lasts() && time.Now().Before(l.due) {
		return nil
	}
	_, found, err := w.readLog(l)
	if err != nil {
		return err
	}
	if !found && (hasRun(l.step) || l.found) && !l.absence.Observe(logGrace) {
		w.setDue(&l.pollTarget)
		return nil
	}
	l.complete = true
	l.close()
	return nil
}

// readLog emits what was written to a log since it was last read, as far as it is wanted.
func (w *runFollower) readLog(l *stepLog) (grown, found bool, err error) {
	switch {
	case !w.wantsLog(l.step): // there is no log to ask for, or nobody wants it
		l.upToDate = true
		return false, true, nil
	case w.selection > 0:
		err = w.sendTail(l)
	default:
		grown, err = w.sendRest(l)
	}
	if isNotFound(err) { // not yet, or never
		l.upToDate, w.inconclusive = true, true
		return false, false, nil
	}
	l.upToDate = err == nil
	return grown, true, err
}

// wantsLog reports whether the step's log, as the step is now, is to be read.
func (w *runFollower) wantsLog(step *Step) bool {
	switch {
	case notRun(step) || step.UUID == "" || w.selection == LogsNone:
		return false
	case w.selection > 0:
		return step.State.Done() && !step.State.Succeeded()
	}
	return true
}

// sendTail emits the last lines of a log.
func (w *runFollower) sendTail(l *stepLog) error {
	if w.told.step(l.step).Log > 0 { // in an earlier process
		return nil
	}
	log, err := w.client.Steps.GetLog(w.ctx, w.repo, w.id, l.step.UUID, &LogOptions{TailLines: int(w.selection)}, w.opts...)
	if err != nil {
		return err
	}
	l.found = true
	tail, err := io.ReadAll(log)
	_ = log.Close()
	if err != nil || len(tail) == 0 {
		return err
	}
	return w.sendLog(l, tail)
}

// sendRest emits what follows what was emitted before.
func (w *runFollower) sendRest(l *stepLog) (grown bool, err error) {
	if err := w.openLog(l); err != nil {
		return false, err
	}
	l.found = true
	buf := make([]byte, 32<<10)
	for {
		n, err := l.reader.Read(buf)
		if n > 0 {
			grown = true
			if err := w.sendLog(l, bytes.Clone(buf[:n])); err != nil {
				return grown, err
			}
		}
		if rangereader.IsEOF(err) {
			return grown, nil
		}
		if err != nil {
			return grown, err
		}
	}
}

// openLog opens the log at the place where it ended before.
func (w *runFollower) openLog(l *stepLog) error {
	if l.reader == nil {
		at := opStepsLog.at(w.repo.Workspace, w.repo.Slug, w.id, l.step.UUID)
		source, err := w.client.logSource(w.ctx, at, w.opts)
		if err != nil {
			return err
		}
		l.reader = rangereader.New(w.ctx, source, w.told.step(l.step).Log)
	}
	return l.reader.Poll(l.step.State.Done())
}

func (w *runFollower) sendLog(l *stepLog, text []byte) error {
	told := w.told.step(l.step)
	told.Log += int64(len(text))
	w.told.Steps[l.step.UUID] = told
	return w.send(&Event{Kind: EventLog, Step: l.step, Log: text})
}

// close ends following.
func (w *runFollower) close() {
	w.client.following.boards.leave(w.repo, w.board, w.member)
	for _, l := range w.logs {
		l.close()
	}
}

func (l *stepLog) close() {
	if l != nil && l.reader != nil {
		_ = l.reader.Close()
		l.reader = nil
	}
}
