package rig

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"dacorch/deploy"
)

// The Secrets of a release: the orchestrator's, and that of the DAC's pods.
const (
	dacSecret      = "rig-dac"
	dacSecretMount = "/etc/rig"
)

func releaseSecret(rel Release) string { return rel.Name + "-rig" }

// keptSecrets are what a release keeps from one Install to the next, and the hash
// of all that the orchestrator reads but at its start.
type keptSecrets struct {
	write, read string
	hash        string
}

// ensureReleaseSecrets makes or renews the two Secrets.
func (r *Rig) ensureReleaseSecrets(ctx context.Context, set kubernetes.Interface, rel Release) (keptSecrets, error) {
	ca, err := readPair(r.State().CAFile)
	if err != nil {
		return keptSecrets{}, fmt.Errorf("the rig's authority: %w", err)
	}
	secrets := set.CoreV1().Secrets(rel.Namespace)
	there, err := secrets.Get(ctx, releaseSecret(rel), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return keptSecrets{}, err
	}
	var old map[string][]byte
	if err == nil {
		old = there.Data
	}
	kept := keptSecrets{write: cmp.Or(string(old["token"]), newPassword()), read: cmp.Or(string(old["read-token"]), newPassword())}
	own := pair{old["api.crt"], old["api.key"]}
	names := releaseNames(rel)
	if checkServer(own, ca.cert, names, time.Now()) != nil {
		if own.cert, own.key, err = r.issue(names...); err != nil {
			return kept, err
		}
	}
	passwords, err := r.passwords()
	if err != nil {
		return kept, err
	}
	data := map[string][]byte{
		"token": []byte(kept.write), "read-token": []byte(kept.read),
		"tokens": fmt.Appendf(nil, "rig write %s\nreader read %s\n", kept.write, kept.read),
		"ca.crt": ca.cert, "api.crt": own.cert, "api.key": own.key,
	}
	for _, name := range ServiceNames {
		password := passwords[name][UserOrchestrator]
		if name == rel.WrongPassword {
			password = "wrong-" + newPassword()
		}
		data[string(name)] = []byte(password)
	}
	sum := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(data)) {
		fmt.Fprintf(sum, "%s %d %s\n", key, len(data[key]), data[key])
	}
	kept.hash = hex.EncodeToString(sum.Sum(nil))[:16]
	return kept, errors.Join(
		putSecret(ctx, set, rel.Namespace, releaseSecret(rel), data),
		putSecret(ctx, set, rel.Namespace, dacSecret, map[string][]byte{
			"ca.crt":          ca.cert,
			string(ZooKeeper): []byte(passwords[ZooKeeper][UserDAC]),
			string(Kafka):     []byte(passwords[Kafka][UserDAC]),
		}))
}

func putSecret(ctx context.Context, set kubernetes.Interface, namespace, name string, data map[string][]byte) error {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
	_, err := set.CoreV1().Secrets(namespace).Update(ctx, s, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = set.CoreV1().Secrets(namespace).Create(ctx, s, metav1.CreateOptions{})
	}
	return err
}

// releaseNames are what the REST interface's certificate bears: its ways in from
// this machine and the cluster, and its replicas' among themselves.
func releaseNames(rel Release) []string {
	service := rel.Name + "." + rel.Namespace
	pods := "*." + rel.Name + "-pods." + rel.Namespace
	return []string{"localhost", "127.0.0.1", rel.Name, service, service + ".svc", service + ".svc.cluster.local",
		pods, pods + ".svc", pods + ".svc.cluster.local"}
}

// values are the chart's for a release.
func (r *Rig) values(rel Release, kept keptSecrets, nodePort int32) (map[string]any, error) {
	state := r.State()
	image := cmp.Or(rel.Image, state.Images.Dacorch)
	at := strings.LastIndex(image, ":")
	if at <= strings.LastIndex(image, "/") {
		return nil, fmt.Errorf("image %q has no tag: want one, so that a node knows which it has", image)
	}
	templates := map[string]any{}
	var kinds []any
	for _, k := range rel.Kinds {
		entry := kindEntry(k)
		kinds = append(kinds, entry)
		template := k.Template
		if template == "" {
			made, err := dacTemplate(k, entry, state)
			if err != nil {
				return nil, fmt.Errorf("kind %s: %w", k.Kind, err)
			}
			template = made
		}
		templates[entry["instanceName"].(string)] = template
	}
	config := merged(map[string]any{
		"zookeeper": map[string]any{"servers": []any{state.Services[ZooKeeper].Inside}, "user": UserOrchestrator, "sessionTimeout": "5s"},
		"kafka": map[string]any{"brokers": []any{state.Services[Kafka].Inside},
			"sasl": map[string]any{"mechanism": "SCRAM-SHA-512", "user": UserOrchestrator}},
		"mqtt":     map[string]any{"url": "mqtts://" + state.Services[Mosquitto].Inside, "user": UserOrchestrator},
		"database": map[string]any{"url": "postgres://" + UserOrchestrator + "@" + state.Services[PostgreSQL].Inside + "/" + Database + "?sslmode=verify-full"},
		"kinds":    kinds,
	}, rel.Config)
	secret := func(key string) map[string]any { return map[string]any{"name": releaseSecret(rel), "key": key} }
	server := func(name ServiceName) map[string]any {
		return map[string]any{"password": secret(string(name)), "ca": secret("ca.crt")}
	}
	return merged(map[string]any{
		"fullnameOverride": rel.Name,
		"replicaCount":     rel.Replicas,
		"image":            map[string]any{"repository": image[:at], "tag": image[at+1:]},
		"config":           config,
		"secrets": map[string]any{
			"api":       map[string]any{"tokens": secret("tokens"), "cert": secret("api.crt"), "key": secret("api.key"), "ca": secret("ca.crt")},
			"zookeeper": server(ZooKeeper), "kafka": server(Kafka), "mqtt": server(Mosquitto), "database": server(PostgreSQL),
		},
		"podTemplates":   templates,
		"simulatedDAC":   map[string]any{"image": state.Images.DAC},
		"service":        map[string]any{"type": "NodePort", "nodePort": nodePort},
		"podAnnotations": map[string]any{rigLabel + "/secrets": kept.hash},
		// A rig's resources are few, and its node holds many releases.
		"resources": map[string]any{"requests": map[string]any{"cpu": "20m", "memory": "48Mi"}},
		"probes": map[string]any{
			"startup":   map[string]any{"periodSeconds": 1, "failureThreshold": 60},
			"readiness": map[string]any{"periodSeconds": 1},
		},
	}, rel.Values), nil
}

// kindEntry is a kind's entry in dacorch.yaml: few instances, and times as short as
// a loaded machine of two cores can hold.
func kindEntry(k ReleaseKind) map[string]any {
	instanceName := cmp.Or(k.InstanceName, map[string]string{"Thing": "iota-dac", "Rule": "iota-rules-engine"}[k.Kind], strings.ToLower(k.Kind))
	return merged(map[string]any{
		"kind": k.Kind, "instanceName": instanceName, "heartbeat": k.Kind != "Rule",
		"limits": map[string]any{"initInstances": 2},
		"timings": map[string]any{"heartbeatInterval": "2s", "silence": "7s", "monitor": "2s", "resync": "15s",
			"pending": "1m", "patience": "1m", "unconfirmed": "20s", "retryMax": "5s"},
	}, k.Settings)
}

// dacTemplate is the shipped template of the simulated DAC's pods, with the rig's
// addresses, passwords and authority.
func dacTemplate(k ReleaseKind, entry map[string]any, state State) (string, error) {
	shipped, err := deploy.PodTemplate("iota-dac")
	if err != nil {
		return "", err
	}
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict(shipped, &pod); err != nil {
		return "", err
	}
	name, _ := entry["instanceName"].(string)
	pod.Name, pod.Labels["app.kubernetes.io/name"] = name, name
	interval, _ := entry["timings"].(map[string]any)["heartbeatInterval"].(string)
	env := map[string]string{
		"IOTA_KIND":                    k.Kind,
		"IOTA_ZOOKEEPER":               state.Services[ZooKeeper].Inside,
		"IOTA_ZOOKEEPER_SESSION":       "5s",
		"IOTA_ZOOKEEPER_TLS_CA":        dacSecretMount + "/ca.crt",
		"IOTA_ZOOKEEPER_USER":          UserDAC,
		"IOTA_ZOOKEEPER_PASSWORD_FILE": dacSecretMount + "/" + string(ZooKeeper),
		"IOTA_KAFKA":                   state.Services[Kafka].Inside,
		"IOTA_KAFKA_TLS_CA":            dacSecretMount + "/ca.crt",
		"IOTA_KAFKA_SASL_MECHANISM":    "SCRAM-SHA-512",
		"IOTA_KAFKA_USER":              UserDAC,
		"IOTA_KAFKA_PASSWORD_FILE":     dacSecretMount + "/" + string(Kafka),
		"IOTA_HEARTBEAT_INTERVAL":      interval,
		"IOTA_HEARTBEAT":               map[bool]string{true: "on", false: "off"}[entry["heartbeat"] != false],
	}
	maps.Copy(env, k.DAC)
	c := &pod.Spec.Containers[0]
	c.Name, c.Image = "dac", state.Images.DAC
	c.Env = c.Env[:1] // the instance's number, which must stay first
	for _, key := range slices.Sorted(maps.Keys(env)) {
		if env[key] != "" {
			c.Env = append(c.Env, corev1.EnvVar{Name: key, Value: env[key]})
		}
	}
	// Dozens of them run on the rig's only node.
	c.Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("5m"), "memory": resource.MustParse("12Mi")}
	c.Resources.Limits = corev1.ResourceList{"memory": resource.MustParse("256Mi")}
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "rig", MountPath: dacSecretMount, ReadOnly: true})
	mode := int32(0o440)
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "rig", VolumeSource: corev1.VolumeSource{
		Secret: &corev1.SecretVolumeSource{SecretName: dacSecret, DefaultMode: &mode}}})
	if pod.Spec.SecurityContext == nil {
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	pod.Spec.SecurityContext.FSGroup = pod.Spec.SecurityContext.RunAsGroup
	out, err := yaml.Marshal(pod)
	return string(out), err
}

// merged is over laid on base: maps go into each other, nil removes a key, all else
// replaces.
func merged(base, over map[string]any) map[string]any {
	out := maps.Clone(base)
	if out == nil {
		out = map[string]any{}
	}
	for key, value := range over {
		below, isMap := value.(map[string]any)
		under, wasMap := out[key].(map[string]any)
		switch {
		case value == nil:
			delete(out, key)
		case isMap && (wasMap || out[key] == nil):
			out[key] = merged(under, below)
		default:
			out[key] = value
		}
	}
	return out
}

// mappedPorts are the node ports that lead to this machine, and where.
func (r *Rig) mappedPorts(ctx context.Context) (map[int32]string, error) {
	res, err := r.docker.ContainerInspect(ctx, nodeName(r.State().Name), client.ContainerInspectOptions{})
	if err != nil {
		return nil, err
	}
	mapped := map[int32]string{}
	for port, bindings := range res.Container.HostConfig.PortBindings {
		if port.Num() >= 30000 && len(bindings) > 0 { // below is the API server
			mapped[int32(port.Num())] = net.JoinHostPort(bindings[0].HostIP.String(), bindings[0].HostPort)
		}
	}
	return mapped, nil
}

// sortedPorts numbers the ports from the lowest on.
func sortedPorts(mapped map[int32]string) iter.Seq2[int, int32] {
	return slices.All(slices.Sorted(maps.Keys(mapped)))
}
