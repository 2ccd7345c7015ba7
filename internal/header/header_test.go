package header_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/header"
)

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"X-Request-Id": true, "GET": true, "": false, "a b": false, "a:b": false, "a\nb": false, "ä": false, "a/b": false,
	} {
		require.Equal(t, want, header.ValidName(name), "%q", name)
	}
}

func TestValidValue(t *testing.T) {
	for value, want := range map[string]bool{"": true, "a b\tc": true, "ä": true, "a\r\nb": false, "\x00": false, "\x7f": false} {
		require.Equal(t, want, header.ValidValue(value), "%q", value)
	}
}

func TestCheckSecretDoesNotShowTheSecret(t *testing.T) {
	require.NoError(t, header.CheckSecret("s3cret"))
	require.EqualError(t, header.CheckSecret(""), "is empty")
	for _, secret := range []string{"s3cret\n", " s3cret", "s3\x00cret"} {
		require.EqualError(t, header.CheckSecret(secret), "contains control characters or surrounding spaces", "%q", secret)
	}
}

func TestRetryAfter(t *testing.T) {
	date := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "soon": 0, "0": 0, "-1": 0, "NaN": 0, "30": 30 * time.Second, "29.997": 29997 * time.Millisecond,
		"1e999": 10 * 365 * 24 * time.Hour,
		date.Add(time.Minute).Format(http.TimeFormat):  time.Minute,
		date.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		h := http.Header{"Date": {date.Format(http.TimeFormat)}, "Retry-After": {value}}
		require.Equal(t, want, header.RetryAfter(h), "%q", value)
	}
}

func TestRetryAfterWithoutADateCountsFromNow(t *testing.T) {
	h := http.Header{"Retry-After": {time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}}
	require.InDelta(t, time.Hour, header.RetryAfter(h), float64(5*time.Second))
}
