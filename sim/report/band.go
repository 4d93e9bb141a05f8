package report

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
	"dacorch/sim/internal/history"
)

// bandKey names a band that lasts. An alarm's name is its whole code.
type bandKey struct {
	class BandClass
	kind  fleet.Kind
	name  string
}

// notLeading is the outage of a process that followed, having led.
const notLeading = "not leading"

func (t *teller) beginBand(key bandKey, name, text string) {
	if _, on := t.open[key]; on {
		return
	}
	if at, ok := t.addBand(Band{
		Class: key.class, Name: shortened(name, maxIDShown), Text: shortened(text, maxTextShown), Kind: key.kind,
		From: t.now, To: t.now, Open: true,
	}); ok {
		t.open[key] = at
	}
}

func (t *teller) endBand(key bandKey) {
	if at, on := t.open[key]; on {
		t.story.Bands[at].To, t.story.Bands[at].Open = t.now, false
		delete(t.open, key)
	}
}

// once is something that takes no time.
func (t *teller) once(class BandClass, k *kindTeller, name string) {
	b := Band{Class: class, Name: shortened(name, maxIDShown), From: t.now, To: t.now, Once: true}
	if k != nil {
		b.Kind = k.Name
	}
	t.addBand(b)
}

func (t *teller) addBand(b Band) (int, bool) {
	s := t.story
	if len(s.Bands) >= MaxBands {
		s.Unfollowed.Bands++
		return 0, false
	}
	s.Bands = append(s.Bands, b)
	return len(s.Bands) - 1, true
}

// closingTime is how long a process takes at most to end in order.
const closingTime = 10 * time.Second

// planFaults draws the scenario's faults as they were planned, where the
// simulation has marked none.
func (t *teller) planFaults() {
	if t.broke {
		return
	}
	s := t.story
	for _, f := range t.planned {
		b := Band{Class: BandFault, Name: string(f.What), Text: scenarios.FormatFault(f), From: f.At, To: min(f.At+f.For, s.To), Once: f.Once()}
		if !b.Once {
			t.addBand(b)
			continue
		}
		for at := f.At; at <= s.To; at += f.Every {
			b.From, b.To = at, at
			if _, ok := t.addBand(b); !ok || f.Every <= 0 || at+f.Every >= f.At+f.For {
				break
			}
		}
	}
}

// finishBands ends those that still last.
func (t *teller) finishBands() {
	t.planFaults()
	s := t.story
	for _, at := range t.open {
		s.Bands[at].To = s.To
	}
	if s.Ended { // whoever ends in order gives up what it leads and closes its channels
		s.Bands = slices.DeleteFunc(s.Bands, func(b Band) bool {
			return b.Class == BandOutage && b.Open && b.From >= s.To-closingTime
		})
	}
	slices.SortStableFunc(t.story.Bands, func(a, b Band) int {
		return int(min(max(a.From-b.From, -1), 1))
	})
}

// channel is whether a channel to the core is known to work. That it comes up
// for the first time ends no outage.
func (t *teller) channel(k *kindTeller, name string, up bool) {
	key := bandKey{class: BandOutage, kind: k.Name, name: name}
	if up {
		t.endBand(key)
		return
	}
	t.beginBand(key, name, "")
}

// mark is what a simulation tells of the world around the core.
func (t *teller) mark(k *kindTeller, m *recording.Mark) {
	switch m.What {
	case recording.FaultBegan:
		t.faultBegan(m.Text)
	case recording.FaultEnded:
		t.endBand(bandKey{class: BandFault, name: m.Text})
		t.log(LogFault, nil, fleet.NoInstance, m.Text+" ended")
	case recording.OrderGiven:
		if k == nil {
			t.log(LogOrder, nil, m.Instance, m.Text)
		}
	case recording.Healed:
		t.story.Heal = t.now
		t.log(LogFault, nil, fleet.NoInstance, "healed: faults have stopped")
	case recording.Settled:
		t.settledOnDAC(k, m)
	case recording.ProgramStarted, recording.ProgramHung, recording.ProgramEnded:
		t.program(k, m)
	case recording.Broken:
		t.log(LogBroken, k, m.Instance, m.Text)
		if len(t.story.Violations) < MaxViolations {
			v := Violation{At: t.now, Reason: shortened(m.Text, maxTextShown)}
			if k != nil {
				v.Kind = k.Name
			}
			t.story.Violations = append(t.story.Violations, v)
		}
	}
}

// faultBegan draws a fault. The scenario knows it by its text; failing that, the
// text's first word is what it is.
func (t *teller) faultBegan(text string) {
	t.broke = true
	name, more, _ := strings.Cut(text, " ")
	f, known := t.faults[text]
	if known {
		name, more = string(f.What), text
	} else {
		f.What = scenarios.FaultKind(name)
	}
	t.log(LogFault, nil, fleet.NoInstance, text)
	if f.Once() {
		t.once(BandFault, nil, name)
		return
	}
	t.beginBand(bandKey{class: BandFault, name: text}, name, more)
}

// settledOnDAC counts a settlement that a simulation has seen. From the first on,
// what the core's own events give is no longer looked at.
func (t *teller) settledOnDAC(k *kindTeller, m *recording.Mark) {
	if !t.marks {
		t.marks, t.slow = true, nil
		t.story.TracedBy = SettledOnDAC
		t.story.Tracks.Settle.Values = nil
	}
	s := Settlement{For: m.For, Resource: m.Resource, Instance: m.Instance, Cause: shortened(m.Text, maxTextShown)}
	if k != nil {
		s.Kind = k.Name
		if s.What = "settle"; !k.places[hashed(m.Resource)].on {
			s.What = "delete"
		}
	}
	t.story.Settle.Add(m.For)
	t.story.Tracks.Settle.peak(t.bucket(t.now), m.For.Seconds())
	t.slowest(s)
}

// closing is how a recording ends that was ended in order.
func (t *teller) closing(c *recording.Closing) {
	s := t.story
	s.Ended = !c.Continued
	if c.Lost != "" {
		t.problem("what happened after this was not recorded: %s", shortened(c.Lost, maxTextShown))
	}
	if len(c.Report) == 0 {
		return
	}
	rep := new(history.Report)
	if err := json.Unmarshal(c.Report, rep); err != nil {
		t.problem("the simulation's report cannot be read, its figures are missing here: %v", err)
		return
	}
	s.Report = rep
	s.Heal = seconds(rep.HealS)
	s.Violations = s.Violations[:0]
	for _, v := range rep.Violations[:min(len(rep.Violations), MaxViolations)] {
		s.Violations = append(s.Violations, Violation{
			At: v.At, Kind: v.Kind, Invariant: shortened(v.Invariant, maxIDShown), Reason: shortened(v.Reason, maxTextShown),
		})
	}
}

// scenario is what a simulation ran, as its file.
func (t *teller) scenario(text string) {
	sc, err := scenarios.Parse("the recording's scenario", []byte(text))
	if err != nil {
		t.problem("the recording's scenario cannot be read: %v", err)
		t.story.Scenario = "unknown"
		return
	}
	t.story.Scenario, t.story.About, t.story.Heal = sc.Name, sc.About, sc.Heal
	t.planned = sc.Faults
	for _, f := range sc.Faults {
		t.faults[scenarios.FormatFault(f)] = f
	}
}
