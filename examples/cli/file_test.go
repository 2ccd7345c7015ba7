package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func writes(text string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, text); return err }
}

func TestAFileIsWrittenCompletelyOrNotAtAll(t *testing.T) {
	folder := t.TempDir()
	name := filepath.Join(folder, "report")
	require.NoError(t, WriteFile(name, 0o600, writes("first")))
	require.Error(t, WriteFile(name, 0o600, func(w io.Writer) error { return errors.Join(writes("half")(w), errors.New("broken")) }))
	require.Error(t, CheckFile(filepath.Join(folder, "none", "report")))
	require.NoError(t, CheckFile(name))
	require.NoError(t, CheckFile(filepath.Join(folder, "new")))
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, "first", string(text))
	all, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, all, 1, "no part is left")
}

func TestANewFileHasItsContentOnceItIsThereAndReplacesNothing(t *testing.T) {
	folder := t.TempDir()
	name, link := filepath.Join(folder, "new"), filepath.Join(folder, "link")
	require.NoError(t, CreateFile(name, 0o640, func(w io.Writer) error {
		require.NoFileExists(t, name, "a process that is killed now leaves nothing that looks like the file")
		return writes("first")(w)
	}))
	require.NoError(t, os.Symlink("nothing", link))
	for _, there := range []string{name, link, folder} {
		require.ErrorIs(t, CreateFile(there, 0o600, writes("second")), fs.ErrExist)
	}
	require.EqualError(t, CreateFile(filepath.Join(folder, "broken"), 0o600, func(io.Writer) error { return errors.New("broken") }), "broken")
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, "first", string(text))
	info, err := os.Stat(name)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o640), info.Mode())
	all, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, all, 2, "no part is left")
}

func TestALinkStaysAndItsFileIsWritten(t *testing.T) {
	folder := t.TempDir()
	file, link := filepath.Join(folder, "file"), filepath.Join(folder, "link")
	require.NoError(t, os.WriteFile(file, []byte("old"), 0o600))
	require.NoError(t, os.Symlink("file", link))
	require.NoError(t, WriteFile(link, 0o600, writes("new")))
	to, err := os.Readlink(link)
	require.NoError(t, err)
	require.Equal(t, "file", to)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "new", string(text))

	dead := filepath.Join(folder, "dead")
	require.NoError(t, os.Symlink("nothing", dead))
	require.NoError(t, WriteFile(dead, 0o600, writes("new")))
	info, err := os.Lstat(dead)
	require.NoError(t, err)
	require.True(t, info.Mode().IsRegular(), "got %s, want a file of its own", info.Mode())
	require.NoFileExists(t, filepath.Join(folder, "nothing"))
}

func TestAFileThatCantBeWrittenIsNamedAsTheUserDoes(t *testing.T) {
	folder := t.TempDir()
	require.EqualError(t, CheckFile(folder), folder+" is a directory")
	require.EqualError(t, WriteFile(folder, 0o600, writes("")), folder+" is a directory")
	name := filepath.Join(folder, "none", "report")
	require.EqualError(t, WriteFile(name, 0o600, writes("")), name+": no such file or directory")
}
