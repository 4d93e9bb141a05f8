package dac

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"dacorch/orchestrator/porttest/real"
	"dacorch/sim/wire/kafka"
)

// certificate is one for localhost and 127.0.0.1 that vouches for itself, and the
// file that a client trusts it by.
func certificate(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, file
}

// encrypted puts TLS before a server; it answers the address.
func encrypted(t *testing.T, cfg *tls.Config, server string) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", server)
			if err != nil {
				near.Close()
				continue
			}
			go func() { _, _ = io.Copy(far, near); far.Close(); near.Close() }() // whoever ends ends both
			go func() { _, _ = io.Copy(near, far); far.Close(); near.Close() }()
		}
	}()
	return l.Addr().String()
}

// vars is an environment.
type vars map[string]string

func (v vars) config(t *testing.T) Config {
	t.Helper()
	cfg, err := ConfigFromEnv(func(name string) string { return v[name] })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestSecureProgram: from the environment alone, with TLS and a password at both
// servers. Others may see the status, and not write it.
func TestSecureProgram(t *testing.T) {
	secureProgram(t, newRig(t))
}

func TestSecureProgramOnRealZooKeeper(t *testing.T) {
	r := &rig{t: t, addr: real.ZooKeeper(t).Addr}
	r.connect()
	secureProgram(t, r)
}

func secureProgram(t *testing.T, r *rig) {
	server, ca := certificate(t)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("hush hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	brokers, err := kafka.Start(kafka.Config{Topics: map[string]int{"HeartBeat": 2}, User: "dac", Password: "hush hush", TLS: server})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(brokers.Close)
	cfg := vars{"DAC_INSTANCE_ID": "4", "IOTA_KIND": "Thing", "IOTA_HEARTBEAT_INTERVAL": "20ms",
		"IOTA_ZOOKEEPER": encrypted(t, server, r.addr), "IOTA_ZOOKEEPER_TLS_CA": ca,
		"IOTA_ZOOKEEPER_USER": "dac", "IOTA_ZOOKEEPER_PASSWORD_FILE": password,
		"IOTA_KAFKA": strings.Join(brokers.Addrs(), ","), "IOTA_KAFKA_TLS_CA": ca,
		"IOTA_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", "IOTA_KAFKA_USER": "dac", "IOTA_KAFKA_PASSWORD": "hush hush",
	}.config(t)
	r.create(4, 9, "a")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg) }()
	r.awaitStatus(4, `{"times":9}`)
	r.await("three heartbeats", func() bool { return brokers.Count("HeartBeat") >= 3 })

	rights, _, err := r.conn.GetACL(node(4) + "/tmp/status")
	want := append(zk.WorldACL(zk.PermRead), zk.ACL{Perms: zk.PermAll, Scheme: "digest", ID: "dac:x"}) // the rest is kept from us
	slices.Reverse(want)
	if err != nil || !slices.Equal(rights, want) {
		t.Errorf("the status has the rights %v (%v), want %v", rights, err, want)
	}
	if _, err := r.conn.Set(node(4)+"/tmp/status", []byte("{}"), -1); err != zk.ErrNoAuth {
		t.Errorf("somebody else writes the status: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	r.awaitNoStatus(4)
}

// TestWrongCredentials: nothing gets through, the DAC tries on, and ends when it
// is told to.
func TestWrongCredentials(t *testing.T) {
	server, ca := certificate(t)
	_, another := certificate(t)
	brokers, err := kafka.Start(kafka.Config{Topics: map[string]int{"HeartBeat": 1}, User: "dac", Password: "right", TLS: server})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(brokers.Close)
	right := vars{"DAC_INSTANCE_ID": "0", "IOTA_KIND": "Thing", "IOTA_HEARTBEAT_INTERVAL": "2s",
		"IOTA_KAFKA": strings.Join(brokers.Addrs(), ","), "IOTA_KAFKA_TLS_CA": ca,
		"IOTA_KAFKA_SASL_MECHANISM": "SCRAM-SHA-256", "IOTA_KAFKA_USER": "dac", "IOTA_KAFKA_PASSWORD": "wrong"}
	for what, change := range map[string]vars{
		"password":  {},
		"mechanism": {"IOTA_KAFKA_SASL_MECHANISM": "PLAIN"},
		"nobody":    {"IOTA_KAFKA_SASL_MECHANISM": "", "IOTA_KAFKA_USER": "", "IOTA_KAFKA_PASSWORD": ""},
		"authority": {"IOTA_KAFKA_TLS_CA": another, "IOTA_KAFKA_PASSWORD": "right"},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			set := maps.Clone(right)
			maps.Copy(set, change)
			set["IOTA_ZOOKEEPER"], set["IOTA_ZOOKEEPER_TLS_CA"] = encrypted(t, server, r.addr), another
			d, err := New(set.config(t))
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- d.Run(ctx) }()
			r.await("a lost heartbeat", func() bool { return d.State().Lost > 0 })
			if s := d.State(); s.Beats != 0 || s.Session != 0 {
				t.Errorf("%d heartbeats and session %d with wrong credentials", s.Beats, s.Session)
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSecurityFromEnv(t *testing.T) {
	_, ca := certificate(t)
	least := vars{"DAC_INSTANCE_ID": "3", "IOTA_KIND": "Rule"}
	missing := filepath.Join(t.TempDir(), "none")
	for name, change := range map[string]vars{
		"IOTA_ZOOKEEPER_TLS_CA":        {"IOTA_ZOOKEEPER_TLS_CA": missing},
		"IOTA_KAFKA_TLS_CA":            {"IOTA_KAFKA_TLS_CA": os.Args[0]}, // larger than any, or no PEM
		"IOTA_ZOOKEEPER_PASSWORD":      {"IOTA_ZOOKEEPER_USER": "dac"},
		"IOTA_ZOOKEEPER_USER":          {"IOTA_ZOOKEEPER_PASSWORD": "hush"},
		"IOTA_ZOOKEEPER_PASSWORD_FILE": {"IOTA_ZOOKEEPER_USER": "dac", "IOTA_ZOOKEEPER_PASSWORD": "hush", "IOTA_ZOOKEEPER_PASSWORD_FILE": ca},
		"IOTA_KAFKA_PASSWORD_FILE":     {"IOTA_KAFKA_USER": "dac", "IOTA_KAFKA_PASSWORD_FILE": missing},
		"IOTA_KAFKA_SASL_MECHANISM":    {"IOTA_KAFKA_SASL_MECHANISM": "GSSAPI"},
		"IOTA_KAFKA_USER":              {"IOTA_KAFKA_SASL_MECHANISM": "PLAIN", "IOTA_KAFKA_USER": "", "IOTA_KAFKA_PASSWORD": ""},
	} {
		set := maps.Clone(least)
		maps.Copy(set, change)
		_, err := ConfigFromEnv(func(n string) string { return set[n] })
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: error %v does not name it, or tells a password", name, err)
		}
	}
	full := vars{"IOTA_ZOOKEEPER_TLS_CA": ca, "IOTA_ZOOKEEPER_USER": "dac", "IOTA_ZOOKEEPER_PASSWORD": "hush",
		"IOTA_KAFKA_SASL_MECHANISM": "PLAIN", "IOTA_KAFKA_USER": "dac", "IOTA_KAFKA_PASSWORD": "hush"}
	maps.Copy(full, least)
	cfg := full.config(t)
	if cfg.TLS == nil || cfg.KafkaTLS != nil || cfg.Login.Password != "hush" || cfg.SASL.Password != "hush" {
		t.Error("not what the environment says")
	}
	for _, printed := range []string{fmt.Sprintf("%v", cfg), fmt.Sprintf("%+v", cfg), fmt.Sprintf("%#v", cfg)} {
		if strings.Contains(printed, "hush") {
			t.Errorf("a configuration prints its passwords: %s", printed)
		}
	}
	if _, err := New(Config{Kind: "Thing", ZooKeeper: []string{"a:1"}, Login: Login{User: "dac"}}); err == nil {
		t.Error("a user without a password is taken")
	}
	if _, err := NewBeats(BeatsConfig{Brokers: []string{"a:1"}, SASL: SASL{Mechanism: "NONE"}}); err == nil {
		t.Error("a mechanism that does not exist is taken")
	}
}

// TestServers: each in turn, a wait after a round in vain, none after a session.
func TestServers(t *testing.T) {
	s := new(servers)
	if err := s.Init([]string{"a:1", "b:2"}); err != nil || s.Len() != 2 {
		t.Fatalf("%d servers, %v", s.Len(), err)
	}
	var got []string
	for range 5 {
		server, wait := s.Next()
		got = append(got, fmt.Sprint(server, " ", wait))
	}
	s.Connected()
	server, wait := s.Next()
	got = append(got, fmt.Sprint(server, " ", wait))
	want := []string{"a:1 false", "b:2 false", "a:1 true", "b:2 false", "a:1 true", "b:2 false"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
