package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dacorch": main})
}

// TestScripts runs the program as a user does; each file of testdata/script is a
// story. Besides testscript's own commands they use those below.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Values[besideKey{}] = new(*beside)
			env.Values[terminalKey{}] = new(*tty)
			// Runs are kept in the user's cache directory: none of the story's.
			home := filepath.Join(env.WorkDir, ".home")
			env.Setenv("HOME", home)
			env.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
			env.Setenv("RUNS", filepath.Join(home, "cache", "dacorch", "runs"))
			return nil
		},
		Condition: installed,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":  codeCommand,
			"field": fieldCommand,
			"xml":   xmlCommand,
			"plain": plainCommand,

			"beside":  besideCommand,
			"serving": servingCommand,
			"stream":  streamCommand,
			"ended":   endedCommand,
			"until":   untilCommand,
			"page":    pageCommand,
			"publish": publishCommand,

			"terminal": terminalCommand,
			"press":    pressCommand,
			"resize":   resizeCommand,
			"sees":     seesCommand,
		},
	})
}

// codeCommand is "code N dacorch ARG…": the program ends with that exit code.
func codeCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N PROGRAM ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit interface{ ExitCode() int }
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// fieldCommand is "[!] field FILE PATH WANT": the value at the dotted path of a
// JSON file is, or is not, WANT; or the same place of another file, written
// @FILE.
func fieldCommand(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: field FILE PATH WANT")
	}
	got, want := fieldOf(ts, args[0], args[1]), args[2]
	if other, is := strings.CutPrefix(want, "@"); is {
		want = fieldOf(ts, other, args[1])
	}
	if (got == want) == neg {
		ts.Fatalf("%s of %s is %s, want it%s %s", args[1], args[0], got, map[bool]string{true: " not"}[neg], want)
	}
}

func fieldOf(ts *testscript.TestScript, file, path string) string {
	var value any
	if err := json.Unmarshal([]byte(ts.ReadFile(file)), &value); err != nil {
		ts.Fatalf("%s: %v", file, err)
	}
	for key := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			inner, ok := v[key]
			if !ok {
				ts.Fatalf("%s: no %q in %s", file, key, path)
			}
			value = inner
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(v) {
				ts.Fatalf("%s: no %q in %s, which has %d items", file, key, path, len(v))
			}
			value = v[i]
		default:
			ts.Fatalf("%s: nothing inside %q of %s", file, key, path)
		}
	}
	return fmt.Sprint(value)
}

// xmlCommand is "xml FILE": the file is well-formed XML.
func xmlCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: xml FILE")
	}
	d := xml.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	for elements := 0; ; elements++ {
		if _, err := d.Token(); err == io.EOF && elements > 0 {
			return
		} else if err != nil {
			ts.Fatalf("%s: %v", args[0], err)
		}
	}
}

// plainCommand is "plain FILE…": the files hold no control character but line
// breaks, and nothing beyond ASCII.
func plainCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: plain FILE…")
	}
	for _, name := range args {
		for i, r := range ts.ReadFile(name) {
			if r != '\n' && (r < ' ' || r > '~') {
				ts.Fatalf("%s: character %q at byte %d", name, r, i)
			}
		}
	}
}
