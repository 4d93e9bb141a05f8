package wire

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/go-zookeeper/zk"
)

// BenchmarkNotifyToWatch measures from publishing a creation on cm/notify, quality
// of service 1, until the watch fires that a DAC has on its _reload. Beside it, in
// turns, the bare sum: one hop of the same message through the same broker to
// another client, and one multi of the same operations and bytes on the same
// ZooKeeper until a watch of another session fires.
//
// One at a time: the next begins when the last has ended. 500 a second: an open
// loop; a latency counts from when the message was due, however late it went out.
func BenchmarkNotifyToWatch(b *testing.B) {
	for _, be := range backends {
		b.Run(be.name, func(b *testing.B) {
			for _, ids := range []int{1000, 4000} {
				b.Run(fmt.Sprintf("ids=%d", ids), func(b *testing.B) {
					n := newNotifying(b, be, usualWindow, ids)
					b.Run("one-at-a-time", func(b *testing.B) { n.alone(b, 1000) })
					b.Run("500-a-second", func(b *testing.B) { n.open(b, 5, 600) })
				})
			}
		})
	}
}

// notifying is a rig whose last instance's list has a known length, and the bare
// clients beside it.
type notifying struct {
	*rig
	data, dac  *zk.Conn // who writes bare multis, and who watches
	says       paho.Client
	hears      paho.Client    // of the bare hop
	heard      chan time.Time // when its messages came
	inst, bare string         // the nodes that both write below
	ids        int
	made       int // creations so far, for their names
}

// bareTopic is where the bare hop goes.
const bareTopic = "bench/bare"

func newNotifying(b *testing.B, be backend, window, ids int) *notifying {
	r := newRig(b, be.config(b, window), false, 2*perInstance+ids, entryOf)
	n := &notifying{rig: r, data: r.session(), dac: r.session(), says: r.speaker("says"), hears: r.speaker("hears"), heard: make(chan time.Time, 10_000),
		inst: r.last(), bare: "/bench", ids: ids}
	r.done(n.hears.Subscribe(bareTopic, 1, func(paho.Client, paho.Message) { n.heard <- time.Now() }))
	for _, node := range []string{"", "/epoch", "/resources", "/_reload"} {
		if _, err := n.data.Create(n.bare+node, []byte(`{"used": 0}`), 0, zk.WorldACL(zk.PermAll)); err != nil {
			b.Fatal(err)
		}
	}
	return n
}

// creation is the data centre's announcement of a new row.
func (n *notifying) creation() (id string, payload []byte) {
	n.made++
	id = rowID(1_000_000 + n.made)
	payload, err := json.Marshal(message{Op: "c", Table: "Thing", Key: &key{id}, Instance: &row{id, ""}, By: centreName})
	if err != nil {
		n.b.Fatal(err)
	}
	return id, payload
}

// remove has the orchestrator take the creations away again.
func (n *notifying) remove(b *testing.B, ids []string) {
	n.done(n.says.Publish(topic, 1, false, n.bulk("bd", ids)))
	await(b, "the list to shrink again", func() bool {
		used, _ := n.used(b)
		return used == n.ids
	})
}

// used is how long the instance's list is, and the version of its nodes: each
// transaction raises that of all three.
func (n *notifying) used(b *testing.B) (int, int32) { return n.usedOf(b, n.inst) }

func (n *notifying) usedOf(b *testing.B, node string) (int, int32) {
	data, stat, err := n.dac.Get(node)
	if err != nil {
		b.Fatal(err)
	}
	var v struct{ Used int }
	if err := json.Unmarshal(data, &v); err != nil {
		b.Fatal(err)
	}
	return v.Used, stat.Version
}

// multi is the transaction that one creation makes, on the bare nodes.
func (n *notifying) multi(list []byte) ([]zk.MultiResponse, error) {
	return n.data.Multi(&zk.CheckVersionRequest{Path: n.bare + "/epoch", Version: 0},
		&zk.SetDataRequest{Path: n.bare, Data: []byte(`{"used":1234,"count":5000}`), Version: -1},
		&zk.SetDataRequest{Path: n.bare + "/resources", Data: list, Version: -1},
		&zk.SetDataRequest{Path: n.bare + "/_reload", Data: []byte(`{"times":12345}`), Version: -1})
}

// watch arms a watch and answers its channel, with the node's version.
func (n *notifying) watch(b *testing.B, node string) (int32, <-chan zk.Event) {
	_, stat, fires, err := n.dac.GetW(node + "/_reload")
	if err != nil {
		b.Fatal(err)
	}
	return stat.Version, fires
}

// fired waits for a watch and answers when it fired.
func fired(b *testing.B, fires <-chan zk.Event) time.Time {
	select {
	case e := <-fires:
		if e.Err != nil || e.Type != zk.EventNodeDataChanged {
			b.Fatalf("the watch fired with %+v", e)
		}
		return time.Now()
	case <-time.After(patience):
		b.Fatal("the watch did not fire")
	}
	return time.Time{}
}

func (n *notifying) alone(b *testing.B, times int) {
	var whole, hop, multi, sum latencies
	var ids []string
	list := make([]byte, listBytes(n.ids+times/2))
	for range times {
		id, payload := n.creation()
		ids = append(ids, id)
		_, fires := n.watch(b, n.inst)
		began := time.Now()
		said := n.says.Publish(topic, 1, false, payload)
		whole = append(whole, fired(b, fires).Sub(began))
		n.done(said)

		began = time.Now()
		said = n.says.Publish(bareTopic, 1, false, payload)
		hop = append(hop, (<-n.heard).Sub(began))
		n.done(said)

		_, fires = n.watch(b, n.bare)
		began = time.Now()
		if _, err := n.multi(list); err != nil {
			b.Fatal(err)
		}
		multi = append(multi, fired(b, fires).Sub(began))
		sum = append(sum, hop[len(hop)-1]+multi[len(multi)-1])
	}
	n.remove(b, ids)
	report(b, whole, hop, multi, sum)
}

func report(b *testing.B, whole, hop, multi, sum latencies) {
	rowOf(b, "hop", hop.mean(), hop.figures())
	rowOf(b, "multi", multi.mean(), multi.figures())
	raw := sum.figures()
	rowOf(b, "raw", sum.mean(), raw)
	all := whole.figures()
	all["p50-×-raw"], all["p99-×-raw"] = all["p50-µs"]/raw["p50-µs"], all["p99-µs"]/raw["p99-µs"]
	rowOf(b, "orchestrator", whole.mean(), all)
}

// due has something done 500 times a second and answers when each was due and
// when it was begun.
func due(times int, do func(i int)) (wanted, sent []time.Time) {
	wanted, sent = make([]time.Time, times), make([]time.Time, times)
	began := time.Now()
	for i := range wanted {
		wanted[i] = began.Add(time.Duration(i) * time.Second / 500)
		if wait := time.Until(wanted[i]); wait > 0 {
			<-time.After(wait)
		}
		sent[i] = time.Now()
		do(i)
	}
	return wanted, sent
}

// open alternates between the orchestrator, the bare hop and the bare multi.
func (n *notifying) open(b *testing.B, rounds, times int) {
	var whole, hop, multi, sum latencies
	for range rounds {
		whole = append(whole, n.openWhole(b, times)...)
		hop = append(hop, n.openHop(b, times)...)
		multi = append(multi, n.openMulti(b, times)...)
	}
	for i := range hop {
		sum = append(sum, hop[i]+multi[i])
	}
	report(b, whole, hop, multi, sum)
}

// followed watches a node until stop says so of its version, and answers when it
// was seen at each version: when the watch fired, or, for versions that came
// before the watch was armed again, when they were read.
func (n *notifying) followed(b *testing.B, node string, seen func(version int32, at time.Time) (enough bool)) (wait func()) {
	last, fires := n.watch(b, node)
	var over sync.WaitGroup
	over.Go(func() {
		for {
			at := fired(b, fires)
			var version int32
			if version, fires = n.watch(b, node); version != last+1 {
				at = time.Now()
			}
			last = version
			if seen(version, at) {
				return
			}
		}
	})
	return over.Wait
}

func (n *notifying) openWhole(b *testing.B, times int) latencies {
	base, version := n.used(b)
	if base != n.ids {
		b.Fatalf("the list has %d ids, want %d", base, n.ids)
	}
	ids, payloads := make([]string, times), make([][]byte, times)
	for i := range ids {
		ids[i], payloads[i] = n.creation()
	}
	at := make([]time.Time, times)
	wait := n.followed(b, n.inst, func(_ int32, fired time.Time) bool {
		used, now := n.used(b)
		if now != version+1 {
			fired = time.Now()
		}
		for version = now; base < used; base++ { // the list grows in the order of the messages
			at[base-n.ids] = fired
		}
		return used == n.ids+times
	})
	wanted, _ := due(times, func(i int) { n.says.Publish(topic, 1, false, payloads[i]) })
	wait()
	n.remove(b, ids)
	return between(wanted, at)
}

func between(from, to []time.Time) (l latencies) {
	for i := range from {
		l = append(l, to[i].Sub(from[i]))
	}
	return l
}

func (n *notifying) openHop(b *testing.B, times int) latencies {
	_, payload := n.creation()
	at := make([]time.Time, times)
	var over sync.WaitGroup
	over.Go(func() {
		for i := range at {
			at[i] = <-n.heard
		}
	})
	wanted, _ := due(times, func(int) { n.says.Publish(bareTopic, 1, false, payload) })
	over.Wait()
	return between(wanted, at)
}

// openMulti counts from the sending: in the sum with a hop, the generator's own
// lateness counts once.
func (n *notifying) openMulti(b *testing.B, times int) latencies {
	list := make([]byte, listBytes(n.ids+times/2))
	first, _ := n.watch(b, n.bare)
	at := make([]time.Time, times) // by version
	next := int32(0)
	wait := n.followed(b, n.bare, func(version int32, fired time.Time) bool {
		for ; next < version-first; next++ {
			at[next] = fired
		}
		return int(next) == times
	})
	versions := make([]int32, times)
	var asked sync.WaitGroup
	_, sent := due(times, func(i int) {
		asked.Go(func() {
			answer, err := n.multi(list)
			if err != nil {
				b.Error(err)
				return
			}
			versions[i] = answer[3].Stat.Version
		})
	})
	asked.Wait()
	wait()
	var l latencies
	for i, v := range versions {
		l = append(l, at[v-first-1].Sub(sent[i]))
	}
	return l
}
