package pipelines

import (
	"fmt"
	"net/http"

	"github.com/seed-85ed9bfd/pipelines/internal/origin"
)

const maxRedirects = 5

// own reports whether a request stays at the API: its origin is the base URL's, and so was that of every redirect before it.
// What a foreign host redirects to is that host's request, not ours.
func (t *transport) own(req *http.Request) bool {
	for origin.Same(req.URL, t.base) {
		if req.Response == nil {
			return true
		}
		req = req.Response.Request
	}
	return false
}

// redirectError is a redirect that is not followed.
type redirectError struct{ reason string }

func (e *redirectError) Error() string { return "redirect refused: " + e.reason }

// checkRedirect follows at most five redirects, of reading requests only and never from https to http.
func checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case via[0].Method != http.MethodGet && via[0].Method != http.MethodHead:
		return http.ErrUseLastResponse
	case len(via) > maxRedirects:
		return &redirectError{fmt.Sprintf("more than %d in a row", maxRedirects)}
	case req.URL.Scheme != "https" && req.URL.Scheme != "http":
		return &redirectError{"neither to http nor to https"}
	case via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https":
		return &redirectError{"from https to http"}
	}
	return nil
}

// checkLocation finds a redirect that can't be followed before net/http does, whose error would show the link.
func checkLocation(resp *http.Response, err error) (*http.Response, error) {
	if err != nil || resp.StatusCode < 300 || resp.StatusCode > 399 || resp.Header.Get("Location") == "" {
		return resp, err
	}
	if _, err := resp.Request.URL.Parse(resp.Header.Get("Location")); err != nil {
		resp.Body.Close()
		return nil, &redirectError{"its location is malformed"}
	}
	return resp, nil
}
