package rest

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"dacorch/orchestrator/api"
)

// streamBatch is how many events are written between two flushes.
const streamBatch = 64

// streamLeader answers whose stream has the events that the call asks for: of
// its kind's leader, or of the process that leads all kinds.
func (s *Server) streamLeader(c *call) (api.Leader, error) {
	q := c.query()
	if q.err != nil {
		return api.Leader{}, q.err
	}
	if kind := q.Get("resource"); kind != "" {
		return s.service.Leader(kind)
	}
	list, err := s.service.Kinds(c.req.Context())
	if err != nil {
		return api.Leader{}, err
	}
	var all api.Leader
	for _, k := range list {
		l, err := s.service.Leader(k.Resource)
		if err != nil && !errors.Is(err, &api.Error{Code: api.CodeNoLeader}) {
			return api.Leader{}, err
		}
		known, have := l.Self || l.URL != "", all.Self || all.URL != ""
		switch {
		case !known:
		case !have:
			all = l
		case l.Self != all.Self || !l.Self && l.URL != all.URL:
			return api.Leader{}, api.Errorf(api.CodeSeveralLeaders, "kinds are led by different processes: ask for each with ?resource=")
		}
	}
	return all, nil
}

// stream writes events as they happen, until the client goes, is too slow,
// another process leads, or the server ends.
func (s *Server) stream(c *call) error {
	last := c.req.Header.Get("Last-Event-ID")
	r, gap, lost := s.cfg.Events.from(c.query().Get("resource"), last)
	h := c.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // a proxy in front must not wait for more
	w := &eventWriter{c: c, out: []byte("retry: 1000\n")}
	w.place(r)
	if gap {
		w.add(api.Event{Type: api.EventGap, At: time.Now().UTC(), Count: lost,
			Text: "events since the last one that you saw are no longer remembered: read anew"})
	}
	if c.req.Method == http.MethodHead {
		return nil
	}
	if !w.flush() {
		return nil
	}
	s.pump(c, r, w)
	return nil
}

// lastBatches bounds what is still told once the server ends.
const lastBatches = 64

func (s *Server) pump(c *call, r *reader, w *eventWriter) {
	beat := time.NewTicker(s.cfg.Beat)
	defer beat.Stop()
	ctx, batch := c.req.Context(), make([]api.Event, 0, streamBatch)
	for left := lastBatches; ; {
		if !s.stillMay(c) {
			w.bye(api.ByeToken, "the token is valid no longer")
			return
		}
		ending := ended(s.closing) // before reading: what has happened until now is told
		events, more, ok := r.read(batch[:0])
		if !ok {
			w.bye(api.ByeSlow, "you read more slowly than events come: come again")
			return
		}
		led := false
		for i := range events {
			w.add(events[i])
			led = led || events[i].Type == api.EventLeader
		}
		if len(events) > 0 && !w.flush() || led && s.byeLeader(c, w) {
			return
		}
		if ending {
			if left--; more != nil || left == 0 {
				w.bye(api.ByeClosing, "the server shuts down: come again")
				return
			}
		}
		if more == nil {
			continue
		}
		select {
		case <-more:
		case <-s.closing:
		case <-ctx.Done():
			return
		case <-beat.C:
			if s.byeLeader(c, w) {
				return
			}
			w.out = append(w.out, ":\n"...)
			if w.place(r); !w.flush() {
				return
			}
		}
	}
}

// stillMay says whether the call's token has not been taken back since: a stream
// may go on for weeks.
func (s *Server) stillMay(c *call) bool {
	if c.who == "" {
		return true
	}
	t, known := s.tokens.with(c.token)
	return known && t.Scope >= c.needs
}

func ended(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// byeLeader ends the stream when its events come from another process now.
func (s *Server) byeLeader(c *call, w *eventWriter) bool {
	leader, err := s.streamLeader(c)
	if err == nil && leader.Self {
		return false
	}
	w.bye(api.ByeLeader, "this process leads no longer: come again")
	return true
}

// eventWriter writes server-sent events.
type eventWriter struct {
	c   *call
	out []byte
}

func (w *eventWriter) add(ev api.Event) {
	data, err := json.Marshal(ev)
	if err != nil { // a time out of range: nothing else in it can fail
		return
	}
	if ev.ID != "" {
		w.out = append(append(append(w.out, "id: "...), ev.ID...), '\n')
	}
	w.out = append(append(append(w.out, "event: "...), ev.Type...), "\ndata: "...)
	w.out = append(append(w.out, data...), "\n\n"...)
}

// place tells where the reader stands, without an event: so that it can come
// again there although nothing has happened, or nothing of its kind.
func (w *eventWriter) place(r *reader) {
	w.out = append(append(append(w.out, "id: "...), r.place()...), "\n\n"...)
}

// flush sends what was added. It says whether the client still reads.
func (w *eventWriter) flush() bool {
	_, err := w.c.Write(w.out)
	w.out = w.out[:0]
	return err == nil && http.NewResponseController(w.c.ResponseWriter).Flush() == nil
}

func (w *eventWriter) bye(code, text string) {
	w.add(api.Event{Type: api.EventBye, At: time.Now().UTC(), Code: code, Text: text})
	w.flush()
}
