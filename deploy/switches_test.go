package deploy

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// A switch is a change of values over the least, and what must follow.
type switched struct {
	values string
	apis   []string
	check  func(*installation) bool
}

// TestSwitches turns each value, and looks whether what it says has happened.
func TestSwitches(t *testing.T) {
	chart := loadChart(t)
	for name, s := range switches {
		t.Run(name, func(t *testing.T) {
			in, err := render(chart, over(valuesFile(t, "least"), valuesOf(t, s.values)), s.apis...)
			if err != nil {
				t.Fatal(err)
			}
			if !s.check(in) {
				t.Errorf("%s: is not what it says:\n%+v", s.values, in.StatefulSet.Spec)
			}
		})
	}
}

func pod(in *installation) *corev1.PodSpec { return &in.StatefulSet.Spec.Template.Spec }

var switches = map[string]switched{
	"nothing": {"{}", nil, func(in *installation) bool {
		set := in.StatefulSet.Spec
		return *set.Replicas == 3 && set.ServiceName == in.Pods.Name && in.Pods.Spec.ClusterIP == "None" && in.Pods.Spec.PublishNotReadyAddresses &&
			in.container().Image == "dacorch:latest" && hardened(pod(in)) && in.Budget != nil && in.Network != nil && in.Monitor == nil &&
			in.Service.Spec.Type == "ClusterIP" && len(set.VolumeClaimTemplates) == 0 && len(pod(in).TopologySpreadConstraints) == 1 &&
			*pod(in).Volumes[0].Projected.DefaultMode == 0o400 && *pod(in).SecurityContext.FSGroup == 65532 &&
			*pod(in).TerminationGracePeriodSeconds == 30 && in.container().Lifecycle.PreStop.Sleep.Seconds == 3
	}},
	"one replica": {"replicaCount: 1", nil, func(in *installation) bool { return *in.StatefulSet.Spec.Replicas == 1 && in.Budget == nil }},
	"image":       {"image: {repository: r.example/d, tag: v2}", nil, func(in *installation) bool { return in.container().Image == "r.example/d:v2" }},
	"image's tag is the simulated DAC's": {"image: {tag: v2}", nil, func(in *installation) bool {
		return strings.Contains(in.Templates.Data["iota-dac"], "image: dacorch-dac:v2\n")
	}},
	"digest": {"image: {digest: 'sha256:" + strings.Repeat("ab", 32) + "'}", nil, func(in *installation) bool {
		return in.container().Image == "dacorch@sha256:"+strings.Repeat("ab", 32)
	}},
	"pull policy": {"image: {pullPolicy: Never}", nil, func(in *installation) bool { return in.container().ImagePullPolicy == "Never" }},
	"pull secret": {"imagePullSecrets: [{name: x}]", nil, func(in *installation) bool { return pod(in).ImagePullSecrets[0].Name == "x" }},
	"name": {"nameOverride: other", nil, func(in *installation) bool {
		return in.StatefulSet.Name == "it-other" && in.StatefulSet.Spec.Selector.MatchLabels["app.kubernetes.io/name"] == "other"
	}},
	"full name": {"fullnameOverride: other", nil, func(in *installation) bool { return in.StatefulSet.Name == "other" && in.Pods.Name == "other-pods" }},
	"HTTPS": {"{replicaCount: 1, secrets: {api: {cert: {name: x, key: c}, key: {name: x, key: k}}}}", nil, func(in *installation) bool {
		c := in.container()
		return c.ReadinessProbe.HTTPGet.Scheme == "HTTPS" && c.LivenessProbe.HTTPGet.Scheme == "HTTPS" && c.StartupProbe.HTTPGet.Scheme == "HTTPS" &&
			slices.Contains(c.Env, corev1.EnvVar{Name: "DACORCH_API_ADVERTISE", Value: "https://$(POD_NAME).it-dacorch-pods.$(POD_NAMESPACE).svc:8080"})
	}},
	"pod template as a map": {"podTemplates: {iota-dac: {kind: Pod, spec: {priority: 7}}}", nil, func(in *installation) bool {
		return in.Templates.Data["iota-dac"] == "kind: Pod\nspec:\n  priority: 7\n" && strings.Contains(in.Templates.Data["iota-rules-engine"], "kind: Pod")
	}},
	"simulated DAC": {"simulatedDAC: {image: 'd:7'}", nil, func(in *installation) bool {
		return strings.Contains(in.Templates.Data["iota-rules-engine"], "image: d:7\n")
	}},
	"node port": {"service: {type: NodePort, port: 80, nodePort: 30080, annotations: {a: b}}", nil, func(in *installation) bool {
		p := in.Service.Spec.Ports[0]
		return in.Service.Spec.Type == "NodePort" && p.Port == 80 && p.NodePort == 30080 && p.TargetPort.String() == "api" && in.Service.Annotations["a"] == "b"
	}},
	"another account": {"serviceAccount: {create: false, name: x}", nil, func(in *installation) bool {
		return in.ServiceAccount == nil && pod(in).ServiceAccountName == "x" && in.RoleBinding.Subjects[0].Name == "x"
	}},
	"account's annotations": {"serviceAccount: {annotations: {a: b}}", nil, func(in *installation) bool { return in.ServiceAccount.Annotations["a"] == "b" }},
	"no RBAC":               {"rbac: {create: false}", nil, func(in *installation) bool { return in.Role == nil && in.RoleBinding == nil }},
	"recordings": {"recordings: {enabled: true, size: 5Gi, storageClassName: fast}", nil, func(in *installation) bool {
		claim := in.StatefulSet.Spec.VolumeClaimTemplates[0].Spec
		return *claim.StorageClassName == "fast" && claim.Resources.Requests.Storage().String() == "5Gi" &&
			in.container().VolumeMounts[1].MountPath == "/var/lib/dacorch" && strings.Contains(in.Config.Data["dacorch.yaml"], "dir: /var/lib/dacorch/recordings\n")
	}},
	"recordings without a claim": {"recordings: {enabled: true, claim: false}", nil, func(in *installation) bool {
		return len(in.StatefulSet.Spec.VolumeClaimTemplates) == 0 && pod(in).Volumes[1].EmptyDir.SizeLimit.String() == "2Gi"
	}},
	"resources": {"resources: {limits: {memory: 2Gi}}", nil, func(in *installation) bool {
		return in.container().Resources.Limits.Memory().String() == "2Gi" && in.container().Resources.Requests.Cpu().String() == "100m"
	}},
	"how it ends": {"{terminationGracePeriodSeconds: 60, preStopSleepSeconds: 0}", nil, func(in *installation) bool {
		return *pod(in).TerminationGracePeriodSeconds == 60 && in.container().Lifecycle == nil
	}},
	"on delete":     {"updateStrategy: {type: OnDelete}", nil, func(in *installation) bool { return in.StatefulSet.Spec.UpdateStrategy.Type == "OnDelete" }},
	"no budget":     {"podDisruptionBudget: {enabled: false}", nil, func(in *installation) bool { return in.Budget == nil }},
	"larger budget": {"podDisruptionBudget: {maxUnavailable: 50%}", nil, func(in *installation) bool { return in.Budget.Spec.MaxUnavailable.String() == "50%" }},
	"probes": {"probes: {liveness: {periodSeconds: 33}}", nil, func(in *installation) bool {
		return in.container().LivenessProbe.PeriodSeconds == 33 && in.container().LivenessProbe.FailureThreshold == 6
	}},
	"no policy": {"networkPolicy: {enabled: false}", nil, func(in *installation) bool { return in.Network == nil }},
	"ingress from some": {"networkPolicy: {ingress: {from: [{namespaceSelector: {}}]}}", nil, func(in *installation) bool {
		from := in.Network.Spec.Ingress[0].From
		return len(from) == 2 && from[0].NamespaceSelector != nil && from[1].PodSelector.MatchLabels["app.kubernetes.io/instance"] == "it"
	}},
	"egress": {"{networkPolicy: {egress: {kafka: {ports: [9094], to: [{ipBlock: {cidr: 10.0.0.0/8}}]}}}, config: {kafka: {brokers: ['a:9092', 'b:9093']}}}", nil,
		func(in *installation) bool {
			i := slices.IndexFunc(in.Network.Spec.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool { return r.Ports[0].Port.IntValue() == 9092 })
			rule := in.Network.Spec.Egress[i]
			return len(rule.Ports) == 3 && rule.Ports[2].Port.IntValue() == 9094 && rule.To[0].IPBlock.CIDR == "10.0.0.0/8"
		}},
	"more egress": {"networkPolicy: {extraEgress: [{ports: [{port: 4318}]}]}", nil, func(in *installation) bool {
		rules := in.Network.Spec.Egress
		return rules[len(rules)-1].Ports[0].Port.IntValue() == 4318
	}},
	"monitor": {"{serviceMonitor: {enabled: true, interval: 10s, labels: {a: b}, token: {name: t, key: k}}}", []string{"monitoring.coreos.com/v1"},
		func(in *installation) bool {
			e := in.Monitor.Spec.Endpoints[0]
			selector := in.Monitor.Spec.Selector.MatchLabels
			return in.Monitor.Labels["a"] == "b" && e.Port == "api" && e.Path == "/metrics" && e.Interval == "10s" && e.Scheme == "http" && e.Authorization.Credentials.Name == "t" &&
				fits(selector, in.Service.Labels) && !fits(selector, in.Pods.Labels)
		}},
	"monitor over HTTPS": {"{serviceMonitor: {enabled: true, token: {name: t, key: k}}, secrets: {api: {cert: {name: x, key: c}, key: {name: x, key: k}, ca: {configMap: a, key: k}}}}",
		[]string{"monitoring.coreos.com/v1"}, func(in *installation) bool {
			e := in.Monitor.Spec.Endpoints[0]
			return e.Scheme == "https" && e.TLSConfig.ServerName == "it-dacorch.iota.svc" && e.TLSConfig.CA.ConfigMap.Name == "a"
		}},
	"marks": {"{podAnnotations: {a: b}, podLabels: {c: d}}", nil, func(in *installation) bool {
		p := in.StatefulSet.Spec.Template
		return p.Annotations["a"] == "b" && p.Labels["c"] == "d"
	}},
	"security": {"{podSecurityContext: {runAsUser: 7}, securityContext: {privileged: false}}", nil, func(in *installation) bool {
		return *pod(in).SecurityContext.RunAsUser == 7 && !*in.container().SecurityContext.Privileged && *pod(in).SecurityContext.RunAsNonRoot
	}},
	"where": {"{topologySpreadConstraints: [], affinity: {nodeAffinity: {}}, nodeSelector: {a: b}, tolerations: [{operator: Exists}], priorityClassName: high}", nil,
		func(in *installation) bool {
			p := pod(in)
			return len(p.TopologySpreadConstraints) == 0 && p.Affinity.NodeAffinity != nil && p.NodeSelector["a"] == "b" && p.Tolerations[0].Operator == "Exists" && p.PriorityClassName == "high"
		}},
	"extras": {"{extraEnv: [{name: A, value: b}], extraEnvFrom: [{secretRef: {name: s}}], extraVolumes: [{name: v, emptyDir: {}}], extraVolumeMounts: [{name: v, mountPath: /v}]}", nil,
		func(in *installation) bool {
			c := in.container()
			return slices.Contains(c.Env, corev1.EnvVar{Name: "A", Value: "b"}) && c.EnvFrom[0].SecretRef.Name == "s" && pod(in).Volumes[1].Name == "v" && c.VolumeMounts[1].MountPath == "/v"
		}},
}

// fits says whether a selector takes an object with these labels.
func fits(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// TestRefusals: what could not start or would show a secret is refused before it is
// installed, in words that say what would be right, and show no secret.
func TestRefusals(t *testing.T) {
	chart := loadChart(t)
	const secret = "hunter2"
	for values, want := range map[string]string{
		"secrets: {api: {tokens: null}}":                                    "secrets.api.tokens: nobody could call",
		"secrets: {database: {url: null}}":                                  "config.database.url: there is none",
		"config: {zookeeper: {password: hunter2}}":                          "config.zookeeper.password: a secret has no place in a ConfigMap",
		"config: {kafka: {sasl: {password: hunter2}}}":                      "config.kafka.sasl.password: a secret",
		"config: {mqtt: {password: hunter2}}":                               "config.mqtt.password: a secret",
		"config: {database: {password: hunter2}}":                           "config.database.password: a secret",
		"config: {api: {token: hunter2}}":                                   "config.api.token: a secret",
		"config: {mqtt: {url: 'mqtt://u:hunter2@h'}}":                       "config.mqtt.url: a password",
		"config: {database: {url: 'postgres://h/d?password=hunter2'}}":      "config.database.url: a password",
		"config: {database: {url: 'postgres://h/d'}}":                       "secrets.database.url: it holds the whole URL",
		"config: {api: {listen: ':80'}}":                                    "config.api.listen: the chart sets it",
		"config: {mqtt: {clientId: one}}":                                   "config.mqtt.clientId: the chart sets it",
		"config: {mqtt: localhost}":                                         "config.mqtt: want fields",
		"config: {api: null}":                                               "config.api: want fields",
		"config: {kinds: [Thing]}":                                          "config.kinds: want a list of maps",
		"config: {kinds: {kind: Thing}}":                                    "config.kinds: want a list",
		"config: {name: one}":                                               "config.name: every replica needs one of its own",
		"config: {kinds: [{kind: Probe, instanceName: p}]}":                 "podTemplates.p: there is none",
		"secrets: {api: {cert: {name: x, key: c}}}":                         "secrets.api: cert and key belong together",
		"secrets: {api: {cert: {name: x, key: c}, key: {name: x, key: k}}}": "secrets.api.ca: the replicas forward orders",
		"config: {api: {certFile: /c, keyFile: /k}}":                        "secrets.api.ca: the replicas forward orders",
		"podTemplates: {iota-dca: {kind: Pod}}":                             "podTemplates.iota-dca: no kind takes its pods from there",
		"serviceMonitor: {enabled: true}":                                   "install the Prometheus operator first",
		"secrets: {zookeeper: {pasword: {name: x, key: z}}}":                "additional properties 'pasword' not allowed",
		"secrets: {mqtt: {password: {name: x}}}":                            "'/secrets/mqtt/password'",
		"secrets: {mqtt: {password: hunter2}}":                              "got string, want object",
		"secrets: {mqtt: {password: {configMap: x, key: z}}}":               "additional properties 'configMap' not allowed",
		"secrets: {mqtt: {ca: {configMap: x, name: u, key: z}}}":            "'/secrets/mqtt/ca'",
		"replicaCount: three":                                               "got string, want integer",
		"image: {tag: 1.10}":                                                "got number, want string",
		"podTemplates: {Iota_DAC: {kind: Pod}}":                             "invalid propertyName 'Iota_DAC'",
		"service: {type: Ingress}":                                          "'/service/type'",
		"networkPolicy: {egress: {postgres: {ports: [1]}}}":                 "additional properties 'postgres' not allowed",
		"terminationGracePeriodSeconds: 3":                                  "'/terminationGracePeriodSeconds'",
		"{serviceMonitor: {enabled: true, token: null}, replicaCount: 1}":   "install the Prometheus operator first",
	} {
		_, err := render(chart, over(valuesFile(t, "least"), valuesOf(t, values)))
		switch {
		case err == nil:
			t.Errorf("%s: rendered, want %q", values, want)
		case !strings.Contains(err.Error(), want):
			t.Errorf("%s: %v\nwant %q", values, err, want)
		case strings.Contains(err.Error(), secret):
			t.Errorf("%s: the error shows the secret: %v", values, err)
		}
	}
}

// TestEnvironment: tokens and the database's URL may come from the environment, and
// whom the replicas trust.
func TestEnvironment(t *testing.T) {
	chart := loadChart(t)
	for _, values := range []string{
		"extraEnvFrom: [{secretRef: {name: s}}]",
		"extraEnv: [{name: IOTA_TOKEN, valueFrom: {secretKeyRef: {name: s, key: t}}}, {name: IOTA_DB, valueFrom: {secretKeyRef: {name: s, key: d}}}]",
		"{extraEnv: [{name: IOTA_TOKEN, valueFrom: {secretKeyRef: {name: s, key: t}}}, {name: IOTA_DB, valueFrom: {secretKeyRef: {name: s, key: d}}}, {name: SSL_CERT_FILE, value: /c}], secrets: {api: {cert: {name: x, key: c}, key: {name: x, key: k}}}}",
	} {
		if _, err := render(chart, valuesOf(t, values)); err != nil {
			t.Errorf("%s: %v", values, err)
		}
	}
}
