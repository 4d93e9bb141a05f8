package wire

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"syscall"
	"testing"

	"dacorch/orchestrator"
)

// serveVariable has the test's own binary run as an orchestrator.
const serveVariable = "DACORCH_TEST_SERVE"

func TestMain(m *testing.M) {
	if config := os.Getenv(serveVariable); config != "" {
		if err := serveForTest(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		return
	}
	os.Exit(m.Run())
}

func serveForTest(config string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	debug.SetGCPercent(30) // as dacorch serve
	data, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	cfg, err := orchestrator.LoadConfig(config, data, func(string) string { return "" })
	if err != nil {
		return err
	}
	return orchestrator.Run(ctx, cfg, orchestrator.Options{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
}

// serveTest makes the command that runs an orchestrator.
func serveTest(ctx context.Context, config string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = []string{serveVariable + "=" + config}
	return cmd
}

// testLog writes a test's processes' output where a failure shows it.
type testLog struct{ t testing.TB }

// Write is io.Writer's.
func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("%s", p)
	return len(p), nil
}
