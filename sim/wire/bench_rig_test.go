package wire

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"dacorch/orchestrator"
	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/porttest/real"
	"dacorch/sim/wire/mqtt"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/go-zookeeper/zk"
)

// backend says which servers a benchmark's platform has.
type backend struct {
	name string
	// config is the platform's; window is how many messages the MQTT broker sends
	// without an acknowledgement.
	config func(b *testing.B, window int) Config
}

// usualWindow is what Mosquitto sends unless it is told otherwise.
const usualWindow = 20

var backends = []backend{
	{"stand-ins", func(b *testing.B, window int) Config {
		if window == usualWindow {
			return Config{}
		}
		s, err := mqtt.Start(mqtt.Config{MaxInflight: window})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = s.Close() })
		return Config{MQTT: s.URL()}
	}},
	{"ZooKeeper-and-Mosquitto", func(b *testing.B, window int) Config {
		m := real.Mosquitto(b, real.Setting("max_queued_messages", "0"), real.Setting("max_inflight_messages", fmt.Sprint(window)),
			real.Setting("persistence", "false"), real.Setting("set_tcp_nodelay", "true"))
		// Its tests give the server little: it keeps the latest 500 transactions in
		// memory, which are large here, and its compiler is to do its best.
		b.Setenv("_JAVA_OPTIONS", "-Xmx1g -XX:TieredStopAtLevel=4")
		return Config{ZooKeeper: real.ZooKeeper(b).Addr, MQTT: m.URL}
	}},
}

// rig is a platform with an orchestrator in this process that leads and has
// placed everything.
type rig struct {
	b      *testing.B
	p      *Platform
	addr   string // of the REST interface
	client *api.Client
}

// perInstance is how many resources an instance of a rig takes.
const perInstance = 5000

// newRig starts a platform whose pods do nothing: the benchmark plays the DACs.
// So many rows are placed before it returns. kind is more of the kind's entry.
func newRig(b *testing.B, cfg Config, heartbeat bool, rows int, kind string) *rig {
	b.Helper()
	r := &rig{b: b, p: benchPlatform(b, cfg, Kind{Kind: "Thing", InstanceName: "iota-dac", Heartbeat: heartbeat, Idle: true}, rows)}
	b.Cleanup(r.start(kind))
	r.quiet()
	return r
}

// quiet waits until the orchestrator has nothing more to do. The rows that a
// benchmark announces are in no database: a comparison that begins late would
// remove them, and one more than the first begins with the notification channel.
func (r *rig) quiet() {
	r.b.Helper()
	for before := int64(-1); before != r.placed().Counters["resyncs"]; {
		before = r.placed().Counters["resyncs"]
		<-time.After(time.Second)
	}
}

// benchPlatform starts a platform with so many rows of one kind.
func benchPlatform(b *testing.B, cfg Config, kind Kind, rows int) *Platform {
	b.Helper()
	cfg.Kinds = []Kind{kind}
	p, err := Start(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := p.Close(); err != nil {
			b.Error(err)
		}
	})
	s := Statement{Kind: kind.Kind, Verb: Create, Silent: true}
	for i := range rows {
		s.Rows = append(s.Rows, fleet.Resource{ID: rowID(i)})
	}
	if _, err := p.Centre.Do(b.Context(), s); err != nil {
		b.Fatal(err)
	}
	return p
}

// rowID is the id of a row: as long as a UUID, and spread like one.
func rowID(i int) string {
	return fmt.Sprintf("%08x-d9cb-469f-a165-%012d", uint32(i)*2654435761, i)
}

// listBytes is what a list of so many of these ids takes in ZooKeeper.
func listBytes(ids int) int { return ids*(36+3) + 10 }

// entryOf is a kind's entry whose intervals are so long that nothing happens but
// what the benchmark does.
const entryOf = "limits: {initInstances: 1, resourcePerInstance: 5000}, timings: {heartbeatInterval: 20h, silence: 24h, monitor: 24h, resync: 24h, resyncFloor: 1ms}"

// start starts an orchestrator in this process. It logs as in production, to
// nobody.
func (r *rig) start(kind string) (stop func()) {
	r.b.Helper()
	file, err := r.p.Configure(Orchestrator{Name: "bench", Listen: "127.0.0.1:0", Kinds: map[fleet.Kind]string{"Thing": kind}})
	if err != nil {
		r.b.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		r.b.Fatal(err)
	}
	cfg, err := orchestrator.LoadConfig(file, data, func(string) string { return "" })
	if err != nil {
		r.b.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	serving, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		ended <- orchestrator.Run(ctx, cfg, orchestrator.Options{
			Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Serving: func(addr net.Addr) { serving <- addr }})
	}()
	select {
	case addr := <-serving:
		r.addr = addr.String()
	case err := <-ended:
		end()
		r.b.Fatal(err)
	}
	if r.client, err = api.New(api.Config{URL: "http://" + r.addr}); err != nil {
		r.b.Fatal(err)
	}
	return func() {
		r.client.Close()
		end()
		if err := <-ended; err != nil {
			r.b.Error(err)
		}
	}
}

// placed waits until the orchestrator leads and every resource has its place.
func (r *rig) placed() api.Status {
	r.b.Helper()
	var st api.Status
	await(r.b, "everything to be placed", func() bool {
		var err error
		st, err = r.client.Status(r.b.Context(), "Thing")
		return err == nil && st.Stage == "active" && st.Unplaced == 0
	})
	return st
}

// await asks every few milliseconds until the answer is yes.
func await(b *testing.B, what string, yes func() bool) {
	b.Helper()
	for deadline := time.Now().Add(patience); !yes(); {
		if time.Now().After(deadline) {
			b.Fatalf("waited %v for %s", patience, what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// session is a ZooKeeper session of the benchmark's own.
func (r *rig) session() *zk.Conn {
	r.b.Helper()
	conn, _, err := zk.Connect([]string{r.p.ZooKeeperAddr()}, 10*time.Second, zk.WithLogInfo(false), zk.WithLogger(silent{}))
	if err != nil {
		r.b.Fatal(err)
	}
	r.b.Cleanup(conn.Close)
	return conn
}

// speaker is an MQTT client of the benchmark's own.
func (r *rig) speaker(name string) paho.Client {
	r.b.Helper()
	c := paho.NewClient(paho.NewClientOptions().AddBroker(r.p.MQTTURL()).SetClientID(name).SetOrderMatters(true))
	r.done(c.Connect())
	r.b.Cleanup(func() { c.Disconnect(100) })
	return c
}

func (r *rig) done(t paho.Token) {
	r.b.Helper()
	if !t.WaitTimeout(patience) || t.Error() != nil {
		r.b.Fatalf("MQTT: no answer, or %v", t.Error())
	}
}

// last answers the instance that still has room; policy fill puts everything new
// there.
func (r *rig) last() string {
	r.b.Helper()
	o, err := r.client.Orchestration(r.b.Context(), "Thing", false)
	if err != nil {
		r.b.Fatal(err)
	}
	for _, in := range o.Instances {
		if in.Used < in.Cap {
			return fmt.Sprintf("/iota/orchestration/Thing/%d", in.ID)
		}
	}
	r.b.Fatalf("no instance has room: %+v", o)
	return ""
}

// rowOf reports what has been measured as a row of a table.
func rowOf(b *testing.B, by string, perOp time.Duration, figures map[string]float64) {
	b.Run("by="+by, func(b *testing.B) {
		b.ReportMetric(float64(perOp), "ns/op")
		for unit, v := range figures {
			b.ReportMetric(v, unit)
		}
	})
}

// latencies are measured times, in any order.
type latencies []time.Duration

func (l latencies) mean() time.Duration {
	var sum time.Duration
	for _, d := range l {
		sum += d
	}
	return sum / time.Duration(max(1, len(l)))
}

// micros is the time below which the share q of them lie, in µs.
func (l latencies) micros(q float64) float64 {
	s := slices.Sorted(slices.Values(l))
	if len(s) == 0 {
		return math.NaN()
	}
	return float64(s[min(len(s)-1, int(q*float64(len(s))))]) / 1e3
}

// figures are what a row tells of latencies.
func (l latencies) figures() map[string]float64 {
	return map[string]float64{"p50-µs": l.micros(0.5), "p99-µs": l.micros(0.99)}
}
