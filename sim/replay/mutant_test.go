package replay

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/reconcile"
)

// given names the recording that a mutant's test is to replay.
const given = "DACORCH_RECORDING"

// TestMutant records the core, builds it again with one line changed, and has that
// one replay: it is found to differ, and where the line first matters. Before that
// the unchanged core, built the same way, is found to be the same.
func TestMutant(t *testing.T) {
	if path := os.Getenv(given); path != "" {
		replayGiven(t, path)
		return
	}
	goTool, err := exec.LookPath("go")
	if err != nil || testing.Short() {
		t.Skip("builds the core again, which takes the go command")
	}
	const line, changed = "\t\t\tch.Times++\n", "\t\t\tch.Times += 0\n"
	source, err := filepath.Abs("../../orchestrator/reconcile/flush.go")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(code), line) != 1 {
		t.Fatalf("%s has %d lines %q, want one to change", source, strings.Count(string(code), line), line)
	}
	dir := t.TempDir()
	var file bytes.Buffer
	s := record(t, &file, config(), 12)
	s.churn(20)
	s.close()
	write(t, filepath.Join(dir, "run.dacrec"), file.Bytes())
	play := func(code string) *Difference {
		write(t, filepath.Join(dir, "flush.go"), []byte(code))
		overlay, err := json.Marshal(map[string]map[string]string{"Replace": {source: filepath.Join(dir, "flush.go")}})
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "overlay.json"), overlay)
		cmd := exec.Command(goTool, "test", "-count=1", "-run=^TestMutant$", "-overlay="+filepath.Join(dir, "overlay.json"), ".")
		cmd.Env = append(os.Environ(), given+"="+filepath.Join(dir, "run.dacrec"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		data, err := os.ReadFile(filepath.Join(dir, "run.dacrec.json"))
		if err != nil {
			t.Fatal(err)
		}
		var d *Difference
		if err := json.Unmarshal(data, &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	if d := play(string(code)); d != nil {
		t.Errorf("the same core differs: %+v", d)
	}
	d := play(strings.Replace(string(code), line, changed, 1))
	if d == nil {
		t.Fatal("a core that does not raise _reload is not found")
	}
	// The first transaction that changes a list.
	if !strings.HasSuffix(strings.SplitN(d.What, ":", 2)[0], ".Times") || d.At != firstCommit(t, &file) {
		t.Errorf("found as %q at %v, want the times of the first transaction, at %v", d.What, d.At, firstCommit(t, &file))
	}
}

// replayGiven replays a recording and leaves the difference beside it.
func replayGiven(t *testing.T, path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(replayed(t, bytes.NewBuffer(data)).Difference)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path+".json", out)
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// firstCommit is when the recording's first transaction was sent.
func firstCommit(t *testing.T, file *bytes.Buffer) time.Duration {
	t.Helper()
	for x, err := range load(t, file).exchanges("Thing") {
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range x.commands {
			if _, is := c.(reconcile.Commit); is {
				return x.at()
			}
		}
	}
	t.Fatal("no transaction was recorded")
	return 0
}
