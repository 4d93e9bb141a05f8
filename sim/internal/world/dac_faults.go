package world

import (
	"errors"
	"maps"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
)

// Zombie makes an instance's program a zombie: it sends heartbeats and keeps its
// session, yet reads, applies and confirms nothing until its pod ends. False when
// none runs, or it hangs or is a zombie already.
func (f *DACs) Zombie(kind fleet.Kind, id fleet.InstanceID) bool {
	d := f.find(kind, id)
	if d == nil || d.hung || d.zombie {
		return false
	}
	d.zombie = true
	if d.session != nil {
		d.unwatch()
	}
	f.process(f.tl.Now(), d, ProcessZombie)
	return true
}

// ReachContainer cuts a program off from ZooKeeper and Kafka, or lets it reach
// them again.
func (f *DACs) ReachContainer(_ time.Duration, kind fleet.Kind, id fleet.InstanceID, uid string, reachable bool) {
	d := f.pod(kind, id, uid)
	if d == nil || d.away == !reachable {
		return
	}
	d.away = !reachable
	if d.session != nil {
		d.session.bar(d.away)
	}
}

// pod is the program in the pod with this UID. There are several of an instance
// when one runs on, out of reach, after its pod was deleted.
func (f *DACs) pod(kind fleet.Kind, id fleet.InstanceID, uid string) *dac {
	k := f.kinds[kind]
	if k == nil {
		return nil
	}
	if d := k.dacs[id]; d != nil && d.uid == uid {
		return d
	}
	return k.strays[uid]
}

// Strays are the programs of a kind that run on although their pods were deleted
// and others have taken their instances, by UID.
func (f *DACs) Strays(kind fleet.Kind) []DACView {
	k := f.kinds[kind]
	if k == nil {
		return nil
	}
	views := make([]DACView, 0, len(k.strays))
	for _, uid := range slices.Sorted(maps.Keys(k.strays)) {
		views = append(views, k.strays[uid].view())
	}
	return views
}

// drop forgets a program.
func (k *dacKind) drop(d *dac) {
	if k.dacs[d.id] == d {
		delete(k.dacs, d.id)
	} else {
		delete(k.strays, d.uid)
	}
}

// retryRefused is how long who was refused room waits before the next attempt.
const retryRefused = time.Second

// report is the moment at which the ensemble has the DAC's status. Without nodes
// there is nothing to report on.
func (d *dac) report(now time.Duration) {
	z, s := d.dacs.zk, d.session
	fault, away := SubmitArrives, time.Duration(0)
	if z.OnStatus != nil {
		fault, away = z.OnStatus(now, d.kind.spec.Kind, d.id)
	}
	refused := fault == SubmitRefused
	if fault == SubmitArrives || fault == AnswerLost {
		refused = errors.Is(d.nodes.writeStatus(now, s, d.confirmed()), ErrFull)
	}
	if fault == SubmitLost || fault == AnswerLost {
		s.Break(away) // once it is back, the DAC reads and reports anew
	}
	if refused && !d.owes {
		d.owes = true
		d.dacs.tl.After(retryRefused, d, opReportAgain, 0, nil)
	}
}
