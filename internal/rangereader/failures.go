package rangereader

import "time"

// failures counts failed responses. It decides how long to wait before the next request, and when to give up.
type failures struct {
	inARow  int   // without a new byte
	total   int   // since the first request
	resumed int64 // offset at which the last response began
}

// add counts a response that failed at offset. It returns how long to wait, and false if there were too many in a row. There is no
// wait after the first failure, since most lost connections are accidents, unless the last response had few bytes too.
func (f *failures) add(offset int64, source *Source) (wait time.Duration, ok bool) {
	received := offset - f.resumed
	if received > 0 {
		f.inARow = 0
	}
	if f.inARow >= source.MaxAttempts-1 {
		return 0, false
	}
	f.inARow++
	f.total++
	f.resumed = offset
	if f.inARow == 1 && (f.total == 1 || received >= bufferSize) {
		return 0, true
	}
	return source.Backoff(f.inARow - 1), true
}
