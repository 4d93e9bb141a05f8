package invariant

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"
)

// keptSlow is how many of the slowest settlements, and of the longest times
// without an owner, are kept for each kind.
const keptSlow = 10

// What a slow case was.
const (
	slowSettle  = "settle"  // a new row's first run
	slowDelete  = "delete"  // a deleted row's last
	slowRecover = "recover" // running again after its DAC failed
	slowMove    = "move"    // running again after a DAC that works had stopped it
)

// slow is a slow case with the facts that its cause is worded from: most cases
// are displaced by slower ones before anybody reads them.
type slow struct {
	id       string
	what     string
	from, to time.Duration
	placedAt time.Duration // when it came to the list that it stands on
	owner    fleet.InstanceID
	aliveAt  time.Duration    // when the owner's DAC came to work last
	was      string           // its pod, while it did not
	broken   string           // what disturbed it
	before   fleet.InstanceID // whose DAC ran it last
	open     bool             // not over at the end
	why      string           // worded already
}

func (s *slow) took() time.Duration { return s.to - s.from }

// slowest are the slowest cases of a sort, the slowest first.
type slowest []slow

func (s slowest) admits(took time.Duration) bool {
	return took > 0 && (len(s) < keptSlow || took > s[len(s)-1].took())
}

func (s *slowest) add(entry slow) {
	at := len(*s)
	for at > 0 && (*s)[at-1].took() < entry.took() {
		at--
	}
	*s = slices.Insert(*s, at, entry)
	*s = (*s)[:min(len(*s), keptSlow)]
}

// slowed keeps a case if it is among the slowest.
func (k *kindState) slowed(list *slowest, r *record, what string, from, to time.Duration) {
	if !list.admits(to - from) {
		return
	}
	entry := slow{id: r.id, what: what, from: from, to: to, placedAt: r.placedAt, owner: r.owner, before: r.stoppedBy}
	if r.owner != fleet.NoInstance {
		in := &k.instances[r.owner]
		entry.aliveAt, entry.was = in.aliveAt, in.was
		entry.broken = cmp.Or(in.during(from, to), k.during(from, to))
	}
	list.add(entry)
}

// explainOpen notes which of the slowest cases were not over at the end, and why.
func (c *Checker) explainOpen(k *kindState) {
	for _, list := range []slowest{k.slowSettles, k.slowOutages} {
		for n := range list {
			s := &list[n]
			i, ok := k.index[s.id]
			if !ok || s.to != c.now || k.recs[i].state&pending == 0 && !k.idle(&k.recs[i]) {
				continue
			}
			s.open, s.why = true, c.why(k, i)
		}
	}
}

// Slowest are for each kind the slowest settlements and the longest times without
// an owner, ten of each, the slowest of a kind first. Why says where the time went
// as far as facts tell, and then what Config.Why adds. Call it after End.
func (c *Checker) Slowest() []history.Slow {
	var all []history.Slow
	for _, k := range c.kinds {
		of := slices.Concat(k.slowSettles, k.slowOutages)
		slices.SortStableFunc(of, func(a, b slow) int { return cmp.Compare(b.took(), a.took()) })
		for n := range of {
			s := &of[n]
			all = append(all, history.Slow{Kind: k.cfg.Kind, Resource: s.id, What: s.what, From: s.from, Took: s.took(),
				Open: s.open, Instance: int(s.owner), Why: c.cause(k, s)})
		}
	}
	return all
}

// cause puts into words where a slow case's time went.
func (c *Checker) cause(k *kindState, s *slow) string {
	var parts []string
	say := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	at := s.from
	if s.what == slowRecover && s.before != fleet.NoInstance {
		say("the DAC of %s stopped working", k.list([]fleet.InstanceID{s.before}))
	}
	switch {
	case s.why != "":
		say("%s", s.why)
	case s.what == slowDelete:
		if s.placedAt > at && s.owner == fleet.NoInstance {
			say("on a list for %v", round(s.placedAt-at))
			at = s.placedAt
		}
		say("%v until the DAC of %s let it go", round(s.to-at), k.list([]fleet.InstanceID{s.before}))
	case s.owner == fleet.NoInstance:
		say("on no list")
	default:
		if s.placedAt > at {
			wait := "on another's list or none for %v, then on instance %d's"
			if s.what == slowSettle {
				wait = "on no list for %v, then on instance %d's"
			}
			say(wait, round(s.placedAt-at), s.owner)
			at = s.placedAt
		}
		if s.aliveAt > at {
			text := fmt.Sprintf("the DAC of instance %d worked %v later", s.owner, round(s.aliveAt-at))
			if s.was != "" {
				text += ", its pod before that: " + s.was
			}
			parts = append(parts, text)
			at = s.aliveAt
		}
		say("%v until instance %d ran it", round(s.to-at), s.owner)
	}
	if s.broken != "" {
		say("instance %d was disturbed: %s", s.owner, s.broken)
	}
	if c.whyCaller != nil {
		if why := c.whyCaller(k.cfg.Kind, s.id, s.owner, s.from, s.to); why != "" {
			parts = append(parts, why)
		}
	}
	return strings.Join(parts, "; ")
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// lookAtPods notes what pods are like whose DACs do not work, for causes: once a
// DAC works, its pod tells nothing of what it waited for.
func (c *Checker) lookAtPods() {
	if c.pod == nil {
		return
	}
	for _, k := range c.kinds {
		for id := range k.instances {
			in := &k.instances[id]
			if in.healthy || !in.exists || in.used == 0 {
				continue
			}
			if now := c.pod(k.cfg.Kind, fleet.InstanceID(id)); in.was == "" || !strings.HasPrefix(now, fleet.PhaseRunning.String()) {
				in.was = now
			}
		}
	}
}
