//go:build !goexperiment.jsonv2 || go1.27

package lenient

import "errors"

// errSkip leaves a value to package json.
var errSkip = errors.ErrUnsupported
