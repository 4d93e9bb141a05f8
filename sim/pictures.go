package sim

import (
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
	"dacorch/sim/internal/history"
	"dacorch/sim/internal/world"
)

// pictures are the run's time series: what an engineer wants to see first.
type pictures struct {
	history.RunRows
	series *history.Series
	hung   map[dacAt]bool
	r      *run
}

// dacAt names a DAC.
type dacAt struct {
	kind fleet.Kind
	id   fleet.InstanceID
}

func newPictures(r *run) pictures {
	s := history.NewSeries(r.sc.Duration, history.RunBuckets)
	return pictures{
		r: r, series: s, hung: map[dacAt]bool{},
		RunRows: s.RunRows(),
	}
}

func (p *pictures) fault(f *scenarios.Fault) {
	name := f.Label()
	if f.For == 0 {
		p.series.Mark(f.At, name)
		return
	}
	p.series.Band(name, f.At, f.At+f.For)
}

func (p *pictures) order(o *scenarios.Order) {
	p.mark(o.At, orderLabel(o))
}

func (p *pictures) mark(at time.Duration, label string) { p.series.Mark(at, label) }

func (p *pictures) committed(now time.Duration) {
	p.Commits.Add(now, 1)
	p.levels(now)
}

func (p *pictures) rows(now time.Duration) { p.levels(now) }

// levels notes the levels that have just changed, so that no peak is missed. A
// kind's start would dwarf all that comes after it, and has a figure of its own.
func (p *pictures) levels(now time.Duration) {
	var unplaced, unsettled int
	for _, k := range p.r.kinds {
		if !p.r.check.Started(k.name) {
			continue
		}
		live := p.r.check.Live(k.name)
		unplaced += live.Unplaced
		unsettled += live.Unsettled
	}
	p.Unplaced.Set(now, float64(unplaced))
	p.Unsettled.Set(now, float64(unsettled))
}

// sample notes the levels that change slowly.
func (p *pictures) sample(r *run, now time.Duration) {
	var resources, instances int
	for _, k := range r.kinds {
		live := r.check.Live(k.name)
		resources += live.Resources
		instances += live.Instances
	}
	p.Resources.Set(now, float64(resources))
	p.Instances.Set(now, float64(instances))
	p.levels(now)
}

// process counts the pods whose programs do their work.
func (p *pictures) process(now time.Duration, kind fleet.Kind, id fleet.InstanceID, state world.ProcessState) {
	at := dacAt{kind, id}
	switch {
	case state == world.ProcessStarted:
		p.Running.Add(now, 1)
		return
	case state == world.ProcessHung || state == world.ProcessZombie:
		p.hung[at] = true
	case p.hung[at]:
		delete(p.hung, at) // no longer counted already
		return
	}
	p.Running.Add(now, -1)
}

func (p *pictures) replaced(now time.Duration) { p.Replacing.Add(now, 1) }
