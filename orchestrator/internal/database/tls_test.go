package database

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestServerMustProveItsName: nobody who merely answers is told anything. The
// server here speaks TLS with a certificate for another name.
func TestServerMustProveItsName(t *testing.T) {
	cert, ca := certificateFor(t, "another.example")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	shaken := make(chan error, 10)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			_, _ = conn.Read(make([]byte, 8)) // SSLRequest
			_, _ = conn.Write([]byte("S"))
			secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})
			err = secure.Handshake()
			if err == nil { // TLS 1.3 ends for the server before the client has judged
				_, err = secure.Read(make([]byte, 1))
			}
			shaken <- err
			conn.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	for _, query := range []string{"", "?sslmode=verify-full&sslrootcert=" + ca} {
		url := "postgres://u:hunter2@db.example:" + port + "/x" + query
		pool, err := parsePostgreSQL(url)
		if err != nil {
			t.Fatal(err)
		}
		pool.ConnConfig.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"127.0.0.1"}, nil }
		_, err = pgx.ConnectConfig(t.Context(), pool.ConnConfig)
		if err == nil {
			t.Fatalf("%s: connected", url)
		}
		text := (&postgresql{at: "db.example", secrets: []string{"hunter2"}}).scrub(err).Error()
		if !strings.Contains(text, "sslrootcert=") || strings.Contains(text, "hunter2") {
			t.Errorf("%s: %s", url, text)
		}
		if err := <-shaken; err == nil {
			t.Errorf("%s: the impostor was spoken to", url)
		}
	}
}

func certificateFor(t *testing.T, name string) (cert tls.Certificate, caFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0), DNSNames: []string{name},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	caFile = filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, caFile
}
