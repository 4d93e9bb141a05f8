package orchestrator

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// deployed is a configuration whose files are all there.
func deployed(t *testing.T) *Config {
	t.Helper()
	c := Default()
	c.Name, c.MQTT.ClientID = "one", "dacorch-one"
	c.API.Token = "long-enough"
	c.Database.URL = "postgres://u@db.example/iota"
	for i := range c.Kinds {
		c.Kinds[i].Template = "../deploy/" + c.Kinds[i].Template
	}
	return c
}

// private writes a file that only its owner may read.
func private(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every file that the configuration names is read, and what is wrong with it told
// under the field's name; so is what lets the REST interface not start.
func TestCheckFiles(t *testing.T) {
	warnings, err := deployed(t).CheckFiles()
	if err != nil || len(warnings) != 0 {
		t.Fatalf("%v, %q", err, warnings)
	}
	for field, c := range map[string]struct {
		change func(c *Config)
		want   string
	}{
		"token file":      {func(c *Config) { c.API.TokenFile = "/no/such" }, "api: token file: open /no/such"},
		"a token":         {func(c *Config) { c.API.TokenFile = private(t, "tokens", "web read hunter2 x\n") }, "line 1: 4 words"},
		"certificate":     {func(c *Config) { c.API.CertFile, c.API.KeyFile = "/no/cert", "/no/key" }, "api: certificate /no/cert"},
		"authority":       {func(c *Config) { c.API.CAFile = "/no/ca" }, "api.caFile"},
		"no token at all": {func(c *Config) { c.API.Token = "" }, "nobody could call"},
		"empty tokens": {func(c *Config) {
			c.API.Token, c.API.TokenFile, c.API.Listen = "", private(t, "tokens", "# none yet\n"), "10.0.0.7:80"
		}, "there is no token"},
		"kubeconfig":    {func(c *Config) { c.Kubernetes.Kubeconfig = "/no/such" }, "kubernetes.kubeconfig"},
		"no kubeconfig": {func(c *Config) { c.Kubernetes.Kubeconfig = private(t, "kubeconfig", "a: [") }, "kubernetes.kubeconfig"},
		"template":      {func(c *Config) { c.Kinds[1].Template = "/no/such" }, "kinds[1].template"},
		"secret":        {func(c *Config) { c.MQTT.PasswordFile = "/no/such" }, "mqtt.passwordFile"},
		"TLS":           {func(c *Config) { c.Kafka.TLS = TLSConfig{Enabled: true, CAFile: "/no/such"} }, "kafka.tls.caFile"},
	} {
		cfg := deployed(t)
		c.change(cfg)
		if _, err := cfg.CheckFiles(); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", field, err, c.want)
		}
	}
}

// Secrets that others can read, on this machine or on the way, are warned of.
func TestSecretsThatOthersCanRead(t *testing.T) {
	c := deployed(t)
	c.API.Listen, c.API.Advertise = "10.0.0.7:8080", "http://10.0.0.7:8080"
	c.API.TokenFile = private(t, "tokens", "web read long-enough-too\n")
	if err := os.Chmod(c.API.TokenFile, 0o644); err != nil {
		t.Fatal(err)
	}
	c.MQTT.URL = "mqtt://u:hunter2@broker.example"
	c.Kafka.Brokers, c.Kafka.SASL = []string{"localhost:9092", "kafka.example:9092"}, SASLConfig{Mechanism: "PLAIN", User: "u", Password: "hunter2"}
	c.ZooKeeper.Servers, c.ZooKeeper.User, c.ZooKeeper.Password = []string{"zookeeper.example:2181"}, "u", "hunter2"
	warnings, err := c.CheckFiles()
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(warnings, "\n")
	for _, want := range []string{"api.tokenFile: everybody", "mqtt.password crosses", "kafka.sasl.password crosses", "zookeeper.password crosses", "token of the REST interface crosses"} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning %q in:\n%s", want, all)
		}
	}
	if len(warnings) != 5 || strings.Contains(all, "hunter2") {
		t.Errorf("%d warnings, want 5 without secrets:\n%s", len(warnings), all)
	}
	c.MQTT.URL, c.MQTT.TLS.Enabled = "mqtts://u:hunter2@broker.example", true
	c.Kafka.TLS.Enabled, c.ZooKeeper.TLS.Enabled = true, true
	if warnings, err = c.CheckFiles(); err != nil || len(warnings) != 2 {
		t.Errorf("with TLS: %v, %q", err, warnings)
	}
}

// The platform gives the broker with user and password in one variable.
func TestLoginInTheBrokersURL(t *testing.T) {
	env := map[string]string{"IOTA_MQTT": "mqtts://iota:p%40ss@broker.example:8883", "IOTA_DB": "sqlite:x", "DACORCH_NAME": "one"}
	c, err := LoadConfig("", nil, func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	a := &adapters{}
	if err := a.connectMQTT(c, nil); err != nil {
		t.Fatal(err)
	}
	if m := c.forMQTT(nil); m.URL != "mqtts://broker.example:8883" || m.User != "iota" || m.Password != "p@ss" {
		t.Errorf("%s, %s, %s", m.URL, m.User, m.Password)
	}
}

// Every field has an effect: it changes what an adapter, the REST interface or a
// machine is made with, or stands here with where it is read.
func TestEveryFieldIsUsed(t *testing.T) {
	elsewhere := map[string]string{
		"api.listen":       "Run listens there",
		"mqtt.tls.enabled": "the URL says it to the adapter; Validate holds the two together",
		"log.level":        "the logger is made by cmd/dacorch",
		"log.format":       "the logger is made by cmd/dacorch",
		"record.dir":       "openRecording opens it",
		"record.segment":   "openRecording hands it on",
		"record.total":     "openRecording hands it on",
	}
	base := func() *Config {
		c := deployed(t)
		c.MQTT.URL = "mqtts://broker.example"
		c.ZooKeeper.TLS.Enabled, c.Kafka.TLS.Enabled, c.MQTT.TLS.Enabled = true, true, true
		return c
	}
	usual := effect(base())
	if again := effect(base()); again != usual {
		t.Fatalf("what a configuration comes to is not the same twice:\n%s\n%s", usual, again)
	}
	eachField(reflect.ValueOf(base()).Elem(), "", func(path string, field reflect.StructField, _ reflect.Value) {
		c := base()
		eachField(reflect.ValueOf(c).Elem(), "", func(at string, _ reflect.StructField, v reflect.Value) {
			if at == path {
				alter(v, field.Tag)
			}
		})
		if used := effect(c) != usual; used == (elsewhere[path] != "") {
			t.Errorf("%s changes what is made: %v", path, used)
		}
	})
}

// alter gives a field another value, one with which a file is not there.
func alter(v reflect.Value, tag reflect.StructTag) {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		v.SetInt(v.Int() + int64(time.Second))
	case v.Kind() == reflect.Bool:
		v.SetBool(!v.Bool())
	case v.Kind() == reflect.Int:
		v.SetInt(v.Int() + 1)
	case v.Kind() == reflect.Float64:
		v.SetFloat(v.Float() / 2)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.ValueOf([]string{"other:1"}))
	case tag.Get("oneOf") != "":
		words := strings.Fields(tag.Get("oneOf"))
		if words[0] == v.String() {
			words = words[1:]
		}
		v.SetString(words[0])
	default:
		v.SetString("/no/such/thing")
	}
}

// effect is what a configuration comes to, as text.
func effect(c *Config) string {
	var b strings.Builder
	secure := func(t **tls.Config) {
		if *t != nil {
			fmt.Fprintln(&b, "TLS for", (*t).ServerName)
		}
		*t = nil
	}
	_, secrets := c.ReadSecrets()
	z, errZ := c.forZooKeeper(nil)
	secure(&z.TLS)
	k, errK := c.forKafka(nil)
	secure(&k.TLS)
	fmt.Fprintln(&b, k.SASL.Password) // which it does not show itself
	pods, errP := c.forKubernetes(nil)
	for kind, one := range pods.Kinds {
		one.Template = nil
		pods.Kinds[kind] = one
	}
	fmt.Fprintf(&b, "%v\n%+v %v\n%+v %v\n%+v\n%+v\n%+v %v\n", secrets, z, errZ, k, errK, c.forMQTT(nil), c.forDatabase(), pods, errP)
	server, err := newServer(c, nil, nil, newMetrics(), nil)
	fmt.Fprintln(&b, err)
	if err == nil {
		cfg := reflect.ValueOf(server).Elem().FieldByName("cfg")
		for i := range cfg.NumField() {
			switch f := cfg.Field(i); f.Kind() {
			case reflect.Pointer, reflect.Func, reflect.Interface: // addresses
			default:
				fmt.Fprintln(&b, cfg.Type().Field(i).Name, f)
			}
		}
	}
	fmt.Fprintln(&b, c.Name, c.advertised(&net.TCPAddr{IP: net.IPv6loopback, Port: 1}))
	for _, kind := range c.Kinds {
		fmt.Fprintf(&b, "%+v\n", kind.Machine())
	}
	return b.String()
}
