package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// conceal is the SGR parameter that hides the following text.
const conceal = 8

// sgrParams matches the parameters of an SGR sequence: up to 16 numbers of up to three digits. Two RGB colours and some more fit. Terminals
// disagree on larger numbers.
var sgrParams = regexp.MustCompile(`^[0-9]{0,3}([;:][0-9]{0,3}){0,15}$`)

// visibleSGR removes what hides text from the parameters of an SGR sequence. It returns false for invalid parameters, and if none is left,
// because an empty sequence is a reset.
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
		if !hidesText(rest[0]) {
			kept = append(kept, rest[:n]...)
		}
		rest = rest[n:]
	}
	return strings.Join(kept, ";"), len(kept) > 0
}

// attributeLength is the number of parameters of the first attribute: 38;5;8 is a colour, and its 8 hides nothing. It is 0 if some are
// missing, because terminals disagree on how to continue.
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

// hidesText also checks subparameters, except those of colours, because some terminals take each for a parameter.
func hidesText(param string) bool {
	numbers := strings.Split(param, ":")
	if setsColour(numbers[0]) {
		return false
	}
	return slices.ContainsFunc(numbers, func(n string) bool { return number(n) == conceal })
}

// setsColour reports whether an attribute is followed by a colour: of the text, the background or the underline.
func setsColour(param string) bool {
	n := number(param)
	return n == 38 || n == 48 || n == 58
}

// number parses a parameter. An empty one, and one with subparameters, is 0.
func number(param string) int {
	n, _ := strconv.Atoi(param)
	return n
}
