// Command bench compares the SDK with hand-written net/http and encoding/json, which is the limit, and with
// github.com/ktrysmt/go-bitbucket, which most Go programs have used so far. It measures time, memory and requests in one run.
//
// Server and clients are separate processes, so that they don't affect each other's figures. The runs are interleaved (A B C A B C ...), so
// that a change of the machine's load affects all clients. docs/performance.md explains the table.
package main
