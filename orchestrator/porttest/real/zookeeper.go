package real

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const zookeeperJar = "/usr/share/java/zookeeper.jar" // its manifest names what else it needs

// ZooKeeper starts a ZooKeeper of one server. Sessions may be as short as 400 ms
// (its clock ticks every 200 ms). Options are lines of zoo.cfg; those that begin
// with "jute." are properties of the JVM, as in jute.maxbuffer. It does not wait
// for the disk: what it has answered survives Kill, but would not a power cut.
func ZooKeeper(t testing.TB, options ...Option) *Server {
	t.Helper()
	java := tool(t, "default-jre-headless", "java", "/usr/lib/jvm/default-java/bin")
	if _, err := os.Stat(zookeeperJar); err != nil {
		missing(t, "zookeeper", zookeeperJar)
	}
	return launch(t, func(dir, port string) (*Server, error) {
		properties, settings := []string{}, []Option{}
		for _, o := range options {
			if strings.HasPrefix(o.key, "jute.") {
				properties = append(properties, "-D"+o.key+"="+o.value)
			} else {
				settings = append(settings, o)
			}
		}
		config := filepath.Join(dir, "zoo.cfg")
		err := os.WriteFile(config, []byte(lines("=", []Option{
			{"dataDir", filepath.Join(dir, "data")},
			{"clientPort", port},
			{"clientPortAddress", "127.0.0.1"},
			{"tickTime", "200"},
			{"minSessionTimeout", "400"},
			{"maxSessionTimeout", "60000"},
			{"maxClientCnxns", "0"},
			{"admin.enableServer", "false"},
			{"4lw.commands.whitelist", "*"},
			{"forceSync", "no"},
			{"preAllocSize", "2048"},
		}, settings)), 0o644)
		if err != nil {
			return nil, err
		}
		args := append([]string{"-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}, properties...)
		args = append(args, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dzookeeper.jmx.log4j.disable=true",
			"-cp", zookeeperJar+":/usr/share/java/slf4j-simple.jar",
			"org.apache.zookeeper.server.quorum.QuorumPeerMain", config)
		addr := "127.0.0.1:" + port
		return &Server{
			Addr: addr, URL: addr, Dir: dir, name: "ZooKeeper", quit: syscall.SIGTERM,
			command: func() *exec.Cmd { return bind(exec.Command(java, args...), nil) },
			answers: func() error {
				answer, err := dial(addr, "srvr")
				if err == nil && !strings.Contains(answer, "Mode: ") {
					err = fmt.Errorf("srvr answers %q", answer)
				}
				return err
			},
		}, nil
	})
}
