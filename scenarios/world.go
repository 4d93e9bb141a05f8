package scenarios

import (
	"strings"
	"time"
)

// World is how fast the simulated surroundings are: every latency of
// LatencyDefaults, in its order.
type World struct {
	Latencies []Latency
}

// Latency is how long one kind of step takes, drawn anew each time: 0 ≤ Min ≤
// Mean ≤ Max.
type Latency struct {
	Name           string // subsystem and step, such as zookeeper.request
	Min, Mean, Max time.Duration
}

// Latency answers the named latency; the zero Latency for a name that
// LatencyDefaults does not list.
func (w World) Latency(name string) Latency {
	for _, l := range w.Latencies {
		if l.Name == name {
			return l
		}
	}
	return Latency{}
}

// LatencyDefault is a latency's default and what it measures.
type LatencyDefault struct {
	Latency
	About string
}

// LatencyDefaults lists the latencies of World in stable order, those of a
// subsystem together: a healthy small cluster.
var LatencyDefaults = []LatencyDefault{
	usual("database.query", 1*ms, 4*ms, 20*ms, "a query, until its rows are read"),
	usual("database.answer", 2*ms, 20*ms, 200*ms, "its rows on the way back"),
	usual("mqtt.publish", 1*ms, 5*ms, 50*ms, "a notification, from the data centre to the broker"),
	usual("mqtt.deliver", 1*ms, 10*ms, 100*ms, "a notification, from the broker to the orchestrator"),
	usual("mqtt.ack", 1*ms, 5*ms, 50*ms, "an acknowledgement, to the broker"),
	usual("mqtt.detect", 100*ms, 2*time.Second, 15*time.Second, "until a client notices a broken connection"),
	usual("kafka.produce", 2*ms, 10*ms, 200*ms, "a heartbeat, from the pod into the log"),
	usual("kafka.fetch", 2*ms, 15*ms, 200*ms, "a heartbeat, from the log to the orchestrator"),
	usual("kafka.detect", 10*time.Second, 10*time.Second, 10*time.Second, "until the orchestrator notices that fetches fail"),
	usual("kafka.reconnect", 1*time.Second, 2*time.Second, 5*time.Second, "until it fetches again once Kafka is back"),
	usual("kafka.join", 100*ms, 1*time.Second, 5*time.Second, "until a consumer is given the free partition"),
	usual("zookeeper.request", 1*ms, 2500*time.Microsecond, 50*ms, "a request, until it takes effect"),
	usual("zookeeper.answer", 300*time.Microsecond, 1*ms, 20*ms, "its answer on the way back"),
	usual("zookeeper.watch", 500*time.Microsecond, 2*ms, 50*ms, "a watch's event, to the session"),
	usual("zookeeper.readTree", 10*ms, 50*ms, 500*ms, "reading a kind's whole tree, on top of the answer"),
	usual("kubernetes.request", 5*ms, 12*ms, 500*ms, "a call, until it takes effect"),
	usual("kubernetes.answer", 2*ms, 6*ms, 200*ms, "its answer on the way back"),
	usual("kubernetes.watch", 5*ms, 20*ms, 500*ms, "a pod's event, to the orchestrator"),
	usual("kubernetes.kubelet", 1200*ms, 1700*ms, 3*time.Second, "from the end of a pod's program until the API server knows of it"),
	usual("kubernetes.schedule", 200*ms, 400*ms, 1*time.Second, "from a pod's creation to the choice of its node"),
	usual("kubernetes.start", 2*time.Second, 4*time.Second, 10*time.Second, "pulling the image and starting the container"),
	usual("kubernetes.delete", 500*ms, 800*ms, 2*time.Second, "from a pod's deletion until its name is free"),
	usual("kubernetes.shutdown", 200*ms, 1*time.Second, 5*time.Second, "until a program stops by itself, given a grace period"),
	usual("dac.load", 1*time.Second, 1500*ms, 3*time.Second, "from the container's start until the DAC reads its list"),
	usual("dac.apply", 5*ms, 20*ms, 500*ms, "applying a list that has been read"),
	usual("dac.reopen", 500*ms, 1*time.Second, 5*time.Second, "until a DAC whose session has expired has a new one"),
}

const ms = time.Millisecond

func usual(name string, min, mean, max time.Duration, about string) LatencyDefault {
	return LatencyDefault{Latency{Name: name, Min: min, Mean: mean, Max: max}, about}
}

// subsystems are the first halves of the latencies' names, each once, in order.
func subsystems() []string {
	var names []string
	for _, l := range LatencyDefaults {
		s, _, _ := strings.Cut(l.Name, ".")
		if len(names) == 0 || names[len(names)-1] != s {
			names = append(names, s)
		}
	}
	return names
}

// worldSections are the vocabulary of World: its subsystems, their steps, and a
// step's latency.
func worldSections() []Section {
	world := Section{Name: "world", Where: "`world`", About: "How long each step takes: `<subsystem>: {<step>: {min, mean, max}}`. Each is drawn anew, between its min and max, around its mean."}
	sections := []Section{world}
	for _, s := range subsystems() {
		section := Section{Name: "world." + s, Where: "`world." + s + "`"}
		for _, l := range LatencyDefaults {
			if of, step, _ := strings.Cut(l.Name, "."); of == s {
				section.Keys = append(section.Keys, Key{
					Name: step, Type: "latency", Range: "0s to 1d", Example: "{mean: 10ms}", About: strings.ToUpper(l.About[:1]) + l.About[1:] + ".",
					Default: "{min: " + FormatDuration(l.Min) + ", mean: " + FormatDuration(l.Mean) + ", max: " + FormatDuration(l.Max) + "}",
				})
			}
		}
		sections[0].Keys = append(sections[0].Keys, Key{
			Name: s, Type: "world." + s, Default: "its steps' own", About: "See below.",
			Example: "{" + section.Keys[0].Name + ": {mean: 10ms}}",
		})
		sections = append(sections, section)
	}
	return append(sections, Section{"latency", "`world.<subsystem>.<step>`", "What is not given keeps its default; a mean given alone takes min and max along where they would cross it.", []Key{
		{Name: "min", Type: "duration", Default: "the step's", Range: "up to mean", Example: "1ms", About: "The shortest."},
		{Name: "mean", Type: "duration", Default: "the step's", Range: "min to max", Example: "10ms", About: "The mean."},
		{Name: "max", Type: "duration", Default: "the step's", Range: "up to 1d", Example: "2s", About: "The longest."},
	}})
}
