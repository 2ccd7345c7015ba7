package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrInUse is the error of [Lock] if another process has locked the file.
var ErrInUse = errors.New("it is in use by another run of this program")

// WriteFile writes a file completely or not at all. A link to a file that exists stays; one to nothing is replaced. What is no file, such as a
// device or a pipe, is written to.
func WriteFile(name string, mode fs.FileMode, write func(io.Writer) error) error {
	file, special, err := destination(name)
	if err != nil {
		return err
	}
	if special {
		f, err := os.OpenFile(name, os.O_WRONLY, 0) //nolint:gosec // named by the user
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	}
	temp, err := writeTemp(name, file, mode, write)
	if err != nil {
		return err
	}
	if err = os.Rename(temp, file); err != nil {
		_ = os.Remove(temp)
	}
	return err
}

// CreateFile is like [WriteFile], but the error is an [fs.ErrExist] if there is anything with the name.
func CreateFile(name string, mode fs.FileMode, write func(io.Writer) error) error {
	temp, err := writeTemp(name, name, mode, write)
	if err != nil {
		return err
	}
	defer os.Remove(temp) //nolint:errcheck // it is gone if it was renamed
	if err = os.Link(temp, name); err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err = os.Lstat(name); err == nil { // the file system has no links
		return fs.ErrExist
	}
	return os.Rename(temp, name)
}

// writeTemp writes a file beside another, whose name it is to have. An error has the name that the user knows.
func writeTemp(name, file string, mode fs.FileMode, write func(io.Writer) error) (temp string, err error) {
	f, err := createTemp(file)
	if err != nil {
		return "", named(name, err)
	}
	if err = errors.Join(write(f), f.Chmod(mode), f.Close()); err != nil {
		_ = os.Remove(f.Name())
	}
	return f.Name(), err
}

// CheckFile returns an error if [WriteFile] can't write a file, so that a program can say so before it does the work.
func CheckFile(name string) error {
	file, special, err := destination(name)
	if err != nil || special {
		return err
	}
	f, err := createTemp(file)
	if err != nil {
		return named(name, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// destination returns what to replace; special: it is no file, and must not be replaced.
func destination(name string) (file string, special bool, err error) {
	if info, err := os.Stat(name); err == nil {
		switch {
		case info.IsDir():
			return "", false, fmt.Errorf("%s is a directory", name)
		case info.Mode().IsRegular():
			file, err = filepath.EvalSymlinks(name)
			return file, false, err
		}
		return name, true, nil
	}
	return name, false, nil // a new file
}

// createTemp creates a file beside another, which it is to replace.
func createTemp(file string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
}

// named puts the name that the user knows in the place of another one.
func named(name string, err error) error {
	if cause, ok := errors.AsType[*fs.PathError](err); ok {
		err = cause.Err
	}
	return fmt.Errorf("%s: %w", name, err)
}

// WriteJSON writes a report that people may read too.
func WriteJSON(w io.Writer, report any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}

// WriteReport writes a file that others may read, and says where. The path is absolute because "go -C" runs the program in another directory
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
