package serve

import (
	"context"
	"fmt"
	"math"
	"time"

	"dacorch/orchestrator/api"
)

// How time passes.
const (
	frame       = 50 * time.Millisecond // between two moments that are shown while time passes
	bite        = 20 * time.Millisecond // of work, until others have a turn
	biteEvents  = 64                    // between two looks at how long it has taken
	mostElapsed = time.Second           // a computer that slept makes no leap
	never       = time.Duration(math.MaxInt64)
)

// clock is which moment is shown, and how it goes on. The server's lock guards it.
type clock struct {
	now    time.Duration // the moment shown
	live   bool          // it goes with the end
	paused bool
	speed  float64

	anchor struct { // time passes from here on
		real  time.Time
		shown time.Duration
	}
	stretch time.Duration // of the past that one bite shows
	wake    chan struct{} // capacity 1: the clock was changed
}

// pace lets time pass until ctx ends. While nothing moves it does nothing.
func (s *Server) pace(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.clock.wake:
		case <-ctx.Done():
			return
		}
		if wait := s.pass(); wait < never {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
	}
}

// pass shows what is due by now, or as much of it as is done in a bite: then the
// moment shown lags, and goes on from there. It answers after how long there is
// more to show.
func (s *Server) pass() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.moves() {
		return never
	}
	c, began := &s.clock, time.Now()
	elapsed := min(began.Sub(c.anchor.real), mostElapsed)
	if s.goOn(c.anchor.shown+time.Duration(float64(elapsed)*c.speed), began.Add(bite)) && elapsed < mostElapsed {
		return frame
	}
	s.hold()
	return 0
}

// moves says whether time passes.
func (s *Server) moves() bool { return !s.clock.paused && !(s.clock.live && s.ended()) }

// hold has time pass from the moment shown on, from now on.
func (s *Server) hold() { s.clock.anchor.real, s.clock.anchor.shown = time.Now(), s.clock.now }

// goOn goes on to a moment, or as far as there is time until the deadline: then it
// answers false. At the end of what has happened a simulation makes more happen.
func (s *Server) goOn(to time.Duration, deadline time.Time) bool {
	c := &s.clock
	for !c.live && c.now < to {
		began, stretch := time.Now(), max(c.stretch, time.Millisecond)
		next := min(to, s.end(), c.now+stretch)
		whole := next == c.now+stretch
		if err := s.show(next); err != nil {
			s.cfg.Log.Error("the past cannot be shown", "at", c.now, "error", err)
			c.paused = true
			return true
		}
		s.publish()
		switch took := time.Since(began); {
		case took > bite/2:
			c.stretch = stretch / 2
		case whole && took < bite/4:
			c.stretch = 2 * stretch
		}
		if c.now >= s.end() {
			s.goLive()
		}
		if c.now < to && time.Now().After(deadline) {
			return false
		}
	}
	if !c.live || s.ended() {
		return true
	}
	return s.advance(to, deadline)
}

// advance makes what is due by a moment happen, or as much as there is time for
// until the deadline: then it answers false.
func (s *Server) advance(to time.Duration, deadline time.Time) bool {
	reached := false
	for !reached {
		if _, reached = s.run.Advance(to, biteEvents); !reached && time.Now().After(deadline) {
			break
		}
	}
	s.happened()
	return reached
}

// happened shows what has happened at the end, where a simulation is now.
func (s *Server) happened() {
	s.tape.Pass(s.run.Now())
	s.goLive()
	s.publish()
}

// show shows a moment that has been.
func (s *Server) show(at time.Duration) error {
	m, err := s.tape.At(at)
	if err != nil {
		return err
	}
	s.shows(m, at, false)
	return nil
}

// goLive shows the end, and goes with it.
func (s *Server) goLive() { s.shows(s.tape.Live(), s.end(), true) }

// end is the last moment that has been.
func (s *Server) end() time.Duration {
	if s.run != nil {
		return s.run.Now()
	}
	return s.tape.End()
}

// ended says that no more will happen.
func (s *Server) ended() bool { return s.run == nil || s.run.Ended() }

// Clock is part of rest.Time.
func (s *Server) Clock(context.Context) (api.Clock, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown(), nil
}

// shown is the moment as it is told.
func (s *Server) shown() api.Clock {
	c := &s.clock
	out := api.Clock{
		Source: s.sort(), Began: s.began, Now: c.now.Seconds(), Begin: s.tape.Begin().Seconds(), End: s.end().Seconds(),
		Planned: s.planned().Seconds(), Live: c.live, Ended: s.ended(), Paused: c.paused, Speed: c.speed,
		ReadOnly: s.readOnly(), Event: s.moment.Event(), Text: s.moment.EventText(),
		Violations: s.moment.Violations(), Faults: []string{},
	}
	for _, f := range s.moment.Faults() {
		out.Faults = append(out.Faults, f.Text)
	}
	return out
}

func (s *Server) sort() string {
	if s.run != nil {
		return "simulation"
	}
	return "recording"
}

// planned is where the end stops growing.
func (s *Server) planned() time.Duration {
	if s.run != nil {
		return s.cfg.Scenario.Duration
	}
	return s.tape.End()
}

// readOnly says why nothing can be changed at the moment shown; empty: it can.
func (s *Server) readOnly() string {
	switch {
	case s.run == nil:
		return "a recording cannot be changed"
	case s.ended():
		return "the simulation has ended: start it anew to change something"
	case !s.clock.live:
		return fmt.Sprintf("the moment shown is %v before the end: go to the end (live) to change something", inWords(s.end()-s.clock.now))
	}
	return ""
}

// inWords is a length of time, as exact as people want it.
func inWords(d time.Duration) time.Duration {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Microsecond)
}

// SetClock is part of rest.Time.
func (s *Server) SetClock(_ context.Context, change api.ClockChange) (api.Clock, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if change.Seek != nil {
		if err := s.seek(*change.Seek); err != nil {
			return api.Clock{}, err
		}
	}
	c := &s.clock
	if change.Live != nil && *change.Live && !c.live {
		s.goLive()
		s.jumped()
	}
	if change.Speed != nil {
		c.speed = *change.Speed
	}
	if change.Paused != nil {
		c.paused = *change.Paused
	}
	s.changed()
	return s.shown(), nil
}

// seek shows the moment so many seconds from the beginning. The last one is the
// end, and goes with it.
func (s *Server) seek(seconds float64) error {
	begin, end := s.tape.Begin(), s.end()
	if !(seconds >= begin.Seconds() && seconds <= end.Seconds()) {
		return &api.Error{Code: api.CodeOutOfRange, Field: "seek", Message: fmt.Sprintf("%v is no moment that can be shown: want %v to %v seconds", seconds, begin.Seconds(), end.Seconds())}
	}
	at := min(max(time.Duration(math.Round(seconds*1e9)), begin), end)
	if at == end {
		s.goLive()
	} else if err := s.show(at); err != nil {
		return err
	}
	s.jumped()
	return nil
}

// changed has time pass as the clock now says.
func (s *Server) changed() {
	s.hold()
	select {
	case s.clock.wake <- struct{}{}:
	default: // it is going to look
	}
}

// Step is part of rest.Time.
func (s *Server) Step(ctx context.Context, step api.Step) (api.Clock, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.clock
	c.paused = true
	defer s.changed()
	to := s.moment.Event() + int64(step.Events)
	switch last := s.tape.Events(); {
	case last == 0 && to <= 0: // nothing has happened that could be gone back by
	case to <= last && !(c.live && step.Events > 0):
		if err := s.showEvent(max(to, s.tape.FirstEvent())); err != nil {
			return api.Clock{}, err
		}
	default:
		s.goLive()
		s.publish()
		if s.run == nil {
			break
		}
		if err := s.happen(ctx, to); err != nil {
			return api.Clock{}, err
		}
	}
	return s.shown(), nil
}

// showEvent shows the moment at which an event has just happened.
func (s *Server) showEvent(n int64) error {
	forward := n > s.moment.Event()
	m, err := s.tape.AtEvent(n)
	if err != nil {
		return err
	}
	s.shows(m, m.At(), false)
	if forward {
		s.publish()
	} else {
		s.jumped()
	}
	return nil
}

// happen has a simulation go on until the event of that number has happened.
func (s *Server) happen(ctx context.Context, n int64) error {
	defer s.happened()
	for i := 0; !s.ended() && s.tape.Events() < n; i++ {
		next, more := s.run.Next()
		if !more {
			next = s.cfg.Scenario.Duration
		}
		s.run.Advance(next, 1)
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
