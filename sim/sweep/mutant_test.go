package sweep

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/scenarios"
)

// mutant is the core with something wrong. Nothing of it is in the product: the
// binary is built with files that stand in for those of the repository.
type mutant struct {
	name  string
	edits []edit
	// breaks is the invariant, or one of them, that shows it.
	breaks string
}

// edit replaces a text that stands in the file exactly once.
type edit struct{ file, old, new string }

const core = "orchestrator/reconcile/"

var mutants = []mutant{
	{"forgets to raise _reload", []edit{{core + "flush.go",
		"if len(ch.Add)+len(ch.Remove) > 0 && ch.Kind != fleet.ChangeDelete {",
		"if len(ch.Add)+len(ch.Remove) > 0 && ch.Kind == fleet.ChangeCreate {"}}, "times-rise"},
	{"creates before the deletion is seen", []edit{{core + "pods.go",
		"\t\tin.terminating = true\n",
		"\t\tm.podGone(in.id, ev.UID)\n\t\treturn\n"}}, "pod-name"},
	{"ignores the epoch", []edit{{"sim/internal/world/submit.go",
		"if txn.Epoch != int64(t.epoch.Version) {",
		"if txn.Epoch == -1 {"}}, "epoch"},
	{"drops notifications during a re-orchestration", []edit{{core + "resync.go",
		"\t\tm.apply(ev.Note)\n",
		"\t\tif m.orchestration == nil {\n\t\t\tm.apply(ev.Note)\n\t\t}\n"}}, Expectation},
	{"takes silence at its word", []edit{
		{core + "liveness.go", "if !m.beatsUp {\n\t\t// A process", "if m.stage == StageFollower {\n\t\t// A process"},
		{core + "liveness.go", "if len(silent) > 0 && overdue >= 2 &&", "if len(silent) < 0 && overdue >= 2 &&"},
		{core + "liveness.go", "if heard < need {", "if heard < 0 && need > 0 {"}}, Expectation},
	{"forgets a removal in a move", []edit{{core + "flush.go",
		"\tif src != nil {\n\t\tsrc.txn.Remove",
		"\tif src != nil && to == fleet.NoInstance {\n\t\tsrc.txn.Remove"}}, "one-owner"},
	{"takes a lost transaction for done", []edit{{core + "commit.go",
		"if ev.Outcome == fleet.OutcomeDone {",
		"if ev.Outcome == fleet.OutcomeDone || ev.Outcome == fleet.OutcomeUnknown || ev.Outcome == fleet.OutcomeFailed {"}}, Settled},
	{"never compares with the database", []edit{
		{core + "resync.go", "if due(m.resyncAt) {", "if due(m.resyncAt) && m.stage != StageActive {"},
		{core + "resync.go", "if m.again && m.listReq == 0 &&", "if m.again && m.listReq != 0 &&"}}, Settled},
	{"does not compare when it is connected again", []edit{
		{core + "resync.go", "\tm.resyncSoon()\n\t// Whoever publishes", "\t// Whoever publishes"},
		{core + "resync.go", "if wasDown {", "if wasDown && m.cfg.Resync < 0 {"},
		{core + "resync.go", "if m.cfg.Resync >= publisherReconnects {", "if m.cfg.Resync < 0 {"}}, Expectation},
	{"gives away without confirmation", []edit{{core + "flush.go",
		"b.m.cfg.Handoff == fleet.HandoffStrict && !b.m.knownDead(src)",
		"b.m.cfg.Handoff == fleet.HandoffStrict && src == nil"}}, "overlap"},
	{"ignores capacity", []edit{
		{core + "flush.go", "return used < b.m.plan.Capacity(in.id)", "return used >= 0"},
		{core + "flush.go", "ch.Capacity = max(m.plan.Capacity(in.id), ch.Used)", "ch.Capacity = m.plan.Capacity(in.id)"}}, "capacity"},
	{"replaces pods in maintenance", []edit{{core + "pods.go",
		"!m.podsKnown || m.control.Maintenance || m.instances", "!m.podsKnown || m.instances"}}, "maintenance"},
	{"tells operators before a restart would know", []edit{{core + "orders.go",
		"if m.controlDirty || m.txn != nil && m.txn.Control != nil {",
		"if m.stage == StageFollower {"}}, "orders"},
	{"never replaces zombies", []edit{{core + "unconfirmed.go",
		"if m.cfg.Unconfirmed == 0 || m.control",
		"if m.cfg.Unconfirmed >= 0 || m.control"}}, Settled},
	{"leaves empty instances without a pod", []edit{{core + "pods.go",
		"\t\tm.createPod(in, why)\n", "\t\tif in.used+in.arriving > 0 {\n\t\t\tm.createPod(in, why)\n\t\t}\n"}}, "pods"},
}

// rounds are the seeds tried for a mutant, a few first.
var rounds = []int{48, 192, 960, 3000}

// byDefault are the mutants of every test run: one for each sort of invariant, of what
// ZooKeeper holds, of pods, of what was promised, of liveness, and of speed. MUTANTS=all,
// or "make mutants", has them all.
var byDefault = []string{"forgets a removal in a move", "creates before the deletion is seen", "replaces pods in maintenance",
	"never replaces zombies", "drops notifications during a re-orchestration"}

// chosen are the mutants to hunt now.
func chosen(t *testing.T) []mutant {
	t.Helper()
	of := os.Getenv("MUTANTS")
	switch {
	case of == "all":
		return mutants
	case of != "":
		t.Fatalf("MUTANTS=%s: want all, or nothing for the default ones", of)
	}
	var list []mutant
	for _, name := range byDefault {
		i := slices.IndexFunc(mutants, func(m mutant) bool { return m.name == name })
		if i < 0 {
			t.Fatalf("there is no mutant that %s", name)
		}
		list = append(list, mutants[i])
	}
	if testing.Short() {
		list = list[:1]
	}
	return list
}

// maxMutantLines is how long the scenario that shows a mutant may be.
const maxMutantLines = 10

// TestMutants proves the machine: each mutant of the core is found by the swarm,
// and shrinks to a scenario of a few lines that it fails and the core does not.
func TestMutants(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command to build mutants with")
	}
	for _, m := range chosen(t) {
		t.Run(strings.ReplaceAll(m.name, " ", "-"), func(t *testing.T) {
			began := time.Now()
			binary := build(t, goTool, m)
			built := time.Since(began)
			found, runs := hunt(t, binary, m)
			text := shrinkWith(t, binary, found)
			t.Logf("built in %v, found within %d runs, all in %v:\n%s", built.Round(time.Second), runs, time.Since(began).Round(time.Second), text)
			if n := strings.Count(text, "\n"); n > maxMutantLines {
				t.Errorf("%d lines, want at most %d", n, maxMutantLines)
			}
			if !strings.Contains(text, "Breaks "+m.breaks) {
				t.Errorf("it breaks something else than %s", m.breaks)
			}
			out, err := Play{}.Run(t.Context(), parse(t, text))
			if err != nil || len(out.Failures) > 0 {
				t.Errorf("the core itself fails it: %v %v", out.Failures, err)
			}
		})
	}
}

// TestMutantsStand says that what each mutant replaces stands in the source.
func TestMutantsStand(t *testing.T) {
	for _, m := range mutants {
		t.Run(strings.ReplaceAll(m.name, " ", "-"), func(t *testing.T) { m.texts(t, filepath.Join("..", "..")) })
	}
}

// texts are the files of a mutant, by their names.
func (m mutant) texts(t *testing.T, root string) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, e := range m.edits {
		if _, ok := texts[e.file]; !ok {
			data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(e.file)))
			if err != nil {
				t.Fatal(err)
			}
			texts[e.file] = string(data)
		}
		if n := strings.Count(texts[e.file], e.old); n != 1 {
			t.Fatalf("%s has this text %d times, want it once:\n%s", e.file, n, e.old)
		}
		texts[e.file] = strings.Replace(texts[e.file], e.old, e.new, 1)
	}
	return texts
}

// build makes the binary of a mutant.
func build(t *testing.T, goTool string, m mutant) string {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	texts := m.texts(t, root)
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for file, text := range texts {
		to := filepath.Join(dir, fmt.Sprintf("%d.go", len(overlay.Replace)))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[filepath.Join(root, filepath.FromSlash(file))] = to
	}
	data, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	list, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "mutant")
	if err := os.WriteFile(list, data, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), goTool, "build", "-overlay", list, "-buildvcs=false", "-ldflags=-s -w", "-o", binary, "dacorch/cmd/dacorch")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// hunt sweeps with the mutant until something fails that the core holds, and
// answers the file of it.
func hunt(t *testing.T, binary string, m mutant) (file string, runs int) {
	t.Helper()
	var others []string
	from := 1
	for _, n := range rounds {
		dir := t.TempDir()
		cmd := exec.CommandContext(t.Context(), binary, "sim", "sweep", "all", "--swarm", "--quiet", "--from", fmt.Sprint(from), "--seeds", fmt.Sprint(n), "--out", dir)
		out, err := cmd.CombinedOutput()
		from += n
		if err == nil {
			continue
		}
		if cmd.ProcessState.ExitCode() != 1 {
			t.Fatalf("%v\n%s", err, out)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			text := string(data)
			if !strings.HasPrefix(text, "# "+m.breaks+": ") {
				others = append(others, first(text))
				continue
			}
			if out, err := (Play{}).Run(t.Context(), parse(t, text)); err == nil && len(out.Failures) == 0 {
				return f, from - 1
			}
		}
	}
	t.Fatalf("not found in %d runs; what else failed:\n%s", from-1, strings.Join(others, "\n"))
	return "", 0
}

// shrinkWith shrinks a file with the mutant's own binary, and answers the text.
func shrinkWith(t *testing.T, binary, file string) string {
	t.Helper()
	small := filepath.Join(t.TempDir(), "small.yaml")
	if out, err := exec.CommandContext(t.Context(), binary, "sim", "shrink", file, "--time", "1m", "-o", small).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := exec.CommandContext(t.Context(), binary, "sim", "run", "--quiet", small)
	if out, err := run.CombinedOutput(); err == nil {
		t.Errorf("what was shrunk holds with the mutant when it is run:\n%s", out)
	}
	data, err := os.ReadFile(small)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := scenarios.Parse(small, data); err != nil {
		t.Fatal(err)
	}
	return string(data)
}
