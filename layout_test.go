// Package dacorch_test holds the rules of the repository as tests: which room
// may import which, what the pure rooms do without, and what no file may hold.
package dacorch_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// room is one row of the house table.
type room struct {
	path string // directory from the root; a last element "..." is everything below
	// pure rooms read no clock, start no goroutine, draw no random number of
	// their own, and touch neither files nor network. Their tests may.
	pure bool
	may  []string // what it may import of this module, written like path
	// testsMay is what its tests may import beyond may: the stand-ins and the
	// contract suite that an adapter is held to.
	testsMay []string
}

// house is the table of rooms. A package in none of them is refused, so each new
// one is placed here first. The first row that fits counts.
var house = []room{
	{path: "."},

	{path: "cmd/dacorch", may: []string{
		"orchestrator", "orchestrator/api", "orchestrator/recording", "sim", "sim/replay", "sim/report", "sim/serve", "sim/sweep", "sim/tape",
		"sim/wire", "sim/kind", "sim/dac",
		"tui", "scenarios", "e2e/rig"}},
	{path: "cmd/benchdoc"},

	{path: "orchestrator", may: []string{"orchestrator/..."}, testsMay: []string{"sim/wire", "sim/wire/...", "sim/dac"}},
	{path: "orchestrator/fleet", pure: true},
	{path: "orchestrator/placement", pure: true, may: []string{"orchestrator/fleet"}},
	{path: "orchestrator/reconcile", pure: true, may: []string{"orchestrator/fleet", "orchestrator/placement"}},
	{path: "orchestrator/loop", may: []string{"orchestrator/fleet", "orchestrator/placement", "orchestrator/reconcile"}},
	{path: "orchestrator/recording", may: []string{"orchestrator/fleet", "orchestrator/placement", "orchestrator/reconcile"}},
	{path: "orchestrator/api"},
	{path: "orchestrator/rest", may: []string{"orchestrator/fleet", "orchestrator/api"}},
	{path: "orchestrator/answer", pure: true, may: []string{"orchestrator/fleet", "orchestrator/placement", "orchestrator/reconcile", "orchestrator/api"}},
	{path: "orchestrator/porttest", may: []string{"orchestrator/fleet", "orchestrator/loop"}},
	{path: "orchestrator/porttest/real"},
	{path: "orchestrator/internal/...", may: []string{"orchestrator/fleet"}, testsMay: []string{
		"orchestrator/loop", "orchestrator/porttest", "orchestrator/porttest/real", "sim/wire/..."}},

	{path: "sim", pure: true, may: []string{
		"orchestrator/fleet", "orchestrator/placement", "orchestrator/reconcile", "orchestrator/recording", "scenarios", "sim/internal/..."}},
	{path: "sim/replay", pure: true, may: []string{"orchestrator/fleet", "orchestrator/placement", "orchestrator/reconcile",
		"orchestrator/recording", "scenarios", "sim", "sim/internal/history", "sim/internal/timeline"}},
	{path: "sim/report", may: []string{"orchestrator/fleet", "orchestrator/reconcile", "orchestrator/recording",
		"scenarios", "sim/replay", "sim/internal/history"}},
	{path: "sim/tape", pure: true, may: []string{"orchestrator/fleet", "orchestrator/placement", "orchestrator/reconcile",
		"orchestrator/recording", "scenarios", "sim/replay"}, testsMay: []string{"sim"}},
	{path: "sim/serve", may: []string{"orchestrator/answer", "orchestrator/api", "orchestrator/rest", "orchestrator/fleet", "orchestrator/placement",
		"orchestrator/reconcile", "orchestrator/recording", "scenarios", "sim", "sim/replay", "sim/tape"}},
	{path: "sim/sweep", may: []string{"scenarios", "sim", "sim/internal/history", "sim/internal/timeline"}},
	{path: "sim/internal/timeline", pure: true},
	{path: "sim/internal/world", pure: true, may: []string{"orchestrator/fleet", "sim/internal/timeline"}},
	{path: "sim/internal/fault", pure: true, may: []string{"orchestrator/fleet", "sim/internal/timeline"}},
	{path: "sim/internal/churn", pure: true, may: []string{"orchestrator/fleet", "sim/internal/timeline"}},
	{path: "sim/internal/history", pure: true, may: []string{"orchestrator/fleet"}},
	{path: "sim/internal/stage", pure: true, may: []string{"orchestrator/fleet", "orchestrator/placement", "orchestrator/reconcile",
		"scenarios", "sim/internal/timeline", "sim/internal/churn", "sim/internal/fault", "sim/internal/history"}},
	{path: "sim/internal/invariant", pure: true, may: []string{"orchestrator/fleet", "sim/internal/history"}},
	{path: "sim/wire", may: []string{"orchestrator", "orchestrator/api", "orchestrator/fleet", "scenarios",
		"sim/dac", "sim/wire/...", "sim/internal/..."}, testsMay: []string{"orchestrator/porttest/real"}},
	{path: "sim/wire/...", testsMay: []string{"orchestrator/porttest/real"}},
	{path: "sim/kind", may: []string{"orchestrator", "orchestrator/api", "orchestrator/fleet", "scenarios",
		"sim/wire", "sim/wire/zookeeper", "sim/internal/...", "e2e/rig", "deploy"}},
	{path: "sim/dac", may: []string{"orchestrator/fleet"}, testsMay: []string{"sim/wire/...", "orchestrator/porttest/real"}},

	{path: "scenarios"},
	{path: "tui", may: []string{"orchestrator/api", "tui/..."}},
	{path: "tui/screen"},
	{path: "tui/data", pure: true, may: []string{"orchestrator/api"}},
	{path: "tui/pane", pure: true, may: []string{"orchestrator/api", "tui/screen", "tui/data"}, testsMay: []string{"tui/sample"}},
	{path: "tui/...", may: []string{"orchestrator/api", "tui/..."}},
	{path: "deploy"},
	{path: "e2e/rig", may: []string{"orchestrator/api", "deploy"}},
	{path: "e2e/airgap/..."},
	{path: "e2e", may: []string{"orchestrator/api", "sim/dac", "e2e/rig"}},
}

// exceptions are the impure imports that a pure room may have, by file, with the
// reason that no result depends on them.
var exceptions = map[string]map[string]string{
	"orchestrator/placement/index.go": {
		"hash/maphash": "finds an id's place in a table that is only looked up, never listed"},
}

// holds says whether a directory is the one that pattern names, or below it when
// the pattern ends in "...".
func holds(pattern, dir string) bool {
	if above, all := strings.CutSuffix(pattern, "..."); all {
		return strings.HasPrefix(dir, above)
	}
	return pattern == dir
}

func roomOf(dir string) (room, bool) {
	for _, r := range house {
		if holds(r.path, dir) {
			return r, true
		}
	}
	return room{}, false
}

func TestLayout(t *testing.T) {
	files := repository(t)
	if len(files) < 10 {
		t.Fatalf("found only %d files: the test looks in the wrong place", len(files))
	}
	for _, problem := range inspect(files) {
		t.Error(problem)
	}
	for name, imports := range exceptions {
		for p := range imports {
			if !slices.ContainsFunc(files, func(f file) bool {
				return f.path == name && strings.Contains(string(f.data), strconv.Quote(p))
			}) {
				t.Errorf("%s does not import %s: remove it from the exceptions in layout_test.go", name, p)
			}
		}
	}
}

// repository reads what git tracks and what it would take up; where there is no
// git, every file that does not stand in a hidden or a build directory.
func repository(t *testing.T) []file {
	t.Helper()
	var paths []string
	if out, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output(); err == nil {
		paths = strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 })
	} else {
		paths = walk(t)
	}
	files := make([]file, 0, len(paths))
	for _, p := range paths {
		info, err := os.Lstat(p)
		if os.IsNotExist(err) || err == nil && !info.Mode().IsRegular() {
			continue // deleted and not yet committed, or a link
		}
		if err != nil {
			t.Fatal(err)
		}
		f := file{path: filepath.ToSlash(p), size: info.Size()}
		if f.size <= maxBytes {
			if f.data, err = os.ReadFile(p); os.IsNotExist(err) {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
		}
		files = append(files, f)
	}
	return files
}

func walk(t *testing.T) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (p == "bin" || p != "." && p != ".ci" && strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case !d.IsDir():
			paths = append(paths, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
