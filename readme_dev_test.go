package dacorch_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// devPatience bounds every wait for serve --dev; it only fails.
const devPatience = time.Minute

// section cuts the lines of a fenced block between "<!-- begin name -->" and
// "<!-- end name -->" out of a text.
func section(t *testing.T, text, name, lang string) (before string, lines []string, after string) {
	t.Helper()
	before, rest, ok1 := strings.Cut(text, fmt.Sprintf("<!-- begin %s -->\n```%s\n", name, lang))
	inside, _, ok2 := strings.Cut(rest, fmt.Sprintf("\n```\n<!-- end %s -->", name))
	if !ok1 || !ok2 {
		t.Fatalf("README.md has no section %s", name)
	}
	before = text[:len(before)+len(fmt.Sprintf("<!-- begin %s -->\n```%s\n", name, lang))]
	return before, strings.Split(inside, "\n"), text[len(before)+len(inside):]
}

// platform is a serve --dev, and how README.md writes what differs from run to
// run: addresses and the directory.
type platform struct {
	page   []string
	inside *strings.Replacer // from README.md's addresses to the real ones
	out    *strings.Replacer // and back
}

// startDev runs the program as README.md says, but on a free port.
func startDev(t *testing.T, dir string) *platform {
	t.Helper()
	cmd := exec.Command("bin/dacorch", "serve", "--dev", "--listen", "127.0.0.1:0")
	cmd.Dir = dir
	var log bytes.Buffer
	cmd.Stderr = &log
	page, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(devPatience, func() { _ = cmd.Process.Kill() }) // unless it has a page
	var lines []string
	for scan := bufio.NewScanner(page); scan.Scan(); {
		lines = append(lines, scan.Text())
		if strings.Contains(scan.Text(), "kubectl") { // the last line that says anything
			break
		}
	}
	kill.Stop()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // or Wait says how it ended
		over := time.AfterFunc(devPatience, func() { _ = cmd.Process.Kill() })
		defer over.Stop()
		_, _ = io.Copy(io.Discard, page)
		if err := cmd.Wait(); err != nil {
			t.Errorf("serve --dev ended with %v:\n%s", err, log.String())
		}
	})
	p := &platform{page: lines}
	p.replacers(t)
	return p
}

// replacers reads the page's addresses.
func (p *platform) replacers(t *testing.T) {
	t.Helper()
	shown := map[string]string{"REST": "127.0.0.1:8080", "ZooKeeper": "127.0.0.1:2181", "Kafka": "127.0.0.1:9092",
		"MQTT": "127.0.0.1:1883", "Kubernetes": "127.0.0.1:41000"}
	address := regexp.MustCompile(`^  (\w+) +(?:\w+://)?(127\.0\.0\.1:\d+)$`)
	var inside, out []string
	pair := func(readme, real string) {
		inside, out = append(inside, readme, real), append(out, real, readme)
	}
	for _, line := range p.page {
		if m := address.FindStringSubmatch(line); m != nil && shown[m[1]] != "" {
			pair(shown[m[1]], m[2])
			if m[1] == "MQTT" {
				pair("-p 1883", "-p "+strings.TrimPrefix(m[2], "127.0.0.1:"))
			}
			delete(shown, m[1])
		}
		if _, file, ok := strings.Cut(line, "  kubeconfig   "); ok {
			pair("/tmp/dacorch-1", filepath.Dir(file))
		}
	}
	if len(shown) > 0 {
		t.Fatalf("the page does not say where %v is:\n%s", slices.Sorted(maps.Keys(shown)), strings.Join(p.page, "\n"))
	}
	p.inside, p.out = strings.NewReplacer(inside...), strings.NewReplacer(out...)
}

// varies is what an answer has that no two runs share.
var varies = regexp.MustCompile(`"(tookSeconds|at|since|requestId)":("[^"]*"|[\d.e-]+)`)

// TestReadmeSession holds README.md's page of serve --dev, and the session with
// it, to what the program does today. With -rewrite it writes them anew.
func TestReadmeSession(t *testing.T) {
	for _, tool := range []string{"make", "curl", "mosquitto_pub"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("DACORCH_REAL") == "required" {
				t.Fatalf("%v, and DACORCH_REAL=required", err)
			}
			t.Skip(err)
		}
	}
	repository(t)
	if _, err := demo(); err != nil { // builds the program
		t.Fatal(err)
	}
	text := readText(t, "README.md")
	dir := readerDirectory(t)
	p := startDev(t, dir)

	before, shown, after := section(t, text, "dev", "text")
	printed := strings.Split(strings.TrimRight(p.out.Replace(strings.Join(p.page, "\n")), "\n"), "\n")
	if !slices.Equal(shown, printed) {
		if !*rewrite {
			t.Errorf("README.md's page is not what serve --dev prints (go test . -run TestReadmeSession -rewrite writes it):\n%s", strings.Join(printed, "\n"))
		}
		text = before + strings.Join(printed, "\n") + after
	}

	before, shown, after = section(t, text, "session", "console")
	var told []string
	for i := 0; i < len(shown); {
		command, is := strings.CutPrefix(shown[i], "$ ")
		if !is {
			t.Fatalf("README.md's session has an answer without a command: %s", shown[i])
		}
		end := i + 1
		for end < len(shown) && !strings.HasPrefix(shown[end], "$ ") {
			end++
		}
		told = append(told, shown[i])
		told = append(told, p.say(t, dir, command, shown[i+1:end])...)
		i = end
	}
	if *rewrite {
		if err := os.WriteFile("README.md", []byte(before+strings.Join(told, "\n")+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// say runs a command and answers what it prints, or what README.md shows where
// that is the same. What only reads is asked again until it is.
func (p *platform) say(t *testing.T, dir, command string, shown []string) []string {
	t.Helper()
	again := strings.HasPrefix(command, "curl") && !strings.Contains(command, "-X ")
	deadline := time.Now().Add(devPatience)
	if *rewrite {
		deadline = time.Now().Add(5 * time.Second)
	}
	for {
		out, code, err := run(dir, p.inside.Replace(command))
		if err != nil || code != 0 {
			t.Fatalf("%s: exit code %d, %v\n%s", command, code, err, out)
		}
		var printed []string
		if out = strings.TrimRight(out, "\n"); out != "" {
			printed = strings.Split(p.out.Replace(out), "\n")
		}
		if slices.EqualFunc(shown, printed, sameAnswer) {
			return shown
		}
		if again && time.Now().Before(deadline) {
			<-time.After(50 * time.Millisecond)
			continue
		}
		if !*rewrite {
			t.Errorf("README.md's session is not what happens (go test . -run TestReadmeSession -rewrite writes it):\n$ %s\n%s", command, strings.Join(printed, "\n"))
		}
		return printed
	}
}

// sameAnswer compares a line that is shown, where "…" stands for anything, with
// one that was printed.
func sameAnswer(shown, printed string) bool {
	shown, printed = varies.ReplaceAllString(shown, `"$1":…`), varies.ReplaceAllString(printed, `"$1":…`)
	parts := strings.Split(shown, elided)
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(printed)
}

// TestReadmeCalls holds README.md's table of REST calls to the description that
// is served.
func TestReadmeCalls(t *testing.T) {
	var served struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal([]byte(readText(t, "orchestrator/rest/openapi.json")), &served); err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for path, methods := range served.Paths {
		for method := range methods {
			want = append(want, strings.ToUpper(method)+" "+path)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:GET|PUT|POST|DELETE) /[^`]*)` \\|").FindAllStringSubmatch(readText(t, "README.md"), -1) {
		got = append(got, m[1])
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("README.md has the calls\n%s\nand these are served:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
