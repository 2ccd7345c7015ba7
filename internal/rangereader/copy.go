package rangereader

import (
	"io"
	"sync"
)

// bufferSize is large enough to make system calls rare, and small enough for a processor's cache.
const bufferSize = 64 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// Copy copies r to w until r ends, with a pooled buffer. It closes r if w panics, because the caller may have no chance to.
func Copy(w io.Writer, r io.ReadCloser) (written int64, err error) {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	panics := true
	defer func() {
		if panics {
			_ = r.Close()
		}
	}()
	written, err = io.CopyBuffer(onlyWriter{w}, onlyReader{r}, buf[:])
	panics = false
	return written, err
}

// onlyReader and onlyWriter hide the methods by which [io.CopyBuffer] would avoid the buffer.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)
