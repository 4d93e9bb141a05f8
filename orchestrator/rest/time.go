package rest

import (
	"encoding/json"
	"fmt"
	"net/http"

	"dacorch/orchestrator/api"
)

const (
	slowest, fastest            = 0.01, 100_000 // Clock.Speed
	stepMost                    = 10_000        // events, either way
	bucketsDefault, bucketsMost = 200, 2000
	onlyNow                     = "this server shows only now: time can be moved in a simulation or a recording"
	nothingBreaks               = "nothing can be broken here: only a simulation offers it"
)

func (s *Server) clock(c *call) error {
	if q := c.query(); q.err != nil {
		return q.err
	}
	if s.cfg.Time == nil {
		return api.Errorf(api.CodeNotOffered, onlyNow)
	}
	clock, err := s.cfg.Time.Clock(c.req.Context())
	return c.clock(clock, err)
}

// clock answers which moment is shown.
func (c *call) clock(clock api.Clock, err error) error {
	clock.Faults = orNone(clock.Faults)
	return c.reply(http.StatusOK, clock, err)
}

func (s *Server) setClock(c *call) error {
	if q := c.query(); q.err != nil {
		return q.err
	}
	if s.cfg.Time == nil {
		return api.Errorf(api.CodeNotOffered, onlyNow)
	}
	var change api.ClockChange
	if err := c.decode(&change); err != nil {
		return err
	}
	switch {
	case change.Speed != nil && (*change.Speed < slowest || *change.Speed > fastest):
		return outOfRange("speed", "want %v to %d seconds a second", slowest, fastest)
	case change.Live != nil && !*change.Live:
		return outOfRange("live", "want true; to leave the end, seek another moment or pause")
	case change.Live != nil && change.Seek != nil:
		return &api.Error{Code: api.CodeBadRequest, Field: "seek", Message: "live goes to the end: want one of the two"}
	}
	clock, err := s.cfg.Time.SetClock(c.req.Context(), change)
	return c.clock(clock, err)
}

func (s *Server) step(c *call) error {
	if q := c.query(); q.err != nil {
		return q.err
	}
	if s.cfg.Time == nil {
		return api.Errorf(api.CodeNotOffered, onlyNow)
	}
	var step api.Step
	if err := c.decode(&step); err != nil {
		return err
	}
	if n := step.Events; n == 0 || n < -stepMost || n > stepMost {
		return outOfRange("events", "want a whole number, %d to %d and not 0", -stepMost, stepMost)
	}
	clock, err := s.cfg.Time.Step(c.req.Context(), step)
	return c.clock(clock, err)
}

func (s *Server) timeline(c *call) error {
	q := c.query()
	buckets := q.number("buckets", 1, bucketsMost, bucketsDefault)
	if q.err != nil {
		return q.err
	}
	if s.cfg.Time == nil {
		return api.Errorf(api.CodeNotOffered, onlyNow)
	}
	t, err := s.cfg.Time.Timeline(c.req.Context(), buckets)
	t.Marks, t.Series = orNone(t.Marks), orNone(t.Series)
	for i := range t.Series {
		x := &t.Series[i]
		for _, list := range []*[]int{&x.Resources, &x.Unplaced, &x.Instances, &x.Up, &x.Moves, &x.Commits} {
			*list = orNone(*list)
		}
		x.HeartbeatAge = orNone(x.HeartbeatAge)
	}
	return c.reply(http.StatusOK, t, err)
}

func (s *Server) faults(c *call) error {
	if q := c.query(); q.err != nil {
		return q.err
	}
	if s.cfg.Faults == nil {
		return api.Errorf(api.CodeNotOffered, nothingBreaks)
	}
	f, err := s.cfg.Faults.Faults(c.req.Context())
	f.Offered, f.Active, f.Nodes = orNone(f.Offered), orNone(f.Active), orNone(f.Nodes)
	for i := range f.Offered {
		f.Offered[i].Keys = orNone(f.Offered[i].Keys)
	}
	return c.reply(http.StatusOK, f, err)
}

func (s *Server) inject(c *call) error {
	if q := c.query(); q.err != nil {
		return q.err
	}
	if s.cfg.Faults == nil {
		return api.Errorf(api.CodeNotOffered, nothingBreaks)
	}
	var fault map[string]json.RawMessage
	if err := c.decode(&fault); err != nil {
		return err
	}
	if len(fault) == 0 {
		return api.Errorf(api.CodeBadRequest, `no fault: want one as a scenario has it, without "at", such as {"pod": "crash", "instance": 3}`)
	}
	done, err := s.cfg.Faults.Inject(c.req.Context(), c.body)
	return c.reply(http.StatusOK, done, err)
}

func outOfRange(field, format string, args ...any) error {
	return &api.Error{Code: api.CodeOutOfRange, Field: field, Message: fmt.Sprintf(format, args...)}
}
