package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience only ever fails a story.
const patience = 60 * time.Second

// beside is a program that runs beside a story.
type beside struct {
	cmd      *exec.Cmd
	out, log *growing
	ended    chan struct{}
	err      error // once ended
}

// besideKey finds the latest program beside a story.
type besideKey struct{}

// growing collects what a process writes while others read it.
type growing struct {
	mu   sync.Mutex
	b    bytes.Buffer
	file *os.File // nil, or where it goes as well
}

// Write is io.Writer's.
func (g *growing) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.file != nil {
		if n, err := g.file.Write(p); err != nil {
			return n, err
		}
	}
	return g.b.Write(p)
}

// String is everything so far.
func (g *growing) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.String()
}

// besideCommand is "beside PROGRAM ARG…": it runs beside the story, and what it
// says on standard error grows in the file log.
func besideCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: beside PROGRAM ARG…")
	}
	begin(ts, args)
}

func begin(ts *testscript.TestScript, args []string) *beside {
	file, err := os.Create(ts.MkAbs("log"))
	ts.Check(err)
	p := &beside{cmd: command(ts, args), out: &growing{}, log: &growing{file: file}, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.log
	ts.Check(p.cmd.Start())
	go func() {
		p.err = errors.Join(p.cmd.Wait(), file.Close())
		close(p.ended)
	}()
	ts.Defer(func() {
		_ = p.cmd.Process.Kill() // it has ended already in a story that was told to its end
		<-p.ended
	})
	*ts.Value(besideKey{}).(**beside) = p
	return p
}

// servingCommand is "serving ARG…": dacorch serve --dev runs beside the story on
// free ports, with its page in the file page. API, MQTT, KUBECONFIG and DATABASE
// say where what is. "serving sim ARG…" is dacorch sim serve, which has an API
// alone.
func servingCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: serving [sim] ARG…")
	}
	program := []string{"dacorch", "serve", "--dev", "--listen", "127.0.0.1:0"}
	said := map[string]string{"API": `REST +http://(\S+)`, "MQTT": `MQTT +mqtt://(\S+)`,
		"KUBECONFIG": `kubeconfig +(\S+)`, "DATABASE": `database +(\S+)`}
	last := "get pods\n\n"
	if len(args) > 0 && args[0] == "sim" {
		program, args = []string{"dacorch", "sim", "serve", "--listen", "127.0.0.1:0"}, args[1:]
		said, last = map[string]string{"API": said["API"]}, "/v1/api/timeline\n\n"
	}
	p := begin(ts, append(program, args...))
	if !await(func() bool { return strings.HasSuffix(p.out.String(), last) }, p.ended) {
		ts.Fatalf("no page:\n%s\n%s", p.out.String(), p.log.String())
	}
	page := p.out.String()
	ts.Check(os.WriteFile(ts.MkAbs("page"), []byte(page), 0o600))
	for name, pattern := range said {
		m := regexp.MustCompile(pattern).FindStringSubmatch(page)
		if m == nil {
			ts.Fatalf("the page does not say %s", pattern)
		}
		ts.Setenv(name, m[1])
	}
}

// endedCommand is "ended int|term": what runs beside the story is asked to end,
// and does so with exit code 0.
func endedCommand(ts *testscript.TestScript, neg bool, args []string) {
	how := map[string]os.Signal{"int": os.Interrupt, "term": syscall.SIGTERM}
	p := *ts.Value(besideKey{}).(**beside)
	if neg || len(args) != 1 || how[args[0]] == nil || p == nil {
		ts.Fatalf("usage: ended int|term, after beside or serving")
	}
	ts.Check(p.cmd.Process.Signal(how[args[0]]))
	select {
	case <-p.ended:
	case <-time.After(patience):
		ts.Fatalf("it did not end:\n%s", p.log.String())
	}
	if p.err != nil {
		ts.Fatalf("it ended with %v:\n%s", p.err, p.log.String())
	}
}

// streamCommand is "stream FILE URL": what the URL answers grows in the file
// until the story ends.
func streamCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: stream FILE URL")
	}
	file, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer file.Close()
		request(ctx, args[1:], file)
	}()
	ts.Defer(func() { cancel(); <-ended })
	if !await(func() bool { info, err := file.Stat(); return err == nil && info.Size() > 0 }, ended) {
		ts.Fatalf("%s tells nothing", args[1])
	}
}

// untilCommand is "until REGEXP PROGRAM ARG…": what the program prints comes to
// match. Between two attempts there is a moment; one that does not end is ended
// once it matches. "until REGEXP page WORD" takes the command that contains the
// word from the page of serving.
func untilCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until REGEXP PROGRAM ARG…")
	}
	want, err := regexp.Compile("(?s)" + args[0])
	ts.Check(err)
	args = args[1:]
	if args[0] == "page" {
		args = fromPage(ts, args[1])
	}
	var out *growing
	ended := time.Now().Add(patience)
	for time.Now().Before(ended) {
		out = &growing{}
		if attempt(ts, args, out, func() bool { return want.MatchString(out.String()) }) {
			ts.Logf("%s", out.String())
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	ts.Fatalf("%q never printed %s; at last:\n%s", args, want, out.String())
}

// attempt runs a program until what it printed is right, or it has ended.
func attempt(ts *testscript.TestScript, args []string, out *growing, right func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ended := make(chan struct{})
	if _, err := exec.LookPath(args[0]); args[0] == "curl" && err != nil {
		go func() { defer close(ended); request(ctx, args[1:], out) }()
	} else {
		cmd := command(ts, args)
		cmd.Stdout, cmd.Stderr = out, out
		ts.Check(cmd.Start())
		context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() }) // or it has ended
		go func() { defer close(ended); _ = cmd.Wait() }()        // what it printed counts
	}
	await(right, ended)
	cancel()
	<-ended
	return right()
}

// request does what curl does with the flags that the stories use, on machines
// without it.
func request(ctx context.Context, args []string, out io.Writer) {
	method, url, body := http.MethodGet, "", ""
	header := http.Header{}
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-X" && i+1 < len(args):
			i++
			method = args[i]
		case a == "-d" && i+1 < len(args):
			i++
			body = args[i]
		case a == "-H" && i+1 < len(args):
			i++
			name, value, _ := strings.Cut(args[i], ":")
			header.Set(name, strings.TrimSpace(value))
		case a[0] != '-':
			url = a
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		_, _ = io.WriteString(out, err.Error())
		return
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		_, _ = io.WriteString(out, err.Error())
		return
	}
	defer resp.Body.Close()
	_, _ = io.Copy(out, resp.Body) // a stream is ended by ctx
}

// pageCommand is "page WORD": the command of serving's page that contains the
// word does what it is for.
func pageCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: page WORD")
	}
	command := fromPage(ts, args[0])
	ts.Check(ts.Exec(command[0], command[1:]...))
}

// fromPage is the command of the page that contains the word, as its arguments.
func fromPage(ts *testscript.TestScript, word string) []string {
	page := strings.ReplaceAll(ts.ReadFile("page"), "\\\n", " ")
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "  ") && strings.Contains(strings.TrimSpace(line)+"$", word) {
			if args := fields(line); len(args) > 0 && (args[0] == "curl" || args[0] == "mosquitto_pub" || args[0] == "kubectl") {
				return args
			}
		}
	}
	ts.Fatalf("no command of the page contains %q", word)
	return nil
}

// fields are the words of a command line with single quotes.
func fields(line string) []string {
	var all []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			all = append(all, part)
		} else {
			all = append(all, strings.Fields(part)...)
		}
	}
	return all
}

// await waits until ok, for patience at most and not after the channel is closed.
func await(ok func() bool, ended <-chan struct{}) bool {
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-ended:
			return ok()
		case <-deadline:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	return true
}

// command is a program of the story's PATH, in its directory and environment.
func command(ts *testscript.TestScript, args []string) *exec.Cmd {
	path := args[0]
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if info, err := os.Stat(filepath.Join(dir, args[0])); err == nil && info.Mode()&0o111 != 0 {
			path = filepath.Join(dir, args[0])
			break
		}
	}
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "XDG_CACHE_HOME", "TMPDIR", "DAC_INSTANCE_ID", "IOTA_KIND", "IOTA_ZOOKEEPER", "IOTA_KAFKA"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	return cmd
}

// publishCommand is "publish MESSAGE": mosquitto_pub announces it as the data
// centre does.
func publishCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: publish MESSAGE")
	}
	host, port, err := net.SplitHostPort(ts.Getenv("MQTT"))
	ts.Check(err)
	ts.Check(ts.Exec("mosquitto_pub", "-h", host, "-p", port, "-q", "1", "-t", "cm/notify", "-m", args[0]))
}

// installed is the condition [have:PROGRAM]: it is on the PATH. With
// DACORCH_REAL=required Debian's packages must be.
func installed(condition string) (bool, error) {
	program, is := strings.CutPrefix(condition, "have:")
	if !is {
		return false, fmt.Errorf("unknown condition %q", condition)
	}
	_, err := exec.LookPath(program)
	if err != nil && program != "kubectl" && os.Getenv("DACORCH_REAL") == "required" {
		return false, fmt.Errorf("%w, and DACORCH_REAL=required", err)
	}
	return err == nil, nil
}
