package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"dacorch/e2e/rig"

	"github.com/jackc/pgx/v5/pgxpool"
	"k8s.io/client-go/kubernetes"
)

// How long things may take. Each bound only fails: nothing waits for it when what
// it waits for has come.
const (
	installedWithin = 4 * time.Minute  // helm, image already on the node, first leader; the machine is shared
	settledWithin   = 2 * time.Minute  // a pod replaced after silence, its start, its reload, a resync
	placedWithin    = 45 * time.Second // a row, by a message or by the next comparison (resync) at the latest
	replacedWithin  = 90 * time.Second // silence, deletion, creation, start
	healedWithin    = 3 * time.Minute  // after a server's return: reconnecting backs off up to 10 s, pods restart with backoff
	goneWithin      = 2 * time.Minute  // a namespace with its pods; dead containers are removed late
	callWithin      = 20 * time.Second // one request to anybody
	closedWithin    = 5 * time.Second  // the end of a session that its owner closes; far below session
	collectWithin   = time.Minute      // everything of a case that failed
	commandWithin   = 10 * time.Minute // a command of README.md: the longest plays a scenario for two
)

// Times of the releases, short against production's so that cases take seconds.
const (
	heartbeat    = "2s"
	silence      = "10s" // on a loaded machine a heartbeat comes late by seconds
	monitor      = "2s"
	resync       = "10s"
	unresynced   = "10m" // where only a message may tell of a row
	session      = "15s" // a machine that starves the orchestrator for 5 s would change leaders in mid-order
	shortSession = "6s"  // where a change of leaders is the case
)

// outage is for how long TestServersStopped keeps a server away.
func outage(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("DACORCH_E2E_OUTAGE")
	if text == "" {
		return time.Minute
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("DACORCH_E2E_OUTAGE is %q: want a duration such as 1m", text)
	}
	return d
}

// TestMain lets six cases run at once by default: they wait most of the time. Each
// takes a NodePort or more of the rig's ten.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", "6"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

// platform is the rig and the clients that all cases share.
type platform struct {
	rig  *rig.Rig
	kube *kubernetes.Clientset
	db   *pgxpool.Pool
}

var shared = sync.OnceValues(func() (*platform, error) {
	r, err := rig.Open("")
	if err != nil {
		return nil, err
	}
	cfg := r.REST()
	cfg.QPS, cfg.Burst = 50, 100
	kube, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	db, err := connectDatabase(context.Background(), r)
	if err != nil {
		return nil, err
	}
	return &platform{rig: r, kube: kube, db: db}, nil
})

// open skips a test that nobody has asked for, and attaches to the rig. Whoever
// sets DACORCH_E2E wants the test to run: a rig that is not up is a failure then.
func open(t *testing.T) *platform {
	t.Helper()
	if os.Getenv("DACORCH_E2E") == "" {
		t.Skip("needs a rig: make up && make e2e (or DACORCH_E2E=1)")
	}
	p, err := shared()
	if err != nil {
		t.Fatalf("DACORCH_E2E is set, but the rig cannot be used (make up): %v", err)
	}
	return p
}

// eventually asks again until try has nothing to object, and fails with its last
// objection after within.
func eventually(t *testing.T, within time.Duration, what string, try func(context.Context) error) {
	t.Helper()
	if err := retry(t.Context(), within, try); err != nil {
		t.Fatalf("%s: not within %v: %v", what, within, err)
	}
}

// asks is the time between two questions of retry. Short against what is waited
// for, long against what an answer costs.
const asks = 300 * time.Millisecond

func retry(ctx context.Context, within time.Duration, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(asks)
	defer tick.Stop()
	var last error
	for {
		attempt, done := context.WithTimeout(ctx, callWithin)
		err := try(attempt)
		done()
		if err == nil {
			return nil
		}
		// The deadline's own error, or client-go's that it would pass, hides the reason.
		if last == nil || ctx.Err() == nil && !strings.Contains(err.Error(), "context deadline") {
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return last
		}
	}
}
