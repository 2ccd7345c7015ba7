package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"github.com/compose-spec/compose-go/v2/dotenv"

	"github.com/seed-85ed9bfd/pipelines"
)

// isDotenv checks the name of a file: ".env", "prod.env", ".env.local", or in upper case.
func isDotenv(file string) bool {
	name := strings.ToLower(filepath.Base(file))
	return strings.HasSuffix(name, ".env") || strings.HasPrefix(name, ".env.")
}

var (
	// assignment has export if it is there, the name, the space after =, the value with its quotes, and what follows the value on its line.
	assignment = regexp.MustCompile(`(?s)^[ \t]*(export[ \t]+)?([^=\n]*?)[ \t]*=([ \t]*)("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^"'\n][^\n]*|)([^\n]*)\n?`)

	dotenvName   = regexp.MustCompile(`^[\pL\pN_.\[\]-]+$`)
	bareDollar   = regexp.MustCompile(`(?s)^(?:[^\\$]|\\.)*(?:\$|\\0044)`) // a $ without a backslash, or as a number
	escapedQuote = regexp.MustCompile(`(?s)^'(?:[^'\\]|\\[^'])*\\'`)       // for a shell, the value ends there
	loneReturn   = regexp.MustCompile(`\r[^\r\n]`)
	shellValue   = regexp.MustCompile(`^(?:[^\s\pZ"'\\$&;|<>(){}~*#\x60]*|'[^']*'|"(?:[^"\\\x60]|\\["\\$])*")(?:\s+(?:#.*)?)?$`) // for a shell it is the same
	validEscapes = regexp.MustCompile(`(?s)^(?:[^\\]|\\[^0]|\\0[0-3][0-7]{2})*$`)
)

// parseDotenv parses the variables of a .env file. The library reads one assignment at a time, since in a whole file it overlooks
// duplicates and takes names without a value from the environment. No error contains a value, or a line that may be a part of one.
func parseDotenv(text string) ([]pipelines.VariableRequest, error) {
	if at := loneReturn.FindStringIndex(text); at != nil {
		return nil, fmt.Errorf(`line %d has a carriage return that ends no line: write it as \r in double quotes`, lineAt(text, at[0]))
	}
	var all []pipelines.VariableRequest
	lines := map[string]int{}
	for line := 1; text != ""; {
		length := lengthOfBlank(text)
		if length == 0 {
			match := assignment.FindStringSubmatch(text)
			if match == nil {
				return nil, fmt.Errorf("line %d has no =: a variable is written as NAME=value, an empty one as NAME=", line)
			}
			one, err := readAssignment(match)
			if err == nil && lines[one.Key] > 0 {
				err = fmt.Errorf("%s is there already, in line %d", one.Key, lines[one.Key])
			}
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", line, err)
			}
			lines[one.Key] = line
			all = append(all, one)
			length = len(match[0])
		}
		line += strings.Count(text[:length], "\n")
		text = text[length:]
	}
	return all, nil
}

// lengthOfBlank returns the length of the first line if it is empty or a comment, and otherwise 0.
func lengthOfBlank(text string) int {
	line, _, _ := strings.Cut(text, "\n")
	if content := strings.TrimSpace(line); content != "" && content[0] != '#' {
		return 0
	}
	return min(len(line)+1, len(text))
}

// readAssignment reads what assignment has matched.
func readAssignment(match []string) (one pipelines.VariableRequest, err error) {
	export, name, value, rest := match[1], match[2], match[4], strings.TrimSpace(match[5])
	switch {
	case escapedQuote.MatchString(value) && dotenvName.MatchString(name):
		return one, fmt.Errorf(`%s: programs read \' in single quotes differently: write the value in double quotes`, name)
	case name == "":
		return one, errors.New("there is no name before =")
	case !dotenvName.MatchString(name):
		return one, errors.New("the name before = has a character that a name in a .env file can't have")
	case rest != "" && value == "":
		return one, fmt.Errorf("%s: the quote at the beginning of the value isn't closed", name)
	case rest != "" && rest[0] != '#':
		return one, fmt.Errorf("%s: only a comment may follow a value in quotes", name)
	}
	if err := checkReading(export, value, match[3]+value+match[5]); err != nil {
		return one, fmt.Errorf("%s: %w", name, err)
	}
	values, err := dotenv.UnmarshalWithLookup(match[0], nil)
	if parsed, there := values[name]; err == nil && there && len(values) == 1 {
		return pipelines.VariableRequest{Key: name, Value: parsed}, nil
	}
	return one, fmt.Errorf("%s: the value can't be read: write it in quotes", name) // the library's error has the value
}

// errShell refuses a line that begins with export, as in a file for shells, if a shell would read another value.
var errShell = errors.New("with export it is a line for a shell, which reads the value differently: write it in single quotes, or leave export out")

// checkReading refuses what programs read differently: a value, after export or not, and all that follows = on its line.
func checkReading(export, value, all string) error {
	if err := checkValue(value); err != nil {
		return err
	}
	if export != "" && !shellValue.MatchString(all) {
		return errShell
	}
	return nil
}

func checkValue(value string) error {
	switch {
	case strings.Contains(value, "\r\n"):
		return errors.New("the value has line ends of Windows, which programs read differently: save the file with those of Unix")
	case strings.HasPrefix(value, "'"):
		return nil
	case strings.HasPrefix(value, `"`):
		return checkDoubleQuoted(value)
	}
	value, _, _ = strings.Cut(value, " #")
	switch {
	case strings.HasPrefix(value, "#"):
		return errors.New("the value begins with #: write it in quotes, or a comment on a line of its own")
	case strings.HasPrefix(value, "`"):
		return errors.New("the value begins with a `, which is a quote for some programs: write the value in single quotes")
	case strings.ContainsFunc(strings.TrimSpace(value), unicode.IsControl):
		return errors.New("the value has a control character: write it in quotes")
	case strings.Contains(value, "#"):
		return errors.New("the value has a #, with which a comment begins for some programs: write the value in quotes")
	case strings.Contains(value, "$"):
		return errDollar
	}
	return nil
}

// errDollar refuses a $, for which shells and some programs put in variables and others don't: either would be wrong for somebody.
var errDollar = errors.New(`the value has a $, for which no variable is put in here: write the value in single quotes, or \$ in double quotes`)

func checkDoubleQuoted(value string) error {
	switch {
	case bareDollar.MatchString(value):
		return errDollar
	case !validEscapes.MatchString(value):
		return errors.New(`after \0 three octal digits are needed, such as \0033: write \\0 for a backslash and 0`)
	}
	return nil
}

// plainValue matches values that need no quotes for any program.
var plainValue = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=-]*$`)

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "\n", `\n`, "\r", `\r`, "\t", `\t`)

// quoteDotenv writes a value so that parseDotenv, and if possible a shell, reads the same. It has one line.
func quoteDotenv(value string) string {
	literal := func(r rune) bool { return unicode.IsPrint(r) && r != '\'' && r != '\\' }
	switch {
	case plainValue.MatchString(value):
		return value
	case !strings.ContainsFunc(value, func(r rune) bool { return !literal(r) }):
		return "'" + value + "'"
	}
	var b strings.Builder
	for _, r := range escapes.Replace(value) {
		if unicode.IsControl(r) {
			fmt.Fprintf(&b, `\0%03o`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return `"` + b.String() + `"`
}
