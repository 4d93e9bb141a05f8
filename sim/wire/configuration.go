package wire

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
)

// Orchestrator says how an orchestrator process of the platform is to be.
type Orchestrator struct {
	Name   string // unique among the processes
	Listen string // of its REST interface, host:port on loopback
	// Session is how long its ZooKeeper session outlives its connection; default
	// 10 s.
	Session time.Duration
	// Anonymous is what a request without a token may do; default write.
	Anonymous string
	// Level is what it logs; default info.
	Level string
	// Kinds are the entries of the configuration's kinds, without their templates,
	// each as YAML fields of one line; a kind that is missing has its defaults.
	Kinds map[fleet.Kind]string
}

// Configure writes the configuration of an orchestrator that runs against this
// platform, with its pod templates, into the platform's directory, and answers
// the file.
func (p *Platform) Configure(o Orchestrator) (string, error) {
	kubeconfig := p.Kubeconfig()
	if err := place(kubeconfig, p.Kubernetes.WriteKubeconfig); err != nil { // an orchestrator that starts may be reading it
		return "", fmt.Errorf("the cluster's kubeconfig: %w", err)
	}
	if o.Session == 0 {
		o.Session = 10 * time.Second
	}
	if o.Anonymous == "" {
		o.Anonymous = "write"
	}
	if o.Level == "" {
		o.Level = "info"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Made by dacorch for the platform that it runs itself.\n")
	fmt.Fprintf(&b, "name: %s\n", o.Name)
	fmt.Fprintf(&b, "api: {listen: %q, anonymous: %s}\n", o.Listen, o.Anonymous)
	fmt.Fprintf(&b, "log: {level: %s}\n", o.Level)
	fmt.Fprintf(&b, "zookeeper: {servers: [%q], sessionTimeout: %v}\n", p.ZooKeeperAddr(), o.Session)
	fmt.Fprintf(&b, "kafka: {brokers: [%s]}\n", quoted(p.Kafka.Addrs()))
	fmt.Fprintf(&b, "mqtt: {url: %q, reconnect: 1s, keepAlive: 5s}\n", p.MQTTURL())
	urlFile := filepath.Join(p.dir, "database.url") // it may hold a password
	if err := writePrivate(urlFile, []byte(p.Centre.URL+"\n")); err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "database: {urlFile: %q}\n", urlFile)
	fmt.Fprintf(&b, "kubernetes: {kubeconfig: %q, namespace: %s, qps: 2000, burst: 4000}\n", kubeconfig, Namespace)
	fmt.Fprintf(&b, "kinds:\n")
	for _, k := range p.kinds {
		template := filepath.Join(p.dir, k.InstanceName+"-template.yml")
		if err := writePrivate(template, p.template(k)); err != nil {
			return "", err
		}
		more := o.Kinds[k.Kind]
		if more != "" {
			more = ", " + more
		}
		fmt.Fprintf(&b, "  - {kind: %s, instanceName: %s, heartbeat: %t, groupColumn: grp, template: %q%s}\n", k.Kind, k.InstanceName, k.Heartbeat, template, more)
	}
	file := filepath.Join(p.dir, o.Name+".yaml")
	return file, writePrivate(file, []byte(b.String()))
}

// writePrivate puts a file in its place that only its owner may read.
func writePrivate(path string, data []byte) error {
	return place(path, func(temp string) error { return os.WriteFile(temp, data, 0o600) })
}

// place puts a file in its place, which write has written under another name: whoever
// reads it finds it whole, and whatever stands there, a link to elsewhere among it, is
// replaced and not written to.
func place(path string, write func(temp string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	if err = f.Close(); err == nil {
		err = write(f.Name())
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

func quoted(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(out, ", ")
}

// template is the pod template of a kind: the instance's number is the first
// variable of the environment, as CONTRACT.md demands.
func (p *Platform) template(k Kind) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: v1\nkind: Pod\nmetadata:\n  name: %s\n  namespace: %s\n  labels: {app: %s}\n", k.InstanceName, Namespace, k.InstanceName)
	fmt.Fprintf(&b, "spec:\n  restartPolicy: Never\n  containers:\n  - name: dac\n    image: dacorch\n    args: [sim, dac]\n    env:\n")
	for _, v := range p.environment(k) {
		fmt.Fprintf(&b, "    - {name: %s, value: %q}\n", v.name, v.value)
	}
	return []byte(b.String())
}

// entry is a scenario's kind as an entry of the configuration, its intervals in
// real time.
func (r *run) entry(k *scenarios.Kind) string {
	timings := fmt.Sprintf("timings: {heartbeatInterval: %v, silence: %v, monitor: %v, resync: %v, resyncFloor: %v, pending: %v, patience: %v, unconfirmed: %v, retryMin: %v, retryMax: %v}",
		r.real(k.HeartbeatInterval), r.real(k.Silence), r.real(k.Monitor), r.real(k.Resync), r.real(min(time.Second, k.Resync)), r.real(k.Pending), r.real(k.Patience), r.real(k.Unconfirmed),
		max(time.Millisecond, r.real(100*time.Millisecond)), r.real(time.Minute))
	return fmt.Sprintf("policy: %s, handoff: %s, maxIdBytes: %d, limits: {initInstances: %d, maxInstances: %d, resourcePerInstance: %d}, throttles: {movesInFlight: %d, replacing: %d}, %s",
		k.Policy, k.Handoff, k.MaxIDBytes, k.InitInstances, k.MaxInstances, k.ResourcePerInstance, k.MovesInFlight, k.Replacing, timings)
}
