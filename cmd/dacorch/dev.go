package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"dacorch/orchestrator"
	"dacorch/orchestrator/api"
	"dacorch/sim/wire"
)

// devFlags are the flags that go with --dev.
type devFlags struct {
	on        bool
	listen    string
	data      string
	resources int
	logLevel  string
	record    string
}

// maxDevRows bounds --resources: what the two kinds' defaults can hold.
const maxDevRows = 400_000

// devKinds are the platform's two kinds.
var devKinds = []wire.Kind{
	{Kind: "Thing", InstanceName: "iota-dac", Heartbeat: true, HeartbeatInterval: time.Minute, Confirms: true},
	{Kind: "Rule", InstanceName: "iota-rules-engine", Confirms: true},
}

// serveDev runs the whole platform and one orchestrator in this process.
func (c console) serveDev(ctx context.Context, f devFlags) error {
	if f.resources < 0 || f.resources > maxDevRows {
		return fmt.Errorf("--resources %d: want 0 to %d", f.resources, maxDevRows)
	}
	if err := loopback(f.listen); err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return fmt.Errorf("--log-level %s: want debug, info, warn or error", f.logLevel)
	}
	log := newLogger(c.err, level, "text")
	if f.data != "" {
		unlock, err := ownDirectory(&f.data)
		if err != nil {
			return fmt.Errorf("--data: %w", err)
		}
		defer unlock()
	}
	p, err := startPlatform(wire.Config{Dir: f.data, Fixed: true, Kinds: devKinds, Log: log})
	if err != nil {
		return err
	}
	err = c.runDev(ctx, p, f, log)
	return errors.Join(err, p.Close())
}

// startPlatform starts the platform, again where a usual port that was free was
// taken before it was ours: then another one is used.
func startPlatform(cfg wire.Config) (p *wire.Platform, err error) {
	for range 5 {
		if p, err = wire.Start(cfg); !errors.Is(err, syscall.EADDRINUSE) {
			return p, err
		}
	}
	return nil, err
}

// ownDirectory makes the directory, keeps other processes out of it until unlock,
// and writes its path from the root.
func ownDirectory(dir *string) (unlock func(), err error) {
	if *dir, err = filepath.Abs(*dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(*dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(*dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is in use by another process: give each its own (%w)", *dir, err)
	}
	return func() { f.Close() }, nil
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
	cfg.Record.Dir = f.record
	beside, stop := context.WithCancel(ctx)
	followed, welcomed := make(chan error, 1), make(chan struct{})
	go func() { followed <- p.FollowAnnouncements(beside, log) }()
	serving := make(chan string, 1)
	go func() {
		defer close(welcomed)
		select {
		case rest := <-serving:
			c.welcome(beside, p, rest)
		case <-beside.Done():
		}
	}()
	err = orchestrator.Run(ctx, cfg, orchestrator.Options{Log: log, Serving: func(addr net.Addr) { serving <- addr.String() }})
	if err != nil && strings.HasPrefix(err.Error(), "api.listen") {
		err = fmt.Errorf("%w: give another address with --listen; 127.0.0.1:0 takes a port that is free", err)
	}
	stop()
	<-welcomed
	if followErr := <-followed; !errors.Is(followErr, context.Canceled) {
		err = errors.Join(err, followErr)
	}
	return err
}

// welcome prints the page once everything on it works.
func (c console) welcome(ctx context.Context, p *wire.Platform, rest string) {
	client, err := api.New(api.Config{URL: "http://" + rest})
	if err != nil {
		fmt.Fprintf(c.err, "dacorch: %v\n", err) // cannot be: it is a listener's address
		return
	}
	defer client.Close()
	began, again := time.Now(), time.NewTicker(20*time.Millisecond)
	defer again.Stop()
	for said := false; ; {
		why := devWaits(ctx, p, client)
		if why == "" {
			fmt.Fprint(c.out, devPage(p, rest))
			return
		}
		if !said && time.Since(began) > devPatience && ctx.Err() == nil {
			said = true
			fmt.Fprintf(c.err, "dacorch: starts: %s\n", why)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// devPatience is how long a start may take until people are told why.
const devPatience = 3 * time.Second

// devWaits says what is still to come before each kind's resources stand on
// instances, and the data centre and the orchestrator hear notifications; "" when
// nothing is.
func devWaits(ctx context.Context, p *wire.Platform, client *api.Client) string {
	kinds, err := client.Kinds(ctx)
	if err != nil {
		return err.Error()
	}
	for _, k := range kinds.Kinds {
		st, err := client.Status(ctx, k.Resource)
		var refused *api.Error
		if errors.As(err, &refused) && refused.Code == api.CodeNoLeader {
			return "nobody leads " + k.Resource + " yet; after a kill -9 the session of the process before must expire first"
		} else if err != nil {
			return err.Error()
		}
		if st.Stage != "active" || k.Used < st.Resources {
			return fmt.Sprintf("%d of %d resources of %s are placed", k.Used, st.Resources, k.Resource)
		}
	}
	hear := 0
	for _, session := range p.MQTT.Sessions() {
		if session.Connected && len(session.Subscriptions) > 0 {
			hear++
		}
	}
	if hear < 2 {
		return "not everybody has subscribed to notifications"
	}
	return ""
}

// loopback refuses an address that others could reach: in development everybody
// may write.
func loopback(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("--listen %s: want host:port on loopback, such as 127.0.0.1:8080", listen)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("--listen %s: want an address on loopback: anybody who reaches it may change everything", listen)
	}
	return nil
}

// devPage says where everything is and what to try.
func devPage(p *wire.Platform, rest string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "the platform runs in this process; Ctrl-C ends it\n\n")
	kafka := p.Kafka.Addrs()[0]
	mqttHost, mqttPort, _ := net.SplitHostPort(p.MQTT.Addr()) // a listener's own address
	for _, line := range [][2]string{
		{"REST", "http://" + rest}, {"ZooKeeper", p.ZooKeeperAddr()}, {"Kafka", kafka}, {"MQTT", p.MQTT.URL()},
		{"Kubernetes", p.Kubernetes.URL()}, {"kubeconfig", p.Kubeconfig()}, {"database", strings.TrimPrefix(p.Centre.URL, "sqlite:")},
	} {
		fmt.Fprintf(&b, "  %-12s %s\n", line[0], line[1])
	}
	fmt.Fprintf(&b, `
in another shell:

  curl -s http://%[1]s/v1/api/orchestrations
  curl -s -X POST -H 'Content-Type: application/json' -d '{"resourcePerInstance": 50}' \
    http://%[1]s/v1/api/orchestrations/Thing/orchestrate
  mosquitto_pub -h %[2]s -p %[3]s -q 1 -t cm/notify -m '{"o":"c","t":"Thing","k":{"id":"bridge-7"},"instance":{"id":"bridge-7"}}'
  curl -s http://%[1]s/v1/api/orchestrations/Thing/bridge-7/instances
  curl -sN http://%[1]s/v1/api/events
  kubectl --kubeconfig %[4]s -n iota get pods

`, rest, mqttHost, mqttPort, p.Kubeconfig())
	return b.String()
}
