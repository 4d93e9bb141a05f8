package deploy

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"
)

// TestAnyValues renders random values, and holds what comes of them to what must
// always be so.
func TestAnyValues(t *testing.T) {
	chart := loadChart(t)
	rapid.Check(t, func(t *rapid.T) {
		values := anyValues(t)
		in, err := renderAs(chart, rapid.SampledFrom([]string{"it", "y", "null", "0x1", "1e3", strings.Repeat("long-", 10) + "name"}).Draw(t, "release"), values)
		if err != nil {
			t.Fatalf("%v\n%v", err, values)
		}
		everyFileIsThere(t, in)
		selected(t, in)
		reaches(t, in, values["config"].(map[string]any))
		if !hardened(pod(in)) {
			t.Fatalf("security %+v", pod(in).SecurityContext)
		}
		if len(in.StatefulSet.Name) > 45 {
			t.Fatalf("name %q: its pods' names would not be host names", in.StatefulSet.Name)
		}
	})
}

var secretFile = regexp.MustCompile(`/etc/dacorch/([a-z/]+)`)

// everyFileIsThere: what dacorch.yaml names is mounted, from a Secret unless it is
// public; what is mounted is named.
func everyFileIsThere(t *rapid.T, in *installation) {
	mounted := map[string]bool{}
	for _, source := range pod(in).Volumes[0].Projected.Sources {
		var items []corev1.KeyToPath
		switch {
		case source.Secret != nil && source.ConfigMap == nil:
			items = source.Secret.Items
		case source.ConfigMap != nil && source.Secret == nil:
			items = source.ConfigMap.Items
		default:
			t.Fatalf("a source that is neither: %+v", source)
		}
		for _, item := range items {
			if mounted[item.Path] {
				t.Fatalf("%s is mounted twice", item.Path)
			}
			mounted[item.Path] = true
			if source.ConfigMap != nil && strings.HasPrefix(item.Path, "secrets/") && !strings.HasSuffix(item.Path, "/ca") {
				t.Fatalf("%s comes from a ConfigMap", item.Path)
			}
		}
	}
	named := map[string]bool{"dacorch.yaml": true}
	for _, m := range secretFile.FindAllStringSubmatch(in.Config.Data["dacorch.yaml"], -1) {
		named[m[1]] = true
		if !mounted[m[1]] {
			t.Fatalf("dacorch.yaml names %s, which is not mounted", m[1])
		}
	}
	for path := range mounted {
		if !named[path] && !strings.HasPrefix(path, "templates/") {
			t.Fatalf("%s is mounted and dacorch.yaml does not name it:\n%s", path, in.Config.Data["dacorch.yaml"])
		}
	}
	for name := range in.Templates.Data {
		if !mounted["templates/"+name+"/pod-template.yml"] {
			t.Fatalf("template %s is not mounted", name)
		}
	}
}

// selected: services, budget and policy find the pods.
func selected(t *rapid.T, in *installation) {
	labels := in.StatefulSet.Spec.Template.Labels
	selectors := map[string]map[string]string{"the set": in.StatefulSet.Spec.Selector.MatchLabels,
		"the service": in.Service.Spec.Selector, "the headless service": in.Pods.Spec.Selector}
	if in.Budget != nil {
		selectors["the budget"] = in.Budget.Spec.Selector.MatchLabels
	}
	if in.Network != nil {
		selectors["the policy"] = in.Network.Spec.PodSelector.MatchLabels
	}
	for what, selector := range selectors {
		if len(selector) == 0 || !fits(selector, labels) {
			t.Fatalf("%s selects %v, the pods have %v", what, selector, labels)
		}
	}
}

var port = regexp.MustCompile(`:([0-9]+)`)

// reaches: the policy lets the orchestrator reach every port that it is told of.
func reaches(t *rapid.T, in *installation, config map[string]any) {
	if in.Network == nil {
		return
	}
	open := map[string]bool{}
	for _, rule := range in.Network.Spec.Egress {
		for _, p := range rule.Ports {
			open[p.Port.String()] = true
		}
	}
	if len(in.Network.Spec.PolicyTypes) != 2 || in.Network.Spec.PolicyTypes[1] != networkingv1.PolicyTypeEgress {
		t.Fatalf("the policy is for %v", in.Network.Spec.PolicyTypes)
	}
	text, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range port.FindAllStringSubmatch(string(text), -1) {
		if !open[m[1]] {
			t.Fatalf("port %s is closed: %v\n%s", m[1], open, text)
		}
	}
}

func anyValues(t *rapid.T) map[string]any {
	word := rapid.StringMatching(`[a-z]([a-z0-9-]{0,20}[a-z0-9])?`)
	yes := func(what string) bool { return rapid.Bool().Draw(t, what) }
	reference := func(what string, public bool) map[string]any {
		if !yes(what) {
			return map[string]any{}
		}
		kind := "name"
		if public && yes(what+" is public") {
			kind = "configMap"
		}
		return map[string]any{kind: word.Draw(t, what), "key": word.Draw(t, what+"'s key")}
	}
	server := func(what string) map[string]any {
		s := map[string]any{"password": reference(what+"'s password", false), "ca": reference(what+"'s ca", true)}
		if yes(what + "'s certificate") {
			s["cert"] = map[string]any{"name": word.Draw(t, "certificate"), "key": "tls.crt"}
			s["key"] = map[string]any{"name": word.Draw(t, "key"), "key": "tls.key"}
		}
		return s
	}
	address := func(what string) string {
		return fmt.Sprintf("%s:%d", word.Draw(t, what), rapid.IntRange(1, 65535).Draw(t, what+"'s port"))
	}
	addresses := func(what string) []any {
		list := []any{address(what)}
		for range rapid.IntRange(0, 2).Draw(t, "more of "+what) {
			list = append(list, address(what))
		}
		return list
	}
	api := server("api")
	delete(api, "password")
	if api["cert"] != nil { // the replicas trust it among themselves
		api["ca"] = map[string]any{"configMap": word.Draw(t, "authority"), "key": "ca.crt"}
	}
	api["tokens"] = map[string]any{"name": word.Draw(t, "tokens"), "key": "tokens"}
	database := server("database")
	delete(database, "cert")
	delete(database, "key")
	hosts := make([]string, 0, 3)
	for _, a := range addresses("database") {
		hosts = append(hosts, a.(string))
	}
	config := map[string]any{
		"database": map[string]any{"url": "postgres://" + rapid.SampledFrom([]string{"", "u@"}).Draw(t, "user") + strings.Join(hosts, ",") +
			"/iota" + rapid.SampledFrom([]string{"", "?sslmode=verify-full"}).Draw(t, "query")},
	}
	if yes("zookeeper") {
		config["zookeeper"] = map[string]any{"servers": addresses("zookeeper"), "user": word.Draw(t, "zookeeper's user")}
	}
	if yes("kafka") {
		config["kafka"] = map[string]any{"brokers": addresses("kafka"), "tls": map[string]any{"serverName": word.Draw(t, "kafka's name")}}
	}
	if yes("mqtt") {
		config["mqtt"] = map[string]any{"url": rapid.SampledFrom([]string{"mqtt://", "mqtts://", "mqtts://u@"}).Draw(t, "mqtt's scheme") + address("mqtt")}
	}
	templates := map[string]any{}
	if yes("kinds") {
		name := rapid.SampledFrom([]string{"iota-dac", "iota-probe", "p"}).Draw(t, "instanceName")
		config["kinds"] = []any{map[string]any{"kind": "Thing", "instanceName": name, "maxIdBytes": rapid.IntRange(1, 4096).Draw(t, "maxIdBytes")}}
		shipped, err := fs.ReadFile(Chart, "pod-templates/iota-dac/pod-template.yml")
		if err != nil {
			t.Fatal(err)
		}
		templates[name] = string(shipped)
	}
	return map[string]any{
		"replicaCount": rapid.IntRange(0, 9).Draw(t, "replicas"),
		"config":       config, "podTemplates": templates,
		"fullnameOverride": rapid.SampledFrom([]string{"", "other"}).Draw(t, "name"),
		"secrets":          map[string]any{"api": api, "zookeeper": server("zookeeper"), "kafka": server("kafka"), "mqtt": server("mqtt"), "database": database},
		"recordings":       map[string]any{"enabled": yes("recordings"), "claim": yes("claim")},
		"networkPolicy":    map[string]any{"enabled": yes("policy")},
		"service":          map[string]any{"type": rapid.SampledFrom([]string{"ClusterIP", "NodePort"}).Draw(t, "service")},
	}
}
