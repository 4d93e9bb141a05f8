package orchestrator

import (
	"context"
	"net/http"
	"sync"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/loop"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what /metrics answers. What the loop measures is observed as it
// happens; what the machines know is asked with each scrape.
type metrics struct {
	registry *prometheus.Registry
	steps    *prometheus.HistogramVec
	commits  *prometheus.HistogramVec
	calls    *prometheus.HistogramVec
	requests *prometheus.HistogramVec
}

// scrapePatience bounds the question to one machine during a scrape.
const scrapePatience = 2 * time.Second

func newMetrics() *metrics {
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "dacorch_" + name, Help: help, Buckets: buckets}, labels)
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		steps:    histogram("step_seconds", "Time that the machine works on one event.", prometheus.ExponentialBuckets(1e-6, 4, 11), "kind"),
		commits:  histogram("transaction_seconds", "Time from a transaction's sending to its outcome.", prometheus.ExponentialBuckets(1e-3, 2, 14), "kind", "outcome"),
		calls:    histogram("call_seconds", "Time of a call of a server, by whether it answered with an error.", prometheus.ExponentialBuckets(1e-3, 2, 16), "kind", "server", "failed"),
	}
	m.requests = histogram("rest_seconds", "Time of a REST request, by route and status class.", prometheus.ExponentialBuckets(1e-4, 3, 14), "method", "route", "status")
	m.registry.MustRegister(m.steps, m.commits, m.calls, m.requests, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watch adds what the machines, the adapters and the recording count; rec is nil
// where nothing is recorded.
func (m *metrics) watch(l *loop.Loop, a *adapters, rec *recording.Dir) {
	m.registry.MustRegister(machines{l})
	counter := func(name, help string, of func() float64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "dacorch_" + name, Help: help}, of))
	}
	counter("mqtt_messages_total", "Messages received.", func() float64 { return float64(a.mqtt.Stats().Received) })
	counter("mqtt_bad_messages_total", "Messages that did not parse.", func() float64 { return float64(a.mqtt.Stats().Bad) })
	counter("mqtt_reconnects_total", "Subscriptions after the first.", func() float64 { return float64(a.mqtt.Stats().Reconnects) })
	counter("zookeeper_sessions_expired_total", "Sessions that the server had ended.", func() float64 { return float64(a.zookeeper.Stats().Expired) })
	counter("zookeeper_connections_total", "Sessions begun or resumed.", func() float64 { return float64(a.zookeeper.Stats().Connections) })
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "dacorch_zookeeper_refused",
		Help: "1 while ZooKeeper does not let this process stand for election of some kind."},
		func() float64 { return oneIf(a.zookeeper.Stats().Refused != "") }))
	counter("zookeeper_bad_nodes_total", "Nodes that did not parse.", func() float64 { return float64(a.zookeeper.Stats().BadNodes) })
	counter("kubernetes_requests_total", "Requests to the API server.", func() float64 { return float64(a.kubernetes.Stats().Requests) })
	counter("kubernetes_throttled_seconds_total", "Time that requests waited for a limit.", func() float64 { return a.kubernetes.Stats().ThrottledTime.Seconds() })
	if rec != nil {
		counter("recording_events_total", "Events recorded.", func() float64 { return float64(rec.Stats().Events) })
		counter("recording_lost_events_total", "Events that were not recorded.", func() float64 { return float64(rec.Stats().Lost) })
		counter("recording_written_bytes_total", "Bytes of recordings written.", func() float64 { return float64(rec.Stats().Bytes) })
		counter("recording_segments_total", "Files of recordings begun.", func() float64 { return float64(rec.Stats().Segments) })
		counter("recording_failures_total", "Errors of writing recordings.", func() float64 { return float64(rec.Stats().Failures) })
	}
	if a.kafka != nil {
		counter("kafka_unparseable_total", "Records that are no heartbeats.", func() float64 { return float64(a.kafka.Stats().Unparseable) })
		counter("kafka_late_total", "Heartbeats of a backlog that say nothing about now.", func() float64 { return float64(a.kafka.Stats().Late) })
		counter("kafka_failures_total", "Errors of joining, fetching, committing and asking.", func() float64 { return float64(a.kafka.Stats().Failures) })
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// answered notes a REST request.
func (m *metrics) answered(path, method string, status int, took time.Duration) {
	class := "none"
	if status >= 100 {
		class = string(rune('0'+status/100)) + "xx"
	}
	m.requests.WithLabelValues(known(method), path, class).Observe(took.Seconds())
}

// known keeps the methods that a caller makes up from becoming labels.
func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodHead, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// Stepped is part of loop.Observer.
func (m *metrics) Stepped(kind fleet.Kind, took time.Duration) {
	m.steps.WithLabelValues(string(kind)).Observe(took.Seconds())
}

// Committed is part of loop.Observer.
func (m *metrics) Committed(kind fleet.Kind, outcome fleet.Outcome, took time.Duration) {
	m.commits.WithLabelValues(string(kind), outcome.String()).Observe(took.Seconds())
}

// Called is part of loop.Observer.
func (m *metrics) Called(kind fleet.Kind, port string, took time.Duration, err error) {
	failed := "false"
	if err != nil {
		failed = "true"
	}
	m.calls.WithLabelValues(string(kind), port, failed).Observe(took.Seconds())
}

// figure is one figure of a kind, read from its machine.
type figure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(loop.State) float64
}

func perKind(name, help string, kind prometheus.ValueType, value func(loop.State) float64) figure {
	return figure{prometheus.NewDesc("dacorch_"+name, help, []string{"kind"}, nil), kind, value}
}

func oneIf(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// figures are told of a kind by whoever leads it; a follower tells leader 0 alone.
var figures = func() []figure {
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	count := func(name, help string, of func(reconcile.Stats) int) figure {
		return perKind(name, help, counter, func(s loop.State) float64 { return float64(of(s.Machine.Stats())) })
	}
	return []figure{
		perKind("epoch", "Epoch of the leadership.", gauge, func(s loop.State) float64 { return float64(s.Epoch) }),
		perKind("active", "1 once ZooKeeper, the database and the pods have been read.", gauge, func(s loop.State) float64 { return oneIf(s.Machine.Stage() == reconcile.StageActive) }),
		perKind("resources", "Resources that exist.", gauge, func(s loop.State) float64 { return float64(s.Machine.Resources()) }),
		perKind("instances", "Instances planned.", gauge, func(s loop.State) float64 { return float64(s.Machine.Instances()) }),
		perKind("resources_unplaced", "Resources that stand on no instance.", gauge, func(s loop.State) float64 { return float64(s.Machine.Unplaced()) }),
		perKind("moves_left", "Moves that a running re-orchestration has still to make.", gauge, func(s loop.State) float64 { return float64(s.Machine.Progress().MovesLeft) }),
		perKind("maintenance", "1 while maintenance mode is on.", gauge, func(s loop.State) float64 { return oneIf(s.Machine.Control().Maintenance) }),
		perKind("events_waiting", "Events that wait for the machine.", gauge, func(s loop.State) float64 { return float64(s.Waiting) }),
		count("notifications_total", "Notifications of the kind.", func(s reconcile.Stats) int { return s.Notifications }),
		count("bad_ids_total", "Ids that cannot stand in a list.", func(s reconcile.Stats) int { return s.BadIDs }),
		count("heartbeats_total", "Heartbeats heard.", func(s reconcile.Stats) int { return s.Heartbeats }),
		count("stray_heartbeats_total", "Heartbeats of instances that do not exist.", func(s reconcile.Stats) int { return s.StrayBeats }),
		count("conflicts_total", "Transactions refused because ZooKeeper held something else.", func(s reconcile.Stats) int { return s.Conflicts }),
		count("transactions_total", "Transactions that happened.", func(s reconcile.Stats) int { return s.Committed }),
		count("moves_total", "Resources moved between instances.", func(s reconcile.Stats) int { return s.Moves }),
		count("pods_replaced_total", "Pods deleted in order to be created anew.", func(s reconcile.Stats) int { return s.Replaced }),
		count("comparisons_total", "Whole comparisons with the database.", func(s reconcile.Stats) int { return s.Resyncs }),
		count("healed_total", "Resources that a comparison with the database added or removed.", func(s reconcile.Stats) int { return s.Healed }),
	}
}()

var (
	leaderDesc = prometheus.NewDesc("dacorch_leader", "1 while this process leads the kind.", []string{"kind"}, nil)
	alarmDesc  = prometheus.NewDesc("dacorch_alarm", "1 for each alarm that is on. The code's number, if any, is the instance.", []string{"kind", "code"}, nil)
)

// machines collects what the machines know.
type machines struct{ loop *loop.Loop }

// Describe is part of prometheus.Collector.
func (m machines) Describe(to chan<- *prometheus.Desc) {
	to <- leaderDesc
	to <- alarmDesc
	for _, f := range figures {
		to <- f.desc
	}
}

// Collect is part of prometheus.Collector. A machine that does not answer in
// time is left out, and no other: a gap in the curve says so.
func (m machines) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapePatience)
	defer cancel()
	var asked sync.WaitGroup
	defer asked.Wait()
	for _, c := range m.loop.Kinds() {
		asked.Go(func() { m.collect(ctx, c.Kind, to) })
	}
}

func (m machines) collect(ctx context.Context, kind fleet.Kind, to chan<- prometheus.Metric) {
	var values []float64
	var alarms map[string]string
	leads := false
	if m.loop.Inspect(ctx, kind, func(s loop.State) {
		if leads = s.Leading; !leads {
			return
		}
		for _, f := range figures {
			values = append(values, f.value(s))
		}
		alarms = s.Machine.Alarms()
	}) != nil {
		return
	}
	to <- prometheus.MustNewConstMetric(leaderDesc, prometheus.GaugeValue, oneIf(leads), string(kind))
	for i, v := range values {
		to <- prometheus.MustNewConstMetric(figures[i].desc, figures[i].kind, v, string(kind))
	}
	for code := range alarms {
		to <- prometheus.MustNewConstMetric(alarmDesc, prometheus.GaugeValue, 1, string(kind), code)
	}
}
