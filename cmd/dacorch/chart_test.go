package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestChartConfigurations holds each dacorch.yaml that the chart makes (deploy's
// tests keep them in testdata) to the check that production makes, with the files
// that the chart mounts beside it.
func TestChartConfigurations(t *testing.T) {
	made, err := filepath.Glob("../../deploy/testdata/*.dacorch.yaml")
	if err != nil || len(made) < 2 {
		t.Fatalf("%q, %v", made, err)
	}
	for _, path := range made {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			t.Chdir(dir) // the container's working directory; pod templates are found from there
			text := mount(t, dir, string(data))
			if err := os.WriteFile("dacorch.yaml", []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			environment := map[string]string{ // what the StatefulSet sets
				"DACORCH_API_ADVERTISE":  "https://it-dacorch-0.it-dacorch-pods.iota.svc:8080",
				"DACORCH_MQTT_CLIENT_ID": "dacorch-iota-it-dacorch-0",
			}
			cfg, err := loadConfig("dacorch.yaml", func(name string) string { return environment[name] })
			if err != nil {
				t.Fatal(err)
			}
			warnings, err := cfg.CheckFiles()
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range warnings {
				if !strings.Contains(w, "crosses the network") { // the least has no TLS
					t.Errorf("warning: %s", w)
				}
			}
			if len(cfg.Kinds) < 2 || cfg.API.Listen != ":8080" || cfg.API.Advertise != environment["DACORCH_API_ADVERTISE"] {
				t.Errorf("%d kinds, listens on %q, advertises %q", len(cfg.Kinds), cfg.API.Listen, cfg.API.Advertise)
			}
		})
	}
}

var (
	mountedFile  = regexp.MustCompile(`/etc/dacorch/(secrets/([a-z]+)/([a-z]+))`)
	templateFile = regexp.MustCompile(`template: (\S+)`)
)

// mount writes the files that a configuration names, and the templates of its
// kinds, below a directory, and answers the configuration with their paths there.
func mount(t *testing.T, dir, text string) string {
	t.Helper()
	write := func(path, content string) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certificate, key := selfSigned(t)
	for _, m := range mountedFile.FindAllStringSubmatch(text, -1) {
		content := "a-secret"
		switch what := m[3]; {
		case what == "tokens":
			content = "web read long-enough\n"
		case what == "cert" || what == "ca":
			content = certificate
		case what == "key":
			content = key
		case what == "url":
			content = "postgres://dacorch:a-secret@postgres:5432/iota"
		}
		write(filepath.Join(dir, m[1]), content)
	}
	const template = "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: x, image: x, env: [{name: ID, value: '0'}]}]}\n"
	for _, name := range []string{"iota-dac", "iota-rules-engine", "probes"} {
		write(filepath.Join(dir, "templates", name, "pod-template.yml"), template)
	}
	text = templateFile.ReplaceAllString(text, "template: "+filepath.Join(dir, "own.yml"))
	write(filepath.Join(dir, "own.yml"), template)
	return strings.ReplaceAll(text, "/etc/dacorch", dir)
}

// selfSigned is a certificate with its key, both PEM.
func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"it-dacorch"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}
