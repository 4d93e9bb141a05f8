package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
)

// Kinds lists the kinds with their leaders and totals.
func (c *Client) Kinds(ctx context.Context) (v Kinds, err error) {
	err = c.get(ctx, "/v1/api/orchestrations", nil, &v)
	return v, err
}

// Orchestration answers every instance; with ids, the resources on it, too:
// megabytes for a large kind.
func (c *Client) Orchestration(ctx context.Context, kind string, ids bool) (v Orchestration, err error) {
	err = c.get(ctx, path(kind), url.Values{"ids": {strconv.FormatBool(ids)}}, &v)
	return v, err
}

// Where answers where a resource runs. CodeUnplaced: nowhere.
func (c *Client) Where(ctx context.Context, kind, id string) (v Location, err error) {
	err = c.get(ctx, path(kind, id, "instances"), nil, &v)
	return v, err
}

// Instances answers load, phase and signs of life of every instance.
func (c *Client) Instances(ctx context.Context, kind string) (v Instances, err error) {
	err = c.get(ctx, path(kind, "instances"), nil, &v)
	return v, err
}

// Search answers a page of at most limit resources (1 to 1000, 0: the server's
// default) whose ids begin with prefix and are greater than after.
func (c *Client) Search(ctx context.Context, kind, prefix, after string, limit int) (v Search, err error) {
	q := url.Values{"prefix": {prefix}, "after": {after}}
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	err = c.get(ctx, path(kind, "resources"), q, &v)
	return v, err
}

// Moves answers what is remembered of a resource's places.
func (c *Client) Moves(ctx context.Context, kind, id string) (v Moves, err error) {
	err = c.get(ctx, path(kind, "resources", id, "moves"), nil, &v)
	return v, err
}

// Maintenance tells whether maintenance mode is on.
func (c *Client) Maintenance(ctx context.Context, kind string) (v Maintenance, err error) {
	err = c.get(ctx, path(kind, "maintenance"), nil, &v)
	return v, err
}

// Progress tells how far the running re-orchestration is.
func (c *Client) Progress(ctx context.Context, kind string) (v Progress, err error) {
	err = c.get(ctx, path(kind, "progress"), nil, &v)
	return v, err
}

// Status answers leader, stage, alarms, pending work and counters.
func (c *Client) Status(ctx context.Context, kind string) (v Status, err error) {
	err = c.get(ctx, path(kind, "status"), nil, &v)
	return v, err
}

// Preview answers what Orchestrate would do now, with at most limit moves listed
// (0 to 10,000). It changes nothing and is tried again like a read.
func (c *Client) Preview(ctx context.Context, kind string, req OrchestrateRequest, limit int) (v Plan, err error) {
	q := url.Values{"dryRun": {"true"}, "limit": {strconv.Itoa(limit)}}
	err = c.again(ctx, func(ctx context.Context) error {
		return c.call(ctx, http.MethodPost, path(kind, "orchestrate"), q, req, &v)
	})
	return v, err
}

// Orchestrate computes the orchestration anew, and answers when that is done.
// CodeTimeout, or an error that is no *Error, leaves open whether it goes on:
// see Progress.
func (c *Client) Orchestrate(ctx context.Context, kind string, req OrchestrateRequest) (v Orchestrated, err error) {
	err = c.call(ctx, http.MethodPost, path(kind, "orchestrate"), nil, req, &v)
	return v, err
}

// Drain moves an instance's resources away and lets it go; with wait it answers
// when it has gone.
func (c *Client) Drain(ctx context.Context, kind string, instance int, wait bool) (v Done, err error) {
	err = c.order(ctx, kind, instance, "drain", url.Values{"wait": {strconv.FormatBool(wait)}}, &v)
	return v, err
}

// Undrain takes back a Drain that has not finished.
func (c *Client) Undrain(ctx context.Context, kind string, instance int) (v Done, err error) {
	err = c.order(ctx, kind, instance, "undrain", nil, &v)
	return v, err
}

// Replace deletes an instance's pod, to be created anew.
func (c *Client) Replace(ctx context.Context, kind string, instance int) (v Done, err error) {
	err = c.order(ctx, kind, instance, "replace", nil, &v)
	return v, err
}

func (c *Client) order(ctx context.Context, kind string, instance int, order string, query url.Values, into any) error {
	return c.call(ctx, http.MethodPost, path(kind, "instances", strconv.Itoa(instance), order), query, nil, into)
}

// SetMaintenance switches maintenance mode on or off.
func (c *Client) SetMaintenance(ctx context.Context, kind string, on bool) (v Maintenance, err error) {
	err = c.call(ctx, http.MethodPut, path(kind, "maintenance"), nil, Maintenance{On: on}, &v)
	return v, err
}

// Health answers how the process is. One that is not well is no error.
func (c *Client) Health(ctx context.Context) (v Health, err error) {
	ctx, done := context.WithTimeout(ctx, c.cfg.Timeout)
	defer done()
	err = c.call(ctx, http.MethodGet, "/v1/api/health", nil, nil, &v)
	var e *Error
	if errors.As(err, &e) && e.HTTPStatus == http.StatusServiceUnavailable && json.Unmarshal(e.answer, &v) == nil && v.Checks != nil {
		return v, nil
	}
	return v, err
}
