package wire

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
)

// BenchmarkSteadyMemory runs the orchestrator as a process of its own with 100
// instances of 5,000 resources, ids as long as UUIDs: first one that has placed
// them all, then one that finds them in ZooKeeper. 100 DACs send a heartbeat a
// second each, ten rows change in a second, and the whole is compared with the
// database every 15 seconds, twenty times as often as by default. What the process
// holds is read for 30 seconds, after two comparisons: resident memory as the
// system counts it, and the heap as its own metrics do.
func BenchmarkSteadyMemory(b *testing.B) {
	p := benchPlatform(b, Config{}, Kind{Kind: "Thing", InstanceName: "iota-dac", Heartbeat: true, HeartbeatInterval: time.Second, Confirms: true},
		steadyInstances*perInstance-3000)
	held := []map[string]float64{steadyMemory(b, p), steadyMemory(b, p)}
	rowOf(b, "placed-all", 0, held[0])
	rowOf(b, "restarted", 0, held[1])
}

const steadyInstances = 100

// steadyMemory is what a new process holds.
func steadyMemory(b *testing.B, p *Platform) map[string]float64 {
	log := &syncBuffer{}
	proc, err := p.newProcess(context.WithoutCancel(b.Context()), Orchestrator{Name: "bench", Kinds: map[fleet.Kind]string{
		"Thing": "limits: {resourcePerInstance: 5000}, timings: {heartbeatInterval: 1s, silence: 60s, resync: 15s}"}}, serveTest, log)
	if err != nil {
		b.Fatal(err)
	}
	if err := proc.start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := proc.stop(); err != nil || b.Failed() {
			b.Errorf("%v: the orchestrator said:\n%s", err, log.b.String())
		}
	}()
	r := &rig{b: b, p: p, addr: strings.TrimPrefix(proc.url, "http://")}
	await(b, "every DAC to run, and everything to be placed", func() bool {
		return len(p.DACs.Working("Thing")) == steadyInstances && r.metric("dacorch_active") == 1 && r.metric("dacorch_resources_unplaced") == 0
	})
	changing, stop := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); change(b, changing, p) }()
	defer func() { stop(); <-ended }()
	compared := r.metric("dacorch_comparisons_total")
	await(b, "two comparisons with the database", func() bool { return r.metric("dacorch_comparisons_total") >= compared+2 })

	began, beats := time.Now(), r.metric("dacorch_heartbeats_total")
	var rss, heap []float64
	for time.Since(began) < 30*time.Second {
		rss = append(rss, status(b, proc, "VmRSS"))
		heap = append(heap, r.metric("go_memstats_heap_alloc_bytes")/1e6)
		<-time.After(200 * time.Millisecond)
	}
	if beats = (r.metric("dacorch_heartbeats_total") - beats) / time.Since(began).Seconds(); beats < steadyInstances/2 {
		b.Errorf("only %.0f heartbeats a second were heard", beats)
	}
	return map[string]float64{"RSS(MB)": mean(rss), "most-RSS(MB)": slices.Max(rss), "most-RSS-since-start(MB)": status(b, proc, "VmHWM"),
		"heap(MB)": mean(heap), "most-heap(MB)": slices.Max(heap)}
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(max(1, len(values)))
}

// change creates or deletes ten rows a second until ctx ends.
func change(b *testing.B, ctx context.Context, p *Platform) {
	beat := time.NewTicker(100 * time.Millisecond)
	defer beat.Stop()
	for n := 0; ; n++ {
		select {
		case <-beat.C:
		case <-ctx.Done():
			return
		}
		s := Statement{Kind: "Thing", Verb: Create, Rows: []fleet.Resource{{ID: rowID(1_000_000 + n)}}, Named: true}
		if n%2 == 1 {
			s.Verb = Delete
			s.Rows[0].ID = rowID(1_000_000 + n - 1)
		}
		if _, err := p.Centre.Do(context.WithoutCancel(ctx), s); err != nil {
			b.Error(err)
			return
		}
	}
}

// status is a field of what the system tells of a process, in MB.
func status(b *testing.B, p *process, field string) float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		b.Skipf("the system does not tell a process's memory: %v", err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib * 1024 / 1e6
		}
	}
	b.Fatalf("the system does not tell %s", field)
	return 0
}

// metric is one of the orchestrator's metrics; the sum when it has labels, and 0
// when there is none or no answer.
func (r *rig) metric(name string) (sum float64) {
	resp, err := http.Get("http://" + r.addr + "/metrics")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			r.b.Fatal(err)
		}
		sum += v
	}
	return sum
}
