package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// tty is a real terminal, tmux's, in which a program runs beside a story.
type tty struct {
	ts     *testscript.TestScript
	socket string
	seen   string // the screen as it was last looked at
}

// terminalKey finds the terminal of a story.
type terminalKey struct{}

func (t *tty) tmux(args ...string) (string, error) {
	cmd := exec.Command("tmux", append([]string{"-S", t.socket, "-f", "/dev/null"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("tmux %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// terminalCommand is "terminal WIDTHxHEIGHT PROGRAM ARG…": the program runs in a
// terminal of that size; the terminal stays when it ends.
func terminalCommand(ts *testscript.TestScript, neg bool, args []string) {
	var width, height int
	if neg || len(args) < 2 {
		ts.Fatalf("usage: terminal WIDTHxHEIGHT PROGRAM ARG…")
	}
	if _, err := fmt.Sscanf(args[0], "%dx%d", &width, &height); err != nil {
		ts.Fatalf("the size %s is not WIDTHxHEIGHT", args[0])
	}
	cmd := command(ts, args[1:])
	line := []string{"env", "-i", "TERM=tmux-256color", "LANG=C.UTF-8"}
	line = append(append(append(line, cmd.Env...), cmd.Path), args[2:]...)
	for i := range line {
		line[i] = "'" + strings.ReplaceAll(line[i], "'", `'\''`) + "'"
	}
	t := &tty{ts: ts, socket: filepath.Join(ts.Getenv("TMPDIR"), "tmux")}
	_, err := t.tmux("-u", "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "-c", cmd.Dir,
		strings.Join(line, " ")+`; printf 'ended with %s\n' $?; exec cat`)
	ts.Check(err)
	ts.Defer(func() { _, _ = t.tmux("kill-server") }) // it has ended where the story did it
	_, err = t.tmux("set-option", "-g", "mouse", "on")
	ts.Check(err)
	*ts.Value(terminalKey{}).(**tty) = t
}

func terminalOf(ts *testscript.TestScript) *tty {
	t := *ts.Value(terminalKey{}).(**tty)
	if t == nil {
		ts.Fatalf("no terminal: begin with terminal WIDTHxHEIGHT PROGRAM ARG…")
	}
	return t
}

// pressCommand is "press KEY…": keys as tmux names them (Enter, Escape, Down, C-c,
// a); a word of several letters that is no key is typed.
func pressCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: press KEY…")
	}
	_, err := terminalOf(ts).tmux(append([]string{"send-keys"}, args...)...)
	ts.Check(err)
}

// resizeCommand is "resize WIDTHxHEIGHT".
func resizeCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: resize WIDTHxHEIGHT")
	}
	width, height, _ := strings.Cut(args[0], "x")
	_, err := terminalOf(ts).tmux("resize-window", "-x", width, "-y", height)
	ts.Check(err)
}

// seesCommand is "[!] sees REGEXP": the screen comes to match, or not to match any
// longer. Lines are apart by line breaks; "." matches them.
func seesCommand(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] sees REGEXP")
	}
	want, err := regexp.Compile("(?s)" + args[0])
	ts.Check(err)
	t := terminalOf(ts)
	matches := func() bool {
		t.seen, err = t.tmux("capture-pane", "-p")
		return err == nil && want.MatchString(t.seen) != neg
	}
	if !await(matches, nil) {
		ts.Fatalf("the screen does not come to be so; at last:\n%s", t.seen)
	}
	ts.Logf("%s", t.seen)
}
