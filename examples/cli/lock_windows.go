package cli

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// Lock keeps other processes from locking a file until it is closed or the process ends.
func Lock(name string) (io.Closer, error) {
	path, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	const alone, sharingViolation = 0, syscall.Errno(32)
	handle, err := syscall.CreateFile(path, syscall.GENERIC_WRITE, alone, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, sharingViolation) {
		return nil, ErrInUse
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(handle), name), nil
}
