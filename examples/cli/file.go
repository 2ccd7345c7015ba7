package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile writes a file completely or not at all.
func WriteFile(name string, mode fs.FileMode, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err = errors.Join(write(f), f.Chmod(mode), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// WriteReport writes a file that others may read, and says where. The path is absolute because "go -C" runs the program in another folder
// than the user's.
func WriteReport(summary io.Writer, what, name string, write func(io.Writer) error) error {
	path, err := filepath.Abs(name)
	if err != nil {
		return err
	}
	if err := WriteFile(path, 0o644, write); err != nil {
		return err
	}
	fmt.Fprintf(summary, "%s: %s\n", what, path)
	return nil
}
