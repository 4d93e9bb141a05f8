package rig

import (
	"bytes"
	"crypto/tls"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// greets says whether a client that trusts the rig takes the certificate for that
// host.
func (r *Rig) greets(t *testing.T, p pair, host string) error {
	t.Helper()
	own, err := tls.X509KeyPair(p.cert, p.key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{own}})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, conn); conn.Close() }() // the client says whether it worked
		}
	}()
	cfg := r.TLS()
	cfg.ServerName = host
	conn, err := tls.Dial("tcp", listener.Addr().String(), cfg)
	if err != nil {
		return err
	}
	return conn.Close()
}

func TestServicesCertificates(t *testing.T) {
	r := newTestRig(t).prepared(t)
	for _, name := range ServiceNames {
		p, err := r.servicePair(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{string(name), "localhost", "127.0.0.1"} {
			if err := r.greets(t, p, host); err != nil {
				t.Errorf("%s as %s: %v", name, host, err)
			}
		}
		if r.greets(t, p, "elsewhere") == nil {
			t.Errorf("%s passes for elsewhere", name)
		}
		file := filepath.Join(r.State().Dir, "tls", string(name)+".key")
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v: want a file of mode 0600", file, err)
		}
	}
}

func TestIssue(t *testing.T) {
	r := newTestRig(t).prepared(t)
	cert, key, err := r.issue("localhost", "127.0.0.1", "dacorch.iota.svc")
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "127.0.0.1", "dacorch.iota.svc"} {
		if err := r.greets(t, pair{cert, key}, host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if _, _, err := r.issue(); err == nil {
		t.Error("a certificate for no name")
	}
	if other := newTestRig(t).prepared(t); other.greets(t, pair{cert, key}, "localhost") == nil {
		t.Error("another rig trusts the certificate")
	}
}

// TestCertificatesAreKept: what is right stays byte for byte; what is not is made
// anew, and no more than that.
func TestCertificatesAreKept(t *testing.T) {
	r := newTestRig(t).prepared(t)
	files := func() map[string][]byte {
		all := map[string][]byte{}
		names, err := filepath.Glob(filepath.Join(r.State().Dir, "tls", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if all[filepath.Base(name)], err = os.ReadFile(name); err != nil {
				t.Fatal(err)
			}
		}
		return all
	}
	before := files()
	if did, err := r.prepareCertificates(); err != nil || did != StepThere {
		t.Fatalf("again: %q, %v", did, err)
	}
	ca := pair{before["ca.crt"], before["ca.key"]}
	now := time.Now()
	soon := now.Add(certRenew - certValid - 2*certSlack) // when one was made that ends soon
	spoil := map[string]func() (pair, error){
		"kafka.crt":     func() (pair, error) { return newServer(ca, []string{"kafka"}, now) }, // names are missing
		"mosquitto.crt": func() (pair, error) { return newServer(ca, serviceNames(Mosquitto), soon) },
		"postgres.crt": func() (pair, error) {
			other, err := newAuthority("another", now)
			if err != nil {
				return pair{}, err
			}
			return newServer(other, serviceNames(PostgreSQL), now)
		},
	}
	for file, with := range spoil {
		p, err := with()
		if err == nil {
			err = p.write(filepath.Join(r.State().Dir, "tls", file))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	spoiled := files()
	if did, err := r.prepareCertificates(); err != nil || did != StepDone {
		t.Fatalf("after the damage: %q, %v", did, err)
	}
	after := files()
	for file := range after {
		_, renewed := spoil[file]
		if filepath.Ext(file) == ".crt" && bytes.Equal(after[file], spoiled[file]) == renewed {
			t.Errorf("%s: renewed %t, want %t", file, !renewed, renewed)
		}
	}
	if len(after) != 2*(1+len(ServiceNames)) {
		t.Errorf("%d files in the directory: want a certificate and a key for each service and the authority", len(after))
	}
}

// TestAuthorityIsRenewed: with it everything that it signed.
func TestAuthorityIsRenewed(t *testing.T) {
	r := newTestRig(t).prepared(t)
	old, err := newAuthority("old", time.Now().Add(-certValid))
	if err == nil {
		err = old.write(r.State().CAFile)
	}
	if err != nil {
		t.Fatal(err)
	}
	if did, err := r.prepareCertificates(); err != nil || did != StepDone {
		t.Fatalf("%q, %v", did, err)
	}
	if err := r.loadCA(); err != nil {
		t.Fatal(err)
	}
	for _, name := range ServiceNames {
		p, err := r.servicePair(name)
		if err == nil {
			err = r.greets(t, p, string(name))
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
