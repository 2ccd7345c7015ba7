package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"unicode/utf8"
)

// ReadText reads a text that a user hands to a program, from a file or, for "-", from stdin unless that is nil. It removes the byte order
// mark that some editors write. A text that isn't UTF-8 is an error, which names the line.
func ReadText(name string, stdin io.Reader) (string, error) {
	if name == "-" && stdin != nil {
		content, err := io.ReadAll(stdin)
		if err != nil {
			return "", fmt.Errorf("reading the standard input: %w", err)
		}
		return text("the standard input", content)
	}
	content, err := os.ReadFile(name) //nolint:gosec // named by the user
	if err != nil {
		return "", err
	}
	return text(name, content)
}

func text(name string, content []byte) (string, error) {
	if isUTF16(content) {
		return "", fmt.Errorf("%s is UTF-16 text: save it as UTF-8", name)
	}
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	for line, rest := 1, content; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if r == utf8.RuneError && size == 1 {
			return "", fmt.Errorf("line %d of %s is not UTF-8 text: save it as UTF-8", line, name)
		}
		if r == '\n' {
			line++
		}
		rest = rest[size:]
	}
	return string(content), nil
}

// isUTF16 reports whether a text begins with a byte order mark of UTF-16, or with an ASCII character as in UTF-16.
func isUTF16(content []byte) bool {
	if len(content) < 2 {
		return false
	}
	a, b := content[0], content[1]
	return a == 0xff && b == 0xfe || a == 0xfe && b == 0xff || len(content)%2 == 0 && (a == 0) != (b == 0)
}
