package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// entry is a variable in a YAML file: a value, or its source.
type entry struct {
	key     string
	line    int
	value   *string
	env     string
	command []string
	secured *bool // nil: unchanged
}

// newEntry reads what the file says of one variable.
func newEntry(m member) (entry, error) {
	e := entry{key: m.key, line: m.line}
	if m.value.Kind != yaml.MappingNode {
		value, err := textOf(m.value)
		if err != nil {
			return e, e.problem(m.line, err)
		}
		e.value = &value
		return e, nil
	}
	all, err := members(m.value, m.key+": ", "value", "env", "command", "secured")
	if err != nil {
		return e, err
	}
	for _, one := range all {
		if err := e.set(one.key, one.value); err != nil {
			return e, e.problem(one.line, err)
		}
	}
	if e.sources() != 1 {
		return e, e.problem(m.line, errors.New("exactly one of value, env and command is needed"))
	}
	return e, nil
}

func (e *entry) problem(line int, err error) error {
	return fmt.Errorf("line %d: %s: %w", line, e.key, err)
}

// sources counts what the value comes from.
func (e *entry) sources() int {
	n := 0
	for _, there := range []bool{e.value != nil, e.env != "", len(e.command) > 0} {
		if there {
			n++
		}
	}
	return n
}

// set sets one of the members.
func (e *entry) set(name string, node *yaml.Node) error {
	switch name {
	case "secured":
		if node.Tag == "!!null" || node.Decode(&e.secured) != nil {
			return errors.New("secured is true or false")
		}
		return nil
	case "command":
		for _, one := range node.Content {
			argument, err := textOf(target(one))
			if err != nil {
				return fmt.Errorf("command: %w", err)
			}
			e.command = append(e.command, argument)
		}
		if node.Kind != yaml.SequenceNode || len(e.command) == 0 || e.command[0] == "" {
			return errors.New("command is a list of a program and its arguments, such as [pass, show, key]")
		}
		return nil
	}
	text, err := textOf(node)
	switch {
	case err != nil:
		return err
	case name == "value":
		e.value = &text
	case text == "":
		return errors.New("env is empty: it is the name of an environment variable")
	default:
		e.env = text
	}
	return nil
}

// textOf returns a scalar as it is written: yes is "yes", and 1.10 is "1.10".
func textOf(node *yaml.Node) (string, error) {
	switch {
	case node.Kind != yaml.ScalarNode:
		return "", errors.New("a value is a text: write other values in quotes")
	case node.Tag == "!!null":
		return "", errors.New(`there is no value: write "" for an empty one, and null in quotes`)
	case isTagged(node):
		return "", errTagged
	}
	return node.Value, nil
}

// resolveAll reads the values from their sources. It also returns those that a plan has to mask: what isn't in the file is often a secret, also
// if the file doesn't say so. With keepSecured an environment variable may be missing, as a secured variable that exists keeps its value.
func resolveAll(ctx context.Context, entries []entry, keepSecured bool) (wanted []pipelines.VariableRequest, hidden map[string]string, err error) {
	hidden = map[string]string{}
	for _, e := range entries {
		value, err := e.resolve(ctx)
		if (errors.Is(err, errUnset) || errors.Is(err, errOwn)) && keepSecured && e.secured != nil && *e.secured {
			err = nil // Plan refuses an empty value for a new secured variable
		}
		if err != nil {
			return nil, nil, e.problem(e.line, err)
		}
		if e.value == nil && e.secured == nil && value != "" {
			hidden[e.key] = value
		}
		wanted = append(wanted, pipelines.VariableRequest{Key: e.key, Value: value, Secured: e.secured})
	}
	return wanted, hidden, nil
}

var (
	errUnset = errors.New("is not set")
	errOwn   = errors.New("has the credentials of this program, which must not become a variable: name another one")
)

func (e *entry) resolve(ctx context.Context) (string, error) {
	switch {
	case e.value != nil:
		return *e.value, nil
	case e.env != "":
		if slices.Contains(cli.SecretCredentials, e.env) {
			return "", fmt.Errorf("the environment variable %s %w", e.env, errOwn)
		}
		value, set := os.LookupEnv(e.env)
		if !set {
			return "", fmt.Errorf("the environment variable %s %w", e.env, errUnset)
		}
		return utf8Only(value, "environment variable "+e.env)
	}
	command := exec.CommandContext(ctx, e.command[0], e.command[1:]...) //nolint:gosec // the file's author chooses the command
	command.WaitDelay = 100 * time.Millisecond                          // for what it has started itself, after an interrupt
	out, err := command.Output()
	if err != nil {
		if cause := errors.Unwrap(err); cause != nil { // without the path again
			err = cause
		}
		return "", fmt.Errorf("the command %s failed: %w (its output isn't shown: it may have secrets)", e.command[0], err)
	}
	value, _ := strings.CutSuffix(string(out), "\n")
	if len(value) < len(out) {
		value = strings.TrimSuffix(value, "\r")
	}
	return utf8Only(value, "output of the command "+e.command[0])
}

func utf8Only(value, name string) (string, error) {
	if !utf8.ValidString(value) {
		return "", fmt.Errorf("the %s is not UTF-8", name)
	}
	return value, nil
}
