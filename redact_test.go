package pipelines_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/internal/cputime"
)

// createError is the error of creating a secured variable, which the service refuses so.
func createError(t *testing.T, value, contentType, body string, opts ...pipelines.Option) *pipelines.APIError {
	t.Helper()
	srv := record(t, serve(400, contentType, body))
	_, err := newClient(t, srv.base(), opts...).Variables.InRepository(repo).Create(t.Context(), pipelines.VariableRequest{Key: "K", Value: value, Secured: new(true)})
	var e *pipelines.APIError
	require.ErrorAs(t, err, &e)
	return e
}

func TestASecretOfLessThanFourBytesLeavesErrorsAsTheyAre(t *testing.T) {
	const body = `{"error":{"message":"Not found: no such o","detail":"on or off","fields":{"on":["no"]},"data":{"key":"result-service.pipeline-id.not-found","arguments":{"not":"on"}},"id":"no1"}}`
	want := createError(t, "a plain secret", "application/json", body)
	for _, secret := range []string{"o", "n", ".", "no", "on", "ot-", "not", "ö", "€", " o ", "o\n"} {
		got := createError(t, secret, "application/json", body)
		assert.Equal(t, want, got, "%q", secret)
		assert.Equal(t, body, string(got.Body), "%q", secret)
		assert.Equal(t, "Not found", createError(t, secret, "text/plain", "Not found").Message, "%q", secret)
	}
	e := apiError(t, 404, asJSON, body, pipelines.WithBasicAuth("me", "not"))
	require.Equal(t, "result-service.pipeline-id.not-found", e.Key)
	require.Equal(t, "Not found: no such o", e.Message)
}

func TestNamesOfAnErrorThatContainALongerSecretAreMasked(t *testing.T) {
	const body = `{"error":{"message":"m","fields":{"a hunter2":["x"]},"data":{"key":"hunter2.not-found","more":{"hunter2":1}},"id":"r-hunter2"}}`
	e := createError(t, "hunter2", "application/json", body)
	require.Equal(t, "******.not-found", e.Key)
	require.Equal(t, "r-******", e.RequestID)
	require.Equal(t, map[string][]string{"a ******": {"x"}}, e.Fields)
	require.Equal(t, map[string]any{"key": "******.not-found", "more": map[string]any{"******": 1.0}}, e.Data)
}

func unquote(quoted string) string { return quoted[1 : len(quoted)-1] }

func quoteJSON(s string) string {
	quoted, _ := json.Marshal(s)
	return unquote(string(quoted))
}

func TestErrorsNeverRepeatASecretInWhateverSpelling(t *testing.T) {
	const secret = "pä/ss \"wörd\"<&'>🔑+100%=x"
	lower := func(s string) string {
		for i := 0; i+2 < len(s); i++ {
			if s[i] == '%' {
				s = s[:i] + strings.ToLower(s[i:i+3]) + s[i+3:]
			}
		}
		return s
	}
	spelled := map[string]string{
		"as it is":            secret,
		"JSON":                quoteJSON(secret),
		"JSON in ASCII":       strings.ReplaceAll(unquote(strconv.QuoteToASCII(secret)), `\U0001f511`, `\ud83d\udd11`),
		"JSON in capitals":    strings.NewReplacer("ä", `\u00E4`, "ö", `\u00F6`, `"`, `\"`, "🔑", `\uD83D\uDD11`, "/", `\/`).Replace(secret),
		"%q":                  fmt.Sprintf("%q", secret),
		"%+q":                 fmt.Sprintf("%+q", secret),
		"a query":             url.QueryEscape(secret),
		"a query, lower case": lower(url.QueryEscape(secret)),
		"a path":              url.PathEscape(secret),
		"a path, lower case":  lower(url.PathEscape(secret)),
		"HTML":                html.EscapeString(secret),
		"HTML, by numbers":    strings.NewReplacer("&", "&#38;", "<", "&#x3C;", ">", "&#x3e;", `"`, "&quot;", "'", "&#x27;", "ä", "&auml;", "ö", "&#246;").Replace(secret),
		"a query in JSON":     quoteJSON("https://x/?q=" + url.QueryEscape(secret)),
		"JSON in JSON":        quoteJSON(quoteJSON(secret)),
		"HTML in JSON":        quoteJSON(html.EscapeString(secret)),
		"%+q in JSON in HTML": html.EscapeString(quoteJSON(fmt.Sprintf("%+q", secret))),
		"mixed":               strings.NewReplacer("ä", `\u00e4`, "ö", "%c3%B6", "<", "&lt;").Replace(secret),
	}
	for name, spelling := range spelled {
		quoted := strconv.Quote(spelling)
		for place, tc := range map[string]struct{ contentType, body string }{
			"text":            {"text/plain", "you sent " + spelling + " to us"},
			"the message":     {"application/json", `{"error":{"message":` + quoted + `,"detail":` + quoted + `}}`},
			"the fields":      {"application/json", `{"error":{"message":"m","fields":{` + quoted + `:[` + quoted + `]}}}`},
			"the arguments":   {"application/json", `{"error":{"message":"m","data":{"arguments":{` + quoted + `:{"x":[` + quoted + `]}}}}}`},
			"an unknown form": {"application/json", `[{"x":[` + quoted + `]}]`},
			"a page":          {"text/html", "<p>you sent " + spelling + "</p>"},
		} {
			e := createError(t, secret, tc.contentType, tc.body)
			shown := fmt.Sprint(e.Error(), string(e.Body), e.Message, e.Detail, e.Key, e.Fields, e.Data)
			for _, part := range []string{"/ss", "ss ", "ss+", "ss%", `ss\`, "rd", "100", "u00e4", "u00E4", "auml"} {
				assert.NotContains(t, shown, part, "%s in %s", name, place)
			}
			assert.Contains(t, shown, "******", "%s in %s", name, place)
		}
	}
}

func TestErrorsNeverRepeatABasicPasswordInBase64(t *testing.T) {
	e := apiError(t, 401, nil, "Basic bWVAZXhhbXBsZS5jb206czNjcmV0UGFzcw== and b3RoZXI6czNjcmV0UGFzcw==", pipelines.WithBasicAuth("me@example.com", "s3cretPass"))
	for _, part := range []string{"czNjcmV0", "MzY3JldF", "bWVAZXhh", "zNjcmV0UGFzcw"} {
		require.NotContains(t, e.Error()+string(e.Body), part)
	}
}

// The body is read up to 64 KiB and kept up to 4 KiB of what is left when its secrets are masked.
func TestASecretThatTheBoundOfABodyCutsIsNotShown(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat("0123456789äbcdef", 60)
	for _, spelling := range []string{secret, quoteJSON(secret), url.QueryEscape(secret), unquote(strconv.QuoteToASCII(secret))} {
		for shift := range 40 {
			body := strings.Repeat("x", shift) + strings.Repeat(spelling+"\n", 64<<10/len(spelling)+1)
			e := createError(t, secret, "text/plain", body)
			shown := e.Error() + string(e.Body)
			require.NotContains(t, shown, "0123", "shifted by %d", shift)
			require.NotContains(t, shown, "cdef", "shifted by %d", shift)
			require.Less(t, len(e.Body), 4<<10, "or else the end isn't seen")
		}
	}
}

func TestASecretThatALostConnectionCutsIsNotShown(t *testing.T) {
	const secret, start = "pässwörd/1234567", "The request was refused: "
	for _, spelling := range []string{secret, unquote(strconv.QuoteToASCII(secret)), url.QueryEscape(secret), html.EscapeString(secret)} {
		for end := range len(spelling) {
			c := inProcess(t, 1, func(req *http.Request) *http.Response {
				resp := respond(req, 400, "")
				resp.Header.Set("Content-Type", "text/plain")
				resp.Body = lostBody{io.MultiReader(strings.NewReader(start+spelling[:end]), failingReader{})}
				return resp
			})
			_, err := c.Variables.InRepository(repo).Create(t.Context(), pipelines.VariableRequest{Key: "K", Value: secret, Secured: new(true)})
			var e *pipelines.APIError
			require.ErrorAs(t, err, &e)
			require.Equal(t, start, string(e.Body), "after %q", spelling[:end])
			require.Equal(t, strings.TrimSpace(start), e.Message)
		}
	}
}

func TestAHugeSecretAndAHostileBodyTakeLittleTime(t *testing.T) {
	key := "-----BEGIN RSA PRIVATE KEY-----\n" + strings.Repeat("MIIEowIBAAKCAQEA1234567890abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL\n", 500)
	for name, body := range map[string]string{
		"the key again and again begun": strings.Repeat(key[:600], 110),
		"escapes within escapes":        strings.Repeat(`\\u0025%2525&amp;amp;`, 3<<10),
		"many names":                    `{"error":{"message":"m","fields":{` + strings.Repeat(`"a%41":["\\u0041"],`, 3<<10) + `"b":"c"}}}`,
	} {
		before := cputime.Used()
		createError(t, key, "application/json", body)
		require.Less(t, cputime.Used()-before, 20*time.Second, name) // it takes less than one
	}
}

// coyError says nothing of what is in it.
type coyError struct{ inner error }

func (*coyError) Error() string { return "boom" }

func (e *coyError) Unwrap() error { return e.inner }

// assertHides asserts that neither an error nor any that errors.Unwrap finds in it shows a secret.
func assertHides(t *testing.T, err error, secret string) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		require.NotContains(t, fmt.Sprintf("%v %+v %#v %q", e, e, e, e), secret)
	}
}

func TestNoErrorWithinAnErrorShowsASecret(t *testing.T) {
	const secret = "hunter2hunter2"
	variable := pipelines.VariableRequest{Key: "K", Value: secret, Secured: new(true)}
	errDown := errors.New("down")
	for name, cause := range map[string]error{
		"quoting":          fmt.Errorf("%w: %w", errDown, &quotingError{secret}),
		"under a coy one":  &coyError{fmt.Errorf("%w: %w", errDown, &quotingError{secret})},
		"beside a coy one": errors.Join(&coyError{errDown}, &coyError{&quotingError{url.QueryEscape(secret)}}),
		"of net/http":      &url.Error{Op: "Post", URL: "https://x/?" + secret, Err: fmt.Errorf("%w: %w", errDown, textproto.ProtocolError("malformed "+secret))},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			hc := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, cause })}
			c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc), pipelines.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
			_, err := c.Variables.InRepository(repo).Create(t.Context(), variable)
			require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
			require.ErrorIs(t, err, errDown)

			var quoting *quotingError
			require.NotErrorAs(t, err, &quoting)
			require.Nil(t, quoting)
			var protocol textproto.ProtocolError
			require.NotErrorAs(t, err, &protocol)
			require.Empty(t, protocol)
			assertHides(t, err, secret)
			require.NotContains(t, log.String(), secret)
		})
	}
}

func TestAnErrorWithoutASecretWithinIsFound(t *testing.T) {
	cause := &coyError{fmt.Errorf("one: %w", &quotingError{"nothing"})}
	hc := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.Join(&quotingError{"t0ken"}, cause) })}
	_, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Pipelines.Get(t.Context(), repo, "1")
	require.NotContains(t, err.Error(), "t0ken")
	var coy *coyError
	require.ErrorAs(t, err, &coy)
	require.Same(t, cause, coy)
	var quoting *quotingError
	require.ErrorAs(t, err, &quoting)
	require.Equal(t, "nothing", quoting.said, "the other one has the secret")
}

func TestAnErrorAtTheEndOfALogShowsNoSecret(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5\r\nhello\r\n0\r\nno colon "+req.Header.Get("Authorization")+"\r\n\r\n")
	})
	log, err := newClient(t, srv.base()).Steps.GetLog(t.Context(), repo, "1", "{s}", nil)
	require.NoError(t, err)
	defer log.Close()
	_, err = io.ReadAll(log)
	require.ErrorContains(t, err, "no colon")
	assertHides(t, err, "t0ken")
}

func TestErrorsNeverRepeatCredentials(t *testing.T) {
	for name, tc := range map[string]struct {
		option pipelines.Option
		echo   string
		secret string
	}{
		"a token":                      {pipelines.WithToken("s3cret"), "you sent Authorization: Bearer s3cret", "s3cret"},
		"a password":                   {pipelines.WithBasicAuth("a@b.c", "s3cret"), "you sent a@b.c:s3cret", "s3cret"},
		"a password in its coded form": {pipelines.WithBasicAuth("a", "s3cret"), "Basic YTpzM2NyZXQ=", "YTpzM2NyZXQ="},
	} {
		t.Run(name, func(t *testing.T) {
			e := apiError(t, 400, http.Header{"Content-Type": {"text/plain"}}, tc.echo, tc.option)
			require.NotContains(t, e.Error(), tc.secret)
			require.NotContains(t, string(e.Body), tc.secret)
		})
	}
}

func TestErrorsNeverRepeatWhatTheRequestKeptSecret(t *testing.T) {
	const secret = "hunter2=\n<second line of it>"
	variable := pipelines.VariableRequest{Key: "K", Value: secret, Secured: new(true)}
	run := pipelines.RunRequest{Target: pipelines.BranchTarget("main"), Variables: []pipelines.VariableRequest{variable}}
	calls := map[string]func(*pipelines.Client) error{
		"Run": func(c *pipelines.Client) error { _, err := c.Pipelines.Run(t.Context(), repo, run); return err },
		"RunOnDemand": func(c *pipelines.Client) error {
			_, err := c.Pipelines.RunOnDemand(t.Context(), repo, pipelines.OnDemandRequest{RunRequest: run, YAML: []byte("x")})
			return err
		},
		"Create": func(c *pipelines.Client) error {
			_, err := c.Variables.InRepository(repo).Create(t.Context(), variable)
			return err
		},
		"Update": func(c *pipelines.Client) error {
			_, err := c.Variables.InRepository(repo).Update(t.Context(), "{v}", pipelines.VariableUpdate{Value: new(secret)})
			return err
		},
		"SetKeyPair": func(c *pipelines.Client) error {
			_, err := c.SSH.SetKeyPair(t.Context(), repo, pipelines.KeyPair{PrivateKey: secret, PublicKey: "p"})
			return err
		},
	}
	quoted := `hunter2\u003d\n\u003csecond line of it\u003e`
	for echo, body := range map[string]string{
		"in the message":      `{"error":{"message":"bad hunter2=\n<second line of it>!"}}`,
		"in the detail":       `{"error":{"message":"bad","detail":"` + quoted + `"}}`,
		"in the fields":       `{"error":{"message":"bad","fields":{"value":["` + quoted + `"]}}}`,
		"in the data":         `{"error":{"message":"bad","data":{"key":"a.b","arguments":{"value":["` + quoted + `"]}}}}`,
		"as text":             "you sent " + secret,
		"as text, in the URL": "you sent " + url.QueryEscape(secret),
		"a line of it":        "you sent <second line of it>",
	} {
		for name, call := range calls {
			t.Run(name+" "+echo, func(t *testing.T) {
				srv := record(t, serve(400, "application/json", body))
				err := call(newClient(t, srv.base()))
				var e *pipelines.APIError
				require.ErrorAs(t, err, &e)
				shown := err.Error() + string(e.Body) + fmt.Sprint(e.Message, e.Detail, e.Fields, e.Data)
				for _, part := range []string{"hunter2", "second line"} {
					assert.NotContains(t, shown, part, "%s %s", name, echo)
				}
			})
		}
	}
}

func TestCredentialsAreMaskedInEverySpelling(t *testing.T) {
	e := apiError(t, 401, http.Header{"Content-Type": {"application/json"}}, `{"error":{"message":"Unknown token ATATT3x\u003d1234"}}`,
		pipelines.WithBasicAuth("a@b.c", "ATATT3x=1234"))
	require.NotContains(t, e.Error()+string(e.Body), "1234")
}

func TestASecretThatBeginsLikeAnotherIsMaskedWhole(t *testing.T) {
	srv := record(t, serve(400, "application/json", `{"error":{"message":"bad hunter2-and-more"}}`))
	_, err := newClient(t, srv.base()).Pipelines.Run(t.Context(), repo, pipelines.RunRequest{
		Target: pipelines.BranchTarget("main"),
		Variables: []pipelines.VariableRequest{
			{Key: "A", Value: "hunter2", Secured: new(true)}, {Key: "B", Value: "hunter2-and-more", Secured: new(true)},
		},
	})
	require.ErrorIs(t, err, pipelines.ErrInvalidRequest)
	require.NotContains(t, err.Error(), "and-more")
}

func TestDoMasksTheSecretsOfAListToo(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(400)
		fmt.Fprint(w, `{"error":{"message":"refused s3cretvalue1"}}`)
	})
	c := newClient(t, srv.base())
	one := pipelines.VariableRequest{Key: "K", Value: "s3cretvalue1"}
	for name, body := range map[string]any{
		"one": one, "pointer": &one, "list": []pipelines.VariableRequest{one}, "pointers": []*pipelines.VariableRequest{&one, nil},
		"map": map[string]pipelines.VariableRequest{"a": one}, "pointer to list": &[]pipelines.VariableRequest{one},
		"updates": []pipelines.VariableUpdate{{Value: &one.Value}},
		"run":     &pipelines.RunRequest{Variables: []pipelines.VariableRequest{one}},
		"change":  pipelines.VariableChange{After: one},
		"plan":    &pipelines.SyncPlan{Create: []pipelines.VariableRequest{one}},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.Do(t.Context(), "POST", "/x", body, nil)
			var e *pipelines.APIError
			require.ErrorAs(t, err, &e)
			require.NotContains(t, err.Error()+string(e.Body), "s3cretvalue1")
		})
	}
}

func TestNoErrorShowsASecretInAURL(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, "http://127.0.0.1:1/log?X-Amz-Signature=s3cret", http.StatusTemporaryRedirect)
	})
	_, err := newClient(t, srv.base()).Pipelines.Get(t.Context(), repo, "1", pipelines.WithQuery("value", "s3cret"))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "s3cret")
}

func TestNoSecretOfASignedLinkShows(t *testing.T) {
	var log bytes.Buffer
	logger := pipelines.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	redirectTo := func(location string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
	}
	t.Run("of a redirect that does not parse", func(t *testing.T) {
		srv := record(t, redirectTo("https://storage.test:bad/x?Signature=S3CRET"))
		_, err := newClient(t, srv.base(), logger).Steps.GetLog(t.Context(), repo, "1", "{s}", nil)
		require.ErrorContains(t, err, "redirect refused")
		require.NotContains(t, err.Error(), "S3CRET")
		srv.requireSent(t, 1)
	})
	t.Run("that the storage host repeats", func(t *testing.T) {
		storage := record(t, func(w http.ResponseWriter, req *http.Request) {
			serve(403, "text/plain", "The link "+req.URL.String()+" has expired")(w, req)
		})
		srv := record(t, redirectTo(storage.URL+"/x?Signature=S3CRET"))
		_, err := newClient(t, srv.base(), logger).Steps.GetLog(t.Context(), repo, "1", "{s}", nil)
		var e *pipelines.APIError
		require.ErrorAs(t, err, &e)
		require.NotContains(t, err.Error()+string(e.Body), "S3CRET")
		require.Equal(t, 1, strings.Count(err.Error(), "attempts"), err)
	})
	t.Run("of a transport that is a client itself", func(t *testing.T) {
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Post", URL: req.URL.String(), Err: &url.Error{Op: "Post", URL: req.URL.String(), Err: errors.New("boom")}}
		})}
		_, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc), logger).Pipelines.Get(t.Context(), repo, "1", pipelines.WithQuery("x", "S3CRET"))
		require.ErrorContains(t, err, "GET /repositories/acme/site/pipelines/1: boom")
		require.NotContains(t, err.Error(), "S3CRET")
	})
	require.NotContains(t, log.String(), "S3CRET")
}

func TestNoSecretShowsWhereAStorageHostQuotesTheSignature(t *testing.T) {
	storage := record(t, serve(403, "application/xml", "<Error><SignatureProvided>S3CRET/SIGNATURE=</SignatureProvided></Error>"))
	srv := record(t, http.RedirectHandler(storage.URL+"/x?Expires=9&Signature=S3CRET%2FSIGNATURE%3D", http.StatusTemporaryRedirect).ServeHTTP)
	_, err := newClient(t, srv.base()).Steps.GetLog(t.Context(), repo, "1", "{s}", nil)
	var e *pipelines.APIError
	require.ErrorAs(t, err, &e)
	require.NotContains(t, err.Error()+string(e.Body), "S3CRET")
	require.Contains(t, string(e.Body), "SignatureProvided", "what is no secret stays")
}
