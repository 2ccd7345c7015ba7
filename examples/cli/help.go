package cli

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Help is what -h prints. All programs have the same form. Text is wrapped, except lines that begin with a space.
type Help struct {
	Intro       string // what the program does
	Usage       []Item // command lines, and what they do
	Groups      []Group
	Notes       string // what has no room beside a flag
	Credentials string // what happens without them: DemoRuns, Refused or a sentence of the program; NotNeeded if they are of no use
	Scopes      string // of the credentials
	Statuses    []Item // the exit statuses; TroubleStatus and InterruptedStatus are the usual ones
}

// Item is a line of a list: a name, and a text beside it.
type Item [2]string

// Group is the title of a group of flags, and their names. Names that the program doesn't have are left out; flags in no group come last.
type Group []string

// What happens without credentials.
const (
	DemoRuns = "Without them a demo runs, on a fake service within the program; flags that name something on the real " +
		"service are refused then. With --demo they name what the fake one has, in the workspace acme."
	Refused   = "Without them it refuses to run."
	NotNeeded = "It needs no credentials."
)

// The exit statuses of most programs.
var (
	TroubleStatus     = Item{"2", "wrong usage, or an error on the way"}
	InterruptedStatus = Item{"130", "interrupted"}
)

const (
	helpColumns = 100 // on a terminal that has so many
	mostBeside  = 32  // columns of a name that has its text beside it
)

// Set makes the flags print the help.
func (h Help) Set(flags *flag.FlagSet) { flags.Usage = func() { h.print(flags.Output(), flags) } }

func (h Help) print(w io.Writer, flags *flag.FlagSet) {
	columns := helpColumns
	if n := columnsOf(w); n > 0 {
		columns = min(columns, n)
	}
	fmt.Fprint(w, paragraphs(h.Intro, columns), "\nUsage:\n", list(h.Usage, columns))
	for _, group := range h.complete(flags) {
		var items []Item
		for _, name := range group[1:] {
			if f := flags.Lookup(name); f != nil {
				items = append(items, flagItem(f))
			}
		}
		if len(items) > 0 {
			fmt.Fprintf(w, "\n%s:\n%s", group[0], list(items, columns))
		}
	}
	for _, text := range []string{h.Notes, h.credentials(), h.Scopes} {
		if strings.TrimSpace(text) != "" {
			fmt.Fprint(w, "\n", paragraphs(text, columns))
		}
	}
	fmt.Fprint(w, "\nExit status (\"go run\" turns all but 0 into 1):\n", list(h.Statuses, columns))
}

// complete returns the groups, and one of the flags that are in none.
func (h Help) complete(flags *flag.FlagSet) []Group {
	rest := Group{"Other flags"}
	if len(h.Groups) == 0 {
		rest = Group{"Flags"}
	}
	flags.VisitAll(func(f *flag.Flag) {
		if !slices.ContainsFunc(h.Groups, func(g Group) bool { return slices.Contains(g[1:], f.Name) }) {
			rest = append(rest, f.Name)
		}
	})
	return append(slices.Clip(h.Groups), rest)
}

func (h Help) credentials() string {
	if h.Credentials == NotNeeded {
		return NotNeeded
	}
	return "Credentials come from the environment: BITBUCKET_TOKEN (an access token), or BITBUCKET_EMAIL and BITBUCKET_API_TOKEN, or " +
		"BITBUCKET_CLIENT_ID and BITBUCKET_CLIENT_SECRET (an OAuth consumer). " + h.Credentials
}

// flagItem describes a flag, with its default unless that is zero or the description has it.
func flagItem(f *flag.Flag) Item {
	value, text := flag.UnquoteUsage(f)
	name := "--" + f.Name
	if generic, ok := map[string]string{
		"value": "VALUE", "string": "TEXT", "int": "NUMBER", "uint": "NUMBER", "float": "NUMBER", "duration": "DURATION",
	}[value]; ok {
		value = generic
	}
	if value != "" {
		name += " " + value
	}
	if d := defaultOf(f); d != "" && !strings.Contains(text, "default") {
		text += " (default " + d + ")"
	}
	return Item{name, text}
}

func defaultOf(f *flag.Flag) string {
	d, err := time.ParseDuration(f.DefValue)
	switch {
	case f.DefValue == "false" || err == nil && d == 0:
		return ""
	case err == nil:
		return Short(d)
	}
	return f.DefValue
}

// list prints names and texts in two columns. A long name has its text below.
func list(items []Item, columns int) string {
	beside := 0
	for _, item := range items {
		if n := Columns(item[0]); n <= mostBeside {
			beside = max(beside, n)
		}
	}
	indent := strings.Repeat(" ", beside+4)
	var all strings.Builder
	for _, item := range items {
		lines := wrap(item[1], columns-len(indent))
		switch {
		case len(lines) == 0:
			all.WriteString("  " + item[0] + "\n")
			continue
		case Columns(item[0]) > beside:
			all.WriteString("  " + item[0] + "\n" + indent + lines[0] + "\n")
		default:
			all.WriteString("  " + Pad(item[0], beside+2) + lines[0] + "\n")
		}
		for _, line := range lines[1:] {
			all.WriteString(indent + line + "\n")
		}
	}
	return all.String()
}

// paragraphs wraps paragraphs, between which are empty lines, and keeps lines that begin with a space.
func paragraphs(text string, columns int) string {
	var all, paragraph []string
	end := func() {
		all = append(all, wrap(strings.Join(paragraph, " "), columns)...)
		paragraph = nil
	}
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		if line == "" || line[0] == ' ' {
			end()
			all = append(all, line)
			continue
		}
		paragraph = append(paragraph, line)
	}
	end()
	return strings.Join(all, "\n") + "\n"
}

// wrap breaks a text into lines at spaces only, as names of flags contain hyphens.
func wrap(text string, columns int) []string {
	var lines []string
	for _, word := range strings.Fields(text) {
		last := len(lines) - 1
		if last < 0 || Columns(lines[last])+1+Columns(word) > columns {
			lines = append(lines, word)
			continue
		}
		lines[last] += " " + word
	}
	return lines
}
