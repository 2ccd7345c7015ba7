package pipelines

import (
	"context"
	"io"
	"math"
	"net/http"

	"github.com/seed-85ed9bfd/pipelines/internal/rangereader"
)

var (
	opStepsLog          = op("Steps.GetLog", http.MethodGet, stepPath+"/log", idempotent)
	opStepsContainerLog = op("Steps.GetContainerLog", http.MethodGet, stepPath+"/logs/{log_uuid}", idempotent)
)

// LogOptions select a part of a log, in bytes or lines of its text. Tail and TailLines can't be combined with other fields. If the
// service's storage compresses the log, all of it is transferred, whichever part is read.
type LogOptions struct {
	// Offset is the number of bytes to skip at the beginning.
	Offset int64
	// Length is the number of bytes to read at most. 0 is no limit, so a length that was computed as 0
	// reads all.
	Length int64
	// Tail is the number of bytes to read at the end; 0: all. GetLog keeps these bytes in memory if the
	// service's storage compresses the log or doesn't tell its length.
	Tail int64
	// TailLines is the number of lines to read at the end; 0: all. If they have more than 64 KiB, finding
	// them takes more requests, for parts of the log.
	TailLines int
}

// Log streams the log of a step without keeping it in memory. It is an [io.ReadCloser] and an [io.WriterTo], and must be closed.
// Close may be called while another goroutine reads.
//
// If a connection is lost or stalls, another one resumes at the next byte. Reading ends with an error if another log has replaced
// this one meanwhile, or if no response shows whether the log is complete. A compressed log is decoded.
type Log struct{ reader *rangereader.Reader }

// GetLog opens the log of a step as it is now: the log of a running step ends with what has been written so far.
// [StepsService.FollowLog] waits for more. o may be nil, for the whole log. An Offset at or past the end is an empty log.
//
// The error is an [ErrNotFound] if the step has no log, because it hasn't started or was skipped. The error is also an ErrNotFound
// if the step, the pipeline or the repository doesn't exist, or if the log has expired.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}/log
//
// Scope: pipeline.
func (s *StepsService) GetLog(
	ctx context.Context, repo Repo, pipelineID, stepID string, o *LogOptions, opts ...CallOption,
) (*Log, error) {
	return s.openLog(ctx, opStepsLog.at(repo.Workspace, repo.Slug, pipelineID, stepID), o, opts)
}

// GetContainerLog opens the log of one container of a step. logID is the step's UUID for the build container, and the service
// container's UUID for a service. Errors are those of [StepsService.GetLog].
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}/logs/{log_uuid}
//
// Scope: pipeline.
func (s *StepsService) GetContainerLog(
	ctx context.Context, repo Repo, pipelineID, stepID, logID string, o *LogOptions, opts ...CallOption,
) (*Log, error) {
	return s.openLog(ctx, opStepsContainerLog.at(repo.Workspace, repo.Slug, pipelineID, stepID, logID), o, opts)
}

func (s *StepsService) openLog(
	ctx context.Context, at endpoint, o *LogOptions, opts []CallOption,
) (*Log, error) {
	var part LogOptions
	if o != nil {
		part = *o
	}
	source, err := s.client.logSource(ctx, at.withError(part.validate()), opts)
	if err != nil {
		return nil, err
	}
	r, err := rangereader.Open(ctx, source, rangereader.Range(part))
	if err != nil {
		return nil, err
	}
	return &Log{r}, nil
}

// logSource says how a log is requested. Each request is a call of its own.
func (c *Client) logSource(ctx context.Context, at endpoint, opts []CallOption) (rangereader.Source, error) {
	k, err := c.newCall(ctx, at, nil, opts) // not sent: it finds invalid arguments, and has the policy
	if err != nil {
		return rangereader.Source{}, err
	}
	fetch := func(ctx context.Context, header http.Header) (*http.Response, error) {
		k, err := c.newCall(ctx, at, nil, opts)
		if err != nil {
			return nil, err
		}
		return k.fetch(ctx, header)
	}
	return k.contentSource(fetch), nil
}

func (o LogOptions) validate() error {
	switch {
	case o.Offset < 0 || o.Length < 0 || o.Tail < 0 || o.TailLines < 0:
		return invalidArgument("LogOptions has a negative number")
	case o.Offset > math.MaxInt64-o.Length:
		return invalidArgument("LogOptions.Offset plus Length overflows int64")
	case o.Tail > 0 && (o.Offset > 0 || o.Length > 0):
		return invalidArgument("LogOptions has both Tail and Offset or Length")
	case o.TailLines > 0 && (o.Offset > 0 || o.Length > 0 || o.Tail > 0):
		return invalidArgument("LogOptions has both TailLines and Offset, Length or Tail")
	}
	return nil
}

// Read implements [io.Reader]. At the end of the log it returns [io.EOF].
func (l *Log) Read(p []byte) (int, error) { return l.reader.Read(p) }

// WriteTo implements [io.WriterTo].
func (l *Log) WriteTo(w io.Writer) (int64, error) { return l.reader.WriteTo(w) }

// Close ends the reading and releases the connection. A Read that is blocked returns [fs.ErrClosed].
func (l *Log) Close() error { return l.reader.Close() }

// Size returns the size of the whole log, if a response stated it, in bytes and whichever part is read. It is often unknown while
// the step runs, and if the log is compressed.
func (l *Log) Size() (n int64, known bool) { return l.reader.Size() }
