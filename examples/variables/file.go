package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/joho/godotenv"
	"go.yaml.in/yaml/v3"

	"github.com/seed-85ed9bfd/pipelines"
)

// isDotenv checks the name of a file: ".env", "prod.env", ".env.local".
func isDotenv(file string) bool {
	name := filepath.Base(file)
	return strings.HasSuffix(name, ".env") || strings.HasPrefix(name, ".env.")
}

// entry is a variable in the file: a value, or its source.
type entry struct {
	Value   *string  `yaml:"value,omitempty"`
	Env     string   `yaml:"env,omitempty"`
	Command []string `yaml:"command,omitempty,flow"`
	Secured *bool    `yaml:"secured,omitempty"` // nil: unchanged
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (e *entry) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		e.Value = &node.Value // as written: yes is "yes", and 1.10 is "1.10"
		return nil
	}
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: neither a value nor where it comes from", node.Line)
	}
	for i := 0; i < len(node.Content); i += 2 {
		if name := node.Content[i].Value; !slices.Contains([]string{"value", "env", "command", "secured"}, name) {
			return fmt.Errorf("line %d: %q is none of value, env, command and secured", node.Content[i].Line, name)
		}
	}
	type plain entry
	return node.Decode((*plain)(e))
}

// parseYAML parses the variables in the order of the file.
func parseYAML(ctx context.Context, text []byte) ([]pipelines.VariableRequest, error) {
	var file struct {
		Variables yaml.Node `yaml:"variables"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("the file: %w", err)
	}
	if file.Variables.Kind != yaml.MappingNode {
		return nil, errors.New(`the file has no list "variables:" of keys and values`)
	}
	var all []pipelines.VariableRequest
	for i := 0; i < len(file.Variables.Content); i += 2 {
		key := file.Variables.Content[i].Value
		var e entry
		if err := file.Variables.Content[i+1].Decode(&e); err != nil {
			return nil, fmt.Errorf("the file: %s: %w", key, err)
		}
		value, err := e.resolve(ctx)
		if err != nil {
			return nil, fmt.Errorf("the file: %s: %w", key, err)
		}
		all = append(all, pipelines.VariableRequest{Key: key, Value: value, Secured: e.Secured})
	}
	return all, nil
}

// resolve reads the value from its source.
func (e entry) resolve(ctx context.Context) (string, error) {
	sources := 0
	for _, there := range []bool{e.Value != nil, e.Env != "", len(e.Command) > 0} {
		if there {
			sources++
		}
	}
	switch {
	case sources != 1:
		return "", errors.New("one of value, env and command is needed")
	case e.Value != nil:
		return *e.Value, nil
	case e.Env != "":
		value, set := os.LookupEnv(e.Env)
		if !set {
			return "", fmt.Errorf("the environment has no %s", e.Env)
		}
		return value, nil
	}
	command := exec.CommandContext(ctx, e.Command[0], e.Command[1:]...) //nolint:gosec // the file's author chooses the command
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("command %s: %w", e.Command[0], err)
	}
	return strings.TrimRight(string(out), "\r\n"), nil
}

// parseDotenv parses the variables, ordered by key. A .env file can't mark variables as secured: each keeps its protection.
func parseDotenv(text []byte) ([]pipelines.VariableRequest, error) {
	values, err := godotenv.UnmarshalBytes(text)
	if _, nameless := values[""]; err != nil || nameless {
		return nil, errors.New("the file is not of the form KEY=value") // the library's error contains the text
	}
	var all []pipelines.VariableRequest
	for key, value := range values {
		all = append(all, pipelines.VariableRequest{Key: key, Value: value})
	}
	slices.SortFunc(all, func(a, b pipelines.VariableRequest) int { return strings.Compare(a.Key, b.Key) })
	return all, nil
}

// render formats variables as a file. Secured values can't be read, so the file takes them from the environment.
func render(there []*pipelines.Variable, dotenv bool) ([]byte, error) {
	there = slices.SortedFunc(slices.Values(there), func(a, b *pipelines.Variable) int { return strings.Compare(a.Key, b.Key) })
	if dotenv {
		return renderDotenv(there)
	}
	variables := yaml.Node{Kind: yaml.MappingNode}
	for _, v := range there {
		var key, value yaml.Node
		key.SetString(v.Key)
		value.SetString(v.Value)
		if v.Secured {
			if err := value.Encode(entry{Env: v.Key, Secured: new(true)}); err != nil {
				return nil, err
			}
			value.Style = yaml.FlowStyle
		}
		variables.Content = append(variables.Content, &key, &value)
	}
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	err := encoder.Encode(map[string]*yaml.Node{"variables": &variables})
	return b.Bytes(), err
}

func renderDotenv(there []*pipelines.Variable) ([]byte, error) {
	var b bytes.Buffer
	for _, v := range there {
		if v.Secured {
			fmt.Fprintf(&b, "# %s is secured, and its value can't be read\n", v.Key)
			continue
		}
		line, err := godotenv.Marshal(map[string]string{v.Key: v.Value})
		if err != nil {
			return nil, err
		}
		b.WriteString(line + "\n")
	}
	return b.Bytes(), nil
}
