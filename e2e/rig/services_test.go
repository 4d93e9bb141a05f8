package rig

import (
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

// files are a service's, as its container would be given them.
func (r *Rig) files(t *testing.T, name ServiceName) map[string]string {
	t.Helper()
	all, err := r.confFiles(t, name)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, f := range all {
		if !strings.HasPrefix(f.path, confDir) || f.mode != 0o644 && f.mode != 0o755 {
			t.Errorf("%s: %s has the mode %o", name, f.path, f.mode)
		}
		texts[strings.TrimPrefix(f.path, confDir)] = string(f.data)
	}
	return texts
}

func (r *Rig) confFiles(t *testing.T, name ServiceName) ([]confFile, error) {
	t.Helper()
	r.enterService(name)
	s, err := readSecrets(r.State().Dir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.servicePair(name)
	if err != nil {
		t.Fatal(err)
	}
	return confFiles(name, r.address(name), s, []byte("authority\n"), p)
}

// TestNothingPlainIsOpen: from outside its container nobody speaks to a service
// without TLS, nor without a name.
func TestNothingPlainIsOpen(t *testing.T) {
	r := newTestRig(t).prepared(t)
	for name, want := range map[ServiceName]map[string][]string{
		ZooKeeper:  {"zoo.cfg": {"\nsecureClientPort=2281\n", "NettyServerCnxnFactory", "\nssl.keyStore.location=/conf/server.pem\n"}},
		Kafka:      {"server.properties": {"INSIDE:SASL_SSL,OUTSIDE:SASL_SSL,", "LOCAL://127.0.0.1:", "CONTROLLER://127.0.0.1:", "OUTSIDE://127.0.0.1:19093,"}},
		Mosquitto:  {"mosquitto.conf": {"\nallow_anonymous false\n", "\nlistener 8883\n", "\nkeyfile /conf/server.key\n"}},
		PostgreSQL: {"pg_hba.conf": {"\nhostssl all all all scram-sha-256\n"}, "start": {"ssl=on", "hba_file=/conf/pg_hba.conf"}},
	} {
		files := r.files(t, name)
		for file, parts := range want {
			for _, part := range parts {
				if !strings.Contains("\n"+files[file], part) {
					t.Errorf("%s of %s does not say %q:\n%s", file, name, part, files[file])
				}
			}
		}
	}
	for file, never := range map[ServiceName]map[string]string{
		ZooKeeper: {"zoo.cfg": "\nclientPort="}, PostgreSQL: {"pg_hba.conf": "\nhost "}, Mosquitto: {"mosquitto.conf": "listener 1883"},
	} {
		for name, part := range never {
			if text := r.files(t, file)[name]; strings.Contains("\n"+text, part) {
				t.Errorf("%s says %q", name, part)
			}
		}
	}
}

// TestFilesTellNoPasswordOfAnother: a container is given its own service's secrets,
// and no private key but its own.
func TestFilesTellNoPasswordOfAnother(t *testing.T) {
	r := newTestRig(t).prepared(t)
	for _, name := range ServiceNames {
		text := fmt.Sprint(r.files(t, name))
		if strings.Count(text, "BEGIN PRIVATE KEY") != 1 {
			t.Errorf("%s is given %d private keys, want one", name, strings.Count(text, "BEGIN PRIVATE KEY"))
		}
		for other, of := range users {
			for _, user := range of {
				if other != name && strings.Contains(text, r.Password(other, user)) {
					t.Errorf("%s is given the password of %s at %s", name, user, other)
				}
			}
		}
	}
	if text := fmt.Sprint(r.files(t, Mosquitto)); strings.Contains(text, r.Password(Mosquitto, UserPlatform)) {
		t.Error("mosquitto is given a password in plain")
	}
}

// TestMosquittoPasswords: $7$rounds$salt$hash, as mosquitto_passwd writes them.
func TestMosquittoPasswords(t *testing.T) {
	given := map[string]string{"a": "first", "b": "first", "c": "second"}
	text := mosquittoPasswords(given)
	if text != mosquittoPasswords(given) {
		t.Error("the same passwords give another file")
	}
	salts := map[string]bool{}
	for line := range strings.Lines(text) {
		user, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		part := strings.Split(rest, "$")
		if len(part) != 5 || part[1] != "7" || part[2] != "101" {
			t.Fatalf("%q: want user:$7$101$salt$hash", line)
		}
		salt, saltErr := base64.StdEncoding.DecodeString(part[3])
		hash, err := pbkdf2.Key(sha512.New, given[user], salt, 101, 64)
		if saltErr != nil || err != nil || base64.StdEncoding.EncodeToString(hash) != part[4] {
			t.Errorf("%q does not hold the password: %v, %v", line, saltErr, err)
		}
		salts[part[3]] = true
	}
	if len(salts) != len(given) {
		t.Errorf("%d salts for %d users", len(salts), len(given))
	}
}

// TestHashTellsWhatAContainerIsMadeOf: the same for the same, another for anything
// else.
func TestHashTellsWhatAContainerIsMadeOf(t *testing.T) {
	r := newTestRig(t).prepared(t)
	seen := map[string]string{}
	see := func(what string, files []confFile, more ...string) {
		h := confHash(files, more...)
		if before, there := seen[h]; there {
			t.Errorf("%s has the hash of %s", what, before)
		}
		seen[h] = what
	}
	files, err := r.confFiles(t, Kafka)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.confFiles(t, Kafka)
	if err != nil || confHash(again, "image") != confHash(files, "image") {
		t.Errorf("made again, the hash is another (%v)", err)
	}
	see("the image", files, "image")
	see("another image", files, "image2")
	see("two words for one", files, "ima", "ge")
	see("no file", nil, "image")
	r.state.Services[Kafka] = Service{Outside: "127.0.0.1:1"}
	other, err := r.confFiles(t, Kafka)
	if err != nil {
		t.Fatal(err)
	}
	see("another port", other, "image")
	r.state.Services[Kafka] = Service{Outside: "nowhere"}
	if _, err := r.confFiles(t, Kafka); err == nil {
		t.Error("an address without a port is taken")
	}
}

// TestStartScripts: each stops at the first mistake, and ends as the server itself,
// which then hears signals.
func TestStartScripts(t *testing.T) {
	for _, name := range ServiceNames {
		data, err := fs.ReadFile(conf, "conf/"+string(name)+"/start")
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(data), "\n")
		if lines[0] != "#!/bin/sh" || !strings.Contains(string(data), "\nset -eu\n") || !strings.Contains(string(data), "\nexec ") {
			t.Errorf("%s/start: want #!/bin/sh, set -eu and exec", name)
		}
	}
}
