package real

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Mosquitto starts an MQTT broker that lets everybody in and keeps sessions and
// their messages over Stop. To keep them over Kill too it must save them at each
// change: Setting("autosave_on_changes", "true"), Setting("autosave_interval",
// "1"). Options are lines of mosquitto.conf. With a password_file set
// allow_anonymous to false.
func Mosquitto(t testing.TB, options ...Option) *Server {
	t.Helper()
	path := tool(t, "mosquitto", "mosquitto", "/usr/sbin", "/usr/local/sbin")
	return launch(t, func(dir, port string) (*Server, error) {
		defaults := []Option{
			{"listener", port + " 127.0.0.1"},
			{"allow_anonymous", "true"},
			{"persistence", "true"},
			{"persistence_location", dir + "/"},
			{"log_dest", "stdout"},
		}
		if os.Geteuid() == 0 {
			// It would become the user mosquitto, to whom the directory is closed.
			defaults = append(defaults, Option{"user", "root"})
		}
		config := filepath.Join(dir, "mosquitto.conf")
		if err := os.WriteFile(config, []byte(lines(" ", defaults, options)), 0o644); err != nil {
			return nil, err
		}
		addr := "127.0.0.1:" + port
		return &Server{
			Addr: addr, URL: "mqtt://" + addr, Dir: dir, name: "Mosquitto", quit: syscall.SIGTERM,
			command: func() *exec.Cmd { return bind(exec.Command(path, "-c", config), nil) },
			answers: func() error { return connack(addr) },
		}, nil
	})
}

// connack says whether the broker answers a CONNECT. That it refuses the
// nameless is an answer too.
func connack(addr string) error {
	const connect = "\x10\x10\x00\x04MQTT\x04\x02\x00\x0a\x00\x04real"
	answer, err := dial(addr, connect)
	if err == nil && answer[0] != 0x20 {
		err = fmt.Errorf("it answers %q, and no CONNACK", answer)
	}
	return err
}
