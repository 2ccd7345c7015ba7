//go:build !windows

package cli

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// Lock keeps other processes from locking a file until it is closed or the process ends.
func Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // named by the user
	if err != nil {
		return nil, err
	}
	if errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK) { // other errors: the file system has no locks
		_ = f.Close()
		return nil, ErrInUse
	}
	return f, nil
}
