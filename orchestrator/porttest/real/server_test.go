package real

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestServersStartAnswerAndRestart(t *testing.T) {
	for name, start := range map[string]func(testing.TB, ...Option) *Server{
		"zookeeper": ZooKeeper, "mosquitto": Mosquitto, "postgresql": PostgreSQL,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			addr := s.Addr
			if !strings.HasPrefix(addr, "127.0.0.1:") || !strings.Contains(s.URL, addr) {
				t.Fatalf("address %s, URL %s: not both on loopback", addr, s.URL)
			}
			s.Stop()
			if err := s.answers(); err == nil {
				t.Fatal("it answers after Stop")
			}
			s.Stop() // of one that is down does nothing
			s.Start()
			s.Start() // of one that runs does nothing
			s.Kill()
			if err := s.answers(); err == nil {
				t.Fatal("it answers after Kill")
			}
			s.Start()
			if s.Addr != addr {
				t.Fatalf("address %s after a restart, %s before", s.Addr, addr)
			}
			if err := s.answers(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestTwoServersAtOnce(t *testing.T) {
	a, b := Mosquitto(t), Mosquitto(t)
	if a.Addr == b.Addr || a.Dir == b.Dir {
		t.Fatalf("two servers share %s or %s", a.Addr, a.Dir)
	}
}

// The data survive both ways to end. ZooKeeper is asked through its own command
// line, which is as far from our adapters as can be.
func TestZooKeeperKeepsData(t *testing.T) {
	s := ZooKeeper(t)
	client := func(words ...string) string {
		t.Helper()
		args := append([]string{"-Xmx64m", "-cp", zookeeperJar, "org.apache.zookeeper.ZooKeeperMain",
			"-server", s.Addr}, words...)
		out, err := exec.Command("java", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s; the server's log:\n%s", err, out, s.Log())
		}
		return string(out)
	}
	client("create", "/kept", "by the log")
	s.Kill()
	s.Start()
	if out := client("get", "/kept"); !strings.Contains(out, "by the log") {
		t.Fatalf("after Kill: %s", out)
	}
	s.Stop()
	s.Start()
	if out := client("get", "/kept"); !strings.Contains(out, "by the log") {
		t.Fatalf("after Stop: %s", out)
	}
}

func TestMosquittoKeepsRetained(t *testing.T) {
	s := Mosquitto(t)
	_, port, _ := strings.Cut(s.Addr, ":")
	client := func(program string, words ...string) string {
		t.Helper()
		path := tool(t, "mosquitto-clients", program)
		out, err := exec.Command(path, append([]string{"-h", "127.0.0.1", "-p", port, "-t", "kept", "-q", "1"}, words...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s; the broker's log:\n%s", program, err, out, s.Log())
		}
		return string(out)
	}
	client("mosquitto_pub", "-r", "-m", "word")
	s.Stop()
	s.Start()
	if out := client("mosquitto_sub", "-C", "1", "-W", "20"); out != "word\n" {
		t.Fatalf("after Stop: %q", out)
	}
}

func TestPostgreSQLKeepsData(t *testing.T) {
	s := PostgreSQL(t)
	psql := func(statement string) string {
		t.Helper()
		path := tool(t, "postgresql-client", "psql", "/usr/lib/postgresql/*/bin")
		out, err := exec.Command(path, "-AtX", "-d", s.URL, "-c", statement).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s; the server's log:\n%s", err, out, s.Log())
		}
		return strings.TrimSpace(string(out))
	}
	psql(`CREATE TABLE kept AS SELECT 1 AS n`)
	s.Kill()
	s.Start()
	psql(`INSERT INTO kept VALUES (2)`)
	s.Stop()
	s.Start()
	if sum := psql(`SELECT sum(n) FROM kept`); sum != "3" {
		t.Fatalf("sum %s, want 3", sum)
	}
}

// A statement that runs outlives the killed server for a while, and keeps the
// next one from starting.
func TestPostgreSQLKilledAtWork(t *testing.T) {
	s := PostgreSQL(t)
	psql := exec.Command(tool(t, "postgresql-client", "psql", "/usr/lib/postgresql/*/bin"), "-AtX", "-d", s.URL, "-c", `SELECT 'ready'`,
		"-c", `SELECT count(*) FROM generate_series(1, 20000000)`)
	out, err := psql.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := psql.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready"))); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	s.Start()
	_ = psql.Wait() // the orphan may even have answered it
	if !strings.Contains(s.Log(), s.patient) {
		t.Log("the orphan was gone before the server came back")
	}
}

func TestSettingReplacesADefault(t *testing.T) {
	got := lines("=", []Option{{"a", "1"}, {"b", "2"}}, []Option{Setting("b", "3"), Setting("b", "4")})
	if want := "a=1\nb=3\nb=4\n"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

// A server that cannot come up says why, and leaves nothing behind.
func TestServerThatCannotStart(t *testing.T) {
	s := Mosquitto(t)
	s.Stop()
	if err := os.WriteFile(filepath.Join(s.Dir, "mosquitto.conf"), []byte("no such setting\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := s.start()
	if err == nil || !strings.Contains(err.Error(), "ended while it started") || !strings.Contains(err.Error(), "no such setting") &&
		!strings.Contains(err.Error(), "Unknown configuration") {
		t.Fatalf("error %v: it does not say what is wrong", err)
	}
	if s.running != nil {
		t.Fatal("a process is left")
	}
}

func TestMissingSkipsOrFails(t *testing.T) {
	for _, required := range []bool{false, true} {
		t.Setenv("DACORCH_REAL", map[bool]string{true: "required"}[required])
		inner := &recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			missing(inner, "some-package", "it")
		}()
		<-done
		if inner.failed != required || inner.skipped == required || !strings.Contains(inner.said, "Debian package some-package") {
			t.Errorf("required %v: failed %v, skipped %v, said %q", required, inner.failed, inner.skipped, inner.said)
		}
	}
}

// recorder is a test that only notes how it ended.
type recorder struct {
	testing.TB
	failed, skipped bool
	said            string
}

func (r *recorder) Helper() {}
func (r *recorder) Fatal(args ...any) {
	r.failed, r.said = true, args[0].(string)
	runtime.Goexit()
}
func (r *recorder) Skip(args ...any) {
	r.skipped, r.said = true, args[0].(string)
}
