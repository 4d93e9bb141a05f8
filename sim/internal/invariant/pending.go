package invariant

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"
)

// pendingExamples is how many ids a group of pending resources names.
const pendingExamples = 3

// Pending lists what is not settled now, grouped by reason: the largest group
// first. It looks at every resource.
func (c *Checker) Pending() []history.Pending {
	var all []history.Pending
	for _, k := range c.kinds {
		all = append(all, c.pendingOf(k)...)
	}
	slices.SortStableFunc(all, func(a, b history.Pending) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Why, b.Why))
	})
	return all
}

func (c *Checker) pendingOf(k *kindState) []history.Pending {
	var groups []history.Pending
	index := make(map[string]int)
	for i := range k.recs {
		r := &k.recs[i]
		if r.state&pending == 0 && !k.idle(r) {
			continue
		}
		why := c.why(k, int32(i))
		g, ok := index[why]
		if !ok {
			g = len(groups)
			index[why] = g
			groups = append(groups, history.Pending{Kind: k.cfg.Kind, Why: why, Since: r.unsettledAt})
		}
		p := &groups[g]
		p.Count++
		p.Since = min(p.Since, r.unsettledAt)
		p.IDs = smallest(p.IDs, r.id, pendingExamples)
	}
	return groups
}

// smallest adds id to the ascending ids and keeps the n smallest.
func smallest(ids []string, id string, n int) []string {
	at, _ := slices.BinarySearch(ids, id)
	if at >= n {
		return ids
	}
	ids = slices.Insert(ids, at, id)
	return ids[:min(len(ids), n)]
}

// why says what keeps a record from being settled, in words that all records
// of one cause share.
func (c *Checker) why(k *kindState, i int32) string {
	r := &k.recs[i]
	if !r.row {
		gone := "deleted from the database"
		if !r.hadRow {
			gone = "never in the database"
		}
		switch {
		case r.owners > 0 && r.runners > 0:
			return fmt.Sprintf("%s, but still on %s's list and running on %s", gone, k.list(k.owners(i)), k.list(k.runners(i)))
		case r.owners > 0:
			return fmt.Sprintf("%s, but still on %s's list", gone, k.list(k.owners(i)))
		}
		return fmt.Sprintf("%s, on no list, but still running on %s%s", gone, k.list(k.runners(i)), c.dac(k, r.runner))
	}
	switch {
	case r.settled():
		return fmt.Sprintf("on %s, whose DAC hangs%s", k.list(k.owners(i)), c.dac(k, r.owner))
	case r.owners == 0 && r.runners == 0:
		return "not in any instance's list"
	case r.owners == 0:
		return fmt.Sprintf("not in any instance's list, but running on %s", k.list(k.runners(i)))
	case r.owners > 1:
		return fmt.Sprintf("on the lists of %s", k.list(k.owners(i)))
	case r.runners == 0:
		return fmt.Sprintf("on %s, not running%s", k.list(k.owners(i)), c.dac(k, r.owner))
	case r.runners > 1:
		return fmt.Sprintf("on %s, but running on %s", k.list(k.owners(i)), k.list(k.runners(i)))
	}
	return fmt.Sprintf("on %s, but running on %s%s", k.list(k.owners(i)), k.list(k.runners(i)), c.dac(k, r.owner))
}

// dac says what is known about an instance's pod and DAC, as the rest of a
// sentence that ends with the instance.
func (c *Checker) dac(k *kindState, id fleet.InstanceID) string {
	if id >= maxInstanceID {
		return ""
	}
	in := k.instances[id]
	s := ""
	if c.pod != nil {
		s = fmt.Sprintf("; pod of instance %d: %s", id, c.pod(k.cfg.Kind, id))
	} else if in.pod == "" {
		s = fmt.Sprintf("; instance %d has no pod", id)
	}
	switch {
	case in.zombie:
		s += fmt.Sprintf("; its DAC does nothing but send heartbeats since %v", in.hungAt)
	case !in.healthy:
		s += "; its DAC does not work"
	case in.applied < in.times:
		s += fmt.Sprintf("; its DAC works, but has applied _reload times %s of %d", appliedTimes(in.applied), in.times)
	default:
		s += "; its DAC works and has applied every change"
	}
	if code := k.alarm(); code != "" && in.hung {
		s += "; people must act: the alarm " + code + " stands"
	}
	switch {
	case in.disturbed > 0:
		s += fmt.Sprintf("; disturbed since %v: %s", in.disturbedAt, in.disturbedWhy)
	case k.disturbed > 0:
		s += "; all are disturbed: " + k.disturbedWhy
	}
	return s
}

func appliedTimes(times int64) string {
	if times < 0 {
		return "none"
	}
	return strconv.FormatInt(times, 10)
}

// list writes instances for people: "instance 4", "instances 3 and 7".
func (k *kindState) list(ids []fleet.InstanceID) string {
	if len(ids) == 1 {
		return "instance " + k.called(ids[0])
	}
	s := "instances "
	for n, id := range ids {
		switch {
		case n == 0:
		case n == len(ids)-1:
			s += " and "
		default:
			s += ", "
		}
		s += k.called(id)
	}
	return s
}

// called is an instance's number, or for a program that outlived its pod that.
func (k *kindState) called(id fleet.InstanceID) string {
	if id >= maxInstanceID {
		o := &k.orphans[id-maxInstanceID]
		return fmt.Sprintf("%s (the program of its former pod %s)", o.of, o.dac)
	}
	return id.String()
}
