package api

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Kinds may be led by different processes, of which none knows what happens to all
// of them. What is asked of all kinds at once is then asked of each, and put
// together here.

// several says that a server has refused for that reason.
func several(err error) bool { return errors.Is(err, &Error{Code: CodeSeveralLeaders}) }

// places are the ids of several streams, by kind, as one.
func places(lasts url.Values) string { return lasts.Encode() }

// arePlaces tells them from an id that a server gave.
func arePlaces(last string) bool { return strings.Contains(last, "=") }

// placeOf is the id among them that is of a kind's stream. One id stands for all
// kinds: a process that did not give it answers with a gap.
func placeOf(last, kind string) string {
	if !arePlaces(last) {
		return last
	}
	lasts, err := url.ParseQuery(last)
	if err != nil {
		return ""
	}
	return lasts.Get(kind)
}

// recentOfEach asks for each kind's events and sorts them by when they happened.
// Those of a kind whose leader does not answer now are missing, unless none does.
func (c *Client) recentOfEach(ctx context.Context, q RecentQuery) (Recent, error) {
	kinds, err := c.Kinds(ctx)
	if err != nil {
		return Recent{}, err
	}
	all, lasts := Recent{Events: []Event{}, Complete: true}, url.Values{}
	var away error
	for _, k := range kinds.Kinds {
		q.Kind = k.Resource
		one, err := c.recent(ctx, q)
		if err != nil && (!mayPass(err) || ctx.Err() != nil) {
			return Recent{}, err
		}
		if err != nil {
			all.Complete, away = false, err
			continue
		}
		all.Events = append(all.Events, one.Events...)
		all.Complete = all.Complete && one.Complete
		lasts.Set(k.Resource, one.Last)
	}
	if len(lasts) == 0 {
		return Recent{}, away
	}
	slices.SortStableFunc(all.Events, func(a, b Event) int { return b.At.Compare(a.At) })
	if limit := cmp.Or(q.Limit, recentDefault); len(all.Events) > limit {
		all.Events, all.Complete = all.Events[:limit], false
	}
	all.Last = places(lasts)
	return all, nil
}

// recentDefault is how many events the server answers when it is not told.
const recentDefault = 100

// heard is what one of several subscriptions yields.
type heard struct {
	ev  Event
	err error
}

// ofEach reads the events of each kind at its leader until the iteration is over.
func (s *subscription) ofEach(ctx context.Context) {
	kinds, err := s.client.Kinds(ctx)
	for fails := 0; err != nil; fails++ {
		if !s.goesOn(ctx, fails, err) {
			return
		}
		kinds, err = s.client.Kinds(ctx)
	}
	reading, stop := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer stop()
	all := make(chan heard)
	for _, k := range kinds.Kinds {
		one := &subscription{client: s.client, kind: k.Resource, last: placeOf(s.last, k.Resource)}
		one.yield = func(ev Event, err error) bool {
			select {
			case all <- heard{ev, err}:
				return true
			case <-reading.Done():
				return false
			}
		}
		readers.Go(func() { one.run(reading) })
	}
	for {
		select {
		case h := <-all:
			if !s.yield(h.ev, h.err) || refused(h.err) {
				return
			}
		case <-ctx.Done():
			s.yield(Event{}, ctx.Err())
			return
		}
	}
}
