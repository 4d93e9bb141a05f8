package zookeeper

import (
	"context"
	"strings"
	"sync"
)

// notices collects which of the watched nodes below a path have changed. The
// library tells it from the connection's goroutine, without waiting; it holds each
// path once, so it is bounded by how many are watched. A watch that an expired
// session has taken with it counts as a change.
type notices struct {
	below string
	wake  chan struct{} // holds a value when something has changed

	mu      sync.Mutex
	changed map[string]bool
}

func (c *Client) listen(below string) *notices {
	s := &notices{below: below, wake: make(chan struct{}, 1), changed: map[string]bool{}}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subs[s] = true
	return s
}

func (c *Client) unlisten(s *notices) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.subs, s)
}

func (s *notices) fire(path string) {
	rest, ok := strings.CutPrefix(path, s.below)
	if !ok || rest != "" && rest[0] != '/' {
		return
	}
	s.mu.Lock()
	s.changed[path] = true
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take answers what has changed since the last time.
func (s *notices) take() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.changed
	s.changed = map[string]bool{}
	return changed
}

// await waits for a change; ctx's error when it ends first.
func (s *notices) await(ctx context.Context) error {
	select {
	case <-s.wake:
		s.take()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
