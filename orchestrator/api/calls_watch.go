package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// About answers who answers, what the caller may do, and what else is offered.
func (c *Client) About(ctx context.Context) (v About, err error) {
	err = c.get(ctx, "/v1/api/about", nil, &v)
	return v, err
}

// Pod answers an instance's pod and what Kubernetes says happened to it.
func (c *Client) Pod(ctx context.Context, kind string, instance int) (v Pod, err error) {
	err = c.get(ctx, path(kind, "instances", strconv.Itoa(instance), "pod"), nil, &v)
	return v, err
}

// Resources answers a page of at most limit resources (1 to 1000, 0: the server's
// default) that stand on an instance and whose ids are greater than after.
func (c *Client) Resources(ctx context.Context, kind string, instance int, after string, limit int) (v Search, err error) {
	q := url.Values{"after": {after}}
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	err = c.get(ctx, path(kind, "instances", strconv.Itoa(instance), "resources"), q, &v)
	return v, err
}

// Reorchestrations answers the runs of re-orchestrating that are remembered.
func (c *Client) Reorchestrations(ctx context.Context, kind string) (v Reorchestrations, err error) {
	err = c.get(ctx, path(kind, "reorchestrations"), nil, &v)
	return v, err
}

// Recent answers the latest of the events asked for, newest first, whoever leads
// the kinds.
func (c *Client) Recent(ctx context.Context, q RecentQuery) (Recent, error) {
	v, err := c.recent(ctx, q)
	if q.Kind == "" && several(err) {
		return c.recentOfEach(ctx, q)
	}
	return v, err
}

func (c *Client) recent(ctx context.Context, q RecentQuery) (v Recent, err error) {
	query := url.Values{}
	if q.Kind != "" {
		query.Set("resource", q.Kind)
	}
	if q.Instance != nil {
		query.Set("instance", strconv.Itoa(*q.Instance))
	}
	if q.ResourceID != "" {
		query.Set("resourceId", q.ResourceID)
	}
	if q.Type != "" {
		query.Set("type", string(q.Type))
	}
	if q.Limit != 0 {
		query.Set("limit", strconv.Itoa(q.Limit))
	}
	err = c.get(ctx, "/v1/api/events/recent", query, &v)
	return v, err
}

// Clock answers which moment is shown. CodeNotOffered: it is always now.
func (c *Client) Clock(ctx context.Context) (v Clock, err error) {
	err = c.get(ctx, "/v1/api/time", nil, &v)
	return v, err
}

// SetClock pauses, resumes, changes the speed, or shows another moment.
func (c *Client) SetClock(ctx context.Context, change ClockChange) (v Clock, err error) {
	err = c.call(ctx, http.MethodPut, "/v1/api/time", nil, change, &v)
	return v, err
}

// Step goes on, or back, by a number of events, and pauses.
func (c *Client) Step(ctx context.Context, events int) (v Clock, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/api/time/step", nil, Step{Events: events}, &v)
	return v, err
}

// Timeline answers marks and figures over the whole time, in at most so many
// buckets (1 to 2000; 0: the server's default).
func (c *Client) Timeline(ctx context.Context, buckets int) (v Timeline, err error) {
	var query url.Values
	if buckets != 0 {
		query = url.Values{"buckets": {strconv.Itoa(buckets)}}
	}
	err = c.get(ctx, "/v1/api/timeline", query, &v)
	return v, err
}

// Faults answers what can be broken and what is.
func (c *Client) Faults(ctx context.Context) (v Faults, err error) {
	err = c.get(ctx, "/v1/api/faults", nil, &v)
	return v, err
}

// Inject breaks something from now on: fault is one as a scenario file has it,
// without "at".
func (c *Client) Inject(ctx context.Context, fault map[string]any) (v Injected, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/api/faults", nil, fault, &v)
	return v, err
}
