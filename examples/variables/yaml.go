package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sort"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/seed-85ed9bfd/pipelines"
)

// parseYAML parses the variables in the order of the file, and returns the values that a plan has to mask. It reads nodes, not Go types, so
// that errors can say what a person has to change. No error contains a value.
func parseYAML(ctx context.Context, text string, keepSecured bool) (wanted []pipelines.VariableRequest, hidden map[string]string, err error) {
	if i := strings.IndexFunc(text, notInYAML); i >= 0 {
		return nil, nil, fmt.Errorf(`line %d has a control character: write it as an escape sequence such as "\e"`, lineAt(text, i))
	}
	root, err := parseDocument(text)
	if err != nil {
		return nil, nil, err
	}
	entries, err := entriesOf(root)
	if err != nil {
		return nil, nil, err
	}
	return resolveAll(ctx, entries, keepSecured) // commands run only if all of the file is right
}

// notInYAML reports whether a file can't have a character except as an escape sequence.
func notInYAML(r rune) bool {
	return unicode.IsControl(r) && !strings.ContainsRune("\t\n\r\u0085", r) || r == '\ufffe' || r == '\uffff'
}

// parseDocument parses a text with one document. It returns an empty node if there is nothing.
func parseDocument(text string) (*yaml.Node, error) {
	first, second, err := decode(text)
	switch {
	case err != nil:
		return nil, syntaxError(text, err)
	case second.Kind != 0:
		return nil, fmt.Errorf("line %d: there is more than one document: everything has to be in one", second.Line)
	case first.Kind == 0:
		return first, nil
	}
	return first.Content[0], nil
}

// decode decodes up to two documents. The nodes of those that aren't there are empty.
func decode(text string) (first, second *yaml.Node, err error) {
	first, second = &yaml.Node{}, &yaml.Node{}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for _, document := range []*yaml.Node{first, second} {
		if err := decoder.Decode(document); err != nil && !errors.Is(err, io.EOF) {
			return nil, nil, err
		}
	}
	return first, second, nil
}

var placeOfError = regexp.MustCompile(`^yaml: (line \d+: )?`)

// syntaxError says what is wrong with the syntax, and in which line. The library often names the line in which the mapping around it begins, or
// none. But the first lines of the text lead to the same error as soon as they have the mistake. The error may contain a name from the text.
func syntaxError(text string, err error) error {
	lines := strings.SplitAfter(text, "\n")
	line := 1 + sort.Search(len(lines)-1, func(i int) bool {
		_, _, sooner := decode(strings.Join(lines[:i+1], ""))
		return sooner != nil && sooner.Error() == err.Error()
	})
	problem := placeOfError.ReplaceAllString(err.Error(), "")
	if strings.HasPrefix(problem, "unknown anchor") {
		return fmt.Errorf("line %d: no anchor has the name after *: write a value that begins with * in quotes", line)
	}
	return fmt.Errorf("not valid YAML: line %d: %s", line, problem)
}

// member is a key of a mapping with its value.
type member struct {
	key   string
	line  int // of the key
	value *yaml.Node
}

// members returns the members of a mapping, which may have only the known keys, if any are given. Errors have where after the line.
func members(mapping *yaml.Node, where string, known ...string) ([]member, error) {
	var all []member
	lines := map[string]int{}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value, line := target(mapping.Content[i]), target(mapping.Content[i+1]), mapping.Content[i].Line
		problem := problemOf(mapping, key, value)
		switch name := key.Value; {
		case problem != "":
		case len(known) > 0 && !slices.Contains(known, name):
			problem = fmt.Sprintf("%q is not known here: only %s", name, strings.Join(known, ", "))
		case lines[name] > 0:
			problem = fmt.Sprintf("%q is there already, in line %d", name, lines[name])
		}
		if problem != "" {
			return nil, fmt.Errorf("line %d: %s%s", line, where, problem)
		}
		lines[key.Value] = line
		all = append(all, member{key.Value, line, value})
	}
	return all, nil
}

// problemOf says what can't be a member of any mapping here.
func problemOf(mapping, key, value *yaml.Node) string {
	switch {
	case mapping.Style&yaml.FlowStyle != 0 && value.Tag == "!!null" && value.Value == "": // the key may be a part of a secret, as in {KEY: a,b}
		return `a key has no value: write "" for an empty one, and a value that has a comma or begins with { in quotes`
	case key.Kind != yaml.ScalarNode || key.Value == "" || key.Tag == "!!null":
		return "a key is missing or is no text"
	case key.Tag == "!!merge":
		return "merge keys (<<) are not known here: write the members themselves"
	case isTagged(key) || isTagged(value):
		return errTagged.Error()
	}
	return ""
}

// target returns the node for which an alias stands.
func target(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

var errTagged = errors.New("tags (!) are not known here: write a value that begins with ! in quotes")

func isTagged(node *yaml.Node) bool { return node.Style&yaml.TaggedStyle != 0 && node.Tag != "!!str" }

// entriesOf returns what the file says of each variable.
func entriesOf(root *yaml.Node) ([]entry, error) {
	top, err := members(root, "", "variables")
	switch {
	case root.Kind == yaml.MappingNode && err != nil:
		return nil, err
	case root.Kind != yaml.MappingNode || len(top) == 0:
		return nil, errors.New(`there is no "variables:" with keys and values below it`)
	case top[0].value.Kind != yaml.MappingNode:
		return nil, fmt.Errorf(`line %d: "variables:" has no keys and values below it`, top[0].line)
	}
	variables, err := members(top[0].value, "")
	if err != nil {
		return nil, err
	}
	var all []entry
	for _, m := range variables {
		e, err := newEntry(m)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}
