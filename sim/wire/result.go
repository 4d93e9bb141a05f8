package wire

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"
	"dacorch/sim/internal/invariant"
	"dacorch/sim/wire/zookeeper"
)

// finish compares the checker with the truth, and closes the measures.
func (r *run) finish() error {
	r.load.playing.Wait()
	r.endChurn()
	if r.takeFacts(); r.broken != nil {
		return r.broken
	}
	if r.ended = r.sc.Duration; r.deserted() {
		r.ended = min(r.ended, r.at(time.Now()))
		r.notes = append(r.notes, fmt.Sprintf("The run ended at %v: no orchestrator was left.", r.ended.Round(time.Second)))
	}
	r.last = max(r.last, r.ended)
	if !r.healed {
		r.check.Heal(r.last)
	}
	r.leave(false)
	r.askPending()
	r.faults.idle()
	if err := r.audit(auditPatience); err != nil {
		return err
	}
	r.check.End(r.last)
	return nil
}

// auditPatience bounds the wait for a moment without facts, and for servers that
// answer.
const auditPatience = 10 * time.Second

// audit compares what the checker has added up with what is there, read from
// ZooKeeper, the database and the DACs anew. Facts that come meanwhile would make
// differences that are none: it waits for a moment without. What cannot be read is
// no reason to lose the report.
func (r *run) audit(patience time.Duration) error {
	why := ""
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	for pause(ctx, 10*time.Millisecond) {
		r.takeFacts()
		before := r.facts - r.beats
		truths, err := r.truths(ctx)
		r.takeFacts()
		switch {
		case err != nil && (why == "" || ctx.Err() == nil):
			why = err.Error()
			pause(ctx, 250*time.Millisecond)
		case err == nil && r.facts-r.beats == before:
			for i, k := range r.kinds {
				r.check.Audit(r.last, k.name, truths[i])
			}
			return nil
		case err == nil:
			why = "it did not stand still for a moment"
		}
	}
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	r.notes = append(r.notes, fmt.Sprintf("The checker's sums were not compared with the truth within %v of the end: %s.", patience, why))
	return nil
}

// truths are what is there now of each kind.
func (r *run) truths(ctx context.Context) (all []invariant.Truth, err error) {
	for _, k := range r.kinds {
		nodes, err := r.Look.Nodes(ctx, k.name)
		if err != nil {
			return nil, fmt.Errorf("ZooKeeper's nodes of %s: %w", k.name, err)
		}
		truth := invariant.Truth{Tree: treeOf(nodes, k.name)}
		truth.Running, truth.Orphans = r.Look.Running(k.name)
		if truth.Rows, err = r.Centre.Rows(ctx, k.name); err != nil {
			return nil, fmt.Errorf("the data centre's table %s: %w", k.name, err)
		}
		all = append(all, truth)
	}
	return all, nil
}

// treeOf is what ZooKeeper holds for a kind, of all of its nodes. What cannot be
// read is left out: the reader of changes has said so already.
func treeOf(nodes []zookeeper.Node, kind fleet.Kind) fleet.Tree {
	found := map[fleet.InstanceID]*readInstance{}
	for i := range nodes {
		rest, of := strings.CutPrefix(nodes[i].Path, orchestrationRoot+string(kind)+"/")
		number, what, _ := strings.Cut(rest, "/")
		id, is := instanceNumber(number)
		if !of || !is || what == "tmp" || strings.HasPrefix(what, "tmp/") {
			continue
		}
		if found[id] == nil {
			found[id] = &readInstance{}
		}
		_ = found[id].take(what, &zookeeper.Change{Data: nodes[i].Data, Version: nodes[i].Stat.Version}, &fleet.Change{})
	}
	var tree fleet.Tree
	for _, id := range slices.Sorted(maps.Keys(found)) {
		in := found[id]
		tree.Instances = append(tree.Instances, fleet.TreeInstance{ID: id, Capacity: in.count, Used: in.used, IDs: in.ids, Times: in.times, Versions: in.versions})
	}
	return tree
}

// askPending asks the orchestrator what it still has to do, for the report.
func (r *run) askPending() {
	if len(r.check.Pending()) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
	defer cancel()
	client := r.Crew.Client()
	for _, k := range r.kinds {
		st, err := client.Status(ctx, r.called(k.name))
		if err != nil {
			r.pending = append(r.pending, history.Pending{Kind: k.name, Why: fmt.Sprintf("the orchestrator does not answer: %v", err), Count: 1})
			continue
		}
		for _, why := range st.Pending[:min(10, len(st.Pending))] {
			r.pending = append(r.pending, history.Pending{Kind: k.name, Why: "orchestrator: " + why, Count: 1})
		}
	}
}

// result makes the report. It has no trace: real time does not repeat itself.
func (r *run) result() *Result {
	kinds, totals := r.check.Figures()
	r.load.figures(kinds, &totals)
	rep := &history.Report{
		Scenario: r.sc.Name, About: r.sc.About, Seed: r.sc.Seed, Real: true, VirtualS: r.ended.Seconds(), WallS: time.Since(r.began).Seconds(),
		Events: r.facts, Kinds: kinds, Totals: totals, Invariants: r.check.Counts(), Violations: r.check.Violations(),
		Slowest: r.check.Slowest(), Distributions: r.check.Distributions(),
		HealS: r.sc.Heal.Seconds(), Pending: append(r.check.Pending(), r.pending...), Skipped: r.script.Skipped, Notes: slices.Concat(r.load.notes(r.sc), r.notes, r.faults.notes),
	}
	if r.Notes != nil {
		rep.Notes = append(rep.Notes, r.Notes()...)
	}
	r.wrong.enter(rep)
	for i := range r.sc.Orders {
		o := &r.sc.Orders[i]
		if open := r.open[o]; open != nil {
			rep.Pending = append(rep.Pending, history.Pending{Kind: fleet.Kind(o.Kind), Count: 1, Since: open.given, Why: fmt.Sprintf("order %q has no answer", o.What)})
		}
	}
	if r.behind > time.Second {
		rep.Notes = append(rep.Notes, fmt.Sprintf("This machine was up to %v behind the scenario: a smaller --time-scale would be fairer.", r.behind.Round(time.Millisecond)))
	}
	for _, e := range r.sc.Expect {
		met, shown := e.Check(rep.Metric)
		value, _ := rep.Metric(e.Metric)
		rep.Expectations = append(rep.Expectations, history.Expectation{Text: e.Text, Value: value, Shown: shown, Met: met})
	}
	return &Result{Report: rep, Timeline: r.pics.series}
}
