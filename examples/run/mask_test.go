package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func secretsOf(values ...string) secrets {
	var list []pipelines.VariableRequest
	for _, value := range values {
		list = append(list, pipelines.VariableRequest{Value: value, Secured: new(true)})
	}
	return newSecrets(list)
}

func TestMask(t *testing.T) {
	const bold, end = "\x1b[1m", "\x1b[0m"
	for name, tt := range map[string]struct {
		secrets []string
		log     string
		want    string
	}{
		"none":                       {nil, "hunter2", "hunter2"},
		"empty":                      {[]string{"", " ", "\u200f"}, "a b", "a b"},
		"one in another":             {[]string{"abc", "abcdef", "bc"}, "x abcdef abc bc abcde plain", "x ****** ****** ****** ******de plain"},
		"overlapping":                {[]string{"abcd", "cdef"}, "xabcdefx", "x******x"},
		"overlapping itself":         {[]string{"aba"}, "xababax ab", "x******x ab"},
		"several lines":              {[]string{"-- begin --\r\n  MII  \n-- end --\n"}, "key MII -- end --", "key ****** ******"},
		"at the end, begun":          {[]string{"hunter2"}, "hunter2 hunter", "****** hunter"},
		"spaces":                     {[]string{"correct  horse"}, "correct  horse, correct horse", "******, ******"},
		"colour inside":              {[]string{"hunter2"}, "a hun" + bold + "ter2 b", "a ******" + bold + " b" + end},
		"colours around":             {[]string{"hunter2"}, bold + "hunter2\x1b[m b", bold + "******\x1b[m b"},
		"colours between characters": {[]string{"ab"}, "a\x1b[31m\x1b[m" + bold + "b", "******\x1b[31m\x1b[m" + bold + end},
		"cursor inside":              {[]string{"hunter2"}, "hun\x1b[2Jter2", "******"},
		"invisible in the secret":    {[]string{"mark\u200fed"}, "mark\u200fed marked", "****** ******"},
		"invisible in the log":       {[]string{"marked"}, "mark\u200fed", "******"},
		"colour in the secret":       {[]string{"mark" + bold + "ed"}, "mark" + bold + "ed", "******" + bold + end},
		"no UTF-8":                   {[]string{"a\xffb"}, "a\xffb", "******"},
		"in Latin-1":                 {[]string{"pässwörd"}, "p\xe4ssw\xf6rd", "******"},
		"other scripts":              {[]string{"日本", "é"}, "日日本本 né", "日******本 n******"},
		"after a carriage return":    {[]string{"hunter2"}, "hun\rhunter2", "******"},
		"begun at a carriage return": {[]string{"hunter2"}, "hunter2\r", "******"},
		"not over a carriage return": {[]string{"hunter2"}, "hun\rter2", "ter2"},
	} {
		t.Run(name, func(t *testing.T) {
			hidden := secretsOf(tt.secrets...)
			require.Equal(t, []string{tt.want}, masked(hidden, true, tt.log+"\n"))
			require.Equal(t, []string{tt.want}, masked(hidden, true, strings.Split(tt.log, "")...), "in single characters, without an end")
		})
	}
}

func TestMaskInText(t *testing.T) {
	hidden := secretsOf("correct  horse", "hunter2")
	require.Equal(t, "a ****** b ****** c ****** d", clean("a correct  horse\nb correct\n\thorse c hun\x1b[1mter2 d", hidden))
}

func TestMaskInLongLines(t *testing.T) {
	const secret = "hunter2"
	hidden := secretsOf(secret)
	for before := maxLine - len(secret) - 1; before <= maxLine+1; before++ {
		all := strings.Join(masked(hidden, false, strings.Repeat("x", before), secret+"y\n"), "")
		require.Len(t, strings.ReplaceAll(all, "*", ""), before+len("y"), "%d before", before)
		require.Equal(t, len(mask), strings.Count(all, "*"), "%d before", before)
	}
}

func TestMaskIsBounded(t *testing.T) {
	var lines int
	s := newSanitizer(true, secretsOf("hunter2", "aba"), func(line string) {
		lines++
		require.Less(t, len(line), 2*maxLine+2*maxStyle)
	})
	s.write([]byte("hun" + strings.Repeat("\x1b[31m", maxLine)))
	require.LessOrEqual(t, s.line.size, maxLine+maxStyle)
	s.write([]byte("ter2" + strings.Repeat("x", 2*maxLine) + strings.Repeat("ab", 2*maxLine)))
	require.LessOrEqual(t, cap(s.line.text), 4*maxLine)
	s.flush()
	require.Empty(t, s.line.text)
	require.Greater(t, lines, 2)
}

func TestASecretLargerThanALine(t *testing.T) {
	secret := strings.Repeat("0123456789abcdef-", 2*maxLine/17)
	hidden := secretsOf(secret)
	for _, log := range []string{secret, "x" + secret + "y", "\x1b[1m" + secret + "\x1b[m"} {
		all := strings.Join(masked(hidden, false, log+"\n"), "")
		require.Less(t, len(all), 20)
		require.Contains(t, all, mask)
	}
}
