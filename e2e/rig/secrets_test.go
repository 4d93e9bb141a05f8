package rig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newTestRig is a rig with a directory of its own and nothing that runs.
func newTestRig(t *testing.T) *Rig {
	t.Helper()
	t.Setenv("DACORCH_CACHE", t.TempDir())
	state, err := newState("unit")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(state.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	state.Images = AirGappedImages()
	return &Rig{state: state}
}

func (r *Rig) prepared(t *testing.T) *Rig {
	t.Helper()
	for what, prepare := range map[string]func() (StepState, error){"secrets": r.prepareSecrets, "certificates": r.prepareCertificates} {
		if did, err := prepare(); err != nil || did != StepDone {
			t.Fatalf("%s: %q, %v", what, did, err)
		}
	}
	if err := r.loadCA(); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSecretsAreMadeOnce(t *testing.T) {
	r := newTestRig(t).prepared(t)
	file := filepath.Join(r.State().Dir, secretsFile)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%s: %v, %v: want mode 0600", file, info.Mode(), err)
	}
	seen := map[string]bool{}
	for name, of := range users {
		for _, user := range of {
			password := r.Password(name, user)
			if len(password) != 24 || seen[password] {
				t.Errorf("the password of %s at %s has %d letters, or is another's too", user, name, len(password))
			}
			seen[password] = true
		}
	}
	if r.Password(Kafka, "nobody") != "" || r.Password("nothing", UserDAC) != "" {
		t.Error("a password for somebody who is not known")
	}
	before := r.Password(ZooKeeper, UserDAC)
	if did, err := r.prepareSecrets(); err != nil || did != StepThere {
		t.Errorf("made again: %q, %v", did, err)
	}
	if r.Password(ZooKeeper, UserDAC) != before {
		t.Error("another password than before")
	}
}

// TestMissingSecretIsAdded: a file of an older rig gets what has come since.
func TestMissingSecretIsAdded(t *testing.T) {
	r := newTestRig(t)
	old := secrets{Kafka: {UserPlatform: "as-it-was"}}
	if err := writeSecrets(r.State().Dir, old); err != nil {
		t.Fatal(err)
	}
	_, err := r.passwords()
	holds(t, err, "lacks a password", "rig up")
	if did, err := r.prepareSecrets(); err != nil || did != StepDone {
		t.Fatalf("%q, %v", did, err)
	}
	if _, err := r.passwords(); err != nil {
		t.Error(err)
	}
	if r.Password(Kafka, UserPlatform) != "as-it-was" || r.Password(Kafka, UserDAC) == "" {
		t.Error("a password was changed, or none was added")
	}
}

func TestBadSecretsFile(t *testing.T) {
	for _, text := range []string{"", "null", "[]", `{"kafka":{"dac":"it's"}}`, `{"kafka":{"dac":"hush\n"}}`, `{"kafka":"hush"}`} {
		r := newTestRig(t)
		if err := writePrivate(filepath.Join(r.State().Dir, secretsFile), []byte(text)); err != nil {
			t.Fatal(err)
		}
		_, err := r.prepareSecrets()
		if err == nil || !strings.Contains(err.Error(), secretsFile) || !strings.Contains(err.Error(), "rig down") {
			t.Errorf("%q: error %v names neither the file nor the way out", text, err)
		}
		if err != nil && (strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "it's")) {
			t.Errorf("the error tells a password: %v", err)
		}
		if r.Password(Kafka, UserDAC) != "" {
			t.Errorf("%q: a password from a file that is damaged", text)
		}
		if err := r.furnish(t.Context(), PostgreSQL); err == nil || !strings.Contains(err.Error(), secretsFile) {
			t.Errorf("%q: users are to be made without their passwords: %v", text, err)
		}
	}
}

func FuzzSecrets(f *testing.F) {
	f.Add([]byte(`{"kafka":{"dac":"a-Z_9"}}`))
	f.Add([]byte(`{"kafka":null}`))
	f.Add([]byte(`{"kafka":{"dac":"'; DROP"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseSecrets(data)
		if err != nil {
			return
		}
		s.complete()
		for name, of := range s {
			for user, password := range of {
				if strings.ContainsAny(password, "'\"\\ \n\r,]:") {
					t.Errorf("%q of %s at %s would need quotes", password, user, name)
				}
			}
		}
	})
}
