package zookeeper

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const javaClient = "/usr/share/java/zookeeper.jar" // its manifest names what else it needs

// TestJavaClient has ZooKeeper's own command line, and so the Java library, do
// what it can against the stand-in.
func TestJavaClient(t *testing.T) {
	t.Parallel()
	java, err := exec.LookPath("java")
	if _, absent := os.Stat(javaClient); absent != nil || err != nil {
		t.Skip("ZooKeeper's Java client is not installed")
	}
	s := start(t, Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, java, "-XX:TieredStopAtLevel=1", "-Xmx64m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-cp", javaClient+":/usr/share/java/slf4j-simple.jar:/usr/share/java/commons-cli.jar",
		"org.apache.zookeeper.ZooKeeperMain", "-server", s.Addr())
	cmd.Stdin = strings.NewReader(strings.Join([]string{
		"create /a one", "create -s /a/s", "create -e /a/e mine", "get -s -w /a", "set /a two", "stat /a", "ls /a",
		"getEphemerals", "getAllChildrenNumber /", "removewatches /a", "addauth digest ann:secret", "setAcl /a/e auth:ann:secret:rw",
		"getAcl /a/e", "delete /a", "sync /a", "deleteall /a", "ls /", "create /last done", "quit",
	}, "\n") + "\n")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil && ctx.Err() != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Created /a/s0000000000", "NodeDataChanged path:/a", "[e, s0000000000]", "dataVersion = 1",
		"[/a/e]", "'ann:", "Node not empty: /a", "Sync is OK", "[zookeeper]", "Created /last"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the client did not say %q", want)
		}
	}
	if data, _, there := s.Get("/last"); !there || string(data) != "done" {
		t.Errorf("/last: %q, %v", data, there)
	}
	eventually(t, "its session is closed", func() bool { return len(s.Sessions()) == 0 })
}
