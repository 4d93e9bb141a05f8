package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"dacorch/sim/dac"
)

func simDACCommand(c console) *cobra.Command {
	return &cobra.Command{
		Use:   "dac",
		Short: "Run one simulated DAC: the program in an instance's pod",
		Long: `Run one simulated DAC until SIGTERM or Ctrl-C. It does what the platform asks of
the program in an instance's pod: it watches its list in ZooKeeper, "runs" what
stands there, writes what it has applied to tmp/status, and sends heartbeats to
Kafka. At the end it drops what it runs before its session ends. Servers that are
away are waited for. What it says goes to standard error.

It is configured by the environment alone, as a pod is:

  DAC_INSTANCE_ID          the instance: a whole number from 0. Required. The
                           orchestrator sets a pod's first variable, whatever
                           its name in the template
  DAC_INSTANCE_ID_FROM     the name of that variable where it is another
  IOTA_KIND                the kind, such as Thing. Required
  IOTA_ZOOKEEPER           host:port of the servers, with commas; localhost:2181
  IOTA_ZOOKEEPER_SESSION   the session's timeout; 10s
  IOTA_ZOOKEEPER_TLS_CA    file with the certificates to trust (PEM): switches TLS on
  IOTA_ZOOKEEPER_USER      user at ZooKeeper (scheme digest), with a password
  IOTA_ZOOKEEPER_PASSWORD  or IOTA_ZOOKEEPER_PASSWORD_FILE, a file that holds it
  IOTA_KAFKA               host:port of some brokers, with commas; localhost:9092
  IOTA_KAFKA_TLS_CA        file with the certificates to trust (PEM): switches TLS on
  IOTA_KAFKA_SASL_MECHANISM  PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; no login
  IOTA_KAFKA_USER          user at Kafka, with a password
  IOTA_KAFKA_PASSWORD      or IOTA_KAFKA_PASSWORD_FILE, a file that holds it
  IOTA_HEARTBEAT           on or off; on
  IOTA_HEARTBEAT_INTERVAL  the time between two heartbeats; 60s
  IOTA_HEARTBEAT_TOPIC     their topic; HeartBeat
  IOTA_CONFIRMS            whether tmp/status says what has been applied, on or
                           off; on
  IOTA_APPLY_LATENCY       how long a reload takes; 0s
  IOTA_APPLY_COST          how long each resource takes to start or stop; 0s

Exit codes: 0 ended in order; 2 a variable is wrong.`,
		Example: `  DAC_INSTANCE_ID=3 IOTA_KIND=Thing dacorch sim dac`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := dac.ConfigFromEnv(c.getenv)
			if err != nil {
				return fmt.Errorf("environment: %w", err)
			}
			cfg.Log = newLogger(c.err, slog.LevelInfo, "text")
			cfg.Log.Info("runs", "kind", string(cfg.Kind), "instance", int(cfg.Instance))
			return dac.Run(cmd.Context(), cfg)
		},
	}
}
