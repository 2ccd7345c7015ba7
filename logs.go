package pipelines

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"
)

var (
	opStepsLog          = op("Steps.GetLog", http.MethodGet, stepPath+"/log", idempotent)
	opStepsContainerLog = op("Steps.GetContainerLog", http.MethodGet, stepPath+"/logs/{log_uuid}", idempotent)
)

// LogOptions pick a part of a log, in bytes of its text or in lines. Tail and TailLines go with none of the others. Of a log that lies compressed in
// the service's storage all is transferred, whichever part is read.
type LogOptions struct {
	Offset    int64 // bytes to leave out at the beginning
	Length    int64 // bytes to read at most; 0: to the end, so that a length which was computed as 0 reads all the same
	Tail      int64 // only the last so many bytes; 0: all
	TailLines int   // only the last so many lines; 0: all. It takes a request or two more, each for a part of the log
}

// Log streams the log of a step: nothing of it is kept in memory. A connection that is lost or stalls is replaced, and
// reading goes on at the byte where it stopped. It ends with an error if the log has been replaced by another one since, and if
// nothing tells whether it is complete. A log that lies compressed is decoded if it can be. A Log is an [io.ReadCloser] and an [io.WriterTo]; it has to be closed. Close
// may be called while another goroutine reads.
type Log struct {
	stream rangeReader
}

// GetLog opens the log of a step as it is now: the log of a running step ends with what has been written so far
// ([StepsService.FollowLog] goes on). A step that has no log, because it hasn't started or was skipped, is an [ErrNotFound];
// so are a step, pipeline or repository that doesn't exist, and a log that has expired. An Offset at or past the end gives
// an empty log.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}/log
//
// Scope: pipeline.
func (s *StepsService) GetLog(
	ctx context.Context, repo Repo, pipelineID, stepID string, o *LogOptions, opts ...CallOption,
) (*Log, error) {
	return s.openLog(ctx, opStepsLog.at(repo.Workspace, repo.Slug, pipelineID, stepID), o, opts)
}

// GetContainerLog opens the log of one container of a step: the build container's is named by the step's UUID, a service's by
// the service container's. Errors are those of [StepsService.GetLog].
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}/logs/{log_uuid}
//
// Scope: pipeline.
func (s *StepsService) GetContainerLog(
	ctx context.Context, repo Repo, pipelineID, stepID, logID string, o *LogOptions, opts ...CallOption,
) (*Log, error) {
	return s.openLog(ctx, opStepsContainerLog.at(repo.Workspace, repo.Slug, pipelineID, stepID, logID), o, opts)
}

func (s *StepsService) openLog(ctx context.Context, at endpoint, o *LogOptions, opts []CallOption) (*Log, error) {
	var part LogOptions
	if o != nil {
		part = *o
	}
	at = at.check(part.check())
	open := func(part LogOptions) (*Log, error) {
		l := &Log{}
		if err := l.stream.open(ctx, s.client, at.op.Name, part, s.client.logFetcher(at, opts)); err != nil {
			return nil, err
		}
		return l, nil
	}
	if part.TailLines > 0 {
		return openTailLines(part.TailLines, open)
	}
	return open(part)
}

// The parts of a log that are searched for the beginning of its last lines, in bytes: the first, and the largest.
const (
	firstTailPart = 64 << 10
	maxTailPart   = 4 << 20
)

// openTailLines opens the last n lines of a log. It searches from the end, so that no more of it is in memory than a part.
func openTailLines(n int, open func(LogOptions) (*Log, error)) (*Log, error) {
	l, part, err := readTailPart(LogOptions{Tail: firstTailPart}, open)
	if err != nil {
		return nil, err
	}
	from := l.stream.pos - int64(len(part))
	start, missing := lastLines(part, n, true)
	if missing == 0 || from == 0 {
		return l, l.stream.replay(part[start:])
	}
	for size := int64(firstTailPart); from > 0 && missing > 0; {
		size = min(2*size, maxTailPart)
		end := from
		from = max(0, end-size)
		if _, part, err = readTailPart(LogOptions{Offset: from, Length: end - from}, open); err != nil {
			return nil, err
		}
		start, missing = lastLines(part, missing, false)
	}
	return open(LogOptions{Offset: from + int64(start)})
}

// readTailPart reads a part of a log to its end.
func readTailPart(part LogOptions, open func(LogOptions) (*Log, error)) (*Log, []byte, error) {
	l, err := open(part)
	if err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(l)
	if err != nil {
		_ = l.Close()
		return nil, nil, err
	}
	return l, text, nil
}

// lastLines returns where the last n lines of a text begin, and how many line ends before them are missing: 0 if they are all
// there. atEnd says that the text is the end of its log, whose own line end begins no line.
func lastLines(text []byte, n int, atEnd bool) (start, missing int) {
	end := len(text)
	if atEnd && end > 0 && text[end-1] == '\n' {
		end--
	}
	for ; n > 0; n-- {
		end = bytes.LastIndexByte(text[:end], '\n')
		if end < 0 {
			return 0, n
		}
	}
	return end + 1, 0
}

func (o LogOptions) check() error {
	switch {
	case o.Offset < 0 || o.Length < 0 || o.Tail < 0 || o.TailLines < 0:
		return invalidArgument("LogOptions has a negative number")
	case o.Tail > 0 && (o.Offset > 0 || o.Length > 0):
		return invalidArgument("LogOptions has both Tail and Offset or Length")
	case o.TailLines > 0 && (o.Offset > 0 || o.Length > 0 || o.Tail > 0):
		return invalidArgument("LogOptions has both TailLines and Offset, Length or Tail")
	}
	return nil
}

// Read implements [io.Reader].
func (l *Log) Read(p []byte) (int, error) { return l.stream.Read(p) }

// WriteTo implements [io.WriterTo].
func (l *Log) WriteTo(w io.Writer) (int64, error) { return l.stream.WriteTo(w) }

// Close ends the reading.
func (l *Log) Close() error { return l.stream.Close() }

// Size tells how many bytes the whole log had when the service last said so, whichever part is read. It is often unknown while
// the step runs, and where the log lies compressed.
func (l *Log) Size() (n int64, known bool) { return max(0, l.stream.size), l.stream.size >= 0 }

// logFetcher asks for a log.
func (c *Client) logFetcher(at endpoint, opts []CallOption) fetcher {
	return func(ctx context.Context, header http.Header) (*http.Response, error) {
		k, err := c.newCall(ctx, at, nil, opts)
		if err != nil {
			return nil, err
		}
		return k.fetch(ctx, header)
	}
}

// fetch asks for content. Its error is a [pastEndError] where the range is past the end.
func (k *call) fetch(ctx context.Context, header http.Header) (*http.Response, error) {
	var last *http.Response
	if k.into == nil {
		k.into = &last
	}
	resp, err := k.sendStream(ctx, header)
	if last := *k.into; err != nil && last != nil && last.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return nil, newPastEndError(err, last.Header)
	}
	return resp, err
}

// pause waits for d or until the context ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return contextError(ctx)
	}
}
