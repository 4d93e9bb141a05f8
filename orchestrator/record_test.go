package orchestrator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/recording"
)

// TestRecording records a process that knows passwords and tokens: all that its
// kind's machine was told and answered is there, and none of those.
func TestRecording(t *testing.T) {
	dir := t.TempDir()
	trusts := secrets(t, dir)
	p := startPlatform(t, 50)
	cfg := configure(t, p, "one", dir)
	cfg.Record.Dir = filepath.Join(dir, "recordings")
	cfg.API.Token = "swordfish-api"
	cfg.MQTT.User, cfg.MQTT.Password = "orchestrator", "swordfish-mqtt"
	cfg.ZooKeeper.User, cfg.ZooKeeper.Password = "orchestrator", "swordfish-zookeeper"
	r := run(t, cfg)
	c := client(t, r, "swordfish-api", trusts)
	eventually(t, func(ctx context.Context) error {
		st, err := c.Status(ctx, "Thing")
		if err == nil && (st.Stage != "active" || st.Unplaced > 0 || st.Resources != 50) {
			err = fmt.Errorf("%+v", st)
		}
		return err
	})
	few := 10
	if _, err := c.Orchestrate(t.Context(), "Thing", api.OrchestrateRequest{ResourcePerInstance: &few}); err != nil {
		t.Error(err)
	}
	scraped(t, r, trusts)
	r.end(t)

	text := recorded(t, cfg.Record.Dir)
	for _, want := range []string{"thing-000049", "ResourcePerInstance", `"Closing":{"Report":null`, "leads with epoch"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not recorded", want)
		}
	}
	for _, secret := range []string{"swordfish", reader, writer, "PRIVATE KEY"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is recorded", secret)
		}
	}
}

// recorded is all that is in a directory's recordings.
func recorded(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "Thing-*"+recording.Suffix))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	rec, err := recording.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	write := func(v any) {
		line, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(line)
	}
	write(rec.Header())
	for {
		e, err := rec.Next()
		if err == io.EOF {
			return text.String()
		} else if err != nil {
			t.Fatal(err)
		}
		write(e)
	}
}
