package sweep

import (
	"fmt"
	"slices"
	"time"

	"dacorch/scenarios"
)

// Possible says whether a scenario demands of the orchestrator only what it can
// do, or why not: all that the swarm draws is possible, and what is possible
// stays so while it is cut. What it refuses breaks invariants of liveness by
// design, and is no bug:
//
//   - maintenance that nobody ends, or ends while faults may keep the order from
//     the orchestrator;
//   - so many pods that hang at once that silence says more about the channel than
//     about them (see reconcile's liveness), and pods that hang without heartbeats;
//   - zombies that nobody replaces: what runs a list that does not change, beats and
//     has nothing to confirm looks like all others;
//   - too few instances or machines for what comes;
//   - pods that take longer to start than they may be Pending;
//   - throttles, or an end, that leave no time to settle.
func Possible(sc *scenarios.Scenario) error {
	pods, settle := 0, time.Duration(0)
	for i := range sc.Kinds {
		k := &sc.Kinds[i]
		if need := room(sc, k); need > k.MaxInstances {
			return fmt.Errorf("%s may come to need %d instances, and may have %d", k.Kind, need, k.MaxInstances)
		}
		if err := endsMaintenance(sc, k); err != nil {
			return err
		}
		if err := findsHung(sc, k); err != nil {
			return err
		}
		if k.Replacing < atOnce(sc, k) || k.MovesInFlight < k.Resources/20 {
			return fmt.Errorf("%s replaces %d pods and moves %d resources at a time: it may not settle in time", k.Kind, k.Replacing, k.MovesInFlight)
		}
		if k.Pending < starts(sc) {
			return fmt.Errorf("pods of %s may take %v to start, and are replaced after %v", k.Kind, starts(sc), k.Pending)
		}
		pods += k.MaxInstances
		settle = max(settle, settles(sc, k))
	}
	for i, l := range sc.World.Latencies {
		if most := slowest * scenarios.LatencyDefaults[i].Max; l.Max > most {
			return fmt.Errorf("%s may take %v: what is more than %v is for faults", l.Name, l.Max, most)
		}
	}
	if n := sc.Nodes; n != nil && n.Count > 0 && n.Count*n.PerNode < pods {
		return fmt.Errorf("there are machines for %d pods, and there may be %d", n.Count*n.PerNode, pods)
	}
	if end := sc.Heal + settle + settleSlack; sc.Duration < end {
		return fmt.Errorf("it ends at %v, and may not have settled before %v", sc.Duration, end)
	}
	return nil
}

// settles is how long the kind's intervals, and the kubelets that tell of the last
// to crash, give it to settle. Whom silence does not
// tell of is found once its list changes, which the last to settle may do, and then
// everything settles once more. A program behind a partition may come back beside
// its successor, and takes the status that both wrote with it when it ends: the
// successor then counts as cut off, and is replaced in the end.
func settles(sc *scenarios.Scenario, k *scenarios.Kind) time.Duration {
	d := k.Resync + 2*k.Silence + sc.World.Latency("kubernetes.kubelet").Max
	if slices.ContainsFunc(sc.Faults, func(f scenarios.Fault) bool { return f.What == scenarios.NodePartition || f.What == scenarios.NodeFlap }) {
		d += 2*k.Unconfirmed + k.Monitor // twice: it has no session
	}
	if !slices.ContainsFunc(sc.Faults, func(f scenarios.Fault) bool { return f.Kind == k.Kind && unheard(k, &f) }) {
		return d
	}
	// Each replacement before heal has doubled the time that the next one takes; all
	// of them together have fitted in.
	grace := k.Unconfirmed
	for spent := grace; spent < sc.Heal; spent += grace {
		grace *= 2
	}
	return 2*d + 2*time.Minute + k.Monitor + 2*grace
}

// unheard says that silence does not tell of those that a fault has hang.
func unheard(k *scenarios.Kind, f *scenarios.Fault) bool {
	return f.What == scenarios.PodZombie || f.What == scenarios.PodHang && !k.Heartbeat
}

// settleSlack is how long a run goes on beyond what the kinds' intervals take to
// settle: more than the checker's own bound allows, so that it is the one to say so.
const settleSlack = 4 * time.Minute

// slowest is how many times slower than usual a healthy surrounding can be.
const slowest = 4

// starts is the longest that a pod takes from its creation until it runs.
func starts(sc *scenarios.Scenario) time.Duration {
	return round(sc.World.Latency("kubernetes.schedule").Max+sc.World.Latency("kubernetes.start").Max+10*time.Second, time.Second)
}

// room is how many instances a kind may come to need. Orders may lower an
// instance's room, a list is at most so full when its group has few others, and
// some instances are drained or down.
func room(sc *scenarios.Scenario, k *scenarios.Kind) int {
	each := k.ResourcePerInstance
	for i := range sc.Orders {
		if o := &sc.Orders[i]; o.Kind == k.Kind && o.What == scenarios.Orchestrate && o.ResourcePerInstance > 0 {
			each = min(each, o.ResourcePerInstance)
		}
	}
	return 2*(k.Resources+created(sc, k.Kind))/each + 2*len(k.Groups) + k.InitInstances + drains(sc, k) + 5
}

// atOnce is how many pods must be replaced at a time for all of a kind's to be back
// within the bound, when they all go at once.
func atOnce(sc *scenarios.Scenario, k *scenarios.Kind) int {
	return max(k.InitInstances/4, room(sc, k)/8)
}

// created bounds the rows that the churn creates of a kind.
func created(sc *scenarios.Scenario, kind string) int {
	n := 0.0
	for i := range sc.Churn {
		c := &sc.Churn[i]
		lasts := (c.Until - c.From).Seconds()
		switch {
		case c.Kind != kind:
		case c.Rates != nil:
			n += 2 * float64(c.Rates.Create) * lasts
		case c.Day != nil:
			n += 2 * float64(c.Day.Create.Peak) * lasts
		case c.Burst != nil && c.Burst.Verb == scenarios.Create:
			n += float64(c.Burst.Count)
		}
	}
	return int(n) + 10
}

// healthyAfter is how long after heal an order reaches the orchestrator.
const healthyAfter = 20 * time.Second

func endsMaintenance(sc *scenarios.Scenario, k *scenarios.Kind) error {
	on, last := false, scenarios.Order{On: true}
	for _, o := range sc.Orders {
		if o.Kind == k.Kind && o.What == scenarios.Maintenance {
			on = on || o.On
			if o.At >= last.At {
				last = o
			}
		}
	}
	if on && (last.On || last.At < sc.Heal+healthyAfter) {
		return fmt.Errorf("maintenance of %s is on, and nobody ends it at %v or later", k.Kind, sc.Heal+healthyAfter)
	}
	return nil
}

// maxHung is how many of the instances may hang: silence of more than a third of
// them is taken for the channel's. By groups there may be as few as there are
// groups.
func maxHung(sc *scenarios.Scenario, k *scenarios.Kind) int {
	if k.Policy == "group" {
		return 1
	}
	return max(1, (k.InitInstances-drains(sc, k))*3/10)
}

func drains(sc *scenarios.Scenario, k *scenarios.Kind) int {
	n := 0
	for i := range sc.Orders {
		if o := &sc.Orders[i]; o.Kind == k.Kind && o.What == scenarios.Drain {
			n++
		}
	}
	return n
}

func hangs(f *scenarios.Fault) bool {
	return f.What == scenarios.PodHang || f.What == scenarios.PodZombie
}

func findsHung(sc *scenarios.Scenario, k *scenarios.Kind) error {
	n, zombies := 0, 0
	for i := range sc.Faults {
		f := &sc.Faults[i]
		if !hangs(f) || f.Kind != k.Kind {
			continue
		}
		if f.What == scenarios.PodZombie {
			if zombies++; zombies > 1 || f.Count > 1 || f.Every > 0 {
				return fmt.Errorf("several zombies of %s: when nobody else is asked to confirm anything, people must act", k.Kind)
			}
		}
		if unheard(k, f) && (k.Unconfirmed == 0 || k.InitInstances-drains(sc, k) < 2) {
			return fmt.Errorf("a pod of %s does nothing, and nobody beside it tells that it should: it has unconfirmed %v, and %d instances of which %d are drained",
				k.Kind, k.Unconfirmed, k.InitInstances, drains(sc, k))
		}
		times := 1
		if f.Every > 0 {
			times += int(f.For / f.Every)
		}
		switch {
		case f.One:
			n += times
		case f.Count > 0:
			n += f.Count * times
		default:
			return fmt.Errorf("a share of the pods of %s hangs: it may be too large", k.Kind)
		}
	}
	switch {
	case n > maxHung(sc, k):
		return fmt.Errorf("%d pods of %s may hang at once, of %d", n, k.Kind, k.InitInstances)
	}
	return nil
}
