package wire

import (
	"context"
	"errors"
	"fmt"

	"dacorch/scenarios"
)

// Check answers what a scenario asks for that a ground cannot play, all of it; nil
// stands for the ground in this process.
func Check(sc *scenarios.Scenario, on Ground) error {
	r := newRun(context.Background(), sc, RunOptions{TimeScale: 1, Ground: on})
	defer r.cancel()
	return r.refuse()
}

// refuse answers what the scenario asks for that cannot be played on this ground, all of it;
// what is played otherwise than it says, the report will tell.
func (r *run) refuse() error {
	var errs []error
	for i, b := range r.faults.broken {
		if why := r.ground.Cannot(b.Fault); why != "" {
			errs = append(errs, fmt.Errorf("%s: faults.%d: %q cannot be played on %s: %s; else leave it out, or run the scenario in virtual time, where every fault can be played", r.sc.File, i, b.Label(), r.ground.Name(), why))
		}
		for _, said := range []string{pouring(b.Fault, r.opts.TimeScale), r.ground.Otherwise(b.Fault)} {
			if said != "" {
				r.faults.note("The fault %q: %s", b.Label(), said)
			}
		}
	}
	return errors.Join(errs...)
}

// Cannot is part of Ground.
func (here) Cannot(f *scenarios.Fault) string {
	switch {
	case f.What == scenarios.OrchestratorClock:
		return "the orchestrator is a process of its own, which reads this machine's clock"
	case f.What == scenarios.OrchestratorPause && stopSignal == nil:
		return "this operating system cannot stop a process and let it go on"
	case f.What == scenarios.DatabaseSlow:
		return "the orchestrator reads the data centre's SQLite file itself, and no server stands between that could be slow"
	case f.What == scenarios.OrchestratorCrash && (f.Command == "list-rows" || f.Command == "ack"):
		return "no server hears of the command " + f.Command + " at the moment when it is given"
	}
	return ""
}

// otherwiseDone are the faults for which nothing has to be done.
var otherwiseDone = map[scenarios.FaultKind]bool{scenarios.DatabaseTorn: true}

// pouring says what a flood is where time is shorter; empty for what is none.
func pouring(f *scenarios.Fault, scale float64) string {
	if (f.What == scenarios.MQTTFlood || f.What == scenarios.MQTTGarbage) && scale > 1 {
		return fmt.Sprintf("with this --time-scale it sends %.4g messages a second of real time, which servers and programs, who are no faster, have to bear.", float64(f.Rate)*scale)
	}
	return ""
}

// Otherwise is part of Ground.
func (here) Otherwise(f *scenarios.Fault) string {
	switch {
	case f.What == scenarios.DatabaseTorn:
		return "on wire nothing is done: rows change under each listing of several pages by themselves, as fast as churn has it."
	case f.What == scenarios.ZooKeeperReadOnly && f.Of != scenarios.OfAll:
		return "on wire those in the minority read what is, and not what was when it began."
	case f.What == scenarios.KubernetesConflict:
		return "on wire only calls that write are answered 409, since no server answers that to who reads."
	}
	return ""
}
