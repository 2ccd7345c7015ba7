package main

import (
	"context"
	"strconv"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// lookLimit is how long a run is looked for. A new one is listed within seconds.
const lookLimit = 30 * time.Second

// perhapsStarted reports that it is unknown whether a run was started since a time, and which runs may be the one. It returns the exit
// status.
func (s *job) perhapsStarted(ctx context.Context, since time.Time) int {
	s.say("It is unknown whether a run was started: the request was sent, but no response says so.")
	list := "https://bitbucket.org/" + s.repo.String() + "/pipelines"
	look, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	found, err := s.client.Pipelines.FindStarted(look, s.repo, s.options.request(), since)
	switch n := len(found); {
	case n == 1:
		s.say("This run may be the one, if nobody else started it:")
	case n > 1:
		s.say("One of these %d runs may be the one:", n)
	case err == nil:
		s.say("None has appeared since, so it was probably not started. Look again before you try again, or there may be two: %s", list)
	}
	for _, p := range found {
		s.say("  %s", s.text(s.describe(p)))
	}
	switch {
	case ctx.Err() != nil:
		s.say("Look before you try again, or there may be two: %s", list)
		return cli.Interrupted
	case err != nil:
		s.say("Looking for it failed: %s\nLook before you try again, or there may be two: %s", s.text(message(err)), list)
	}
	return cli.Trouble
}

func (s *job) describe(p *pipelines.Pipeline) string {
	by := ""
	if p.Creator != nil && p.Creator.DisplayName != "" {
		by = " by " + p.Creator.DisplayName
	}
	return "#" + strconv.Itoa(p.BuildNumber) + ", " + p.State.String() + ", created " + p.CreatedOn.UTC().Format("2006-01-02 15:04:05 MST") + by + ": " + p.WebURL(s.repo)
}
