package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// caller is the body of a response to an accepted request.
type caller struct {
	Repository  string    `json:"repository"`
	Pipeline    string    `json:"pipeline"`
	Step        string    `json:"step"`
	Environment string    `json:"environment,omitempty"`
	Branch      string    `json:"branch,omitempty"`
	Account     string    `json:"account,omitempty"`
	Expires     time.Time `json:"expires"`
}

// refusal is the body of any other response.
type refusal struct {
	Error  string `json:"error"`
	Reason string `json:"reason"`
}

// handler responds to each request with the caller, and logs it.
func handler(a *access, log func(string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := bearer(r)
		var claims *pipelines.StepClaims
		if err == nil {
			claims, err = a.decide(r.Context(), token)
		}
		if err != nil {
			status := refuse(w, err)
			log(fmt.Sprintf("%d %s %s", status, r.RemoteAddr, cli.Message(err)))
			return
		}
		log(fmt.Sprintf("200 %s repository %s, step %s", r.RemoteAddr, claims.RepositoryUUID, claims.StepUUID))
		reply(w, http.StatusOK, caller{
			claims.RepositoryUUID, claims.PipelineUUID, claims.StepUUID, claims.DeploymentEnvironmentUUID, claims.BranchName,
			claims.AccountUUID, claims.Expiry,
		})
	})
}

// bearer returns the token of a request.
func bearer(r *http.Request) (string, error) {
	given := r.Header.Values("Authorization")
	if len(given) != 1 {
		return "", fmt.Errorf("%w: a request needs one header Authorization", errInvalidToken)
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(token) == "" {
		return "", fmt.Errorf("%w: the header Authorization has to be Bearer and a token", errInvalidToken)
	}
	return strings.TrimSpace(token), nil
}

// refuse responds with the reason.
func refuse(w http.ResponseWriter, err error) (status int) {
	switch {
	case errors.Is(err, errUnavailable): // only the log has the service's error
		w.Header().Set("Retry-After", "30")
		reply(w, http.StatusServiceUnavailable, refusal{"unavailable", errUnavailable.Error()})
		return http.StatusServiceUnavailable
	case errors.Is(err, errNotAllowed):
		reply(w, http.StatusForbidden, refusal{"not allowed", reason(err)})
		return http.StatusForbidden
	}
	w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	reply(w, http.StatusUnauthorized, refusal{"invalid token", reason(err)})
	return http.StatusUnauthorized
}

// reason is the text of a refusal without its kind.
func reason(err error) string {
	_, text, _ := strings.Cut(err.Error(), ": ")
	return text
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may have disconnected
}

// shutdownTimeout is how long requests may continue after an interrupt.
const shutdownTimeout = 15 * time.Second

// serve serves until the context ends, and then finishes the current requests.
func serve(ctx context.Context, env cli.Env, listener net.Listener, o *options, a *access) error {
	server := &http.Server{
		Handler:           handler(a, func(line string) { fmt.Fprintln(env.Stderr, cli.Clean(line)) }),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, TLSConfig: o.tls,
	}
	ended := make(chan error, 1)
	go func() {
		if o.tls != nil {
			ended <- server.ServeTLS(listener, "", "")
			return
		}
		ended <- server.Serve(listener)
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	return server.Shutdown(finish)
}
