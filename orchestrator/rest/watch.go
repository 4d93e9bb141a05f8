package rest

import (
	"net/http"
	"slices"
	"strings"

	"dacorch/orchestrator/api"
)

const recentDefault, recentMost = 100, 1000

// about answers who answers, and what the caller may do here.
func (s *Server) about(c *call) error {
	if q := c.query(); q.err != nil {
		return q.err
	}
	return c.reply(http.StatusOK, api.About{
		Program: s.cfg.Program, Name: s.cfg.Name, Title: s.cfg.Title, Who: c.who, Scope: c.scope.String(),
		Time: s.cfg.Time != nil, Faults: s.cfg.Faults != nil}, nil)
}

func (s *Server) pod(c *call) error {
	q := c.query()
	n, err := c.instance()
	if q.err != nil || err != nil {
		return first(q.err, err)
	}
	pod, err := s.service.Pod(c.req.Context(), c.args.v[0], n)
	pod.Events = orNone(pod.Events)
	return c.reply(http.StatusOK, pod, err)
}

func (s *Server) resources(c *call) error {
	q := c.query()
	limit := q.number("limit", 1, searchMost, searchDefault)
	n, err := c.instance()
	if q.err != nil || err != nil {
		return first(q.err, err)
	}
	found, more, err := s.service.Resources(c.req.Context(), c.args.v[0], n, q.Get("after"), limit)
	return c.page(found, more, err)
}

func (s *Server) reorchestrations(c *call) error {
	if q := c.query(); q.err != nil {
		return q.err
	}
	list, err := s.service.Reorchestrations(c.req.Context(), c.args.v[0])
	list.Runs = orNone(list.Runs)
	return c.reply(http.StatusOK, list, err)
}

// recentTypes are the types of events that are remembered.
var recentTypes = []api.EventType{api.EventMove, api.EventCommit, api.EventPod, api.EventInstance, api.EventOrder,
	api.EventProgress, api.EventMaintenance, api.EventAlarm, api.EventLeader, api.EventNote, api.EventTime}

func (s *Server) recent(c *call) error {
	q := c.query()
	w := wanted{kind: q.Get("resource"), instance: q.number("instance", 0, maxInstance, anyInstance),
		resourceID: q.Get("resourceId"), typ: api.EventType(q.Get("type"))}
	limit := q.number("limit", 1, recentMost, recentDefault)
	if w.typ != "" && !slices.Contains(recentTypes, w.typ) {
		q.wrong("type", "no events of that type are remembered: want one of "+join(recentTypes))
	}
	if q.err != nil {
		return q.err
	}
	return c.reply(http.StatusOK, s.cfg.Events.recent(&w, limit), nil)
}

func join(types []api.EventType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return strings.Join(names, ", ")
}
