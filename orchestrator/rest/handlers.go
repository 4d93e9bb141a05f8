package rest

import (
	"encoding/json"
	"net/http"

	"dacorch/orchestrator/api"
)

const (
	searchDefault, searchMost   = 100, 1000
	previewDefault, previewMost = 1000, 10_000
)

func (s *Server) where(c *call) error {
	at, err := s.service.Where(c.args.v[0], c.args.v[1])
	if err != nil {
		return err
	}
	var space [256]byte
	return c.json(http.StatusOK, appendLocation(space[:0], at))
}

func (s *Server) kinds(c *call) error {
	q := c.query()
	if q.err != nil {
		return q.err
	}
	list, err := s.service.Kinds(c.req.Context())
	return c.reply(http.StatusOK, api.Kinds{Kinds: orNone(list)}, err)
}

func (s *Server) orchestration(c *call) error {
	q := c.query()
	ids := q.flag("ids", true)
	if q.err != nil {
		return q.err
	}
	out := newListWriter(c, c.args.v[0])
	defer out.release()
	totals, err := s.service.Orchestration(c.req.Context(), c.args.v[0], ids, out.instance)
	if err != nil {
		return err
	}
	return out.end(totals)
}

func (s *Server) search(c *call) error {
	q := c.query()
	limit := q.number("limit", 1, searchMost, searchDefault)
	if q.err != nil {
		return q.err
	}
	found, more, err := s.service.Search(c.req.Context(), c.args.v[0], q.Get("prefix"), q.Get("after"), limit)
	return c.page(found, more, err)
}

// page answers a page of resources.
func (c *call) page(found []api.Found, more bool, err error) error {
	page := api.Search{Resource: c.args.v[0], Resources: orNone(found)}
	if more && len(found) > 0 {
		page.Next = found[len(found)-1].ID
	}
	return c.reply(http.StatusOK, page, err)
}

func (s *Server) orchestrate(c *call) error {
	q := c.query()
	dry := q.flag("dryRun", false)
	limit := q.number("limit", 0, previewMost, previewDefault)
	if q.err != nil {
		return q.err
	}
	var req api.OrchestrateRequest
	if err := c.decode(&req); err != nil {
		return err
	}
	if dry {
		p, err := s.service.Preview(c.req.Context(), c.args.v[0], req, limit)
		p.Moves, p.Opened = orNone(p.Moves), orNone(p.Opened)
		p.Released, p.Recapacitated = orNone(p.Released), orNone(p.Recapacitated)
		return c.reply(http.StatusOK, p, err)
	}
	if c.req.URL.Query().Has("limit") {
		return &api.Error{Code: api.CodeBadRequest, Field: "limit", Message: "it is for dryRun=true alone"}
	}
	done, err := s.service.Orchestrate(c.req.Context(), c.args.v[0], req)
	return c.reply(http.StatusOK, done, err)
}

func (s *Server) instances(c *call) error {
	if q := c.query(); q.err != nil {
		return q.err
	}
	list, err := s.service.Instances(c.req.Context(), c.args.v[0])
	list.Instances = orNone(list.Instances)
	return c.reply(http.StatusOK, list, err)
}

func (s *Server) moves(c *call) error {
	if q := c.query(); q.err != nil {
		return q.err
	}
	list, err := s.service.Moves(c.req.Context(), c.args.v[0], c.args.v[1])
	list.Moves = orNone(list.Moves)
	return c.reply(http.StatusOK, list, err)
}

func (s *Server) drain(c *call) error {
	q := c.query()
	wait := q.flag("wait", false)
	n, err := c.instance()
	if q.err != nil || err != nil {
		return first(q.err, err)
	}
	status := http.StatusAccepted
	if wait {
		status = http.StatusOK
	}
	err = s.service.Drain(c.req.Context(), c.args.v[0], n, wait)
	return c.reply(status, api.Done{Resource: c.args.v[0], Instance: n, Order: "drain", Finished: wait}, err)
}

func (s *Server) undrain(c *call) error {
	q := c.query()
	n, err := c.instance()
	if q.err != nil || err != nil {
		return first(q.err, err)
	}
	err = s.service.Undrain(c.req.Context(), c.args.v[0], n)
	return c.reply(http.StatusOK, api.Done{Resource: c.args.v[0], Instance: n, Order: "undrain", Finished: true}, err)
}

func (s *Server) replace(c *call) error {
	q := c.query()
	n, err := c.instance()
	if q.err != nil || err != nil {
		return first(q.err, err)
	}
	err = s.service.Replace(c.req.Context(), c.args.v[0], n)
	return c.reply(http.StatusAccepted, api.Done{Resource: c.args.v[0], Instance: n, Order: "replace"}, err)
}

func (s *Server) maintenance(c *call) error {
	if q := c.query(); q.err != nil {
		return q.err
	}
	mode, err := s.service.Maintenance(c.req.Context(), c.args.v[0])
	return c.reply(http.StatusOK, mode, err)
}

func (s *Server) setMaintenance(c *call) error {
	if q := c.query(); q.err != nil {
		return q.err
	}
	var mode struct {
		On *bool `json:"on"`
	}
	if err := c.decode(&mode); err != nil {
		return err
	}
	if mode.On == nil {
		return &api.Error{Code: api.CodeBadRequest, Field: "on", Message: "it is missing: want true or false"}
	}
	err := s.service.SetMaintenance(c.req.Context(), c.args.v[0], *mode.On)
	return c.reply(http.StatusOK, api.Maintenance{On: *mode.On}, err)
}

func (s *Server) progress(c *call) error {
	if q := c.query(); q.err != nil {
		return q.err
	}
	p, err := s.service.Progress(c.req.Context(), c.args.v[0])
	return c.reply(http.StatusOK, p, err)
}

func (s *Server) status(c *call) error {
	if q := c.query(); q.err != nil {
		return q.err
	}
	st, err := s.service.Status(c.req.Context(), c.args.v[0])
	st.Alarms, st.Pending = orNone(st.Alarms), orNone(st.Pending)
	if st.Counters == nil {
		st.Counters = map[string]int64{}
	}
	return c.reply(http.StatusOK, st, err)
}

func (s *Server) live(c *call) error {
	h := s.health(c)
	return c.reply(healthStatus(h.Live), h, nil)
}

func (s *Server) ready(c *call) error {
	h := s.health(c)
	return c.reply(healthStatus(h.Ready), h, nil)
}

// health tells what is wrong only to those who may read.
func (s *Server) health(c *call) api.Health {
	h := s.service.Health(c.req.Context())
	checks := make([]api.Check, len(h.Checks))
	for i, check := range h.Checks {
		if c.scope < ScopeRead {
			check.Text = ""
		}
		checks[i] = check
	}
	h.Checks = checks
	return h
}

func healthStatus(well bool) int {
	if well {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}

func (s *Server) metrics(c *call) error {
	if s.cfg.Metrics == nil {
		return api.Errorf(api.CodeNotFound, "no metrics are kept")
	}
	s.cfg.Metrics.ServeHTTP(c, c.req)
	return nil
}

func (s *Server) description(c *call) error { return c.json(http.StatusOK, openAPI) }

// orNone makes an empty list of none: null is no list.
func orNone[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// reply answers v as JSON, or err.
func (c *call) reply(status int, v any, err error) error {
	if err != nil {
		return err
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.json(status, data)
}
