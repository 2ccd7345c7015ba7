package pipelines

import "strings"

// checkCreated refuses the response to a creation that names nothing created: it may come from a proxy. With partial responses, the
// fields that name a resource must be among those that the caller asks for.
func (k *call) checkCreated() error {
	created, ok := k.out.(interface{ identified() bool })
	if !ok || created.identified() || k.leavesOutNames() {
		return nil
	}
	return &shapeError{"response identifies no created resource", nil}
}

// leavesOutNames reports whether the caller asks for a partial response without the fields that name a resource.
func (k *call) leavesOutNames() bool {
	leavesOut := false
	for _, field := range fieldsOf(k.extraQuery) {
		switch field = strings.TrimSpace(field); {
		case strings.HasPrefix(field, "+"), field == "*", field == "uuid", field == "build_number", field == "key":
			return false
		case namesField(field), field == "-uuid":
			leavesOut = true
		}
	}
	return leavesOut
}

// identified reports whether the run has a name. Its build number is one.
func (p *Pipeline) identified() bool { return p.UUID != "" || p.BuildNumber != 0 }

// identified reports whether the variable has a name. Its key is one, since the service tells little of an environment's
// variables.
func (v *Variable) identified() bool { return v.UUID != "" || v.Key != "" }

func (e *Environment) identified() bool { return e.UUID != "" }

func (s *Schedule) identified() bool { return s.UUID != "" }

func (h *KnownHost) identified() bool { return h.UUID != "" }

func (r *Runner) identified() bool { return r.UUID != "" }
