//go:build !windows

package audit

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The program may be killed between any two files. It continues then from what they have.
func TestTheStateNeverTellsOfARepositoryThatHasNoFile(t *testing.T) {
	dir := t.TempDir()
	s, err := open(dir, "acme")
	require.NoError(t, err)
	defer s.close()
	first, second := newRepository("{a}"), newRepository("{b}")
	s.change(func() { s.repos = []*repository{first} })
	first.change(func() {})
	pipe := s.path("repositories", "a.json")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600)) // to stop in the middle
	stored := make(chan error)
	go func() { stored <- s.store() }()
	reader, err := os.OpenFile(pipe, os.O_RDONLY, 0)
	require.NoError(t, err)
	defer reader.Close()
	s.change(func() { s.repos, s.Listed = append(s.repos, second), 1 }) // the list is read meanwhile
	second.change(func() {})
	require.NoError(t, <-stored)
	text, err := os.ReadFile(filepath.Join(dir, "workspace.json"))
	require.NoError(t, err)
	require.Contains(t, string(text), `"listed":0`)
	require.NoError(t, os.Remove(pipe))
	require.NoError(t, s.store())
	require.FileExists(t, s.path("repositories", "b.json"))
}
