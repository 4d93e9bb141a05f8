package tui

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/pane"
)

// server is whoever is watched. All its methods block, and are safe for
// concurrent use: they are called from commands, never from Update.
type server interface {
	// ask answers the api value that belongs to the query. It changes nothing.
	ask(ctx context.Context, q data.Query) (any, error)
	// do carries out an order and answers what came of it, in words.
	do(ctx context.Context, order pane.Intent) (string, error)
	// turn changes the moment shown.
	turn(ctx context.Context, to turn) (api.Clock, error)
	// events is the stream of all kinds after the event with an id, as
	// api.Client.EventsAfter.
	events(ctx context.Context, last string) iter.Seq2[api.Event, error]
}

// turn is a change of the clock: a step by events, or what is set in change.
type turn struct {
	change api.ClockChange
	step   int
}

// remote is a server behind the REST interface.
type remote struct{ client *api.Client }

func (r remote) ask(ctx context.Context, q data.Query) (any, error) {
	c := r.client
	switch q.What {
	case data.AskAbout:
		return c.About(ctx)
	case data.AskKinds:
		return c.Kinds(ctx)
	case data.AskStatus:
		return c.Status(ctx, q.Kind)
	case data.AskInstances:
		return c.Instances(ctx, q.Kind)
	case data.AskPod:
		return c.Pod(ctx, q.Kind, q.Instance)
	case data.AskList:
		return c.Resources(ctx, q.Kind, q.Instance, q.After, q.N)
	case data.AskSearch:
		return c.Search(ctx, q.Kind, q.Text, q.After, q.N)
	case data.AskMoves:
		return c.Moves(ctx, q.Kind, q.Text)
	case data.AskRecent:
		return c.Recent(ctx, recentQuery(q))
	case data.AskReorchestrations:
		return c.Reorchestrations(ctx, q.Kind)
	case data.AskPlan:
		return c.Preview(ctx, q.Kind, api.OrchestrateRequest{ResourcePerInstance: given(q.Per), MaxInstances: given(q.Max)}, q.N)
	case data.AskHealth:
		return c.Health(ctx)
	case data.AskClock:
		return c.Clock(ctx)
	case data.AskTimeline:
		return c.Timeline(ctx, q.N)
	case data.AskFaults:
		return c.Faults(ctx)
	}
	return nil, fmt.Errorf("tui: there is no query %d", q.What)
}

func recentQuery(q data.Query) api.RecentQuery {
	rq := api.RecentQuery{Kind: q.Kind, ResourceID: q.Text, Limit: q.N}
	if q.Instance >= 0 && q.Text == "" && q.Kind != "" {
		rq.Instance = &q.Instance
	}
	return rq
}

// given is nil for 0, which stands for the default.
func given(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

func (r remote) do(ctx context.Context, in pane.Intent) (string, error) {
	c := r.client
	switch in.Act {
	case pane.Orchestrate:
		v, err := c.Orchestrate(ctx, in.Kind, in.Request)
		return fmt.Sprintf("%s re-orchestrated in %s: %s, %d created, %d let go; %s now",
			in.Kind, pane.Took(pane.Seconds(v.TookSeconds)), pane.Plural(v.Moves, "resource moved", "resources moved"), v.Opened, v.Released, pane.Plural(v.Instances, "instance")), err
	case pane.Replace:
		v, err := c.Replace(ctx, in.Kind, in.Instance)
		return outcome(in, v, "has a new pod", "its pod is deleted, a new one is coming"), err
	case pane.Drain:
		v, err := c.Drain(ctx, in.Kind, in.Instance, true)
		return outcome(in, v, "is drained and gone", "is being drained"), err
	case pane.Undrain:
		v, err := c.Undrain(ctx, in.Kind, in.Instance)
		return outcome(in, v, "stays and takes resources again", "stays and will take resources again"), err
	case pane.Maintenance:
		v, err := c.SetMaintenance(ctx, in.Kind, in.On)
		if v.On {
			return in.Kind + " is in maintenance: nothing is done automatically", err
		}
		return in.Kind + " is out of maintenance: it is looked after again", err
	case pane.Inject:
		v, err := c.Inject(ctx, in.Fault)
		return fmt.Sprintf("broken at %s: %s", pane.Took(pane.Seconds(v.At)), v.Text), err
	}
	return "", fmt.Errorf("tui: there is no order %d", in.Act)
}

func outcome(in pane.Intent, v api.Done, finished, under string) string {
	name := instanceName(in.Kind, in.Instance)
	if v.Finished {
		return name + " " + finished
	}
	return name + ": " + under
}

func instanceName(kind string, instance int) string { return fmt.Sprintf("%s %d", kind, instance) }

func (r remote) turn(ctx context.Context, to turn) (api.Clock, error) {
	if to.step != 0 {
		return r.client.Step(ctx, to.step)
	}
	return r.client.SetClock(ctx, to.change)
}

func (r remote) events(ctx context.Context, last string) iter.Seq2[api.Event, error] {
	return r.client.EventsAfter(ctx, "", last)
}

// told is an error in words for the person at the screen.
type told struct {
	words string
	cause error
}

func (t *told) Error() string { return t.words }
func (t *told) Unwrap() error { return t.cause }

// explain puts an error of a call about a kind into words; what the server has
// said of a value stays as it is.
func explain(err error, kind string) error {
	if err == nil {
		return nil
	}
	var e *api.Error
	switch {
	case nonsense(err):
		return &told{"this is no dacorch server, or one of another version: " + strings.TrimPrefix(err.Error(), "api: "), err}
	case !errors.As(err, &e):
		return &told{unreachable(err), err}
	}
	words := e.Message
	if words == "" {
		words = string(e.Code)
	}
	code := e.Code
	switch e.HTTPStatus { // who stands before the server has codes of its own
	case http.StatusUnauthorized:
		code = api.CodeUnauthorized
	case http.StatusForbidden:
		code = api.CodeForbidden
	}
	switch code {
	case api.CodeUnauthorized:
		words = "the server does not accept the token: give one with --token-file FILE or in DACORCH_TOKEN (" + words + ")"
	case api.CodeForbidden:
		words = "not allowed with this token: " + words
	case api.CodeNoLeader, api.CodeNotLeader, api.CodeUnavailable:
		switch {
		case strings.Contains(words, "nobody leads"):
		case kind == "":
			words = "nobody can answer now: " + words
		default:
			words = "nobody leads " + kind + ": " + words
		}
	case api.CodeNotOffered, api.CodeNotFound:
		words = "this server does not offer it: " + words
	}
	return &told{words, err}
}

// unreachable says in a few words why no answer came at all.
func unreachable(err error) string {
	var (
		op   *url.Error
		dns  *net.DNSError
		cert *x509.UnknownAuthorityError
		host x509.HostnameError
		net  net.Error
	)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the server hung up"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &net) && net.Timeout():
		return "no answer in time"
	case errors.As(err, &dns):
		return "no such host: " + dns.Name
	case errors.As(err, &cert):
		return "the server's certificate is signed by nobody known: give its CA with --ca FILE"
	case errors.As(err, &host):
		return host.Error()
	case errors.As(err, &op):
		return strings.TrimPrefix(op.Err.Error(), "net/http: ")
	}
	return strings.TrimPrefix(err.Error(), "api: ")
}

// answered says whether a server has answered, though with an error, or with what
// nobody understands.
func answered(err error) bool {
	var e *api.Error
	return err == nil || errors.As(err, &e) || nonsense(err)
}

// nonsense says whether there was an answer that is not what was asked for: a
// proxy's page, for one.
func nonsense(err error) bool {
	var (
		syntax *json.SyntaxError
		kind   *json.UnmarshalTypeError
	)
	return errors.As(err, &syntax) || errors.As(err, &kind)
}

// hopeless says whether asking again soon is of no use.
func hopeless(err error) bool {
	var e *api.Error
	return errors.As(err, &e) && e.HTTPStatus/100 == 4
}

// askFor bounds a query, in all.
const askFor = 20 * time.Second
