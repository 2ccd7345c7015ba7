package pipelines

import (
	"bytes"
	"context"
	"io"
	"math"
	"net/http"
)

var (
	opStepsLog          = op("Steps.GetLog", http.MethodGet, stepPath+"/log", idempotent)
	opStepsContainerLog = op("Steps.GetContainerLog", http.MethodGet, stepPath+"/logs/{log_uuid}", idempotent)
)

// LogOptions select a part of a log, in bytes of its text or in lines. Tail and TailLines can't be combined with other fields. If
// the service's storage compresses the log, all of it is transferred, whichever part is read.
type LogOptions struct {
	// Offset is the number of bytes to skip at the beginning.
	Offset int64
	// Length is the number of bytes to read at most. 0 is no limit: a length that was computed as 0 reads
	// all.
	Length int64
	// Tail reads only the last so many bytes; 0: all.
	Tail int64
	// TailLines reads only the last so many lines; 0: all. It takes one or two more requests for parts of
	// the log.
	TailLines int
}

// Log streams the log of a step, without keeping it in memory. It is an [io.ReadCloser] and an [io.WriterTo], and must be closed.
// Close may be called while another goroutine reads.
//
// If a connection is lost or stalls, another one resumes at the next byte. Reading ends with an error if the log was replaced by
// another one meanwhile, and if nothing says whether it is complete. A compressed log is decoded.
type Log struct {
	stream rangeReader
}

// GetLog opens the log of a step as it is now: the log of a running step ends with what has been written so far.
// [StepsService.FollowLog] waits for more. o may be nil, for the whole log. An Offset at or past the end is an empty log.
//
// A step that has no log, because it hasn't started or was skipped, is an [ErrNotFound]. So are a step, pipeline or repository
// that doesn't exist, and a log that has expired.
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
	at = at.withError(part.check())
	open := func(part LogOptions) (*Log, error) {
		l := &Log{}
		if err := l.stream.open(ctx, s.client.policyFor(opts), at.op.Name, part, s.client.logFetcher(at, opts)); err != nil {
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
	end := l.stream.pos
	from := end - int64(len(part))
	start, missing := lastLines(part, n, true)
	if missing == 0 || from == 0 {
		return l, l.stream.replay(part[start:])
	}
	_ = l.Close()
	for size := int64(firstTailPart); from > 0 && missing > 0; {
		size = min(2*size, maxTailPart)
		upTo := from
		from = max(0, upTo-size)
		if l, part, err = readTailPart(LogOptions{Offset: from, Length: upTo - from}, open); err != nil {
			return nil, err
		}
		_ = l.Close()
		if int64(len(part)) < upTo-from { // a shorter log is in its place
			return nil, l.stream.wrap(errChanged)
		}
		start, missing = lastLines(part, missing, false)
	}
	first := from + int64(start)
	return open(LogOptions{Offset: first, Length: end - first}) // and not what was written since
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
	case o.Offset > math.MaxInt64-o.Length:
		return invalidArgument("LogOptions.Offset and Length are more than any log has")
	case o.Tail > 0 && (o.Offset > 0 || o.Length > 0):
		return invalidArgument("LogOptions has both Tail and Offset or Length")
	case o.TailLines > 0 && (o.Offset > 0 || o.Length > 0 || o.Tail > 0):
		return invalidArgument("LogOptions has both TailLines and Offset, Length or Tail")
	}
	return nil
}

// Read implements [io.Reader]. At the end of the log it returns [io.EOF].
func (l *Log) Read(p []byte) (int, error) { return l.stream.Read(p) }

// WriteTo implements [io.WriterTo].
func (l *Log) WriteTo(w io.Writer) (int64, error) { return l.stream.WriteTo(w) }

// Close ends the reading and releases the connection. A Read that is blocked returns [fs.ErrClosed].
func (l *Log) Close() error { return l.stream.Close() }

// Size returns the size in bytes of the whole log when the service last said so, whichever part is read. It is often unknown
// while the step runs, and if the log is compressed.
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
