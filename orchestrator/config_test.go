package orchestrator

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

func TestConfig(t *testing.T) {
	datadriven.RunTest(t, "testdata/config", func(t *testing.T, d *datadriven.TestData) string {
		env := map[string]string{}
		for _, a := range d.CmdArgs {
			env[a.Key] = strings.Join(a.Vals, ",")
		}
		name := !strings.Contains(d.Input, "name:")
		if _, given := env["DACORCH_NAME"]; name && !given {
			env["DACORCH_NAME"] = "this-host"
		}
		cfg, err := LoadConfig("dacorch.yaml", []byte(d.Input), func(n string) string { return env[n] })
		if err != nil {
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: the error shows a secret: %v", d.Pos, err)
			}
			return err.Error() + "\n"
		}
		got := described(t, cfg)
		if strings.Contains(got, "hunter2") {
			t.Errorf("%s: the description shows a secret:\n%s", d.Pos, got)
		}
		return changed(t, cfg)
	})
}

func described(t testing.TB, c *Config) string {
	t.Helper()
	var b strings.Builder
	if err := c.Describe(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// changed are the lines of a description that the default's does not have.
func changed(t *testing.T, c *Config) string {
	usual := map[string]bool{}
	for _, line := range strings.Split(described(t, Default()), "\n") {
		usual[line] = true
	}
	var b strings.Builder
	for _, line := range strings.Split(described(t, c), "\n") {
		if !usual[line] || strings.HasSuffix(line, ":") && !strings.HasPrefix(line, " ") {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

func noEnvironment(string) string { return "" }

// What Describe writes can be loaded again, and says the same.
func TestDescribeCanBeLoaded(t *testing.T) {
	c := Default()
	c.Database.URL = "sqlite:x"
	c.API.Hosts = []string{"a", "true", `b"#: `}
	c.Kinds[1].GroupColumn = "no"
	c.Kinds[1].Timings.Resync = 90 * time.Minute
	again, err := LoadConfig("again.yaml", []byte(described(t, c)), noEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, again) {
		t.Fatalf("described:\n%s\nloaded again:\n%s", described(t, c), described(t, again))
	}
}

// The defaults are the core's own.
func TestMachineIsTheContracts(t *testing.T) {
	for _, k := range Default().Kinds {
		if got, want := k.Machine(), reconcile.DefaultConfig(fleet.Kind(k.Kind)); got != want {
			t.Errorf("%s: %+v, want %+v", k.Kind, got, want)
		}
	}
}

// Every field of a kind reaches the machine, or is named here as another's.
func TestMachineGetsEveryField(t *testing.T) {
	others := "kind instanceName template gracePeriod schema table idColumn groupColumn"
	base := defaultKind("Thing").Machine()
	eachField(reflect.ValueOf(new(defaultKind("Thing"))).Elem(), "", func(path string, _ reflect.StructField, v reflect.Value) {
		k := defaultKind("Thing")
		eachField(reflect.ValueOf(&k).Elem(), "", func(p string, _ reflect.StructField, v reflect.Value) {
			if p != path {
				return
			}
			switch v.Kind() {
			case reflect.Bool:
				v.SetBool(!v.Bool())
			case reflect.String:
				v.SetString("x")
			case reflect.Float64:
				v.SetFloat(v.Float() / 2)
			default:
				v.SetInt(v.Int() + 1)
			}
		})
		if changes := k.Machine() != base; changes == strings.Contains(others, path) && path != "kind" {
			t.Errorf("%s changes the machine: %v", path, changes)
		}
	})
}

func TestMistakesAreOfOneType(t *testing.T) {
	_, err := LoadConfig("x.yaml", []byte("a: b\ndatabase: {url: sqlite:x}"), noEnvironment)
	es, ok := errors.AsType[ConfigErrors](err)
	if !ok || len(es) == 0 || es[0].Line != 1 || es[0].Column != 1 || es[0].File != "x.yaml" {
		t.Fatalf("%#v", err)
	}
	c := Default()
	if _, ok := errors.AsType[ConfigErrors](c.Validate()); !ok {
		t.Fatalf("a configuration without a database is valid: %v", c.Validate())
	}
	c.Database.URL = "postgres://u:p@localhost/iota" // in memory, not in the file
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestReadSecrets(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c := Default()
	c.ZooKeeper.PasswordFile = file("zookeeper", "hunter1\n", 0o600)
	c.Kafka.SASL.PasswordFile = file("kafka", "hunter2", 0o644)
	c.Database.URLFile = file("url", "sqlite:x\r\n", 0o640)
	warnings, err := c.ReadSecrets()
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "kafka.sasl.passwordFile") || !strings.Contains(warnings[0], "chmod") {
		t.Errorf("warnings %q, want one for Kafka", warnings)
	}
	if c.ZooKeeper.Password != "hunter1" || c.Kafka.SASL.Password != "hunter2" || c.Database.URL != "sqlite:x" {
		t.Errorf("read %q, %q, %q", c.ZooKeeper.Password, c.Kafka.SASL.Password, c.Database.URL)
	}
	if got := described(t, c); strings.Contains(got, "hunter") {
		t.Errorf("the description shows a secret:\n%s", got)
	}
	c = Default()
	c.ZooKeeper.PasswordFile = filepath.Join(dir, "missing")
	c.MQTT.PasswordFile = file("mqtt", "hunter2\nhunter3\n", 0o600)
	c.Database.PasswordFile = file("empty", "\n", 0o600)
	_, err = c.ReadSecrets()
	for _, part := range []string{"zookeeper.passwordFile", "missing", "mqtt.passwordFile", "one line", "database.passwordFile"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v: want %q in it", err, part)
		}
	}
	if err != nil && strings.Contains(err.Error(), "hunter") {
		t.Errorf("error %v shows a secret", err)
	}
}

func TestEnvironmentOf(t *testing.T) {
	for path, want := range map[string]string{
		"name": "DACORCH_NAME", "kafka.sasl.passwordFile": "DACORCH_KAFKA_SASL_PASSWORD_FILE",
		"zookeeper.tls.caFile": "DACORCH_ZOOKEEPER_TLS_CA_FILE", "database.urlFile": "DACORCH_DATABASE_URL_FILE",
	} {
		if got := EnvironmentOf(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	seen := map[string]string{}
	eachField(reflect.ValueOf(Default()).Elem(), "", func(path string, _ reflect.StructField, _ reflect.Value) {
		name := EnvironmentOf(path)
		if other := seen[name]; other != "" {
			t.Errorf("%s and %s are both %s", other, path, name)
		}
		seen[name] = path
	})
}

// FuzzConfig: whatever the file holds, there is a configuration that is valid and
// can be written and read again, or errors with places in the file.
func FuzzConfig(f *testing.F) {
	for _, path := range []string{"testdata/config", "../deploy/dacorch.yaml"} {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range strings.Split(string(data), "\n\n") {
			f.Add(strings.TrimPrefix(part, "load\n"))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := LoadConfig("f.yaml", []byte(text), func(name string) string {
			return map[string]string{"DACORCH_NAME": "n", "DACORCH_DATABASE_USER": "u"}[name]
		})
		if err != nil {
			es, ok := errors.AsType[ConfigErrors](err)
			if !ok || len(es) == 0 || len(es) > maxConfigErrors {
				t.Fatalf("%#v", err)
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("loaded, but %v", err)
		}
		again, err := LoadConfig("again.yaml", []byte(described(t, c)), noEnvironment)
		if err != nil || !reflect.DeepEqual(c, again) {
			t.Fatalf("%v: described:\n%s", err, described(t, c))
		}
	})
}
