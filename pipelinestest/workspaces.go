package pipelinestest

import "net/http"

// Workspace is a workspace of a [Server]. A test adds variables and runners to it and reads them. It is safe for concurrent use.
type Workspace struct {
	variableSet
	runnerSet

	slug, uuid string
}

// AddWorkspace adds a workspace. If it exists, perhaps because of a repository in it, it is returned unchanged.
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
		if w.hasName(name) {
			return w
		}
	}
	return nil
}

func (w *Workspace) hasName(name string) bool { return name == w.slug || name == w.uuid }

// UUID returns the workspace's UUID, in braces.
func (w *Workspace) UUID() string { return w.uuid }

// workspace finds the workspace in the path.
func (c *call) workspace() (*Workspace, *response) {
	if w := c.server.findWorkspace(c.params["workspace"]); w != nil {
		return w, nil
	}
	return nil, errorResponse(http.StatusNotFound, "No workspace with identifier '"+c.params["workspace"]+"'.", nil)
}
