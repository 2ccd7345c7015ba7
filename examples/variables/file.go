package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// read reads the wanted variables.
func (s *job) read(ctx context.Context) ([]pipelines.VariableRequest, error) {
	text, err := s.content(ctx)
	if err != nil {
		return nil, err
	}
	wanted, err := s.parse(ctx, text)
	if err == nil {
		err = s.complete(wanted)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.nameOfFile(), err)
	}
	return wanted, nil
}

// complete adds what the flags say, and refuses what would lose something.
func (s *job) complete(wanted []pipelines.VariableRequest) error {
	if len(wanted) == 0 && s.prune {
		return errors.New("it has no variables, and with --prune all that exist would be deleted: delete them one by one if you mean it")
	}
	for i := range wanted {
		one := &wanted[i]
		one.Secured = cmp.Or(one.Secured, s.secured.value)
		if one.Value == "" && one.Secured != nil && *one.Secured && !s.keepSecured {
			return fmt.Errorf("%s has to be secured, but its value is empty", one.Key)
		}
	}
	return nil
}

func (s *job) parse(ctx context.Context, text string) (wanted []pipelines.VariableRequest, err error) {
	if isDotenv(s.file) {
		return parseDotenv(text)
	}
	wanted, s.hidden, err = parseYAML(ctx, text, s.keepSecured)
	return wanted, err
}

func (s *job) nameOfFile() string {
	if s.file == "-" {
		return "the standard input, which has to be YAML"
	}
	return s.file
}

// content returns the text of the file.
func (s *job) content(ctx context.Context) (string, error) {
	if s.isDemoFile() {
		fmt.Fprintf(s.env.Stdout, "The file of the demo:\n\n%s\nThe plan for %s:\n\n", demoFile, cmp.Or(s.repo, "the workspace "+s.workspace))
		return demoFile, nil
	}
	type result struct {
		text string
		err  error
	}
	read := make(chan result, 1)
	go func() {
		text, err := cli.ReadText(s.file, s.env.Stdin)
		read <- result{text, err}
	}()
	select {
	case r := <-read:
		return r.text, r.err
	case <-ctx.Done(): // nobody types anything, or writes into the pipe
		return "", errors.New("the file was not read, and nothing was changed")
	}
}

// isDemoFile reports whether the demo uses its own file.
func (s *job) isDemoFile() bool { return s.demo && !s.fileGiven }

// lineAt returns the number of the line that has the byte at an index.
func lineAt(text string, index int) int { return 1 + strings.Count(text[:max(index, 0)], "\n") }
