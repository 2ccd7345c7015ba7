//go:build !windows

package cli

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// As root, a rename would replace /dev/null.
func TestWhatIsNoFileIsWrittenToAndStays(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0)
	require.NoError(t, err)
	defer reader.Close()
	require.NoError(t, CheckFile(pipe))
	require.NoError(t, WriteFile(pipe, 0o600, writes("text")))
	info, err := os.Lstat(pipe)
	require.NoError(t, err)
	require.Equal(t, os.ModeNamedPipe, info.Mode().Type())
	text := make([]byte, 4)
	_, err = io.ReadFull(reader, text)
	require.NoError(t, err)
	require.Equal(t, "text", string(text))
}
