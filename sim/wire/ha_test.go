package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/porttest/real"
	"dacorch/sim/wire/zookeeper"

	"github.com/go-zookeeper/zk"
)

// patience bounds every wait in these tests; it only fails.
const patience = 90 * time.Second

// platformTest is a platform with orchestrators and a data centre that never
// rests.
type platformTest struct {
	t     *testing.T
	p     *Platform
	procs []*process
	log   *syncBuffer

	stop context.CancelFunc
	done sync.WaitGroup
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// timings shorten a kind's intervals for a test.
const timings = "timings: {heartbeatInterval: 1s, silence: 5s, monitor: 1s, resync: 3s, resyncFloor: 100ms}, limits: {initInstances: 4}"

func startPlatform(t *testing.T, cfg Config, orchestrators int, session time.Duration) *platformTest {
	t.Helper()
	cfg.Kinds = []Kind{{Kind: "Thing", InstanceName: "iota-dac", Heartbeat: true, HeartbeatInterval: time.Second, Confirms: true}}
	p, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	x := &platformTest{t: t, p: p, log: &syncBuffer{}}
	t.Cleanup(func() {
		x.rest()
		for _, proc := range x.procs {
			if err := proc.stop(); err != nil {
				t.Error(err)
			}
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the orchestrators said:\n%s", x.log.b.String())
		}
	})
	if err := p.Populate(t.Context(), "Thing", 500); err != nil {
		t.Fatal(err)
	}
	for i := range orchestrators {
		proc, err := p.newProcess(context.WithoutCancel(t.Context()), Orchestrator{Name: fmt.Sprintf("o%d", i+1), Session: session,
			Kinds: map[fleet.Kind]string{"Thing": timings}}, serveTest, x.log)
		if err != nil {
			t.Fatal(err)
		}
		x.procs = append(x.procs, proc)
		if err := proc.start(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, proc := range x.procs {
		if err := proc.ready(ctx); err != nil {
			t.Fatalf("%v\n%s", err, x.log.b.String())
		}
	}
	return x
}

// ready waits until the process answers that it is ready.
func (p *process) ready(ctx context.Context) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("it answers %s", resp.Status)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-p.ended:
			return fmt.Errorf("%s ended before it was ready%s", p.name, p.said)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", p.name, err)
		}
	}
}

// work has the data centre create and delete rows until rest.
func (x *platformTest) work() {
	ctx, cancel := context.WithCancel(context.Background())
	x.stop = cancel
	x.done.Go(func() {
		beat := time.NewTicker(10 * time.Millisecond)
		defer beat.Stop()
		for n := 0; ; n++ {
			select {
			case <-beat.C:
			case <-ctx.Done():
				return
			}
			s := Statement{Kind: "Thing", Verb: Create, Rows: []fleet.Resource{{ID: fmt.Sprintf("new-%05d", n)}}, Named: true}
			if n%3 == 2 {
				s.Verb, s.Rows[0].ID = Delete, fmt.Sprintf("thing-%06d", n%500)
			}
			for { // a database that is away is tried until it is back
				_, err := x.p.Centre.Do(ctx, s)
				if err == nil || errors.Is(err, errNotAnnounced) || ctx.Err() != nil {
					break
				}
				<-beat.C
			}
		}
	})
}

func (x *platformTest) rest() {
	if x.stop != nil {
		x.stop()
		x.done.Wait()
	}
}

// leader waits until the process leads, or any when it is nil, and answers it.
func (x *platformTest) leader(not *process) (*process, api.Status) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.t.Context(), patience)
	defer cancel()
	for {
		for _, p := range x.procs {
			client, err := api.New(api.Config{URL: p.url})
			if err != nil {
				x.t.Fatal(err)
			}
			one, stop := context.WithTimeout(ctx, time.Second)
			st, err := client.Status(one, "Thing")
			stop()
			client.Close()
			if err == nil && st.Leader.Name == p.name && st.Stage == "active" && p != not { // a follower asks the leader
				return p, st
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			x.t.Fatal("nobody came to lead")
		}
	}
}

// settled waits until the lists in ZooKeeper, what the DACs run, and the table
// agree, and answers the table.
func (x *platformTest) settled(conn *zk.Conn) []string {
	x.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		rows, err := x.p.Centre.Rows(x.t.Context(), "Thing")
		if err != nil {
			x.t.Fatal(err)
		}
		var want []string
		for _, r := range rows {
			want = append(want, r.ID)
		}
		lists, running := listed(x.t, conn), x.running()
		if slices.Equal(want, lists) && slices.Equal(want, running) {
			return want
		}
		if time.Now().After(deadline) {
			x.t.Fatalf("after %v: %d rows, %d in the lists, %d running; first differences: lists %s, running %s", patience,
				len(want), len(lists), len(running), firstDifference(want, lists), firstDifference(want, running))
		}
		<-time.After(100 * time.Millisecond)
	}
}

func firstDifference(want, got []string) string {
	add, remove := difference(want, got)
	return fmt.Sprintf("+%.5q -%.5q", add, remove)
}

func (x *platformTest) running() []string {
	var all []string
	for _, ids := range x.p.DACs.running("Thing") {
		all = append(all, ids...)
	}
	slices.Sort(all)
	return all
}

// listed is every entry of every list, sorted: one that stands twice is there
// twice.
func listed(t *testing.T, conn *zk.Conn) []string {
	t.Helper()
	var all []string
	children, _, err := conn.Children("/iota/orchestration/Thing")
	if err != nil {
		return nil // ZooKeeper may be away
	}
	for _, c := range children {
		data, _, err := conn.Get("/iota/orchestration/Thing/" + c + "/resources")
		if err != nil {
			return nil
		}
		var v struct{ IDs []string }
		if err := json.Unmarshal(data, &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v.IDs...)
	}
	slices.Sort(all)
	return all
}

func dial(t *testing.T, addr string) *zk.Conn {
	t.Helper()
	conn, _, err := zk.Connect([]string{addr}, 4*time.Second, zk.WithLogInfo(false), zk.WithLogger(silent{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// TestLeaderKilled kills the leader of three with SIGKILL under load. Another
// leads within the session's timeout and two seconds, no transaction of the old
// one happens after that, and nothing is lost.
func TestLeaderKilled(t *testing.T) {
	const session = 2 * time.Second
	x := startPlatform(t, Config{}, 3, session)
	var mu sync.Mutex
	var stale []string
	reader := NewTreeReader(x.p.kinds)
	reader.Strange = func(_ fleet.Kind, why string) { stale = append(stale, why) }
	led := make(chan time.Time, 10)
	reader.Led = func(fleet.Kind) { led <- time.Now() }
	reader.Committed = func(_ fleet.Kind, epoch int64, txn *fleet.Txn) {
		if txn.Epoch != 0 && txn.Epoch != epoch {
			stale = append(stale, fmt.Sprintf("a transaction of epoch %d after epoch %d began", txn.Epoch, epoch))
		}
	}
	first, before := x.leader(nil)
	reader.kinds["Thing"].epochs[0] = before.Epoch // not the first leadership any more
	x.p.ZooKeeper.Observe(func(session int64, changes []zookeeper.Change) {
		mu.Lock()
		defer mu.Unlock()
		reader.Read(session, changes)
	})
	x.work()
	settle := time.NewTimer(time.Second)
	<-settle.C
	first.kill()
	killed := time.Now()
	next, after := x.leader(first)
	if took := (<-led).Sub(killed); took > session+2*time.Second {
		t.Errorf("another leads after %v, want within %v", took, session+2*time.Second)
	} else {
		t.Logf("another leads after %v", took)
	}
	if next == first || after.Epoch <= before.Epoch {
		t.Errorf("%s leads with epoch %d after %s with epoch %d", next.name, after.Epoch, first.name, before.Epoch)
	}
	settle.Reset(time.Second)
	<-settle.C
	x.rest()
	rows := x.settled(dial(t, x.p.ZooKeeperAddr()))
	if len(rows) < 500 {
		t.Errorf("only %d rows: the data centre did not work", len(rows))
	}
	mu.Lock()
	defer mu.Unlock()
	if len(stale) > 0 {
		t.Errorf("after the leader's end:\n%s", strings.Join(stale, "\n"))
	}
}

// TestFollowersForward has a follower take an order, and answer reads itself.
func TestFollowersForward(t *testing.T) {
	x := startPlatform(t, Config{}, 2, 4*time.Second)
	first, _ := x.leader(nil)
	follower := x.procs[0]
	if follower == first {
		follower = x.procs[1]
	}
	client, err := api.New(api.Config{URL: follower.url})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r := 90
	done, err := client.Orchestrate(t.Context(), "Thing", api.OrchestrateRequest{ResourcePerInstance: &r})
	if err != nil || done.Instances != 6 || done.ResourcePerInstance != r {
		t.Fatalf("an order to a follower: %+v, %v", done, err)
	}
	where, err := client.Where(t.Context(), "Thing", "thing-000007")
	for deadline := time.Now().Add(patience); err != nil && time.Now().Before(deadline); { // it follows by watches, a little later
		<-time.After(10 * time.Millisecond)
		where, err = client.Where(t.Context(), "Thing", "thing-000007")
	}
	if err != nil || where.RunIn != fmt.Sprintf("iota-dac-%d", where.Instance) {
		t.Fatalf("a follower's read: %+v, %v", where, err)
	}
	// Handed over in order, the follower leads at once: no session has to expire.
	began := time.Now()
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	next, _ := x.leader(first)
	t.Logf("%s leads %v after %s was asked to end", next.name, time.Since(began), first.name)
	if next != follower {
		t.Errorf("%s leads", next.name)
	}
	if _, err := client.Orchestrate(t.Context(), "Thing", api.OrchestrateRequest{}); err != nil {
		t.Errorf("an order to the new leader: %v", err)
	}
}

// TestRealZooKeeperRestarts kills a real ZooKeeper under load and starts it
// again, twice. Nothing is lost.
func TestRealZooKeeperRestarts(t *testing.T) {
	server := real.ZooKeeper(t)
	x := startPlatform(t, Config{ZooKeeper: server.Addr}, 2, 4*time.Second)
	x.leader(nil)
	x.work()
	wait := time.NewTimer(time.Hour)
	pause := func(d time.Duration) { wait.Reset(d); <-wait.C }
	pause(time.Second)
	server.Kill()
	pause(time.Second) // shorter than a session
	server.Start()
	x.leader(nil)
	pause(2 * time.Second)
	server.Stop()
	pause(6 * time.Second) // longer: whoever led cannot prove it any more
	server.Start()
	x.leader(nil)
	pause(2 * time.Second)
	x.rest()
	if rows := x.settled(dial(t, server.Addr)); len(rows) < 500 {
		t.Errorf("only %d rows", len(rows))
	}
}

// TestRealServers runs on real ZooKeeper, Mosquitto and PostgreSQL at once, and
// kills and restarts each of the latter two under load. What a dead broker was
// not told, and what a dead database could not answer, is found afterwards.
func TestRealServers(t *testing.T) {
	ensemble, broker, database := real.ZooKeeper(t), real.Mosquitto(t), real.PostgreSQL(t)
	x := startPlatform(t, Config{ZooKeeper: ensemble.Addr, MQTT: broker.URL, Database: database.URL}, 2, 4*time.Second)
	x.leader(nil)
	x.work()
	wait := time.NewTimer(time.Hour)
	pause := func(d time.Duration) { wait.Reset(d); <-wait.C }
	for _, server := range []*real.Server{broker, database} {
		pause(time.Second)
		server.Kill()
		pause(2 * time.Second)
		server.Start()
	}
	pause(2 * time.Second)
	x.rest()
	if rows := x.settled(dial(t, ensemble.Addr)); len(rows) < 500 {
		t.Errorf("only %d rows", len(rows))
	}
}
