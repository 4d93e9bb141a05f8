package pane

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dacorch/tui/screen"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew: read the difference before you commit it")

// sizes are those of the golden frames.
var sizes = [][2]int{{80, 24}, {120, 40}, {200, 60}}

// golden compares a frame, its text and its styles, with testdata/<name>.txt.
func golden(t *testing.T, name string, c *screen.Canvas) {
	t.Helper()
	got := c.Plain() + "---\n" + c.Styles()
	path := filepath.Join("testdata", name+".txt")
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./tui/pane -rewrite writes it)", err)
	}
	if want := string(data); got != want {
		t.Errorf("%s: %s\nthe frame is now:\n%s\n(go test ./tui/pane -rewrite accepts it)", path, difference(want, got), c.Plain())
	}
}

// difference is the first line that is not the same.
func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) {
			return fmt.Sprintf("%d lines, want %d", len(b), len(a))
		}
		if a[i] != b[i] {
			return fmt.Sprintf("line %d is\n\t%q, want\n\t%q", i+1, b[i], a[i])
		}
	}
	return "the same"
}

// goldens draws at each size and compares.
func goldens(t *testing.T, name string, draw func(c *screen.Canvas)) {
	t.Helper()
	for _, size := range sizes {
		c := screen.New(size[0], size[1])
		draw(c)
		golden(t, fmt.Sprintf("%s-%dx%d", name, size[0], size[1]), c)
	}
}
