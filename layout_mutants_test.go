package dacorch_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// sources makes files from "path\ncontent" texts.
func sources(texts ...string) []file {
	files := make([]file, len(texts))
	for i, text := range texts {
		name, data, _ := strings.Cut(text, "\n")
		files[i] = file{path: name, size: int64(len(data)), data: []byte(data)}
	}
	return files
}

const (
	fleetOnly = "// Package placement is a test.\npackage placement\n\nimport "
	doc       = "// Package placement is a test.\npackage placement\n\n"
	where     = "orchestrator/placement/a.go\n"
)

// TestLayoutCatches plants each mistake in a tree of its own: the rules must
// name it, at its line, and nothing else.
func TestLayoutCatches(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []file
		want  []string // each "file:line: " and a part of the reason
	}{
		{"a room outside the table", sources("warehouse/a.go\n// Package warehouse is new.\npackage warehouse\n"),
			[]string{"warehouse/a.go:2: package warehouse is in no row"}},
		{"a room below one of the table", sources("orchestrator/fleet/deep/a.go\n// Package deep is new.\npackage deep\n"),
			[]string{"orchestrator/fleet/deep/a.go:2: package orchestrator/fleet/deep is in no row"}},
		{"a wall", sources(where + fleetOnly + `"dacorch/orchestrator/reconcile"` + "\n"),
			[]string{"a.go:4: orchestrator/placement may not import orchestrator/reconcile: it may import orchestrator/fleet"}},
		{"a wall where nothing may be imported", sources("orchestrator/fleet/a.go\n// Package fleet is a test.\npackage fleet\n\nimport _ \"dacorch/scenarios\"\n"),
			[]string{"a.go:4: orchestrator/fleet may not import scenarios: it may import nothing of this module"}},
		{"the core knows the simulator", sources("orchestrator/loop/a.go\n// Package loop is a test.\npackage loop\n\nimport \"dacorch/sim\"\n"),
			[]string{"a.go:4: orchestrator/loop may not import sim"}},
		{"a wall in a test", sources("orchestrator/placement/a_test.go\npackage placement_test\n\nimport \"dacorch/sim\"\n"),
			[]string{"a_test.go:3: orchestrator/placement may not import sim"}},
		{"what a test alone may import", sources(
			"orchestrator/internal/mqtt/a.go\n// Package mqtt is a test.\npackage mqtt\n\nimport \"dacorch/sim/wire/mqtt\"\n",
			"orchestrator/internal/mqtt/a_test.go\npackage mqtt\n\nimport _ \"dacorch/sim/wire/mqtt\"\n"),
			[]string{"mqtt/a.go:4: orchestrator/internal/mqtt may not import sim/wire/mqtt"}},
		{"another module in a pure room", sources(where + fleetOnly + `"github.com/IBM/sarama"` + "\n"),
			[]string{"a.go:4: import of github.com/IBM/sarama in a pure room"}},
		{"the clock", sources(where + fleetOnly + "\"time\"\n\nvar _ = time.Now\n"),
			[]string{"a.go:6: time.Now: time is an argument"}},
		{"the clock by another name", sources(where + fleetOnly + "clock \"time\"\n\nfunc f() {\n\tclock.Sleep(1)\n}\n"),
			[]string{"a.go:7: time.Sleep: time is an argument"}},
		{"names without their package", sources(where + fleetOnly + ". \"time\"\n"),
			[]string{"a.go:4: import of time into the file's own names"}},
		{"a goroutine", sources(where + doc + "func f() {\n\tgo f()\n}\n"),
			[]string{"a.go:5: go statement"}},
		{"a channel and a select", sources(where + doc + "func f(c chan int) {\n\tselect {\n\tcase <-c:\n\t}\n}\n"),
			[]string{"a.go:4: channel", "a.go:5: select statement"}},
		{"standard error", sources(where + doc + "func f() {\n\tprintln()\n}\n"),
			[]string{"a.go:5: println: it writes to standard error"}},
		{"standard output", sources(where + fleetOnly + "\"fmt\"\n\nfunc f() { fmt.Println() }\n"),
			[]string{"a.go:6: fmt.Println: it writes only to what it is given"}},
		{"no package comment", sources("sim/dac/a.go\npackage dac\n", "sim/dac/b.go\npackage dac\n"),
			[]string{"sim/dac/a.go:1: the package has no package comment"}},
		{"a comment away from the clause", sources("sim/dac/a.go\n// Package dac is a test.\n\npackage dac\n"),
			[]string{"sim/dac/a.go:1: the package has no package comment"}},
		{"two package comments", sources("tui/a.go\n// Package tui is.\npackage tui\n", "tui/b.go\n// Package tui is.\npackage tui\n"),
			[]string{"tui/b.go:1: a second package comment: the first is in tui/a.go"}},
		{"a long file", sources("tui/a.go\n// Package tui is.\npackage tui\n" + strings.Repeat("\n", maxLines)),
			[]string{"tui/a.go:501: the file has 502 lines, more than 500"}},
		{"a long test", sources("tui/a_test.go\npackage tui\n" + strings.Repeat("\n", maxTestLines)),
			[]string{"tui/a_test.go:601: the file has 601 lines, more than 600"}},
		{"a vague name", sources("tui/a.go\n// Package util is.\npackage util\n"),
			[]string{"tui/a.go:2: package name util says nothing"}},
		{"a vague name of a test", sources("tui/a_test.go\npackage common_test\n"),
			[]string{"tui/a_test.go:1: package name common_test says nothing"}},
		{"a machine's path in Go", sources("tui/a_test.go\npackage tui\n\nconst dir = \"/wo" + "rk/main\"\n"),
			[]string{"tui/a_test.go:3: path /wo" + "rk/ of one machine"}},
		{"a machine's path in a document", sources("README.md\nhello\nsee /ro" + "ot/notes\n"),
			[]string{"README.md:2: path /ro" + "ot/ of one machine"}},
		{"a bare TODO", sources("tui/a_test.go\npackage tui\n\n// f is.\n// TODO: later\nfunc f() {}\n"),
			[]string{"tui/a_test.go:4: TODO without a reason"}},
		{"a bare FIXME in a block", sources("tui/a_test.go\npackage tui\n\n/*\nFIXME(me)\n*/\nfunc f() {}\n"),
			[]string{"tui/a_test.go:4: FIXME without a reason"}},
		{"a test that sleeps", sources("tui/a_test.go\npackage tui\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n"),
			[]string{"tui/a_test.go:5: time.Sleep: a test does not sleep"}},
		{"a file that is no Go", sources("tui/a_test.go\npackage\n"),
			[]string{"tui/a_test.go:1: cannot be read"}},
		{"a large file", []file{{path: "docs/big.bin", size: maxBytes + 1}},
			[]string{"docs/big.bin:1: the file has 1048577 bytes, more than 1048576"}},
		{"two mistakes in one file", sources(where + fleetOnly + "\"os\"\n\nfunc f() {\n\tgo f()\n}\n"),
			[]string{"a.go:4: import of os in a pure room", "a.go:7: go statement"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			problems := inspect(c.files)
			if len(problems) != len(c.want) {
				t.Fatalf("%d problems, want %d:\n%s", len(problems), len(c.want), strings.Join(problems, "\n"))
			}
			for i, p := range problems {
				if !strings.Contains(p, c.want[i]) {
					t.Errorf("problem %q does not say %q", p, c.want[i])
				}
			}
		})
	}
}

// TestLayoutImpure plants every impure package in every pure room.
func TestLayoutImpure(t *testing.T) {
	imports := []string{"math/rand/v2", "net/http", "log/slog", "os/exec", "sync/atomic", "runtime/debug"}
	for p := range impure {
		imports = append(imports, p)
	}
	slices.Sort(imports)
	pure := 0
	for _, r := range house {
		if !r.pure {
			continue
		}
		pure++
		for _, p := range imports {
			text := fmt.Sprintf("%s/a.go\n// Package a is.\npackage a\n\nimport _ %q\n", r.path, p)
			want := fmt.Sprintf("%s/a.go:4: import of %s in a pure room", r.path, p)
			if problems := inspect(sources(text)); len(problems) != 1 || !strings.HasPrefix(problems[0], want) {
				t.Errorf("import of %s in %s: problems %q, want one that begins %q", p, r.path, problems, want)
			}
		}
	}
	if pure < 9 {
		t.Errorf("the house table has only %d pure rooms", pure)
	}
}

// TestLayoutAllows holds what only looks like a mistake.
func TestLayoutAllows(t *testing.T) {
	for name, files := range map[string][]file{
		"impure imports in a pure room's test": sources("sim/a_test.go\npackage sim\n\nimport (\n\t\"os\"\n\t\"time\"\n)\n\nvar _ = os.Args\nvar _ = time.Now\n\nfunc f() { go f() }\n"),
		"impure imports in other rooms":        sources("cmd/dacorch/a.go\n// Command dacorch is.\npackage main\n\nimport (\n\t\"os\"\n\t\"time\"\n)\n\nfunc f() {\n\tgo f()\n\ttime.Sleep(1)\n\tos.Exit(0)\n}\n"),
		"time's types and range over a map":    sources(where + fleetOnly + "\"time\"\n\nvar d time.Duration = time.Second\n\nfunc f(m map[int]int) {\n\tfor range m {\n\t}\n}\n"),
		"a method with a clock's name":         sources(where + doc + "type w struct{}\n\nfunc (w) Now() {}\n\nfunc f(world w) { world.Now() }\n"),
		"a test of a package by its name":      sources("sim/a_test.go\npackage sim_test\n\nimport \"dacorch/sim\"\n\nvar _ sim.Options\n"),
		"every wall's door": sources("sim/a.go\n// Package sim is.\npackage sim\n\nimport (\n\t\"dacorch/orchestrator/fleet\"\n\t\"dacorch/sim/internal/world\"\n)\n",
			"cmd/dacorch/a.go\n// Command dacorch is.\npackage main\n\nimport \"dacorch/sim\"\n"),
		"a TODO with its reason":           sources("tui/a_test.go\npackage tui\n\n// TODO: the second pane waits for the event stream.\n"),
		"paths that only contain the word": sources("README.md\nsim/work/a, /workers/b, ../root/c, https://example.org/work/d\n"),
		"bytes that are no text":           sources("docs/a.png\n\x00/wo" + "rk/\n"),
		"Go in testdata":                   sources("sim/testdata/a.go\npackage util\n"),
		"a file at the limit":              sources("tui/a_test.go\npackage tui\n" + strings.Repeat("\n", maxTestLines-1)),
	} {
		t.Run(name, func(t *testing.T) {
			for _, p := range inspect(files) {
				t.Error(p)
			}
		})
	}
}
