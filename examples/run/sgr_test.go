package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVisibleSGR(t *testing.T) {
	for _, same := range []string{
		"", "0", "1", "31", "01;34", "1;4;97;100", "38;5;8", "48;5;208", "38;2;8;8;8", "58;2;1;2;3", "1;38;2;1;2;3;48;2;255;255;255",
		"38:5:8", "38:2::8:8:8", "4:3", "28", ";1", "108",
	} {
		kept, ok := visibleSGR(same)
		require.True(t, ok, same)
		require.Equal(t, same, kept)
	}
	for params, want := range map[string]string{
		"1;8;31": "1;31", "0;8": "0", ";8": "", "38;5;8;8": "38;5;8", "8;38;2;8;8;8": "38;2;8;8;8", "008;1": "1", "8:1;1": "1", "4:8;1": "1",
	} {
		kept, ok := visibleSGR(params)
		require.True(t, ok, params)
		require.Equal(t, want, kept, params)
	}
	for _, refused := range []string{
		"8", "08", "8;8", "1000", "999999999999999999999999", "38:5:1000", strings.Repeat("1;", 16), "1?", "38", "38;8", "38;5", "38;2;1;1", "38;5;1:8", "38;5:1;8",
	} {
		_, ok := visibleSGR(refused)
		require.False(t, ok, refused)
	}
}
