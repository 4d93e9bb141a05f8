// Package fault decides what breaks, when, for how long and whom it hits, as
// data and dice: it knows neither models nor protocols, so that runs in virtual
// time and runs on wire break the same things.
//
// Every fault draws from streams that its own text names. What one fault draws
// depends on nothing but the seed, its text, its number among faults of the very
// same text, and the target it is about: a fault that is added, taken away or
// moved in the file leaves all the others' decisions as they were.
package fault

import (
	"strconv"
	"time"

	"dacorch/sim/internal/timeline"
)

// Spec is a fault as data.
type Spec struct {
	// Text is the fault in its scenario's words. It names the fault's streams.
	Text string
	// At is when it begins, For how long it lasts or goes on happening.
	At, For time.Duration
	// Once says that it happens at a moment, and again each Every (0: never
	// again) while At ≤ t < At+For.
	Once  bool
	Every time.Duration
	// Chance is how likely each single case is; outside (0, 1) it is certain.
	Chance float64
	// Stable is how long what Chance has decided stands for the one it was
	// decided for; 0: each case is decided alone.
	Stable time.Duration
	// Name is the one of DrawNames' candidates that it hits; empty: any.
	Name string
	// Count and Share bound how many of the candidates it hits; both 0: all.
	Count int
	Share float64 // of 1, rounded up
	// Where are the conditions that a candidate must meet, all of them.
	Where []Condition
}

// Fault is a fault with its dice. It is for one goroutine.
type Fault struct {
	Spec
	seed  timeline.Seed
	name  [2]string // the text, and which of those of the same text
	dice  map[string]*die
	chose int64 // choices made
}

// die is what has been decided for one target.
type die struct {
	stream *timeline.Stream
	until  time.Duration // what was decided stands before this moment
	hit    bool
	thrown bool
}

// New gives each of a run's faults its streams.
func New(seed timeline.Seed, specs []Spec) []*Fault {
	same := map[string]int{}
	faults := make([]*Fault, len(specs))
	for i, s := range specs {
		faults[i] = &Fault{Spec: s, seed: seed, name: [2]string{s.Text, strconv.Itoa(same[s.Text])}, dice: map[string]*die{}}
		same[s.Text]++
	}
	return faults
}

// Injected gives streams of its own to a fault that somebody lets happen in a run
// under way: earlier is how many of the very same text were injected before. No
// fault of New shares them.
func Injected(seed timeline.Seed, s Spec, earlier int) *Fault {
	return &Fault{Spec: s, seed: seed, name: [2]string{s.Text, "injected " + strconv.Itoa(earlier)}, dice: map[string]*die{}}
}

// End is when a fault that lasts is over.
func (f *Fault) End() time.Duration { return f.At + f.For }

// Next is when a fault that happens at a moment happens again after now; false
// for never.
func (f *Fault) Next(now time.Duration) (time.Duration, bool) {
	if !f.Once || f.Every <= 0 {
		return 0, false
	}
	n := (now-f.At)/f.Every + 1
	if now < f.At {
		n = 0
	}
	at := f.At + n*f.Every
	return at, at < f.End() || n == 0
}

// Hits throws the die of one case: whether the fault befalls the target, which
// key names (empty for cases that nobody is the target of). Within Stable of a
// decision it answers the same again. Memory follows the number of keys.
func (f *Fault) Hits(now time.Duration, key string) bool {
	if !(f.Chance > 0 && f.Chance < 1) {
		return true
	}
	d := f.dice[key]
	if d == nil {
		d = &die{stream: f.Stream("hits", key)}
		f.dice[key] = d
	}
	if !d.thrown || now >= d.until {
		d.thrown, d.hit, d.until = true, d.stream.Bool(f.Chance), now+f.Stable
	}
	return d.hit
}

// ByKey says whether the key belongs to the share that the fault hits: for ever
// the same answer, whoever else is there. Without a Share all do.
func (f *Fault) ByKey(key string) bool {
	return f.Share <= 0 || f.Stream("share", key).Bool(f.Share)
}

// Stream is a stream of the fault's own, for what else it has to draw.
func (f *Fault) Stream(purpose ...string) *timeline.Stream {
	return f.seed.Stream(append([]string{"fault", f.name[0], f.name[1]}, purpose...)...)
}
