package pipelines

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// StepClaims are the claims of the OpenID Connect token that a step has in BITBUCKET_STEP_OIDC_TOKEN. Decoding them verifies
// nothing: before you rely on them, verify the token's signature with [OIDCService.GetKeys], its issuer with [OIDCService.Issuer],
// its audience and its expiry, as the example does. Missing claims are zero. UUIDs are in braces.
type StepClaims struct {
	Issuer                    string
	Subject                   string    // see [ParseSubject]
	Audience                  []string  // the workspace's, or the step's own
	IssuedAt                  time.Time // to the millisecond
	Expiry                    time.Time // to the millisecond
	WorkspaceUUID             string
	RepositoryUUID            string
	PipelineUUID              string
	StepUUID                  string
	AccountUUID               string
	BranchName                string
	DeploymentEnvironmentUUID string // "" if the step deploys nothing
}

// stepClaimsBody is the JSON form of a StepClaims.
type stepClaimsBody struct {
	Issuer                    string   `json:"iss,omitzero"`
	Subject                   string   `json:"sub,omitzero"`
	Audience                  audience `json:"aud,omitzero"`
	IssuedAt                  *float64 `json:"iat,omitzero"` // seconds since 1970
	Expiry                    *float64 `json:"exp,omitzero"` // seconds since 1970
	WorkspaceUUID             string   `json:"workspaceUuid,omitzero"`
	RepositoryUUID            string   `json:"repositoryUuid,omitzero"`
	PipelineUUID              string   `json:"pipelineUuid,omitzero"`
	StepUUID                  string   `json:"stepUuid,omitzero"`
	AccountUUID               string   `json:"accountUuid,omitzero"`
	BranchName                string   `json:"branchName,omitzero"`
	DeploymentEnvironmentUUID string   `json:"deploymentEnvironmentUuid,omitzero"`
}

// UnmarshalJSON implements [encoding/json.Unmarshaler]. It is stricter than other decoding in this package, because claims grant
// access: their names are case-sensitive, and none may occur twice.
func (c *StepClaims) UnmarshalJSON(data []byte) error {
	var body stepClaimsBody
	if err := json.Unmarshal(data, &body); err != nil {
		return err
	}
	issuedAt, err := fromNumericDate("iat", body.IssuedAt)
	if err != nil {
		return err
	}
	expiry, err := fromNumericDate("exp", body.Expiry)
	if err != nil {
		return err
	}
	*c = StepClaims{
		body.Issuer, body.Subject, body.Audience, issuedAt, expiry, body.WorkspaceUUID, body.RepositoryUUID, body.PipelineUUID, body.StepUUID,
		body.AccountUUID, body.BranchName, body.DeploymentEnvironmentUUID,
	}
	return nil
}

// MarshalJSON implements [encoding/json.Marshaler]. It encodes the claims as a token does.
func (c StepClaims) MarshalJSON() ([]byte, error) {
	return json.Marshal(stepClaimsBody{
		c.Issuer, c.Subject, c.Audience, numericDate(c.IssuedAt), numericDate(c.Expiry), c.WorkspaceUUID, c.RepositoryUUID, c.PipelineUUID,
		c.StepUUID, c.AccountUUID, c.BranchName, c.DeploymentEnvironmentUUID,
	}, jsontext.AllowInvalidUTF8(true))
}

// maxNumericDate is the year 10000, the first second that [time.Time] can't encode as JSON.
const maxNumericDate = 253402300800

// fromNumericDate converts seconds since 1970, which may have a fraction.
func fromNumericDate(name string, seconds *float64) (time.Time, error) {
	switch {
	case seconds == nil:
		return time.Time{}, nil
	case math.Abs(*seconds) >= maxNumericDate-1: // the fraction may be rounded up
		return time.Time{}, fmt.Errorf("%q is not a valid time", name)
	}
	return time.UnixMilli(int64(math.Round(*seconds * 1000))).UTC(), nil
}

func numericDate(t time.Time) *float64 {
	if t.IsZero() {
		return nil
	}
	return new(float64(t.UnixMilli()) / 1000)
}

// audience is a string, or an array of strings.
type audience []string

func (a *audience) UnmarshalJSON(data []byte) error {
	*a = nil
	if jsontext.Value(data).Kind() != jsontext.KindString {
		return json.Unmarshal(data, (*[]string)(a))
	}
	var only string
	if err := json.Unmarshal(data, &only); err != nil {
		return err
	}
	*a = audience{only}
	return nil
}

func (a audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0], jsontext.AllowInvalidUTF8(true))
	}
	return json.Marshal([]string(a), jsontext.AllowInvalidUTF8(true))
}

// Subject is the claim "sub" of a step's token, as [ParseSubject] parses it. UUIDs are in braces.
type Subject struct {
	RepositoryUUID  string
	EnvironmentUUID string // "" if the step deploys nothing
	StepUUID        string
}

// ParseSubject parses the claim "sub": "{REPOSITORY_UUID}:{STEP_UUID}", or "{REPOSITORY_UUID}:{ENVIRONMENT_UUID}:{STEP_UUID}" if the
// step deploys. Anything else is an [ErrInvalidArgument].
func ParseSubject(sub string) (Subject, error) {
	uuids := strings.SplitN(sub, ":", 4)
	for _, id := range uuids {
		if len(id) != 38 || braced(id[1:37]) != id {
			return Subject{}, errNotASubject
		}
	}
	switch len(uuids) {
	case 2:
		return Subject{RepositoryUUID: uuids[0], StepUUID: uuids[1]}, nil
	case 3:
		return Subject{RepositoryUUID: uuids[0], EnvironmentUUID: uuids[1], StepUUID: uuids[2]}, nil
	}
	return Subject{}, errNotASubject
}

// errNotASubject doesn't quote the argument, which may be a whole token.
var errNotASubject = invalidArgument("a subject is of the form {repository}:{step} or {repository}:{environment}:{step}, with UUIDs in braces")

// String returns the format that [ParseSubject] parses.
func (s Subject) String() string {
	if s.EnvironmentUUID == "" {
		return s.RepositoryUUID + ":" + s.StepUUID
	}
	return s.RepositoryUUID + ":" + s.EnvironmentUUID + ":" + s.StepUUID
}
