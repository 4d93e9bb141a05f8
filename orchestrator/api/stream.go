package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// maxEventLine bounds a line of the event stream, in bytes.
const maxEventLine = 1 << 20

// Events iterates over what happens from now on to a kind, or to all kinds when
// kind is empty, whoever leads them. It connects by itself, and anew after the
// last event seen whenever the stream ends. EventGap and EventBye are among the
// events.
//
// An error says why the stream is not there now. Going on with the iteration
// waits and tries again; it ends by itself after an error that no waiting mends:
// ctx has ended, or the server refuses the request (a status of 4xx).
func (c *Client) Events(ctx context.Context, kind string) iter.Seq2[Event, error] {
	return c.EventsAfter(ctx, kind, "")
}

// EventsAfter is Events from the event after the one whose ID is last, which this
// server gave some time ago, or from Recent.Last on; EventGap comes first when it
// no longer remembers all of them.
func (c *Client) EventsAfter(ctx context.Context, kind, last string) iter.Seq2[Event, error] {
	if kind != "" {
		last = placeOf(last, kind)
	}
	return func(yield func(Event, error) bool) {
		s := &subscription{client: c, kind: kind, last: last, yield: yield}
		if arePlaces(last) || s.run(ctx) {
			s.ofEach(ctx)
		}
	}
}

// run reads until the iteration is over, or, which it answers, until it turns out
// that different processes lead the kinds that were asked for.
func (s *subscription) run(ctx context.Context) (leadersDiffer bool) {
	for fails := 0; ; fails++ {
		seen := s.last
		err := s.follow(ctx)
		if s.kind == "" && several(err) {
			return true
		}
		if s.last != seen {
			fails = 0
		}
		if !s.goesOn(ctx, fails, err) {
			return false
		}
	}
}

// goesOn tells the error, if there is one, and waits. It answers false when the
// iteration is over.
func (s *subscription) goesOn(ctx context.Context, fails int, err error) bool {
	switch {
	case s.stopped, err != nil && ctx.Err() == nil && (!s.yield(Event{}, err) || refused(err)):
		return false
	case ctx.Err() != nil, pause(ctx, s.client.backoff(fails, err)) != nil:
		s.yield(Event{}, ctx.Err())
		return false
	}
	return true
}

// refused says whether the server does not want the request at all.
func refused(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.HTTPStatus/100 == 4
}

// subscription is one iteration over events.
type subscription struct {
	client  *Client
	kind    string
	last    string // id for Last-Event-ID
	yield   func(Event, error) bool
	stopped bool // whoever iterates has had enough
}

// follow opens the stream once and reads it to its end. An end without a mistake
// is no error.
func (s *subscription) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := s.client.cfg.Silence
	watchdog := time.AfterFunc(silence, func() {
		cancel(fmt.Errorf("api: the event stream said nothing for %v", silence))
	})
	defer watchdog.Stop()
	resp, err := s.open(ctx)
	if err != nil {
		return because(ctx, err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(&touching{resp.Body, func() { watchdog.Reset(silence) }})
	lines.Buffer(nil, maxEventLine)
	return because(ctx, s.parse(lines))
}

// because answers why the context was cancelled instead of that it was.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (s *subscription) open(ctx context.Context) (*http.Response, error) {
	var query url.Values
	if s.kind != "" {
		query = url.Values{"resource": {s.kind}}
	}
	header := http.Header{"Accept": {"text/event-stream"}}
	if s.last != "" {
		header["Last-Event-Id"] = []string{s.last}
	}
	resp, err := s.client.send(ctx, http.MethodGet, "/v1/api/events", query, nil, header)
	if errors.Is(err, &Error{Code: CodeUnauthorized}) && s.client.cfg.TokenFile != "" {
		if changed, _ := s.client.readToken(); changed {
			return s.client.send(ctx, http.MethodGet, "/v1/api/events", query, nil, header)
		}
	}
	return resp, err
}

// parse reads server-sent events (the HTML standard, 9.2.6), of whose fields it
// needs id and data: the type stands in the data, too.
func (s *subscription) parse(lines *bufio.Scanner) error {
	var data []byte
	id := s.last
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) > 0 {
			field, value, _ := bytes.Cut(line, []byte(":"))
			value = bytes.TrimPrefix(value, []byte(" "))
			switch string(field) {
			case "id":
				id = string(value)
			case "data":
				if len(data)+len(value) > maxEventLine {
					return fmt.Errorf("api: an event has more than %d bytes", maxEventLine)
				}
				data = append(append(data, value...), '\n')
			}
			continue
		}
		s.last = id
		if len(data) == 0 {
			continue
		}
		var ev Event
		if err := json.Unmarshal(data, &ev); err != nil {
			return fmt.Errorf("api: an event cannot be read: %w", err)
		}
		data = data[:0]
		if !s.yield(ev, nil) {
			s.stopped = true
			return nil
		}
	}
	return lines.Err()
}

// touching calls touch whenever something was read.
type touching struct {
	io.Reader
	touch func()
}

func (t *touching) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	if n > 0 {
		t.touch()
	}
	return n, err
}
