package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/fingerprint"
)

// readHosts reads the output of ssh-keyscan, without duplicates.
func readHosts(r io.Reader) ([]pipelines.KnownHostRequest, error) {
	text, err := cli.ReadText("-", r)
	if err != nil {
		return nil, err
	}
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	all, err := pipelines.ParseKnownHosts(strings.NewReader(text))
	if errors.Is(err, bufio.ErrTooLong) {
		return nil, errors.New("a line is too long: is this the output of ssh-keyscan?")
	}
	if err != nil {
		return nil, err
	}
	var hosts []pipelines.KnownHostRequest
	var read []*pipelines.KnownHost
	for _, h := range all {
		key := wantedKey(h)
		switch is := find(read, h); {
		case cli.Clean(h.Hostname) != h.Hostname: // would be shown as another
			return nil, fmt.Errorf("the host name %q is not plain text", h.Hostname)
		case is == nil:
			hosts = append(hosts, h)
			read = append(read, &pipelines.KnownHost{Hostname: h.Hostname, PublicKey: &key})
		case keyOf(is).Key != h.Key:
			return nil, fmt.Errorf("standard input has two different keys of type %s of host %s", h.KeyType, h.Hostname)
		}
	}
	if len(hosts) == 0 {
		return nil, errors.New("there are no known hosts on standard input: did ssh-keyscan reach any?")
	}
	return hosts, nil
}

// find returns the host that is requested, or nil.
func find(hosts []*pipelines.KnownHost, h pipelines.KnownHostRequest) *pipelines.KnownHost {
	if i := slices.IndexFunc(hosts, h.Matches); i >= 0 {
		return hosts[i]
	}
	return nil
}

// addHosts adds the hosts that aren't known. It changes nothing if one is known with another key and --replace isn't given.
func (j *job) addHosts(ctx context.Context, hosts []pipelines.KnownHostRequest) error {
	known, err := j.service.ListKnownHosts(ctx, j.repo, nil).Collect()
	if err != nil {
		return err
	}
	if !j.replace {
		if err := j.refuseOthers(hosts, known); err != nil {
			return err
		}
	}
	would := ""
	if j.dryRun {
		would = "would be "
	}
	changed, refused := 0, 0
	for _, h := range hosts {
		is := find(known, h)
		if is != nil && keyOf(is).Key == h.Key {
			j.env.Say("is known: %s", line(h))
			continue
		}
		if !j.dryRun {
			_, err = j.service.SetKnownHost(ctx, j.repo, h)
			if isRefusal(err) {
				j.env.Say("can't be added: %s %s: %s", h.Hostname, h.KeyType, cli.Message(err))
				refused, err = refused+1, nil
				continue
			}
			if err != nil {
				err = fmt.Errorf("%s %s: %w", h.Hostname, h.KeyType, err)
				break
			}
		}
		did := "added"
		if is != nil {
			did = "replaced"
		}
		changed++
		j.env.Say("%s%s: %s", would, did, line(h))
	}
	j.env.Say("%d of %s %sadded or replaced", changed, cli.Count(len(hosts), "host key", "host keys"), would)
	if err == nil && refused > 0 {
		err = fmt.Errorf("%s can't be added", cli.Count(refused, "host key", "host keys"))
	}
	return err
}

// isRefusal reports whether the service refuses only this key, such as that of a host that it knows itself.
func isRefusal(err error) bool {
	return errors.Is(err, pipelines.ErrInvalidRequest) || errors.Is(err, pipelines.ErrConflict)
}

func line(h pipelines.KnownHostRequest) string {
	return h.Hostname + " " + h.KeyType + " " + fingerprint.OfHost(wantedKey(h))
}

func wantedKey(h pipelines.KnownHostRequest) pipelines.SSHPublicKey {
	return pipelines.SSHPublicKey{KeyType: h.KeyType, Key: h.Key}
}

// refuseOthers rejects hosts that are known with another key, which has changed or belongs to an attacker.
func (j *job) refuseOthers(hosts []pipelines.KnownHostRequest, known []*pipelines.KnownHost) error {
	var err error
	for _, h := range hosts {
		if is := find(known, h); is != nil && keyOf(is).Key != h.Key {
			j.env.Say("is known with another key: %s %s %s, now %s", h.Hostname, h.KeyType, fingerprint.OfHost(keyOf(is)), fingerprint.OfHost(wantedKey(h)))
			err = errWouldReplace
		}
	}
	if err != nil {
		fmt.Fprintln(j.env.Stderr, "Nothing was changed. Either the host has a new key or another machine impersonates it: ask its owner, then use --replace.")
	}
	return err
}
