package real

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The superuser of every PostgreSQL server here, and its password.
const (
	PostgreSQLUser     = "postgres"
	PostgreSQLPassword = "only on loopback"
)

// owner is the user as whom a server runs.
type owner struct{ uid, gid int }

// PostgreSQL starts a PostgreSQL server with the database postgres, in UTF-8 and
// with the collation C; ICU collations can be named per column ("en-x-icu"). URL
// holds the superuser and the password. Options are lines of postgresql.conf. It
// does not wait for the disk, as ZooKeeper does not. It refuses to run as root:
// then it runs as the user postgres.
func PostgreSQL(t testing.TB, options ...Option) *Server {
	t.Helper()
	const bin = "/usr/lib/postgresql/*/bin"
	initdb := tool(t, "postgresql", "initdb", bin)
	postgres := tool(t, "postgresql", "postgres", bin)
	ready := tool(t, "postgresql", "pg_isready", bin)
	as := postgresOwner(t)
	return launch(t, func(dir, port string) (*Server, error) {
		data := filepath.Join(dir, "data")
		if err := createCluster(initdb, dir, data, as); err != nil {
			return nil, err
		}
		config := lines(" = ", []Option{
			{"listen_addresses", "'127.0.0.1'"},
			{"port", port},
			{"unix_socket_directories", "''"},
			{"fsync", "off"},
			{"shared_buffers", "'32MB'"},
			{"max_connections", "50"},
		}, options)
		if err := appendTo(filepath.Join(data, "postgresql.conf"), config); err != nil {
			return nil, err
		}
		addr := "127.0.0.1:" + port
		return &Server{
			Addr: addr, Dir: dir, name: "PostgreSQL", quit: os.Interrupt,
			URL: "postgres://" + PostgreSQLUser + ":" + strings.ReplaceAll(PostgreSQLPassword, " ", "%20") +
				"@" + addr + "/postgres?sslmode=disable",
			// What serves a statement outlives its killed parent until the statement
			// ends or it looks.
			patient: "pre-existing shared memory block",
			command: func() *exec.Cmd { return bind(exec.Command(postgres, "-D", data), as) },
			answers: func() error {
				out, err := exec.Command(ready, "-h", "127.0.0.1", "-p", port, "-t", "2").CombinedOutput()
				if err != nil {
					err = fmt.Errorf("pg_isready: %w: %s", err, out)
				}
				return err
			},
		}, nil
	})
}

// postgresOwner is nil when the test's own user can run the server.
func postgresOwner(t testing.TB) *owner {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		missing(t, "postgresql", "the user postgres")
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	if uidErr != nil || gidErr != nil {
		t.Fatalf("the user postgres has the ids %q and %q, not numbers", u.Uid, u.Gid)
	}
	return &owner{uid, gid}
}

func createCluster(initdb, dir, data string, as *owner) error {
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(PostgreSQLPassword+"\n"), 0o600); err != nil {
		return err
	}
	if as != nil {
		for _, p := range []string{dir, secret} {
			if err := os.Chown(p, as.uid, as.gid); err != nil {
				return err
			}
		}
	}
	cmd := bind(exec.Command(initdb, "-D", data, "-U", PostgreSQLUser, "--pwfile", secret,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"), as)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
