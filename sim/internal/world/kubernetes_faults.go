package world

import (
	"maps"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
)

// callState is what befalls a call under way.
type callState struct {
	asked bool // OnCall has answered
	fault CallFault
}

// admitPod says whether a call takes effect now. If not, it is answered, or comes
// again later.
func (k *Kubernetes) admitPod(now time.Duration, op uint32, verb CallVerb, c *podCall) bool {
	if k.down {
		c.reply.Err = ErrUnanswered
		k.tl.At(now+k.cfg.Timeout, k, opReply, k.outage, c)
		return false
	}
	if !c.asked && k.OnCall != nil {
		c.asked = true
		c.fault = k.OnCall(now, Call{Verb: verb, Kind: c.reply.Kind, Instance: c.reply.Instance, UID: c.reply.UID})
		if c.fault.Delay > 0 {
			k.tl.After(c.fault.Delay, k, op, 0, c)
			return false
		}
	}
	if c.fault.Err != nil && !c.fault.Executed {
		k.reply(now, c, nil)
		return false
	}
	return true
}

// admitList is admitPod for a listing.
func (k *Kubernetes) admitList(now time.Duration, l *podListing) bool {
	if k.down {
		l.list.Err = ErrUnanswered
		k.tl.At(now+k.cfg.Timeout, k, opListed, k.outage, l)
		return false
	}
	if !l.asked && k.OnCall != nil {
		l.asked = true
		l.fault = k.OnCall(now, Call{Verb: CallList, Kind: l.list.Kind})
		if l.fault.Delay > 0 {
			k.tl.After(l.fault.Delay, k, opList, 0, l)
			return false
		}
	}
	return true // a list changes nothing: listed puts the error in its place
}

// replied hands an answer to its caller.
func (k *Kubernetes) replied(now time.Duration, outage int64, c *podCall) {
	if c.fault.Err != nil {
		c.reply.Err = c.fault.Err
	}
	if outage != k.outage {
		c.reply.Err = ErrUnanswered
	}
	if (c.fault.Err != nil || outage != k.outage) && c.created {
		c.reply.UID = ""
	}
	c.done(now, c.reply)
}

func (k *Kubernetes) listed(now time.Duration, outage int64, l *podListing) {
	if l.fault.Err != nil {
		l.list.Err = l.fault.Err
	}
	if outage != k.outage {
		l.list.Err = ErrUnanswered
	}
	if l.list.Err != nil {
		l.list.Pods = nil
	}
	l.done(now, l.list)
}

// APIDown stops the API server: calls are answered with ErrUnanswered after
// KubernetesConfig.Timeout, answers on their way are lost, watches are cut, pods
// run on.
func (k *Kubernetes) APIDown() {
	if !k.down {
		k.down = true
		k.outage++
		k.loseEvents()
	}
}

// APIUp starts the API server again and mends the watches, unless CutWatches has
// cut them too.
func (k *Kubernetes) APIUp() {
	if k.down {
		k.down = false
		k.catchUp(false)
	}
}

// CutWatches stops all watches: what is on its way is lost, nothing is told.
func (k *Kubernetes) CutWatches() {
	k.cut = true
	k.loseEvents()
}

// MendWatches ends CutWatches: each watch tells the difference between what it
// told last and what is.
func (k *Kubernetes) MendWatches() {
	if k.cut {
		k.cut = false
		k.catchUp(false)
	}
}

// ExpireWatches ends all watches with 410: each lists anew, so that every pod is
// told again, and what has gone unseen. A watch that is cut does so when it is
// mended, as always.
func (k *Kubernetes) ExpireWatches() {
	k.loseEvents()
	k.catchUp(true)
}

// SetWatchDelay makes every event of a watch come this much later; 0 ends it.
func (k *Kubernetes) SetWatchDelay(d time.Duration) { k.watchDelay = d }

func (k *Kubernetes) loseEvents() {
	for _, kind := range k.kinds {
		for _, w := range kind.watches {
			w.gen++
		}
	}
}

// catchUp tells each watch what it does not know, or with all everything.
func (k *Kubernetes) catchUp(all bool) {
	if k.down || k.cut {
		return
	}
	now := k.tl.Now()
	for _, name := range slices.Sorted(maps.Keys(k.kinds)) {
		for _, w := range k.kinds[name].watches {
			w.catchUp(now, all)
		}
	}
}

func (w *PodWatch) catchUp(now time.Duration, all bool) {
	ids := slices.AppendSeq(slices.Collect(maps.Keys(w.known)), maps.Keys(w.kind.pods))
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		last, told := w.known[id]
		p := w.kind.pods[id]
		if told && (p == nil || p.UID != last.UID) {
			w.send(now, podEvent{last, true})
		}
		if p != nil && (all || p.Pod != last) {
			w.send(now, podEvent{p.Pod, false})
		}
	}
}

// begin is the start of a pod on its node: image, then container.
func (k *Kubernetes) begin(now time.Duration, p *pod) {
	f := StartFault{}
	if k.OnStart != nil {
		f = k.OnStart(now, p.kind.kind, p.Instance, p.UID)
	}
	if f.NoImage {
		k.images = append(k.images, p)
		if p.Reason != noImage {
			p.Reason = noImage
			k.announce(now, p, false)
		}
		return
	}
	if p.Reason == noImage {
		p.Reason = ""
		k.announce(now, p, false)
	}
	p.started, p.Reason, p.crash = true, "", f.Crash
	k.tl.After(k.start.draw()+f.Late, k, opStart, 0, p)
}

const noImage = "ImagePullBackOff"

// RetryImages asks OnStart anew about every pod that has no image, oldest first.
func (k *Kubernetes) RetryImages() {
	pods := k.images
	k.images = nil
	for _, p := range pods {
		k.begin(k.tl.Now(), p)
	}
}

// crash is the end of a program that crashes some time after its start.
func (k *Kubernetes) crash(now time.Duration, p *pod) {
	switch {
	case !p.running:
	case p.kind.pods[p.Instance] == p:
		k.end(now, p, fleet.PhaseFailed, "Error")
	default: // nobody knows of it any more
		k.stop(now, p, false)
	}
}
