package wire

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// BenchmarkCreations floods cm/notify with 34,000 creations a round, as fast as a
// client can publish, one row or 100 to a message, and measures until all of them
// stand in ZooKeeper: one list grows from 1,000 ids to 5,000 and six more from
// none. Then they are removed, which is not measured.
//
// Beside it, in turns, on the same servers: raw is multis of the same operations
// as the orchestrator's transactions, each with a list of the average length, ten
// in flight, counted as if each carried as many creations as those did. single is
// the same multis with one creation each: what there would be without group
// commit. hop is a bare client that receives the same flood through the same
// broker and acknowledges each message at once; no creation comes faster.
func BenchmarkCreations(b *testing.B) {
	for _, be := range backends {
		for _, window := range []int{usualWindow, 1000} {
			b.Run(fmt.Sprintf("%s/window=%d", be.name, window), func(b *testing.B) {
				n := newNotifying(b, be, window, 1000)
				for _, rows := range []int{1, 100} {
					b.Run(fmt.Sprintf("rows-in-a-message=%d", rows), func(b *testing.B) { n.flood(b, 3, rows) })
				}
			})
		}
	}
}

// A round's creations, and the average length of the list that each joins.
const (
	flooded    = 4000 + 6*perInstance
	floodedIDs = (4000*3000 + 6*perInstance*perInstance/2) / flooded
)

func (n *notifying) flood(b *testing.B, rounds, rows int) {
	var whole, hop, multi time.Duration
	transactions, multis := 0, 0
	n.round(b, rows) // the first one opens the instances
	for range rounds {
		took, times := n.round(b, rows)
		whole += took
		transactions += times
		hop += n.hop(b, rows)
		times = min(max(times, 200), 2000)
		multi += n.multis(b, times, 10)
		multis += times
	}
	carried := float64(flooded*rounds) / float64(transactions)
	perMulti := multi / time.Duration(multis)
	perHop := hop / time.Duration(flooded*rounds)
	raw := time.Duration(float64(perMulti) / carried)
	each := whole / time.Duration(flooded*rounds)
	tell := func(by string, each time.Duration, more map[string]float64) {
		more["resources/s"] = float64(time.Second) / float64(each)
		rowOf(b, by, each, more)
	}
	share := func(of time.Duration) float64 { return 100 * float64(of) / float64(each) }
	tell("hop", perHop, map[string]float64{})
	tell("single", perMulti, map[string]float64{"transactions/s": float64(time.Second) / float64(perMulti)})
	tell("raw", raw, map[string]float64{"transactions/s": float64(time.Second) / float64(perMulti), "resources/transaction": carried})
	tell("orchestrator", each, map[string]float64{"transactions/s": float64(transactions) / whole.Seconds(), "resources/transaction": carried,
		"%-of-hop": share(perHop), "%-of-single": share(perMulti), "%-of-raw": share(raw)})
}

// payloads are the announcements of a round.
func (n *notifying) payloads(rows int) (ids []string, payloads [][]byte) {
	for i := range flooded {
		id, payload := n.creation()
		ids = append(ids, id)
		if rows == 1 {
			payloads = append(payloads, payload)
		} else if i%rows == rows-1 {
			payloads = append(payloads, n.bulk("bc", ids[i-rows+1:]))
		}
	}
	return ids, payloads
}

// bulk is an announcement about many rows.
func (n *notifying) bulk(op string, ids []string) []byte {
	m := message{Op: op, Table: "Thing", By: centreName}
	if op == "bd" {
		m.Where = map[string]any{"id": ids}
	} else {
		for _, id := range ids {
			m.Keys = append(m.Keys, key{id})
		}
	}
	payload, err := json.Marshal(m)
	if err != nil {
		n.b.Fatal(err)
	}
	return payload
}

// round publishes creations and waits until they stand in the lists.
func (n *notifying) round(b *testing.B, rows int) (took time.Duration, transactions int) {
	ids, payloads := n.payloads(rows)
	base, before := n.total(b), n.placed().Counters["committed"]
	began := time.Now()
	for _, payload := range payloads {
		n.says.Publish(topic, 1, false, payload)
	}
	await(b, "all creations to stand in ZooKeeper", func() bool { return n.total(b) == base+flooded })
	took = time.Since(began)
	transactions = int(n.placed().Counters["committed"] - before)
	for i := 0; i < len(ids); i += 1000 {
		n.done(n.says.Publish(topic, 1, false, n.bulk("bd", ids[i:i+1000])))
	}
	await(b, "the lists to shrink again", func() bool { return n.total(b) == base })
	return took, transactions
}

// total is how many ids stand in all lists, as the instances' nodes tell.
func (n *notifying) total(b *testing.B) int {
	const root = "/iota/orchestration/Thing"
	children, _, err := n.dac.Children(root)
	if err != nil {
		b.Fatal(err)
	}
	sum := 0
	for _, c := range children {
		used, _ := n.usedOf(b, root+"/"+c)
		sum += used
	}
	return sum
}

// hop is how long the flood takes to a bare client.
func (n *notifying) hop(b *testing.B, rows int) time.Duration {
	_, payloads := n.payloads(rows)
	left, all := len(payloads), make(chan struct{})
	n.done(n.hears.Subscribe(bareTopic, 1, func(paho.Client, paho.Message) { // one at a time
		if left--; left == 0 {
			close(all)
		}
	}))
	began := time.Now()
	for _, payload := range payloads {
		n.says.Publish(bareTopic, 1, false, payload)
	}
	select {
	case <-all:
	case <-time.After(patience):
		b.Fatal("the bare client did not receive all messages")
	}
	return time.Since(began)
}

// multis is how long so many bare multis take with so many in flight.
func (n *notifying) multis(b *testing.B, times, flight int) time.Duration {
	list := make([]byte, listBytes(floodedIDs))
	began := time.Now()
	var over sync.WaitGroup
	for i := range flight {
		over.Go(func() {
			for range (times - i + flight - 1) / flight {
				if _, err := n.multi(list); err != nil {
					b.Error(err)
				}
			}
		})
	}
	over.Wait()
	return time.Since(began)
}
