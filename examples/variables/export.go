package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

const yamlHeader = `# Variables of %s. The service doesn't return secured values: the program takes them from environment variables.
# A variable stays secured until its entry has "secured: false", or no "secured" and the program the flag --secured=false.
`

const dotenvHeader = `# Variables of %s. The service doesn't return secured values, so secured variables are only named here.
# To set one, write NAME=value: it stays secured, unless the program has the flag --secured=false.
`

// export writes the current variables to a file.
func (s *job) export(ctx context.Context) (int, error) {
	stdout := s.file == "-" || s.isDemoFile()
	if _, err := os.Lstat(s.file); err == nil && !stdout {
		return 0, s.errExists()
	}
	if err := s.findSet(ctx); err != nil {
		return 0, err
	}
	listed, err := s.list(ctx)
	if err != nil {
		return 0, err
	}
	if len(listed.unclear) > 0 {
		return 0, fmt.Errorf("the service doesn't say what value %s has, or whether that is secured: nothing was written", names(listed.unclear))
	}
	there := listed.variables
	text, err := render(there, s.owner, isDotenv(s.file))
	if err != nil {
		return 0, err
	}
	if stdout {
		if _, err := s.env.Stdout.Write(text); err != nil {
			return 0, err
		}
		s.report(s.env.Stderr, there, "the standard output")
		return cli.Success, nil
	}
	if err := s.create(text); err != nil {
		return 0, err
	}
	s.report(s.env.Stdout, there, s.file)
	return cli.Success, nil
}

func (s *job) errExists() error {
	return fmt.Errorf("%s exists already, and may have more than the service returns: name another --file, or delete it", s.file)
}

// create creates the file.
func (s *job) create(text []byte) error {
	err := cli.CreateFile(s.file, 0o600, func(w io.Writer) error { _, err := w.Write(text); return err })
	if errors.Is(err, os.ErrExist) {
		return s.errExists()
	}
	return err
}

// report says what was exported.
func (s *job) report(w io.Writer, there []*pipelines.Variable, file string) {
	fmt.Fprintf(w, "Wrote %s of %s to %s.\n", cli.Count(len(there), "variable", "variables"), s.owner, file)
	var secured []string
	for _, v := range there {
		if v.Secured {
			secured = append(secured, v.Key)
		}
	}
	switch {
	case len(secured) == 0:
	case isDotenv(s.file):
		fmt.Fprintln(w, "Secured, so the service returns no value, and the file has only a comment:", names(secured))
	default:
		fmt.Fprintln(w, "Secured, so the service returns no value, and the file takes it from the environment variable of that name:", names(secured))
	}
}

// render formats variables as a file, sorted by key.
func render(there []*pipelines.Variable, owner string, dotenv bool) ([]byte, error) {
	there = slices.SortedFunc(slices.Values(there), func(a, b *pipelines.Variable) int { return strings.Compare(a.Key, b.Key) })
	for i, v := range there {
		switch {
		case !utf8.ValidString(v.Key + v.Value):
			return nil, fmt.Errorf("%q or its value is not UTF-8 and can't be written", v.Key)
		case i > 0 && v.Key == there[i-1].Key:
			return nil, fmt.Errorf("the service lists %q twice: delete one of the two", v.Key)
		case dotenv && !dotenvName.MatchString(v.Key):
			return nil, fmt.Errorf("a .env file can't have the name %q: export to YAML", v.Key)
		}
	}
	if dotenv {
		return renderDotenv(there, owner), nil
	}
	return renderYAML(there, owner)
}

func renderYAML(there []*pipelines.Variable, owner string) ([]byte, error) {
	variables := &yaml.Node{Kind: yaml.MappingNode}
	for _, v := range there {
		value := textNode(v.Value)
		if v.Secured {
			value = &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle, Content: []*yaml.Node{
				textNode("secured"), {Kind: yaml.ScalarNode, Value: "true"}, textNode("env"), textNode(v.Key),
			}}
		}
		variables.Content = append(variables.Content, textNode(v.Key), value)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, yamlHeader, owner)
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	err := encoder.Encode(map[string]*yaml.Node{"variables": variables})
	return b.Bytes(), err
}

// textNode returns a node for a text. What isn't easy to see is written as escape sequences, and a text of several lines as such.
func textNode(text string) *yaml.Node {
	var node yaml.Node
	node.SetString(text)
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }) || strings.TrimLeft(text, " \n") != text {
		node.Style = yaml.DoubleQuotedStyle
	}
	return &node
}

func renderDotenv(there []*pipelines.Variable, owner string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, dotenvHeader, owner)
	for _, v := range there {
		if v.Secured {
			fmt.Fprintf(&b, "# %s is secured\n", v.Key)
		} else {
			fmt.Fprintf(&b, "%s=%s\n", v.Key, quoteDotenv(v.Value))
		}
	}
	return b.Bytes()
}
