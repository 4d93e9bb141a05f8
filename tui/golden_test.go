package tui

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"dacorch/tui/pane"
	"dacorch/tui/sample"
	"dacorch/tui/screen"
)

var rewrite = flag.Bool("rewrite", false, "write the golden frames anew: read the difference before you commit it")

// frameSizes are those of the golden frames.
var frameSizes = [][2]int{{80, 24}, {120, 40}, {200, 60}}

func sizeName(size [2]int) string { return fmt.Sprintf("%dx%d", size[0], size[1]) }

// golden compares the frame, its text and its styles, with testdata/<name>.txt, at
// each size.
func (r *rig) golden(name string) {
	r.t.Helper()
	r.until("events have come", func() bool { return len(r.m.state.Events) > 0 })
	for _, size := range frameSizes {
		r.send(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		r.settle()
		r.screen()
		path := filepath.Join("testdata", name+"-"+sizeName(size)+".txt")
		got := r.m.canvas.Plain() + "---\n" + r.m.canvas.Styles()
		if *rewrite {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				r.t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			r.t.Fatalf("%v (go test ./tui -rewrite writes it)", err)
		}
		if string(want) != got {
			r.t.Errorf("%s has another frame now; go test ./tui -rewrite, and git diff shows it:\n%s", path, r.m.canvas.Plain())
		}
	}
}

// Every view at three sizes, as a whole screen.
func TestFrames(t *testing.T) {
	for _, v := range tabs {
		t.Run(string(v), func(t *testing.T) {
			r := newRig(t, newStand(sample.State(40, 4000)), Config{View: string(v)})
			r.settle()
			r.golden(string(v))
		})
	}
	t.Run("production", func(t *testing.T) {
		r := newRig(t, newStand(sample.Production(sample.State(40, 4000))), Config{})
		r.settle()
		r.golden("production")
	})
	t.Run("help", func(t *testing.T) {
		r := newRig(t, newStand(sample.State(40, 4000)), Config{})
		r.settle()
		r.press("?")
		r.golden("help")
	})
	t.Run("replace", func(t *testing.T) {
		r := newRig(t, newStand(sample.State(40, 4000)), Config{View: "instances"})
		r.settle()
		r.press("down", "down", "r", "y")
		r.golden("replace")
	})
	t.Run("find", func(t *testing.T) {
		r := newRig(t, newStand(sample.State(40, 4000)), Config{})
		r.settle()
		r.press("F")
		r.typed("0")
		r.golden("find")
	})
}

// Without colour there is none, and the frame's words are the same.
func TestFramesWithoutColour(t *testing.T) {
	for _, v := range tabs {
		r := newRig(t, newStand(sample.State(40, 4000)), Config{View: string(v), Theme: "mono"})
		r.settle()
		plain := r.screen()
		out := r.m.canvas.ANSI(r.m.theme)
		for _, code := range []string{"38;2;", "48;2;", "38;5;", "48;5;"} {
			if strings.Contains(out, code) {
				t.Errorf("%s: a colour in the frame without: %q", v, code)
			}
		}
		r.m.theme = screen.Light
		if light := r.screen(); light != plain || !strings.Contains(r.m.canvas.ANSI(screen.Light), "38;2;") {
			t.Errorf("%s: the frame with colours has other words", v)
		}
	}
}

// Any size, any view, the dialogs: no panic, and nothing but the frame.
func TestAnySize(t *testing.T) {
	r := newRig(t, newStand(sample.State(40, 4000)), Config{})
	r.settle()
	for _, keys := range [][]string{nil, {"?"}, {"F", "t"}, {":", "p"}, {"2", "r"}, {"o"}, {"b"}, {"/", "x"}} {
		for _, v := range append(tabs, pane.Help) {
			r.press("esc", "esc", "esc")
			r.m.visit(pane.Intent{View: v})
			r.press(keys...)
			for _, size := range [][2]int{{1, 1}, {2, 60}, {300, 1}, {10, 4}, {20, 7}, {40, 9}, {79, 23}, {300, 100}, {0, 0}} {
				r.send(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
				r.screen()
				if w, h := r.m.canvas.Size(); size[0] > 0 && (w != size[0] || h != size[1]) {
					t.Fatalf("the frame is %d by %d in a terminal of %v", w, h, size)
				}
			}
		}
	}
}
