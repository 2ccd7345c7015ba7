//go:build goexperiment.jsonv2 && !go1.27

package lenient

import "encoding/json/v2"

// errSkip leaves a value to package json, which is the standard library's in this build.
var errSkip = json.SkipFunc
