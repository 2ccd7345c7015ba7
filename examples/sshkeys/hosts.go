package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/seed-85ed9bfd/pipelines"
)

// hostKey identifies a known host.
type hostKey struct{ host, keyType string }

// readHosts reads the output of ssh-keyscan, without duplicates.
func readHosts(r io.Reader) ([]pipelines.KnownHostRequest, error) {
	all, err := pipelines.ParseKnownHosts(r)
	if err != nil {
		return nil, err
	}
	var hosts []pipelines.KnownHostRequest
	keys := map[hostKey]string{}
	for _, h := range all {
		of := hostKey{h.Hostname, h.KeyType}
		switch key, read := keys[of]; {
		case !read:
			hosts = append(hosts, h)
			keys[of] = h.Key
		case key != h.Key:
			return nil, fmt.Errorf("standard input has two different keys of type %s of host %s", h.KeyType, h.Hostname)
		}
	}
	if len(hosts) == 0 {
		return nil, errors.New("there are no known hosts on standard input: did ssh-keyscan reach any?")
	}
	return hosts, nil
}

// addHosts adds the hosts that aren't known. It changes nothing if one is known with another key and -replace isn't given.
func (j *job) addHosts(ctx context.Context, hosts []pipelines.KnownHostRequest) error {
	list, err := j.service.ListKnownHosts(ctx, j.repo, nil).Collect()
	if err != nil {
		return err
	}
	known := map[hostKey]*pipelines.KnownHost{}
	for _, h := range list {
		known[hostKey{h.Hostname, keyOf(h).KeyType}] = h
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
	changed := 0
	for _, h := range hosts {
		is := known[hostKey{h.Hostname, h.KeyType}]
		if is != nil && keyOf(is).Key == h.Key {
			j.say("is known: %s", line(h))
			continue
		}
		var did string
		if did, err = j.put(ctx, is, h); err != nil {
			err = fmt.Errorf("%s %s: %w", h.Hostname, h.KeyType, err)
			break
		}
		changed++
		j.say("%s%s: %s", would, did, line(h))
	}
	j.say("%d of %d keys of hosts %sadded or replaced", changed, len(hosts), would)
	return err
}

// put adds or replaces a host, and returns what it did.
func (j *job) put(ctx context.Context, is *pipelines.KnownHost, h pipelines.KnownHostRequest) (did string, err error) {
	if is == nil {
		if !j.dryRun {
			_, err = j.service.CreateKnownHost(ctx, j.repo, h)
		}
		return "added", err
	}
	if !j.dryRun {
		_, err = j.service.UpdateKnownHost(ctx, j.repo, is.UUID, h)
	}
	return "replaced", err
}

func line(h pipelines.KnownHostRequest) string {
	return h.Hostname + " " + h.KeyType + " " + fingerprint(wantedKey(h))
}

func wantedKey(h pipelines.KnownHostRequest) pipelines.SSHPublicKey {
	return pipelines.SSHPublicKey{KeyType: h.KeyType, Key: h.Key}
}

// refuseOthers rejects hosts that are known with another key, which has changed or belongs to an attacker.
func (j *job) refuseOthers(hosts []pipelines.KnownHostRequest, known map[hostKey]*pipelines.KnownHost) error {
	var err error
	for _, h := range hosts {
		if is := known[hostKey{h.Hostname, h.KeyType}]; is != nil && keyOf(is).Key != h.Key {
			j.say("is known with another key: %s %s %s, now %s", h.Hostname, h.KeyType, fingerprint(keyOf(is)), fingerprint(wantedKey(h)))
			err = errWouldReplace
		}
	}
	if err != nil {
		fmt.Fprintln(j.env.Stderr, "Nothing was changed. Either the host has a new key or another machine impersonates it: ask its owner, then use -replace.")
	}
	return err
}
