package cli

import (
	"flag"
	"fmt"
	"strings"
)

// SetUsage sets the output of -h of programs that have no [Help] yet.
func SetUsage(flags *flag.FlagSet, intro, scopes, statuses string) {
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "%s\nFlags:\n", strings.TrimPrefix(intro, "\n"))
		flags.PrintDefaults()
		fmt.Fprintf(flags.Output(), "\n%s%s\nExit status (\"go run\" turns all but 0 into 1):%s"+
			"    2  wrong usage, or an error on the way\n  130  interrupted\n", paragraphs(Help{Credentials: DemoRuns}.credentials()), scopes, statuses)
	}
}
