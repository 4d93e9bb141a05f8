package orchestrator

import (
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/loop"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// gathered are the names of a scrape's figures of Thing. Every name and help is
// held to Prometheus' habits.
func gathered(t *testing.T, reg *prometheus.Registry) (names []string) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if l.GetName() == "kind" && l.GetValue() == "Thing" {
					names = append(names, f.GetName())
				}
			}
		}
	}
	return names
}

// TestMachineMetrics scrapes a leader, a follower, and a machine that does not
// answer.
func TestMachineMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(10)
		leader, follower := serviceOver(t, m, "leader"), serviceOver(t, m, "follower")
		settle(time.Minute)
		if err := leader.SetMaintenance(t.Context(), "Thing", true); err != nil { // raises an alarm
			t.Fatal(err)
		}
		settle(time.Second)
		led, followed := prometheus.NewPedanticRegistry(), prometheus.NewPedanticRegistry()
		led.MustRegister(machines{leader.loop})
		followed.MustRegister(machines{follower.loop})
		names := gathered(t, led)
		for _, f := range figures {
			name := strings.Split(f.desc.String(), `"`)[1]
			if !slices.Contains(names, name) {
				t.Errorf("a leader does not tell %s", name)
			}
		}
		if !slices.Contains(names, "dacorch_alarm") || len(names) != len(figures)+2 {
			t.Errorf("a leader tells %v", names)
		}
		if names := gathered(t, followed); !slices.Equal(names, []string{"dacorch_leader"}) {
			t.Errorf("a follower tells %v", names)
		}
		at := make(chan struct{})
		go func() { _ = leader.loop.Inspect(t.Context(), "Thing", func(loop.State) { <-at }) }()
		synctest.Wait()
		began := time.Now()
		if names := gathered(t, led); len(names) > 0 || time.Since(began) != scrapePatience {
			t.Errorf("a machine that does not answer tells %v after %v", names, time.Since(began))
		}
		close(at)
		synctest.Wait()
		if names := gathered(t, led); len(names) == 0 {
			t.Error("nothing is told afterwards")
		}
	})
}

// TestMeasured holds what is observed as it happens to Prometheus' habits.
func TestMeasured(t *testing.T) {
	m := newMetrics()
	m.Stepped("Thing", time.Millisecond)
	m.Committed("Thing", fleet.OutcomeConflict, time.Second)
	m.Called("Thing", "zookeeper", time.Second, nil)
	m.Called("Thing", "zookeeper", time.Second, errors.New("no"))
	for _, status := range []int{200, 404, 0, 503} {
		m.answered("/v1/api", "GET", status, time.Second)
	}
	m.answered("/v1/api", "MAKEUP", 405, time.Second)
	names := gathered(t, m.registry)
	slices.Sort(names)
	if !slices.Equal(names, []string{"dacorch_call_seconds", "dacorch_call_seconds", "dacorch_step_seconds", "dacorch_transaction_seconds"}) {
		t.Errorf("series of Thing: %v", names)
	}
	answer := httptest.NewRecorder()
	m.handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for _, status := range []string{"2xx", "4xx", "5xx", "none"} {
		want := `dacorch_rest_seconds_count{method="GET",route="/v1/api",status="` + status + `"} 1`
		if !strings.Contains(answer.Body.String(), want) {
			t.Errorf("no %s", want)
		}
	}
	if text := answer.Body.String(); strings.Contains(text, "MAKEUP") || !strings.Contains(text, `method="other"`) {
		t.Error("a method that a caller makes up became a label")
	}
}
