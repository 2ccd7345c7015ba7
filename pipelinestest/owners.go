package pipelinestest

// Owner is a team or a user of a [Server]. It has variables only. Bitbucket has replaced teams and users by workspaces. It is safe for
// concurrent use.
type Owner struct {
	variableSet

	name, uuid string
}

// AddTeam adds a team. If it exists, it is returned unchanged.
func (s *Server) AddTeam(username string) *Owner { return s.addOwner(&s.teams, username) }

// AddUser adds a user. If it exists, it is returned unchanged.
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
