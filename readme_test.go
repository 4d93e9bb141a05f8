package dacorch_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the picture in README.md anew")

// fence is a fenced code block of a Markdown file.
type fence struct {
	lang  string
	line  int // of its first line inside, from 1
	lines []string
}

func fences(t *testing.T, text string) []fence {
	t.Helper()
	var all []fence
	var open *fence
	for i, line := range strings.Split(text, "\n") {
		lang, is := strings.CutPrefix(line, "```")
		switch {
		case is && open == nil:
			open = &fence{lang: lang, line: i + 2}
		case is:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		}
	}
	if open != nil {
		t.Fatalf("the code block of line %d does not end", open.line-1)
	}
	return all
}

func readText(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// demo is what "make demo" prints. It is run once, as a user does.
var demo = sync.OnceValues(func() (string, error) {
	out, code, err := run(".", "make demo")
	if err == nil && code != 0 {
		err = fmt.Errorf("make demo: exit code %d:\n%s", code, out)
	}
	return out, err
})

// run has the shell execute a command and answers its output and exit code.
func run(dir, command string) (string, int, error) {
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = dir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=") // of the make that runs this test
	})
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil
	}
	return string(out), cmd.ProcessState.ExitCode(), err
}

func needMake(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skipf("make is not here: %v", err)
	}
}

// TestReadmeCommands runs every command of README.md's sh blocks, in their order
// and in a directory where the yaml blocks lie as the files that the text says.
// "# exit code N" behind a command says what it ends with. Of make's targets
// only demo and build run; that the others exist is enough.
func TestReadmeCommands(t *testing.T) {
	needMake(t)
	repository(t) // read, so that the result is not taken from the cache when a file has changed
	if _, err := demo(); err != nil {
		t.Fatal(err)
	}
	dir := readerDirectory(t)
	exitCode := regexp.MustCompile(`# exit code (\d+)`)
	commands := 0
	for _, f := range fences(t, readText(t, "README.md")) {
		switch f.lang {
		case "text", "console": // their own tests hold them
			continue
		case "yaml":
			name := strings.TrimPrefix(f.lines[0], "name: ") + ".yaml"
			if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(f.lines, "\n")+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		case "sh":
		default:
			t.Errorf("README.md:%d: a code block of language %q: want sh, yaml, text or console", f.line-1, f.lang)
			continue
		}
		for i, command := range f.lines {
			commands++
			want := "0"
			if m := exitCode.FindStringSubmatch(command); m != nil {
				want = m[1]
			}
			t.Run(fmt.Sprintf("line %d", f.line+i), func(t *testing.T) {
				where := dir
				if m := goTest.FindStringSubmatch(command); m != nil {
					needTests(t, m[1], strings.Split(m[2], "|"))
					return // they run with all the others
				}
				if strings.Contains(command, "serve --dev") {
					return // TestReadmeSession runs it
				}
				if strings.Contains(command, "dacorch sim serve ") || strings.Contains(command, "dacorch tui") && !strings.Contains(command, "--snapshot") {
					return // the stories of cmd/dacorch/testdata/script do, in a real terminal
				}
				if strings.Contains(command, "dacorch rig ") || strings.Contains(command, "--on kind") {
					return // the end-to-end suite does, on a rig that is up
				}
				if strings.Contains(command, "# takes ") && os.Getenv("DACORCH_REAL") != "required" {
					t.Skip("it takes long, and runs with DACORCH_REAL=required")
				}
				if strings.Contains(command, "--on wire") {
					t.Parallel() // it mostly waits
				}
				if target, is := strings.CutPrefix(command, "make "); is {
					if strings.HasPrefix(target, "demo ") {
						return // has run
					}
					where, command = ".", "make -n "+target
				}
				out, code, err := run(where, command)
				if err != nil {
					t.Fatal(err)
				}
				if code == 2 && strings.Contains(out, " is not there.") {
					t.Skipf("the trace file is not here:\n%s", out)
				}
				if code == 1 && slow(out) {
					t.Logf("only times are longer than expected: this machine is busy\n%s", out)
					return
				}
				if fmt.Sprint(code) != want {
					t.Errorf("README.md:%d: exit code %d, want %s: %s\n%s", f.line+i, code, want, command, out)
				}
			})
		}
	}
	if commands < 10 {
		t.Errorf("only %d commands found: the test looks in the wrong place", commands)
	}
}

// slow says whether a report on wire has failed expectations, all of them about
// how long something took in real time.
func slow(report string) bool {
	failed, other := 0, 0
	for line := range strings.Lines(report) {
		if rest, is := strings.CutPrefix(line, "  FAIL "); is {
			failed++
			if name, _, _ := strings.Cut(rest, " "); !strings.Contains(name, "_time_") {
				other++
			}
		}
	}
	return failed > 0 && other == 0 && strings.Contains(report, "over real protocols")
}

// goTest is a command that runs some tests of a package.
var goTest = regexp.MustCompile(`^go test \./(\S+) -run '([\w|]+)'`)

// needTests fails where a package lacks a test whose name begins so.
func needTests(t *testing.T, dir string, names []string) {
	t.Helper()
	for _, name := range names {
		if !slices.ContainsFunc(repository(t), func(f file) bool {
			return path.Dir(f.path) == dir && f.isTest() && bytes.Contains(f.data, []byte("func "+name))
		}) {
			t.Errorf("there is no %s… in %s", name, dir)
		}
	}
}

// readerDirectory is a directory that looks to README.md's commands like the
// project's, and into which they may write.
func readerDirectory(t *testing.T) string {
	t.Helper()
	above := t.TempDir()
	dir := filepath.Join(above, "project")
	program, err := os.ReadFile(filepath.Join("bin", "dacorch"))
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Join(dir, "bin"), 0o755),
			os.WriteFile(filepath.Join(dir, "bin", "dacorch"), program, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"scenarios": "project", "deploy": "project", "../shared": "."} {
		if from, err = filepath.Abs(from); err == nil {
			err = os.Symlink(from, filepath.Join(above, to, filepath.Base(from)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// elided stands in the picture for lines left out.
const elided = "…"

var wallClock = regexp.MustCompile(`simulated in \S+: [\d,]+ times real time`)

// TestReadmePicture holds README.md's picture of the demo to what the program
// prints today, but for the wall clock's figures. With -rewrite it writes the
// picture anew, with the lines that it has now.
func TestReadmePicture(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the picture was drawn on amd64; elsewhere logarithms round otherwise, and latencies differ by nanoseconds")
	}
	needMake(t)
	repository(t)
	out, err := demo()
	if err != nil {
		t.Fatal(err)
	}
	text := readText(t, "README.md")
	const begin, end = "<!-- begin demo -->\n```text\n", "\n```\n<!-- end demo -->"
	before, rest, ok1 := strings.Cut(text, begin)
	picture, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("README.md has no picture between %q and %q", begin, end)
	}
	shown, printed := strings.Split(picture, "\n"), strings.Split(out, "\n")
	problem := compare(shown, printed)
	if problem == "" {
		return
	}
	if *rewrite {
		text = before + begin + strings.Join(redraw(shown, printed), "\n") + end + after
		if err := os.WriteFile("README.md", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("README.md's picture is not what make demo prints (go test . -run TestReadmePicture -rewrite writes it):\n%s", problem)
}

// compare answers the first line of the picture that is not printed in its
// place; lines may be missing only where the picture says so.
func compare(shown, printed []string) string {
	at, anywhere := 0, true
	for _, line := range shown {
		if strings.TrimSpace(line) == elided {
			anywhere = true
			continue
		}
		masked := wallClock.ReplaceAllString(line, "")
		is := func(p string) bool { return wallClock.ReplaceAllString(p, "") == masked }
		i := 0
		if anywhere {
			i = slices.IndexFunc(printed[at:], is)
		}
		if i < 0 || at+i >= len(printed) || !is(printed[at+i]) {
			return fmt.Sprintf("shown:   %s\nprinted: %s", line, strings.Join(printed[min(at, len(printed)):min(at+1, len(printed))], ""))
		}
		at, anywhere = at+i+1, false
	}
	if at == 0 {
		return "the picture is empty"
	}
	return ""
}

// redraw is the printed lines that begin like those shown.
func redraw(shown, printed []string) []string {
	var begins []string
	for _, line := range shown {
		begins = append(begins, beginning(line))
	}
	var lines []string
	for _, line := range printed {
		switch {
		case slices.Contains(begins, beginning(line)):
			lines = append(lines, line)
		case len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) != elided:
			lines = append(lines, "  "+elided)
		}
	}
	for len(lines) > 0 && strings.Trim(lines[len(lines)-1], " "+elided) == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// beginning is a line's indentation and first word, with the second after a
// verdict.
func beginning(line string) string {
	words := strings.Fields(line)
	if len(words) == 0 {
		return ""
	}
	first := words[0]
	switch {
	case len(words) > 1 && (first == "ok" || first == "FAIL"):
		first += " " + words[1]
	case strings.HasPrefix(first, "|") || strings.HasPrefix(first, "+"):
		first = first[:1]
	}
	return line[:strings.Index(line, words[0])] + first
}

// documents are the files whose links and names must be right.
func documents(files []file) []file {
	return slices.DeleteFunc(slices.Clone(files), func(f file) bool {
		return path.Ext(f.path) != ".md" || f.isData()
	})
}

// TestDocumentsLinkToFiles holds every relative link of every document to a file
// and, where it names one, to a heading.
func TestDocumentsLinkToFiles(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	files := repository(t)
	for _, doc := range documents(files) {
		for i, line := range strings.Split(string(doc.data), "\n") {
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				if strings.Contains(m[1], "://") {
					continue
				}
				name, anchor, _ := strings.Cut(m[1], "#")
				target := doc
				if name != "" {
					name = path.Join(path.Dir(doc.path), name)
					at := slices.IndexFunc(files, func(f file) bool { return f.path == name })
					if at < 0 {
						t.Errorf("%s:%d: link to %s, which is not in the repository", doc.path, i+1, name)
						continue
					}
					target = files[at]
				}
				if anchor != "" && !slices.Contains(headings(target.data), anchor) {
					t.Errorf("%s:%d: link to #%s of %s, which has no such heading", doc.path, i+1, anchor, target.path)
				}
			}
		}
	}
}

// headings are the anchors of a document's headings, as GitHub makes them.
func headings(text []byte) []string {
	var all []string
	for line := range bytes.Lines(text) {
		if title, is := strings.CutPrefix(strings.TrimLeft(string(line), "#"), " "); is && line[0] == '#' {
			anchor := strings.Map(func(r rune) rune {
				switch {
				case r == ' ':
					return '-'
				case strings.ContainsRune("`:,.…()/!?'*+\"", r):
					return -1
				}
				return r
			}, strings.ToLower(strings.TrimSpace(title)))
			all = append(all, anchor)
		}
	}
	return all
}

// TestDocumentsNameWhatIsThere looks for the files and tests that README.md and
// ARCHITECTURE.md name in backquotes.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	code := regexp.MustCompile("`([^`]+)`")
	source := regexp.MustCompile(`^[\w./-]+\.(go|md|yaml|mod)$`)
	test := regexp.MustCompile(`^(Test|Fuzz|Benchmark)[A-Z]\w*$`)
	files := repository(t)
	sample := fences(t, readText(t, "README.md"))
	for _, doc := range documents(files) {
		if doc.path != "README.md" && doc.path != "ARCHITECTURE.md" {
			continue
		}
		for i, line := range strings.Split(string(doc.data), "\n") {
			for _, m := range code.FindAllStringSubmatch(line, -1) {
				name := m[1]
				switch {
				case test.MatchString(name):
					if !slices.ContainsFunc(files, func(f file) bool {
						return f.isTest() && bytes.Contains(f.data, []byte("func "+name+"("))
					}) {
						t.Errorf("%s:%d: there is no %s", doc.path, i+1, name)
					}
				case source.MatchString(name):
					if !slices.ContainsFunc(files, func(f file) bool {
						return f.path == name || strings.HasSuffix(f.path, "/"+name)
					}) && !slices.ContainsFunc(sample, func(f fence) bool {
						return f.lang == "yaml" && f.lines[0] == "name: "+strings.TrimSuffix(name, ".yaml")
					}) && name != "SOURCE.md" { // lies beside the traces
						t.Errorf("%s:%d: there is no file %s", doc.path, i+1, name)
					}
				}
			}
		}
	}
}

// TestArchitectureRooms holds the table of rooms in ARCHITECTURE.md to the house
// table of layout_test.go: the same rooms with files, and what each may import.
func TestArchitectureRooms(t *testing.T) {
	_, rest, ok1 := strings.Cut(readText(t, "ARCHITECTURE.md"), "<!-- begin rooms -->\n")
	table, _, ok2 := strings.Cut(rest, "<!-- end rooms -->")
	if !ok1 || !ok2 {
		t.Fatal("ARCHITECTURE.md has no table of rooms")
	}
	code := regexp.MustCompile("`([^`]+)`")
	names := func(cell string) []string {
		var all []string
		for _, m := range code.FindAllStringSubmatch(cell, -1) {
			all = append(all, m[1])
		}
		slices.Sort(all)
		return all
	}
	files := repository(t)
	exists := func(pattern string) bool {
		return slices.ContainsFunc(files, func(f file) bool { return f.isGo() && !f.isTest() && holds(pattern, path.Dir(f.path)) })
	}
	described := map[string]bool{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 || len(names(cells[0])) != 1 {
			continue // the head
		}
		name := names(cells[0])[0]
		described[name] = true
		r, known := roomOf(name)
		if !known || r.path != name {
			t.Errorf("ARCHITECTURE.md: room %s is not in the house table of layout_test.go", name)
			continue
		}
		var may []string
		for _, m := range r.may {
			if exists(m) {
				may = append(may, m)
			}
		}
		slices.Sort(may)
		if got := names(cells[3]); !slices.Equal(got, may) {
			t.Errorf("ARCHITECTURE.md: %s may import %v, by layout_test.go (of the rooms with files) %v", name, got, may)
		}
		if pure := strings.TrimSpace(cells[2]) == "yes"; pure != r.pure {
			t.Errorf("ARCHITECTURE.md: %s is pure: %t, by layout_test.go %t", name, pure, r.pure)
		}
	}
	for _, r := range house {
		if exists(r.path) && !described[r.path] {
			t.Errorf("ARCHITECTURE.md: room %s has files and is not in the table", r.path)
		}
	}
}
