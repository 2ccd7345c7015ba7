package audit

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestNoValueIsInTheOutputOrTheState(t *testing.T) {
	f := newFixture(t)
	workspace, r := f.AddWorkspace("acme"), f.AddRepository("acme", "site")
	workspace.AddVariable(pipelines.Variable{Key: "A", Value: secrets[3]})
	workspace.AddRunner(pipelines.Runner{Name: "runner", OAuthClient: &pipelines.RunnerOAuthClient{Secret: secrets[5]}})
	r.AddVariable(pipelines.Variable{Key: "A", Value: secrets[0]})
	r.AddVariable(pipelines.Variable{Key: "B", Value: secrets[1], Secured: true})
	r.AddEnvironment("Production", pipelines.EnvironmentProduction).AddVariable(pipelines.Variable{Key: "A", Value: secrets[2]})
	r.SetKeyPair(pipelines.KeyPair{PrivateKey: "-----BEGIN PRIVATE KEY-----", PublicKey: "ssh-ed25519 " + hostKeys[0] + " someone"})
	r.AddRun(pipelinestest.Script{}, f.now)
	f.Inject(pipelinestest.Fault{Path: path("site", "pipelines_config/schedules"), Status: http.StatusForbidden})
	require.Equal(t, cli.Failure, f.Run(f.args("--html "+filepath.Join(f.dir, "report.html")+" --csv "+filepath.Join(f.dir, "csv"))))
	rep := f.report()
	require.Len(t, rep.Variables, 4)
	require.Regexp(t, `^SHA256:\S{43} ssh-ed25519 someone$`, rep.SSHKeys[0].Fingerprint)

	files := 0
	texts := f.Out.String() + f.Errs.String()
	require.NoError(t, filepath.WalkDir(f.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		text, err := os.ReadFile(name)
		texts += string(text)
		return err
	}))
	require.Equal(t, 3+10+2, files, "the state of the workspace and of a repository, its lock, ten tables, the page and the JSON")
	for _, secret := range secrets {
		require.NotContains(t, texts, secret)
	}
	for _, r := range f.Requests() {
		if strings.HasSuffix(r.Path, "/variables") {
			fields := strings.Split(r.Query.Get("fields"), ",")
			require.Contains(t, fields, "values.key")
			require.NotContains(t, fields, "values.value", "values aren't even asked for")
		}
	}
}

// TestAKilledAuditContinues copies the state at a moment of the audit, as a process that is killed leaves it.
func TestAKilledAuditContinues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, pipelinestest.WithClock(time.Now))
		now := time.Now()
		e := newExpected()
		for i := range 4 {
			r := f.AddRepository("acme", fmt.Sprintf("repo-%d", i))
			for range 20 {
				e.addRandomRun(r, rand.New(rand.NewPCG(uint64(i), 1)), now, 3600)
			}
		}
		slow := pipelinestest.Fault{Latency: time.Second / 2}
		f.Inject(slow)
		want := f.audit("")
		all := len(f.Requests())
		for _, n := range []int64{2, 20, 60} {
			killed := filepath.Join(f.dir, fmt.Sprint("killed-", n))
			f.state = filepath.Join(f.dir, fmt.Sprint("state-", n))
			f.onRequest(func(sent int64) {
				if sent == n {
					require.NoError(t, os.CopyFS(killed, os.DirFS(f.state)))
				}
			})
			f.Inject(slow)
			require.Equal(t, cli.Success, f.Run(f.args("")))
			f.state = killed
			f.ClearFaults()
			requireSame(t, want, f.audit(""))
			require.LessOrEqual(t, int(n)+len(f.Requests()), all+4*parallel, "killed at request %d", n)
		}
	})
}

func TestAnAuditWhoseStateCannotBeWrittenFails(t *testing.T) {
	f := newFixture(t)
	f.addRandomWorkspace(rand.New(rand.NewPCG(9, 1)), 3, 4)
	f.onRequest(func(n int64) {
		if n == 8 {
			require.NoError(t, os.RemoveAll(filepath.Join(f.state, "repositories")))
		}
	})
	require.Equal(t, cli.Trouble, f.Run(f.args("")))
	require.Contains(t, f.Errs.String(), "repositories")
	require.NotEmpty(t, f.report().Incomplete)
}

// refusesFile requires that an audit refuses a file of the state, and leaves it alone.
func (f *fixture) refusesFile(name, text, want string) {
	f.t.Helper()
	name = filepath.Join(f.state, name)
	before, _ := os.ReadFile(name)
	require.NoError(f.t, os.WriteFile(name, []byte(text), 0o600))
	f.Refuses("--workspace acme --state "+f.state, want)
	require.NotRegexp(f.t, `Go (value|struct)|audit\.`, f.Errs.String())
	after, err := os.ReadFile(name)
	require.NoError(f.t, err)
	require.Equal(f.t, text, string(after))
	require.NoError(f.t, os.WriteFile(name, before, 0o600))
}

func TestFilesThatAreNotOfThisProgramAreRefusedAndStay(t *testing.T) {
	f := newFixture(t)
	f.AddRepository("acme", "site")
	f.audit("")
	f.ClearRequests()
	for _, text := range []string{"no", "", "null", "{}", `{"folders":[{"path":"."}]}`, `{"format":1,"workspace":"acme","requests":null}`, "[]", `{"audit":"x"}`} {
		f.refusesFile("workspace.json", text, "workspace.json is damaged, or no file of this program: name another directory")
	}
	f.refusesFile("workspace.json", `{"format":2,"requests":{}}`, "has format 2; this program reads and writes format 1")
	files, err := filepath.Glob(filepath.Join(f.state, "repositories", "*.json"))
	require.NoError(t, err)
	for _, text := range []string{
		"no", "", "null", "[]", "{}", `{"runs":[1]}`, `{"uuid":"{a}","runs":null}`, `{"uuid":"{a}","runs":{"{r}":null}}`,
		`{"uuid":"{a}","variables_of_environments":null}`, `{"uuid":"{a}","variables_of_environments":{"{e}":null}}`,
	} {
		f.refusesFile(filepath.Join("repositories", filepath.Base(files[0])), text, "is damaged, or no file of this program: if it may be lost, remove it, and its repository is read anew")
	}
	f.audit("")
}

func TestARepositoryWhoseFileWasRemovedIsReadAnew(t *testing.T) {
	f := newFixture(t)
	f.addRandomWorkspace(rand.New(rand.NewPCG(3, 2)), 3, 4)
	remove := func(n int) {
		files, err := filepath.Glob(filepath.Join(f.state, "repositories", "*.json"))
		require.NoError(t, err)
		require.Len(t, files, 3)
		for _, name := range files[:n] {
			require.NoError(t, os.Remove(name))
		}
	}
	want := f.audit("")
	for _, n := range []int{1, 3} {
		remove(n)
		requireSame(t, want, f.audit(""))

		f.Inject(pipelinestest.Fault{Skip: 5, Status: http.StatusUnauthorized})
		require.Equal(t, cli.Trouble, f.Run(f.args("--recheck 0")))
		f.ClearFaults()
		remove(n)
		requireSame(t, want, f.audit(""))
		require.Contains(t, f.Errs.String(), "Continuing")
	}
}

func TestAStateThatLacksAFileIsStillOfItsWorkspace(t *testing.T) {
	f := newFixture(t)
	f.AddRepository("acme", "site")
	f.Inject(pipelinestest.Fault{Skip: 3, Status: http.StatusUnauthorized})
	require.Equal(t, cli.Trouble, f.Run(f.args("")))
	require.NoError(t, os.RemoveAll(filepath.Join(f.state, "repositories")))
	f.Inject(pipelinestest.Fault{Status: http.StatusUnauthorized})
	require.Equal(t, cli.Trouble, f.Run(f.args("")))
	f.ClearFaults()
	f.ClearRequests()
	f.Refuses("--workspace other --state "+f.state, "is the state of workspace acme")
	require.Len(t, f.audit("").Repositories, 1)
}

func TestACopyOfAFileOfTheStateCountsForNothing(t *testing.T) {
	f := newFixture(t)
	f.addRandomWorkspace(rand.New(rand.NewPCG(3, 2)), 1, 40)
	want := f.audit("")
	require.NotZero(t, want.BuildSeconds)
	files, err := filepath.Glob(filepath.Join(f.state, "repositories", "*.json"))
	require.NoError(t, err)
	text, err := os.ReadFile(files[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(f.state, "repositories", "a copy.json"), text, 0o600))
	requireSame(t, want, f.audit(""))
}

func TestAStateIsUsedByOneAuditAtATime(t *testing.T) {
	f := newFixture(t)
	other, err := open(f.state, "acme")
	require.NoError(t, err)
	f.Refuses("--workspace acme --state "+f.state, f.state+": it is in use by another run of this program")
	require.Empty(t, f.Requests())
	other.close()
	f.audit("")
	f.audit("")
}

func TestWhatCouldNotBeStoredIsStoredLater(t *testing.T) {
	f := newFixture(t)
	s, err := open(f.state, "acme")
	require.NoError(t, err)
	r := newRepository("{a}")
	s.change(func() { s.repos, s.Listed = []*repository{r}, 1 })
	r.change(func() {})
	file := filepath.Join(f.state, "repositories", "a.json")
	require.NoError(t, os.Mkdir(file, 0o700)) // in the way
	require.Error(t, s.store())
	require.NoError(t, os.Remove(file))
	require.NoError(t, s.store())
	s.close()
	s, err = open(f.state, "acme")
	require.NoError(t, err)
	defer s.close()
	require.Equal(t, 1, s.Listed)
	require.Len(t, s.repos, 1)
}
