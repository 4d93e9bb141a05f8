package world

import (
	"fmt"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"

	"pgregory.net/rapid"
)

// Every epoch has one leader, epochs rise, only the newest leader's transactions
// commit, and in peace somebody who can lead does.
func TestOneLeaderPerEpoch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tl := timeline.New()
		z := NewZooKeeper(tl, drawSeed(t), DefaultConfig().ZooKeeper)
		epochs := map[int64]string{}
		newest := int64(0)
		writer := int64(0) // epoch of the newest committed transaction
		z.OnCommit = func(_ time.Duration, _ fleet.Kind, txn *fleet.Txn) {
			if txn.Epoch < writer || txn.Epoch != z.Epoch(thing) {
				t.Fatalf("a transaction of epoch %d commits after one of %d, in epoch %d", txn.Epoch, writer, z.Epoch(thing))
			}
			writer = txn.Epoch
		}
		var sessions []*Session
		elect := func(s *Session, name string) {
			s.Elect(thing, func(_ time.Duration, epoch int64) {
				if epochs[epoch] != "" || epoch <= newest || epoch > z.Epoch(thing) {
					t.Fatalf("%s leads epoch %d of %d; newest %d, led by %q", name, epoch, z.Epoch(thing), newest, epochs[epoch])
				}
				epochs[epoch], newest = name, epoch
				s.Submit(thing, &fleet.Txn{Epoch: epoch}, func(time.Duration, fleet.Kind, *fleet.Txn, fleet.Outcome) {})
			})
		}
		open := func() *Session {
			s := z.Open(nil)
			sessions = append(sessions, s)
			return s
		}
		elect(open(), "first")
		for i := range rapid.IntRange(1, 40).Draw(t, "steps") {
			s := sessions[rapid.IntRange(0, len(sessions)-1).Draw(t, "session")]
			switch rapid.SampledFrom([]string{"open", "elect", "resign", "cut", "restore", "restore", "kill", "close", "expire"}).Draw(t, "do") {
			case "open":
				elect(open(), fmt.Sprint("session ", i))
			case "elect":
				elect(s, fmt.Sprint("again ", i))
			case "resign":
				s.Resign(thing)
			case "cut":
				s.Cut()
			case "restore":
				s.Restore()
			case "kill":
				s.Kill()
			case "close":
				s.Close()
			case "expire":
				s.Expire()
			}
			wait := seconds(t, "wait", 12)
			if rapid.Bool().Draw(t, "soon") {
				wait /= 1000
			}
			runUntil(tl, tl.Now()+wait)
		}
		for _, s := range sessions {
			s.Restore()
		}
		elect(open(), "last")
		runUntil(tl, tl.Now()+time.Minute)
		standing := z.tree(thing).candidates
		if len(standing) > 0 { // what it wrote before may have been lost on the way
			standing[0].session.Submit(thing, &fleet.Txn{Epoch: newest}, func(time.Duration, fleet.Kind, *fleet.Txn, fleet.Outcome) {})
			runUntil(tl, tl.Now()+time.Second)
		}
		if len(standing) == 0 || !standing[0].told || newest != z.Epoch(thing) || writer != newest {
			t.Fatalf("in peace %d stand, the newest leader has epoch %d of %d, the newest writer %d", len(standing), newest, z.Epoch(thing), writer)
		}
		names, err := z.Nodes().Children("/iota/orchestrator/Thing/candidates", nil)
		if err != nil || len(names) != len(standing) {
			t.Fatalf("%d stand, nodes %v %v", len(standing), names, err)
		}
	})
}
