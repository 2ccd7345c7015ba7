package pipelinestest

import "net/http"

// Workspace is a workspace of a [Server]: a test seeds its variables and runners, and looks at them afterwards. It is safe for
// concurrent use.
type Workspace struct {
	variableSet
	runnerSet

	slug, uuid string
}

// AddWorkspace adds a workspace. One that is there already, by itself or for a repository in it, is returned as it is.
func (s *Server) AddWorkspace(slug string) *Workspace {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addWorkspace(slug)
}

func (s *Server) addWorkspace(slug string) *Workspace {
	if w := s.findWorkspace(slug); w != nil {
		return w
	}
	w := &Workspace{variableSet{server: s}, runnerSet{server: s}, slug, s.newUUID()}
	s.workspaces = append(s.workspaces, w)
	return w
}

func (s *Server) findWorkspace(name string) *Workspace {
	for _, w := range s.workspaces {
		if w.named(name) {
			return w
		}
	}
	return nil
}

func (w *Workspace) named(name string) bool { return name == w.slug || name == w.uuid }

// UUID returns the workspace's UUID, in braces.
func (w *Workspace) UUID() string { return w.uuid }

// workspace finds the workspace that the path names.
func (c *call) workspace() (*Workspace, *reply) {
	if w := c.server.findWorkspace(c.params["workspace"]); w != nil {
		return w, nil
	}
	return nil, failure(http.StatusNotFound, "No workspace with identifier '"+c.params["workspace"]+"'.", nil)
}

// Owner is a team or a user of a [Server], which have variables only. Bitbucket has replaced both by workspaces. It is safe for concurrent
// use.
type Owner struct {
	variableSet

	name, uuid string
}

// AddTeam adds a team. One that is there already is returned as it is.
func (s *Server) AddTeam(username string) *Owner { return s.addOwner(&s.teams, username) }

// AddUser adds a user. One that is there already is returned as it is.
func (s *Server) AddUser(name string) *Owner { return s.addOwner(&s.users, name) }

func (s *Server) addOwner(all *[]*Owner, name string) *Owner {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := findOwner(*all, name); o != nil {
		return o
	}
	o := &Owner{variableSet{server: s}, name, s.newUUID()}
	*all = append(*all, o)
	return o
}

func findOwner(all []*Owner, name string) *Owner {
	for _, o := range all {
		if name == o.name || name == o.uuid {
			return o
		}
	}
	return nil
}

// UUID returns the team's or user's UUID, in braces.
func (o *Owner) UUID() string { return o.uuid }
