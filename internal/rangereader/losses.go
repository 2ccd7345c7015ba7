package rangereader

import "time"

// losses counts failed responses. It decides how long to wait before the next request, and when to give up.
type losses struct {
	inARow  int   // without a new byte
	all     int   // since the first request
	resumed int64 // offset at which the last response began
}

// add counts a response that failed at offset. It returns how long to wait, and false if there were too many in a row. There is no
// wait after the first failure, since most lost connections are accidents, unless the last response had few bytes too.
func (l *losses) add(offset int64, source *Source) (wait time.Duration, ok bool) {
	received := offset - l.resumed
	if received > 0 {
		l.inARow = 0
	}
	if l.inARow >= source.MaxAttempts-1 {
		return 0, false
	}
	l.inARow++
	l.all++
	l.resumed = offset
	if l.inARow == 1 && (l.all == 1 || received >= bufferSize) {
		return 0, true
	}
	return source.Backoff(l.inARow - 1), true
}
