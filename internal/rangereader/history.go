package rangereader

import (
	"bytes"
	"hash/crc32"
	"io"
)

// castagnoli is the polynomial that processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// overlap is how many of the last bytes a history keeps.
const overlap = 1 << 10

// history is what is known of the bytes that were read. A response that contains some of them again is compared with it.
type history struct {
	start int64  // offset of the first byte
	end   int64  // offset after the last byte
	sum   uint32 // checksum of all bytes
	last  []byte // the last bytes, at most overlap
}

// empty reports whether no byte was read.
func (h *history) empty() bool { return h.end == h.start }

// add adds bytes at the end.
func (h *history) add(p []byte) {
	h.end += int64(len(p))
	h.sum = crc32.Update(h.sum, castagnoli, p)
	h.last = append(h.last, p[max(0, len(p)-overlap):]...)
	if excess := len(h.last) - overlap; excess > 0 {
		h.last = append(h.last[:0], h.last[excess:]...)
	}
}

// skip reads body, which begins at offset from, up to the end of the history. It returns [ErrChanged] if the body has other bytes
// than the history. It compares all of them if body has all, and else the last ones.
func (h *history) skip(body io.Reader, from int64) error {
	if from <= h.start {
		return h.skipAll(body, from)
	}
	return h.skipLast(body, from)
}

func (h *history) skipAll(body io.Reader, from int64) error {
	if _, err := io.CopyN(io.Discard, body, h.start-from); err != nil {
		return err
	}
	again := crc32.New(castagnoli)
	if _, err := io.CopyN(again, body, h.end-h.start); err != nil {
		return err
	}
	if again.Sum32() != h.sum {
		return ErrChanged
	}
	return nil
}

func (h *history) skipLast(body io.Reader, from int64) error {
	known := h.last[max(0, int64(len(h.last))-(h.end-from)):]
	if _, err := io.CopyN(io.Discard, body, h.end-from-int64(len(known))); err != nil {
		return err
	}
	again := make([]byte, len(known))
	if _, err := io.ReadFull(body, again); err != nil {
		return err
	}
	if !bytes.Equal(again, known) {
		return ErrChanged
	}
	return nil
}
