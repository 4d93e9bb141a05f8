package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadme runs the commands of README.md that need a rig which is up, as a
// reader does, but for make's: make up came before this, make e2e is this, and make
// down comes after it.
func TestReadme(t *testing.T) {
	open(t)
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "bin/dacorch ") || !strings.Contains(line, "dacorch rig ") && !strings.Contains(line, "--on kind") {
			continue
		}
		ran++
		ctx, done := context.WithTimeout(t.Context(), commandWithin)
		defer done()
		cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+line) // so that what is ended is the program
		cmd.Dir = ".."
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		cmd.WaitDelay = goneWithin
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", strings.TrimSpace(line), err, out)
		}
	}
	if ran < 2 {
		t.Errorf("%d commands found: the test looks in the wrong place", ran)
	}
}
