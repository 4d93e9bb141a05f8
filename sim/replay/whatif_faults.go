package replay

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
)

// window is a stretch in which something was refused again and again.
type window struct {
	span
	bad, good, maybe int // answers; maybe: good ones since the last bad one
}

// The times by which what the core was told trails what has happened, by the
// world's defaults.
const (
	seenLate   = 20 * time.Millisecond   // a pod's change
	endLate    = 1700 * time.Millisecond // the end of a pod's program, on top of it
	refusedGap = 30 * time.Second        // between two refusals of one cause
	cutGap     = 5 * time.Second         // from a broken connection to the next that stands
	around     = 100 * time.Millisecond  // before the first and after the last of them
	callWaits  = 10 * time.Second        // for the answer of an API server that is down
	notesLate  = 2 * time.Second         // a broken connection to the broker
	beatsLate  = 10 * time.Second        // fetches that fail
	ending     = 5 * time.Second         // a channel that goes so long before the end goes with the process
	blink      = 15 * time.Second        // a leadership lost for less is a session's, not the process's
)

// callFault is what a refusal by Kubernetes says of it.
func callFault(err string) scenarios.FaultKind {
	err = strings.ToLower(err)
	for _, is := range []struct {
		fault scenarios.FaultKind
		words []string
	}{
		{scenarios.KubernetesQuota, []string{"quota"}},
		{scenarios.KubernetesThrottle, []string{"429", "too many requests", "throttl"}},
		{scenarios.KubernetesConflict, []string{"409", "conflict"}},
		{scenarios.KubernetesDown, []string{"no answer", "timeout", "deadline", "refused", "unreachable", "connection", "eof"}},
	} {
		for _, w := range is.words {
			if strings.Contains(err, w) {
				return is.fault
			}
		}
	}
	return scenarios.KubernetesError
}

// refused notes that something failed, for what a fault stands for.
func (d *deriver) refused(what scenarios.FaultKind, now time.Duration) {
	if d.origin < 0 {
		return
	}
	if cut := d.open[scenarios.ZooKeeperCut]; what == scenarios.ZooKeeperDown && cut != nil && now-cut.to < cutGap {
		return // the connection has not come back yet
	}
	w := d.open[what]
	if w != nil && (now-w.to < refusedGap || isDown(what)) && now >= w.from {
		w.to, w.bad, w.good, w.maybe = max(w.to, now), w.bad+1, w.good+w.maybe, 0
		return
	}
	d.closeWindow(what)
	d.open[what] = &window{span: span{now, now}, bad: 1}
}

// answered notes that a subject did what it was asked to.
func (d *deriver) answered(subject string, now time.Duration) {
	for _, what := range []scenarios.FaultKind{
		scenarios.KubernetesError, scenarios.KubernetesConflict, scenarios.KubernetesThrottle, scenarios.KubernetesQuota, scenarios.KubernetesDown,
		scenarios.DatabaseDown, scenarios.ZooKeeperDown, scenarios.ZooKeeperCut,
	} {
		w := d.open[what]
		switch {
		case w == nil || what.Subject() != subject:
		case isDown(what):
			d.closeWindow(what)
		case now-w.to < refusedGap:
			w.maybe++
		}
	}
}

// isDown says that whatever is asked fails while the fault lasts.
func isDown(what scenarios.FaultKind) bool { return what.Word() == "down" }

func (d *deriver) closeWindow(what scenarios.FaultKind) {
	w := d.open[what]
	if w == nil {
		return
	}
	delete(d.open, what)
	f := scenarios.NewFault(what)
	lead := around
	switch what {
	case scenarios.KubernetesDown:
		lead = callWaits
	case scenarios.ZooKeeperDown:
		f.Of = scenarios.OfOrchestrator
	case scenarios.KubernetesError, scenarios.KubernetesConflict, scenarios.KubernetesThrottle, scenarios.KubernetesQuota, scenarios.ZooKeeperCut:
		f.Chance = max(float64(100*w.bad/(w.bad+w.good)), 1) / 100
	}
	f.At, f.For = w.from-lead, w.to-w.from+lead+around
	d.remarks.count("stretches of failed calls, for which outages of what failed stand; which call fails is drawn anew", 1)
	d.lasts(f)
}

// lasts adds a fault that lasts, unless another kind has told of it already.
func (d *deriver) lasts(f scenarios.Fault) {
	for i := range d.faults {
		o := &d.faults[i]
		same := *o
		same.At, same.For = f.At, f.For
		if scenarios.FormatFault(same) == scenarios.FormatFault(f) && f.At <= o.At+o.For+time.Second && o.At <= f.At+f.For+time.Second {
			end := max(o.At+o.For, f.At+f.For)
			o.At = min(o.At, f.At)
			o.For = end - o.At
			return
		}
	}
	d.add(f)
}

// maxFaults bounds the faults: a scenario takes as many.
const maxFaults = 1000

func (d *deriver) add(f scenarios.Fault) {
	if len(d.faults) >= maxFaults {
		d.remarks.count("faults left out, since a scenario holds 1000", 1)
		return
	}
	d.faults = append(d.faults, f)
}

// strikes adds a fault of one instance.
func (k *kindDeriver) strikes(what scenarios.FaultKind, id fleet.InstanceID, at, lasts time.Duration) {
	if k.origin < 0 || id < 0 || int(id) >= k.cfg.Limits.MaxInstances {
		return
	}
	f := scenarios.NewFault(what)
	f.At, f.For = at, lasts
	f.Kind, f.One, f.Instance = string(k.name), true, int(id)
	if what == scenarios.ZooKeeperExpire {
		f.Of = scenarios.OfDACs
	}
	k.add(f)
}

// restarted says that the orchestrator was gone.
func (k *kindDeriver) restarted(from, to time.Duration) {
	if k.deposed >= 0 {
		from = min(from, k.deposed)
	}
	k.gone(span{from, max(to, from+time.Millisecond)})
	clear(k.leads)
	k.deposed, k.notesUp, k.notesDown, k.outage = -1, false, -1, span{from, to}
	k.silenceBeats()
	k.beatsDown, k.beatsUp = -1, false
	clear(k.asked)
	clear(k.calls)
	clear(k.sent)
	for _, s := range k.slots { // what was under way was not watched
		s.asked, s.created, s.deleted, s.waits, s.expired = 0, 0, 0, 0, 0
	}
}

// lostLead says that nobody who is recorded led the kind.
func (k *kindDeriver) lostLead(from, to time.Duration) {
	if slices.ContainsFunc(k.away, func(a span) bool { return a.from <= to && from <= a.to }) {
		return
	}
	if to-from >= blink {
		k.remarks.add("from %s to %s another process may have led %s: the simulation has none then", shortTime(from), shortTime(to), k.name)
		k.gone(span{from, to})
		k.outage = span{from, to}
		return
	}
	f := scenarios.NewFault(scenarios.ZooKeeperExpire)
	f.At = from
	if !slices.ContainsFunc(k.faults, func(o scenarios.Fault) bool {
		return o.What == f.What && o.Of == f.Of && (o.At-f.At).Abs() < blink
	}) {
		k.add(f)
	}
}

// gone keeps the times at which the orchestrator was away apart.
func (d *deriver) gone(a span) {
	d.away = append(d.away, a)
	slices.SortFunc(d.away, func(a, b span) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	kept := d.away[:1]
	for _, a := range d.away[1:] {
		if last := &kept[len(kept)-1]; a.from <= last.to+time.Second {
			last.to = max(last.to, a.to)
		} else {
			kept = append(kept, a)
		}
	}
	d.away = kept
}

func (k *kindDeriver) notesChannel(now time.Duration, up bool) {
	switch {
	case !up && k.notesUp:
		k.notesDown = now
	case up && k.notesDown >= 0:
		f := scenarios.NewFault(scenarios.MQTTDown)
		f.At, f.For = k.notesDown-notesLate, max(now-k.notesDown, time.Second)
		k.outage = span{f.At, now}
		k.notesDown = -1
		if k.origin >= 0 {
			k.lasts(f)
		}
	}
	k.notesUp = up
}

func (k *kindDeriver) beatsChannel(now time.Duration, up bool) {
	switch {
	case !up && k.beatsUp:
		k.beatsDown = now
	case up && k.beatsDown >= 0:
		f := scenarios.NewFault(scenarios.KafkaDown)
		f.At, f.For = k.beatsDown-beatsLate, max(now-k.beatsDown+beatsLate-notesLate, time.Second)
		k.beatsDown = -1
		k.lasts(f)
	}
	k.beatsUp = up
	k.silenceBeats()
}

// silenceBeats forgets who was heard when: from here on gaps mean nothing.
func (k *kindDeriver) silenceBeats() {
	for _, s := range k.slots {
		s.lastBeat = -1
	}
}

// finishFaults ends what lasts at the end of the recording, and answers all faults
// of a run of that length, in its own time.
func (d *deriver) finishFaults(length time.Duration) []scenarios.Fault {
	kinds := make([]scenarios.FaultKind, 0, len(d.open))
	for what := range d.open {
		kinds = append(kinds, what)
	}
	slices.Sort(kinds)
	for _, what := range kinds {
		d.closeWindow(what)
	}
	for _, name := range d.names {
		k := d.kinds[name]
		if k.notesDown >= 0 && d.to-k.notesDown > ending {
			k.notesChannel(d.to, true)
		}
		if k.beatsDown >= 0 && d.to-k.beatsDown > ending {
			k.beatsChannel(d.to, true)
		}
	}
	for _, a := range d.away {
		f := scenarios.NewFault(scenarios.OrchestratorCrash)
		f.At, f.For = a.from, a.to-a.from
		d.add(f)
	}
	var out []scenarios.Fault
	for _, f := range d.faults {
		begun, end := f.At-d.origin, f.At-d.origin+f.For
		f.At = max(begun.Round(time.Millisecond), time.Millisecond)
		if f.At >= length-time.Millisecond || !f.Once() && end <= f.At {
			continue
		}
		if !f.Once() {
			f.For = max((min(end, length) - f.At).Round(time.Millisecond), time.Millisecond)
		}
		out = append(out, f)
	}
	slices.SortStableFunc(out, func(a, b scenarios.Fault) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Instance, b.Instance))
	})
	return out
}
