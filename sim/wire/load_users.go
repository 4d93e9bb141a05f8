package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
	"dacorch/sim/internal/timeline"
)

// users are a closed loop: each waits, calls, and waits again once it has its
// answer.
type users struct {
	kind   fleet.Kind
	spec   *scenarios.Users
	real   func(time.Duration) time.Duration // of the scenario's time
	urls   []string                          // of the orchestrators; users are spread over them
	rows   []fleet.Resource                  // that exist and run throughout
	client func() *http.Client               // a user's own
	stream func(name ...string) *timeline.Stream
	entry  int
	tally  *tally
}

// answerLimit is how long a user waits for an answer, and an announcer for an
// acknowledgement.
const answerLimit = 10 * time.Second

// ownConnection is a client that keeps one connection, as a browser's page does.
func ownConnection() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1, DisableCompression: true,
		DialContext: (&net.Dialer{Timeout: answerLimit}).DialContext}}
}

// play has the users come, call until stop is done, and go once each has the
// answer that it waits for. When ctx ends they go at once.
func (u *users) play(ctx, stop context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for i := range u.spec.Count {
		all.Go(func() { u.user(ctx, stop, i) })
	}
}

func (u *users) user(ctx, stop context.Context, i int) {
	rnd := u.stream("load", fmt.Sprint(u.entry), "user", fmt.Sprint(i))
	if !pause(stop, u.real(u.spec.Ramp)*time.Duration(i)/time.Duration(u.spec.Count)) {
		return
	}
	client := u.client()
	defer client.CloseIdleConnections()
	for pause(stop, u.real(u.wait(rnd))) {
		call := u.draw(rnd)
		path, want := u.request(call, rnd)
		began := time.Now()
		why := get(ctx, client, u.urls[i%len(u.urls)]+path, want)
		if ctx.Err() != nil {
			return // the run has ended, not the call failed
		}
		u.tally.answered(call, time.Since(began), why)
	}
}

func (u *users) wait(rnd *timeline.Stream) time.Duration {
	return u.spec.WaitMin + time.Duration(rnd.Float64()*float64(u.spec.WaitMax-u.spec.WaitMin))
}

// draw is a call of the mix.
func (u *users) draw(rnd *timeline.Stream) scenarios.Call {
	sum := 0.0
	for _, c := range u.spec.Calls {
		sum += c.Weight
	}
	x := rnd.Float64() * sum
	for _, c := range u.spec.Calls {
		if x -= c.Weight; x < 0 {
			return c.Call
		}
	}
	return u.spec.Calls[len(u.spec.Calls)-1].Call // rounding
}

// request is a call's path, and the status of the right answer.
func (u *users) request(call scenarios.Call, rnd *timeline.Stream) (path string, want int) {
	base := "/v1/api/orchestrations/" + string(u.kind)
	row := timeline.Pick(rnd, u.rows).ID
	switch call {
	case scenarios.CallUnknown:
		return base + "/" + fmt.Sprintf("no-such-row-%d", rnd.IntN(1_000_000)) + "/instances", http.StatusNotFound
	case scenarios.CallOrchestration:
		return base + "?ids=false", http.StatusOK
	case scenarios.CallInstances:
		return base + "/instances", http.StatusOK
	case scenarios.CallStatus:
		return base + "/status", http.StatusOK
	case scenarios.CallSearch:
		prefix := strings.ToValidUTF8(row[:max(len(row)-2, 0)], "") // of a hundred rows or so
		return base + "/resources?limit=20&prefix=" + url.QueryEscape(prefix), http.StatusOK
	}
	// A segment of dots alone would mean another path.
	return base + "/" + strings.ReplaceAll(url.PathEscape(row), ".", "%2E") + "/instances", http.StatusOK
}

// get calls, reads the whole answer, and says why it is not the right one.
func get(ctx context.Context, client *http.Client, at string, want int) (why string) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err.Error()
	}
	resp, err := client.Do(req)
	if err != nil {
		return reason(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		return refusal(resp)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return "answer cut short: " + reason(err)
	}
	return ""
}

// refusal is the status and, where the body has one, the code of the error.
func refusal(resp *http.Response) string {
	var e api.ErrorBody
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&e); err != nil || e.Error == nil {
		return resp.Status
	}
	return resp.Status + " " + string(e.Error.Code)
}

// reason is an error without the addresses that make each another one.
func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %v", answerLimit)
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
