package pane

import (
	"dacorch/orchestrator/api"
	"dacorch/tui/data"
)

// speeds are those that < and > go through.
var speeds = []float64{0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600}

// jumps are how far a key goes, in seconds.
var jumps = map[string]float64{"[": -10, "]": 10, "{": -300, "}": 300}

// Press handles the keys of time; ok is false without a clock.
func (t *Timeline) Press(key string, s *data.State) (do Intent, ok bool) {
	clock, ok := s.Clock()
	if !ok {
		return Intent{}, false
	}
	switch key {
	case "space", " ":
		return pause(clock), true
	case ",":
		return step(clock, -1), true
	case ".":
		return step(clock, 1), true
	case "[", "]", "{", "}":
		return jump(clock, jumps[key]), true
	case "<", ">":
		return faster(clock, key == ">"), true
	case "n", "N":
		return next(clock, s, key == "n"), true
	case "L":
		if clock.Live {
			return say("This is the end already: what is shown goes with it."), true
		}
		return Intent{Act: SetClock, Clock: api.ClockChange{Live: new(true)}}, true
	case "z":
		next, ok := closer(clock, t.zoom)
		if !ok {
			next = zoomWhole
		}
		t.zoom = next
		return Intent{}, true
	}
	return Intent{}, false
}

func say(text string) Intent { return Intent{Act: Say, Text: text} }

func pause(clock api.Clock) Intent {
	if clock.Paused && clock.Ended && clock.Now >= clock.End {
		return say("This is the end: nothing follows. Go back with [ or {, or click the timeline.")
	}
	return Intent{Act: SetClock, Clock: api.ClockChange{Paused: new(!clock.Paused)}}
}

func step(clock api.Clock, events int) Intent {
	switch {
	case events < 0 && clock.Now <= clock.Begin && clock.Event == 0:
		return say("This is the beginning: nothing has happened before.")
	case events > 0 && clock.Ended && clock.Now >= clock.End:
		return say("This is the end: nothing follows.")
	}
	return Intent{Act: Step, Events: events}
}

// seek shows another moment, within what has happened.
func seek(clock api.Clock, at float64) Intent {
	return Intent{Act: SetClock, Clock: api.ClockChange{Seek: new(min(max(at, clock.Begin), max(clock.End, clock.Begin)))}}
}

func jump(clock api.Clock, by float64) Intent {
	switch {
	case by < 0 && clock.Now <= clock.Begin:
		return say("This is the beginning.")
	case by > 0 && clock.Now >= clock.End && clock.Ended:
		return say("This is the end.")
	case by > 0 && clock.Now >= clock.End:
		return say("This is the end so far: what comes next has not happened yet.")
	}
	return seek(clock, clock.Now+by)
}

func faster(clock api.Clock, up bool) Intent {
	to := clock.Speed
	if up {
		for _, v := range speeds {
			if v > to*1.001 {
				to = v
				break
			}
		}
	} else {
		for i := len(speeds) - 1; i >= 0; i-- {
			if speeds[i] < to*0.999 {
				to = speeds[i]
				break
			}
		}
	}
	if to == clock.Speed {
		return say("It goes " + Speed(to) + " already: more is for :speed.")
	}
	return Intent{Act: SetClock, Clock: api.ClockChange{Speed: &to}}
}

// next goes to the next or the previous violation, and where there is none, to
// where a fault began.
func next(clock api.Clock, s *data.State, forth bool) Intent {
	where := "before"
	if forth {
		where = "after"
	}
	for _, class := range []api.MarkClass{api.MarkViolation, api.MarkFault} {
		if at, ok := nearest(clock, marks(s), class, forth); ok {
			return seek(clock, at)
		}
	}
	return say("No violation and no fault " + where + " this moment.")
}

// nearest is the next mark of a class, or the previous one.
func nearest(clock api.Clock, marks []api.Mark, class api.MarkClass, forth bool) (at float64, ok bool) {
	const same = 1e-6 // seconds: the server counts in nanoseconds
	for _, m := range marks {
		switch {
		case m.Class != class, m.At > clock.End, m.At < clock.Begin:
		case forth && m.At > clock.Now+same && (!ok || m.At < at):
			at, ok = m.At, true
		case !forth && m.At < clock.Now-same && (!ok || m.At > at):
			at, ok = m.At, true
		}
	}
	return at, ok
}

// Keys are the keys of time.
func (t *Timeline) Keys() []KeyHelp {
	return []KeyHelp{
		{Key: "space", Does: "pause, go on", Footer: true},
		{Key: ", .", Does: "step: one event back, forth", Footer: true},
		{Key: "[ ]", Does: "10 s back, forth", Footer: true},
		{Key: "{ }", Does: "5 min back, forth"},
		{Key: "< >", Does: "slower, faster"},
		{Key: "n N", Does: "next, previous fault: or violation, if there is one", Footer: true},
		{Key: "L", Does: "to the end, and with it"},
		{Key: "z", Does: "zoom: all, 1 h, 10 min, 1 min"},
	}
}
