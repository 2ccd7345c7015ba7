// Command bench measures the SDK against hand-written net/http with encoding/json, which is the limit, and against
// github.com/ktrysmt/go-bitbucket, which is what Go programs have used so far: time, memory and requests, in one run.
//
// Each client is a process of its own and the server is another one, so that a figure is nobody else's. The runs are
// interleaved (A B C A B C ...), so that a change of the machine's load meets all of them. docs/performance.md says how to read
// the table that it prints.
package main
