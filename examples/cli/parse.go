package cli

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parse parses flags. Its errors are sentences that name the flag as --flag. They don't repeat the value, which may be a secret.
func parse(flags *flag.FlagSet, args []string) error {
	var refused error
	flags.VisitAll(func(f *flag.Flag) { f.Value = &watched{f.Value, f.Name, &refused} })
	err := flags.Parse(args)
	flags.VisitAll(func(f *flag.Flag) { f.Value = f.Value.(*watched).Value })
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	return cmp.Or(refused, plain(err))
}

// plain says an error of package flag in other words.
func plain(err error) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		return fmt.Errorf("there is no flag --%s", Fit(Clean(name), 40))
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return fmt.Errorf("--%s needs a value", name)
	}
	return errors.New("an argument begins with - but is no flag: flags are written as --flag or --flag=value")
}

// watched keeps the error of a flag's value, which package flag would mix with the value.
type watched struct {
	flag.Value

	name    string
	refused *error
}

// IsBoolFlag reports whether the flag needs no value.
func (w *watched) IsBoolFlag() bool {
	b, ok := w.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// Set implements [flag.Value].
func (w *watched) Set(text string) error {
	err := w.Value.Set(text)
	if err != nil {
		*w.refused = fmt.Errorf("--%s: %s", w.name, w.reason(err, text))
	}
	return err
}

// reason is what a value is not. An error of a library may repeat the value and speak to programmers.
func (w *watched) reason(err error, text string) string {
	var number *strconv.NumError
	_, foreign := w.Value.(flag.Getter) // package flag has the type and its errors
	switch reason := err.Error(); {
	case foreign && strings.Contains(reason, "out of range"), errors.Is(err, strconv.ErrRange):
		return "the number is too large or too small"
	case foreign, errors.As(err, &number):
		return w.expected()
	case strings.Contains(reason, strconv.Quote(text)):
		return "the value can't be used"
	default:
		return reason
	}
}

func (w *watched) expected() string {
	get, ok := w.Value.(flag.Getter)
	if !ok {
		return "not a number"
	}
	switch get.Get().(type) {
	case bool:
		return "takes no value, or one of =true and =false"
	case time.Duration:
		return `not a duration such as "90s" or "2h30m"`
	case float64:
		return "not a number"
	case int, int64:
		return "not a whole number"
	case uint, uint64:
		return "not a whole number, or negative"
	default:
		return "the value can't be used"
	}
}
