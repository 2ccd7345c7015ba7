package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// conceal is the parameter of an SGR sequence that hides the text after it.
const conceal = 8

// sgrParams are the parameters that an SGR sequence may have, as to their form: up to 16 numbers of up to three digits. Two colours
// by red, green and blue, and some more, are no longer. Terminals don't agree on what larger numbers mean.
var sgrParams = regexp.MustCompile(`^[0-9]{0,3}([;:][0-9]{0,3}){0,15}$`)

// visibleSGR takes what hides text out of the parameters of an SGR sequence. It returns false for those that make no sense, and
// where nothing is left, which as a sequence would be a reset.
func visibleSGR(params string) (string, bool) {
	if !sgrParams.MatchString(params) {
		return "", false
	}
	var kept []string
	for rest := strings.Split(params, ";"); len(rest) > 0; {
		n := attributeLength(rest)
		if n == 0 {
			return "", false
		}
		if !conceals(rest[0]) {
			kept = append(kept, rest[:n]...)
		}
		rest = rest[n:]
	}
	return strings.Join(kept, ";"), len(kept) > 0
}

// attributeLength is how many parameters the first one takes together with those that belong to it: 38;5;8 is a colour, and its 8
// hides nothing. It is 0 where some are missing: terminals don't agree on how to go on there.
func attributeLength(params []string) int {
	if !setsColour(params[0]) {
		return 1
	}
	n := 0
	if len(params) > 1 {
		n = map[string]int{"5": 3, "2": 5}[params[1]]
	}
	if n > len(params) || slices.ContainsFunc(params[:n], func(p string) bool { return strings.Contains(p, ":") }) {
		return 0
	}
	return n
}

// conceals looks at subparameters too, except those of colours: terminals that don't know them take each for a parameter.
func conceals(param string) bool {
	numbers := strings.Split(param, ":")
	if setsColour(numbers[0]) {
		return false
	}
	return slices.ContainsFunc(numbers, func(n string) bool { return number(n) == conceal })
}

// setsColour holds for the attributes that are followed by a colour: of the text, of what is behind it, of the line below it.
func setsColour(param string) bool {
	n := number(param)
	return n == 38 || n == 48 || n == 58
}

// number reads a parameter; an empty one is 0, and so is one that has subparameters.
func number(param string) int {
	n, _ := strconv.Atoi(param)
	return n
}
