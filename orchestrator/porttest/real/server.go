// Package real starts the servers that the platform has, from Debian's packages
// (zookeeper, mosquitto, postgresql), for one test each: on a port of their own on
// loopback, in a directory that goes with the test. A test can stop, kill and
// start its server again; port and data stay.
//
// Where a server is not installed the test is skipped. With DACORCH_REAL=required
// in the environment it fails instead, so that nothing is skipped unseen.
package real

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	startWithin = 60 * time.Second // a loaded machine starts Java slowly; it only fails tests
	stopWithin  = 20 * time.Second
	ports       = 12 // that are tried before a test fails
	logTail     = 8 << 10
)

// Server is one running server. Its methods fail the test that started it; they
// are called from that test's goroutines, one at a time.
type Server struct {
	// Addr is host:port on loopback, the same after every start.
	Addr string
	// URL is how clients of this server write it: postgres://user:password@host/db
	// for PostgreSQL, mqtt://host for Mosquitto, host:port for ZooKeeper.
	URL string
	// Dir holds the server's data, configuration and log.
	Dir string

	t       testing.TB
	name    string
	command func() *exec.Cmd // made anew for every start
	answers func() error     // nil once the server serves
	quit    os.Signal        // asks it to end in good order
	patient string           // what it logs when it cannot start yet, but soon can

	running *exec.Cmd
	ended   chan struct{} // closed when running has ended
}

// Setting is one line of a server's configuration. It replaces the default of
// that name; two settings of one name both stand.
func Setting(key, value string) Option { return Option{key, value} }

// Option is a Setting.
type Option struct{ key, value string }

// Start starts the server on its port with the data that it has, and waits until
// it answers. A server that runs is left as it is.
func (s *Server) Start() {
	s.t.Helper()
	if err := s.start(); err != nil {
		s.t.Fatal(err)
	}
}

// Stop asks the server to end in good order, and waits until it has.
func (s *Server) Stop() { s.t.Helper(); s.end(s.quit) }

// Kill ends the server as a crash does (SIGKILL), and waits until it is gone.
func (s *Server) Kill() { s.t.Helper(); s.end(os.Kill) }

// Log is the end of what the server has written, at most 8 KiB.
func (s *Server) Log() string {
	f, err := os.Open(s.logFile())
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > logTail {
		if _, err := f.Seek(-logTail, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, logTail))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func (s *Server) logFile() string { return filepath.Join(s.Dir, "server.log") }

func (s *Server) start() error {
	if s.running != nil {
		return nil
	}
	deadline := time.Now().Add(startWithin)
	if err := s.spawn(); err != nil {
		return err
	}
	for {
		err := s.answers()
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			s.running = nil
			if s.patient != "" && strings.Contains(s.Log(), s.patient) && time.Now().Before(deadline) {
				if err := s.spawn(); err != nil {
					return err
				}
				continue
			}
			return fmt.Errorf("%s on %s ended while it started (%w); its log:\n%s", s.name, s.Addr, errEnded, s.Log())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.end(os.Kill)
			return fmt.Errorf("%s on %s does not answer after %v: %w; its log:\n%s", s.name, s.Addr, startWithin, err, s.Log())
		}
	}
}

var errEnded = errors.New("the process is gone")

func (s *Server) spawn() error {
	out, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := s.command()
	cmd.Stdout, cmd.Stderr, cmd.Dir = out, out, s.Dir
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended does not matter: the log says why
		close(ended)
	}()
	s.running, s.ended = cmd, ended
	return nil
}

func (s *Server) end(how os.Signal) {
	s.t.Helper()
	if s.running == nil {
		return
	}
	_ = s.running.Process.Signal(how) // it may have ended by itself
	select {
	case <-s.ended:
	case <-time.After(stopWithin):
		_ = s.running.Process.Kill()
		<-s.ended
		s.t.Errorf("%s on %s did not end within %v of %v and was killed; its log:\n%s", s.name, s.Addr, stopWithin, how, s.Log())
	}
	s.running = nil
}

// launch starts the server that make describes, on the first free port at which
// it comes up.
func launch(t testing.TB, make func(dir, port string) (*Server, error)) *Server {
	t.Helper()
	var last error
	for range ports {
		port, release := reserve(t)
		s, err := make(directory(t), port)
		if err != nil {
			release()
			t.Fatal(err)
		}
		s.t = t
		if last = s.start(); last == nil {
			t.Cleanup(func() {
				s.end(os.Kill)
				release()
			})
			return s
		}
		release()
		if !errors.Is(last, errEnded) {
			break
		}
	}
	t.Fatal(last)
	return nil
}

// directory makes one that goes with the test. t.TempDir's parent is closed to
// the other user as whom PostgreSQL runs.
func directory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dacorch-real-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// reserve finds a free port. The port lies below those that the system gives to
// outgoing connections: while a server is down, none of them can sit on its
// port, nor can a client that keeps dialling it meet itself there. An abstract
// socket of the port's name keeps other tests away, also in other processes.
func reserve(t testing.TB) (port string, release func()) {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(15000 + rand.IntN(15000))
		var claim io.Closer = io.NopCloser(nil)
		if runtime.GOOS == "linux" {
			l, err := net.Listen("unix", "@dacorch-real-"+port)
			if err != nil {
				continue
			}
			claim = l
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			claim.Close()
			continue
		}
		l.Close()
		return port, func() { claim.Close() }
	}
	t.Fatal("no free port between 15000 and 30000 on 127.0.0.1")
	return "", nil
}

// tool finds a program on the path or in one of the directories, where Debian
// puts it. Directories may be patterns; the last match, the newest version, wins.
func tool(t testing.TB, debian, name string, dirs ...string) string {
	t.Helper()
	for i := len(dirs) - 1; i >= 0; i-- {
		found, err := filepath.Glob(filepath.Join(dirs[i], name))
		if err == nil && len(found) > 0 {
			return found[len(found)-1]
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, debian, name)
	}
	return path
}

// missing skips the test, or fails it where everything is to be there.
func missing(t testing.TB, debian, what string) {
	t.Helper()
	message := fmt.Sprintf("%s is not installed (Debian package %s)", what, debian)
	if os.Getenv("DACORCH_REAL") == "required" {
		t.Fatal(message + ", and DACORCH_REAL=required")
	}
	t.Skip(message)
}

// lines writes a configuration: the defaults that no option replaces, then the
// options.
func lines(separator string, defaults, options []Option) string {
	text := ""
	replaced := map[string]bool{}
	for _, o := range options {
		replaced[o.key] = true
	}
	for _, d := range defaults {
		if !replaced[d.key] {
			text += d.key + separator + d.value + "\n"
		}
	}
	for _, o := range options {
		text += o.key + separator + o.value + "\n"
	}
	return text
}

// dial waits for nothing: it says whether somebody listens, and what they answer
// to hello.
func dial(addr, hello string) (string, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, hello); err != nil {
		return "", err
	}
	answer := make([]byte, 4096)
	n, err := io.ReadAtLeast(c, answer, 4)
	return string(answer[:n]), err
}
