package dacorch_test

import (
	"bytes"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// frames are the places of README.md that show what "bin/dacorch tui ARG…
// --snapshot -" prints.
var frames = regexp.MustCompile("(?s)(<!-- begin frame (.*?) -->\n```text\n)(.*?)(```\n<!-- end frame -->)")

// picture is a frame as docs/tui.svg shows it, and the picture's alternative text
// tells the moment.
const picture = "control-room --at 25m4s --paused --theme dark --size 112x38"

// TestReadmeFrames holds the frames of the terminal UI in README.md and
// docs/tui.svg to what the program draws today. With -rewrite it writes them anew.
func TestReadmeFrames(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the frames were drawn on amd64; elsewhere logarithms round otherwise, and latencies differ by nanoseconds")
	}
	needMake(t)
	repository(t)
	if _, err := demo(); err != nil { // builds the program
		t.Fatal(err)
	}
	draw := func(args string) string {
		out, code, err := run(".", "bin/dacorch tui "+args+" --snapshot -")
		if err != nil || code != 0 {
			t.Fatalf("dacorch tui %s --snapshot -: exit code %d, %v:\n%s", args, code, err, out)
		}
		return out
	}
	text := readText(t, "README.md")
	found := frames.FindAllStringSubmatch(text, -1)
	if len(found) < 2 {
		t.Errorf("README.md shows %d frames, want 2 or more", len(found))
	}
	for _, m := range found {
		if now := draw(m[2]); *rewrite {
			text = strings.Replace(text, m[0], m[1]+now+m[4], 1)
		} else if now != m[3] {
			t.Errorf("README.md's frame %s is not what the program draws (go test . -run TestReadmeFrames -rewrite writes it):\n%s", m[2], now)
		}
	}
	drawn := t.TempDir() + "/tui.svg"
	if out, code, err := run(".", "bin/dacorch tui "+picture+" --snapshot "+drawn); err != nil || code != 0 {
		t.Fatalf("dacorch tui %s: exit code %d, %v:\n%s", picture, code, err, out)
	}
	now := []byte(readText(t, drawn))
	if *rewrite {
		if err := os.WriteFile("README.md", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("docs/tui.svg", now, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if shown, err := os.ReadFile("docs/tui.svg"); err != nil || !bytes.Equal(shown, now) {
		t.Errorf("docs/tui.svg is not what dacorch tui %s draws (go test . -run TestReadmeFrames -rewrite writes it); %v", picture, err)
	}
}
