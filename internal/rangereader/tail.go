package rangereader

import (
	"bytes"
	"context"
	"io"
	"net"
)

// seekTail reads up to the last r.tail bytes. The content may grow, but they are the last ones of what this response has.
func (r *Reader) seekTail(p *part) error {
	end := max(p.size, p.end)
	if end < 0 { // neither is known
		total, tail, err := readTail(p, r.tail)
		if err != nil {
			return err
		}
		p.body.Close()
		p.body = io.NopCloser(tail)
		p.from, end = max(0, total-r.tail), total
		r.part.size, r.part.end = total, total
	}
	start := max(p.from, end-r.tail)
	r.read, r.limit = history{start: start, end: start}, end
	if start == end {
		return io.EOF
	}
	return r.seekOffset(p)
}

// readTail reads a body of unknown length to its end, and returns the last n bytes.
func readTail(p *part, n int64) (total int64, tail io.Reader, err error) {
	last := lastBytes{n: n}
	total, err = Copy(&last, p.body)
	switch {
	case err != nil:
		return 0, nil, err
	case !p.framed:
		return 0, nil, &unfitError{errUnconfirmed}
	}
	_, err = io.CopyN(io.Discard, &last.blocks, max(0, last.kept-n))
	return total, &last.blocks, err
}

// lastBytes is a writer that keeps the last n bytes, in blocks, so that it needs no memory for moving them.
type lastBytes struct {
	n, kept int64
	blocks  net.Buffers // of bufferSize bytes, except the last one
}

func (l *lastBytes) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if i := len(l.blocks) - 1; i < 0 || len(l.blocks[i]) == bufferSize {
			l.blocks = append(l.blocks, l.emptyBlock())
		}
		last := &l.blocks[len(l.blocks)-1]
		room := min(len(rest), bufferSize-len(*last))
		*last = append(*last, rest[:room]...)
		rest, l.kept = rest[room:], l.kept+int64(room)
	}
	return len(p), nil
}

// emptyBlock returns the first block, if it has none of the last n bytes, and else a new one.
func (l *lastBytes) emptyBlock() []byte {
	if l.kept-bufferSize < l.n {
		return make([]byte, 0, bufferSize)
	}
	first := l.blocks[0]
	l.blocks, l.kept = l.blocks[1:], l.kept-bufferSize
	return first[:0]
}

// The sizes in bytes of the parts that are searched for the last lines: the first, and the largest.
const (
	firstTailPart = 64 << 10
	maxTailPart   = 4 << 20
)

// openTailLines opens the last n lines. It reads ever larger parts, from the end backwards, and keeps only one of them in memory.
func openTailLines(ctx context.Context, source Source, n int) (*Reader, error) {
	r, text, err := readAll(ctx, source, Range{Tail: firstTailPart})
	if err != nil {
		return nil, err
	}
	end := r.Offset()
	from := end - int64(len(text))
	start, missing := lastLines(text, n, true)
	if missing == 0 || from == 0 {
		return r, r.replay(text[start:])
	}
	_ = r.Close()
	for size := int64(firstTailPart); from > 0 && missing > 0; {
		size = min(2*size, maxTailPart)
		length := min(from, size)
		from -= length
		if r, text, err = readAll(ctx, source, Range{Offset: from, Length: length}); err != nil {
			return nil, err
		}
		_ = r.Close()
		if int64(len(text)) < length { // the content is shorter now
			return nil, r.Wrap(ErrChanged)
		}
		start, missing = lastLines(text, missing, false)
	}
	first := from + int64(start)
	return Open(ctx, source, Range{Offset: first, Length: end - first}) // without what was added meanwhile
}

// readAll opens a part of the content and reads it to its end.
func readAll(ctx context.Context, source Source, part Range) (*Reader, []byte, error) {
	r, err := Open(ctx, source, part)
	if err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(r)
	if err != nil {
		_ = r.Close()
		return nil, nil, err
	}
	return r, text, nil
}

// lastLines returns where the last n lines of a text begin. missing is how many lines begin before the text: 0 if none does.
// atEnd says that the text ends the content, whose last line end begins no line.
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
