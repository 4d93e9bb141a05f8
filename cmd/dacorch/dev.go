package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"dacorch/orchestrator"
	"dacorch/sim/wire"
)

// devFlags are the flags that go with --dev.
type devFlags struct {
	on        bool
	listen    string
	data      string
	resources int
}

// maxDevRows bounds --resources: what the two kinds' defaults can hold.
const maxDevRows = 400_000

// serveDev runs the whole platform and one orchestrator in this process.
func (c console) serveDev(ctx context.Context, f devFlags) error {
	if f.resources < 0 || f.resources > maxDevRows {
		return fmt.Errorf("--resources %d: want 0 to %d", f.resources, maxDevRows)
	}
	if err := loopback(f.listen); err != nil {
		return err
	}
	log := newLogger(c.err, slog.LevelInfo, "text")
	if f.data != "" {
		if err := os.MkdirAll(f.data, 0o700); err != nil {
			return fmt.Errorf("--data: %w", err)
		}
	}
	p, err := wire.Start(wire.Config{Dir: f.data, Fixed: true, Kinds: []wire.Kind{
		{Kind: "Thing", InstanceName: "iota-dac", Heartbeat: true, HeartbeatInterval: time.Minute, Confirms: true},
		{Kind: "Rule", InstanceName: "iota-rules-engine", Confirms: true},
	}, Log: log})
	if err != nil {
		return err
	}
	err = c.runDev(ctx, p, f, log)
	return errors.Join(err, p.Close())
}

func (c console) runDev(ctx context.Context, p *wire.Platform, f devFlags, log *slog.Logger) error {
	for kind, rows := range map[string]int{"Thing": f.resources, "Rule": f.resources / 10} {
		if err := p.Populate(ctx, kind, rows); err != nil {
			return err
		}
	}
	file, err := p.Configure(wire.Orchestrator{Name: "dev", Listen: f.listen})
	if err != nil {
		return err
	}
	cfg, err := loadConfig(file, func(string) string { return "" })
	if err != nil {
		return err
	}
	follow, stop := context.WithCancel(ctx)
	followed := make(chan error, 1)
	go func() { followed <- p.FollowAnnouncements(follow, log) }()
	err = orchestrator.Run(ctx, cfg, orchestrator.Options{Log: log, Serving: func(addr net.Addr) {
		fmt.Fprint(c.out, devPage(p, addr.String()))
	}})
	stop()
	if followErr := <-followed; !errors.Is(followErr, context.Canceled) {
		err = errors.Join(err, followErr)
	}
	return err
}

// loopback refuses an address that others could reach: in development everybody
// may write.
func loopback(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("--listen %s: want host:port on loopback, such as 127.0.0.1:8080", listen)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("--listen %s: want an address on loopback: with --dev anybody who reaches it may write", listen)
	}
	return nil
}

// devPage says where everything is and what to try.
func devPage(p *wire.Platform, rest string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "the platform runs in this process; Ctrl-C ends it\n\n")
	kafka := p.Kafka.Addrs()[0]
	_, mqttPort, _ := net.SplitHostPort(p.MQTT.Addr()) // a listener's own address
	for _, line := range [][2]string{
		{"REST", "http://" + rest}, {"ZooKeeper", p.ZooKeeperAddr()}, {"Kafka", kafka}, {"MQTT", p.MQTT.URL()},
		{"Kubernetes", p.Kubernetes.URL()}, {"kubeconfig", p.Kubeconfig()}, {"database", p.Centre.Path},
	} {
		fmt.Fprintf(&b, "  %-12s %s\n", line[0], line[1])
	}
	fmt.Fprintf(&b, `
in another shell:

  curl -s http://%[1]s/v1/api/orchestrations
  curl -s -X POST -H 'Content-Type: application/json' -d '{"resourcePerInstance": 50}' \
    http://%[1]s/v1/api/orchestrations/Thing/orchestrate
  mosquitto_pub -p %[2]s -q 1 -t cm/notify -m '{"o":"c","t":"Thing","k":{"id":"bridge-7"},"instance":{"id":"bridge-7"}}'
  curl -s http://%[1]s/v1/api/orchestrations/Thing/bridge-7/instances
  curl -sN http://%[1]s/v1/api/events
  kubectl --kubeconfig %[3]s -n iota get pods

`, rest, mqttPort, p.Kubeconfig())
	return b.String()
}
