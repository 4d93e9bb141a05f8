package orchestrator

import (
	"testing"

	"dacorch/orchestrator/answer"
	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/loop"
)

// TestEveryEntryHasItsEvent: package answer, which does not see the loop, knows
// what the loop tells.
func TestEveryEntryHasItsEvent(t *testing.T) {
	for typ, want := range map[string]api.EventType{
		loop.EntryLeader: api.EventLeader, loop.EntryLed: api.EventNote, loop.EntryDeposed: api.EventNote, loop.EntryNote: api.EventNote,
		loop.EntryAlarm: api.EventAlarm, loop.EntryAlarmOver: api.EventAlarm, loop.EntryCommit: api.EventCommit,
		loop.EntryPodCreate: api.EventInstance, loop.EntryPodDelete: api.EventInstance, loop.EntryPod: api.EventPod,
		loop.EntryOrder: api.EventOrder, loop.EntryProgress: api.EventProgress, loop.EntryMaintenance: api.EventMaintenance,
	} {
		events := answer.Happened{Type: typ, Instance: fleet.NoInstance, Txn: &fleet.Txn{}}.Events("")
		if len(events) != 1 || events[0].Type != want {
			t.Errorf("an entry of type %s is told as %+v, want %s", typ, events, want)
		}
	}
}
