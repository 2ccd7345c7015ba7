package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// secretVariables are the environment variables with fleet's own credentials.
var secretVariables = append([]string{"FLEET_REDIS"}, cli.SecretCredentials...)

// resolve returns the action with the value that only workers know.
func (o *options) resolve(a action) (action, error) {
	if a.ValueEnv == "" {
		return a, nil
	}
	value, found := os.LookupEnv(a.ValueEnv)
	if !found {
		return a, fmt.Errorf("the environment variable %s, which has the value, isn't set", a.ValueEnv)
	}
	a.Value = value
	return a, o.checkValue(a)
}

// checkValue refuses what the variables of repositories must not get.
func (o *options) checkValue(a action) error {
	switch {
	case !utf8.ValidString(os.Getenv(a.ValueEnv)):
		return fmt.Errorf("the environment variable %s is not UTF-8", a.ValueEnv)
	case !utf8.ValidString(a.Key + a.Value):
		return errors.New("KEY or VALUE is not UTF-8")
	}
	return o.refuseOwnSecrets(a)
}

// refuseOwnSecrets keeps fleet's own credentials from being written into the variables of repositories, where each of their steps could read
// them.
func (o *options) refuseOwnSecrets(a action) error {
	if slices.Contains(secretVariables, a.ValueEnv) {
		return fmt.Errorf("--value-env names %s, which has fleet's own credentials: they have no place in a repository's variables", a.ValueEnv)
	}
	value := a.Value
	if a.ValueEnv != "" {
		value = os.Getenv(a.ValueEnv)
	}
	if slices.ContainsFunc(o.ownSecrets(), func(secret string) bool { return reveals(value, secret) }) {
		return errors.New("the value has fleet's own credentials in it, or those of its Redis: they have no place in a repository's variables")
	}
	return nil
}

func (o *options) ownSecrets() []string {
	secrets := []string{}
	for _, name := range secretVariables {
		secrets = append(secrets, os.Getenv(name))
	}
	for _, address := range []string{o.redisURL, os.Getenv("FLEET_REDIS")} {
		if u, err := url.Parse(address); err == nil && u.User != nil {
			password, _ := u.User.Password()
			secrets = append(secrets, password, address)
		}
	}
	return secrets
}

// reveals reports whether a value is or contains a secret. Short ones occur in any text.
func reveals(value, secret string) bool {
	const short = 8
	secret = strings.TrimSpace(secret)
	return secret != "" && (strings.TrimSpace(value) == secret || len(secret) >= short && strings.Contains(value, secret))
}
