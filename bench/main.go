package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run runs the command line. The roles are those of the processes that the program starts.
func run(ctx context.Context, args []string) error {
	role := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		role, args = args[0], args[1:]
	}
	switch role {
	case "server":
		return serverProcess(args)
	case "client":
		return clientProcess(ctx, args)
	case "":
		return compare(ctx, args)
	}
	return fmt.Errorf("unknown role %q", role)
}

// compare runs the tasks with all clients and prints the table.
func compare(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	rounds := flags.Int("rounds", 10, "runs of each task with each client")
	only := flags.String("tasks", "", "tasks to run, separated by commas; empty: all")
	more := flags.String("rows", "", "file of more rows for the table, as written by the polling tests")
	small := flags.Bool("small", false, "small sizes, only to check that the program works")
	if err := flags.Parse(args); err != nil {
		return err
	}
	size := full
	if *small {
		size = miniature
	}
	server, err := startServer(ctx, size)
	if err != nil {
		return err
	}
	defer server.stop()
	table := newTable()
	for _, t := range tasks {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), t.name) {
			continue
		}
		results, err := runRounds(ctx, os.Stderr, t, *rounds, server.base, size)
		if err != nil {
			return err
		}
		table.add(t.rows(results, size)...)
	}
	if err := table.addFile(*more); err != nil {
		return err
	}
	fmt.Print(table)
	return nil
}

// runRounds runs a task with each client in turn, for a number of rounds. It returns the results by client and round.
func runRounds(ctx context.Context, progress io.Writer, t task, rounds int, base string, size size) (map[string][]result, error) {
	results := make(map[string][]result)
	for round := range rounds {
		for _, client := range clientNames {
			fmt.Fprintf(progress, "\r%-12s round %d of %d: %-12s", t.name, round+1, rounds, client)
			r, err := runInProcess(ctx, t, client, base, size)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", t.name, client, err)
			}
			results[client] = append(results[client], r)
		}
	}
	fmt.Fprintf(progress, "\r%60s\r", "")
	return results, nil
}

// runInProcess runs a task once in its own process.
func runInProcess(ctx context.Context, t task, client, base string, size size) (r result, err error) {
	cmd, err := self(ctx, append([]string{"client", "-task", t.name, "-client", client, "-base", base}, size.args()...)...)
	if err != nil {
		return r, err
	}
	out, err := cmd.Output()
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(out, &r)
}

func self(ctx context.Context, args ...string) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // this program
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// server is the process of the server. It ends when its standard input does.
type server struct {
	base string
	stop func()
}

func startServer(ctx context.Context, size size) (*server, error) {
	cmd, err := self(ctx, append([]string{"server"}, size.args()...)...)
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	base, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return nil, fmt.Errorf("the server didn't start: %w", err)
	}
	return &server{strings.TrimSpace(base), stop}, nil
}

// size is the size of the tasks.
type size struct{ calls, runs, log int }

var (
	full      = size{calls: 6000, runs: 10_000, log: 256 << 20}
	miniature = size{calls: 32, runs: 300, log: 1 << 20}
)

func (s *size) flags(set *flag.FlagSet) {
	set.IntVar(&s.calls, "calls", 0, "calls of one endpoint")
	set.IntVar(&s.runs, "runs", 0, "pipelines in the list")
	set.IntVar(&s.log, "log", 0, "bytes of the log")
}

func (s *size) args() []string {
	return []string{"-calls", strconv.Itoa(s.calls), "-runs", strconv.Itoa(s.runs), "-log", strconv.Itoa(s.log)}
}

func (s *size) pages() int { return (s.runs + pageLen - 1) / pageLen }
