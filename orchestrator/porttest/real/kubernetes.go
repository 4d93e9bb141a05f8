package real

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A Component is what a cluster has beside etcd and the API server.
type Component string

// The components. Without Controllers nobody makes service accounts, keeps
// quotas' counts or empties a namespace that is deleted; without Scheduler no pod
// gets a node; without Kwok no node runs anything. Kwok plays the kubelet of every
// node that there is: it says that the pods run, and lets them go when they are
// deleted, whatever their grace period; no program runs.
const (
	Controllers Component = "kube-controller-manager"
	Scheduler   Component = "kube-scheduler"
	Kwok        Component = "kwok"
)

// Cluster is Kubernetes without containers: the control plane's programs, over
// HTTPS on loopback, with RBAC and Kubernetes' own admission plugins.
type Cluster struct {
	// URL is the API server's, CA the certificate that it shows (PEM), Token that of
	// a cluster administrator. Kubeconfig is a file with all three.
	URL, Token, Kubeconfig string
	CA                     []byte
	// Etcd and API are the two servers; Others are the components asked for, in the
	// order in which they were named.
	Etcd, API *Server
	Others    []*Server

	bin  string
	http *http.Client
}

// Kubernetes starts a cluster without nodes from the programs in the directory
// that DACORCH_KUBERNETES_BIN names (e2e/airgap/build binaries makes one). Where
// it names none, or a program is missing, the test is skipped, or fails with
// DACORCH_REAL=required. It waits until the namespace default is there.
func Kubernetes(t testing.TB, with ...Component) *Cluster {
	t.Helper()
	c := &Cluster{bin: os.Getenv("DACORCH_KUBERNETES_BIN"), Token: rand.Text()}
	if c.bin == "" {
		missing(t, "none; e2e/airgap/build binaries makes it, for DACORCH_KUBERNETES_BIN to name", "Kubernetes")
	}
	for _, name := range append([]Component{"etcd", "kube-apiserver"}, with...) {
		if _, err := os.Stat(filepath.Join(c.bin, string(name))); err != nil {
			missing(t, "none; e2e/airgap/build binaries makes it", filepath.Join(c.bin, string(name)))
		}
	}
	c.Etcd = launch(t, c.etcd)
	c.API = launch(t, c.apiServer)
	c.URL = c.API.URL
	for _, name := range with {
		c.Others = append(c.Others, launch(t, func(dir, port string) (*Server, error) { return c.component(name, dir, port) }))
	}
	return c
}

// plain asks without TLS or a token. A server that accepts and does not answer is
// asked again: see startWithin.
var plain = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

// PID is the server's process while it runs, 0 while it does not.
func (s *Server) PID() int {
	if s.running == nil {
		return 0
	}
	return s.running.Process.Pid
}

func (c *Cluster) etcd(dir, port string) (*Server, error) {
	addr := "127.0.0.1:" + port
	url := "http://" + addr
	return c.server("etcd", dir, addr, url, []string{"--data-dir", filepath.Join(dir, "data"),
		"--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls", "http://127.0.0.1:0",
		"--unsafe-no-fsync", "--quota-backend-bytes", "4294967296", "--log-level", "warn"},
		func() error { return healthy(plain, url+"/health") }), nil
}

// apiServer describes the API server. It believes itself who asks: there is one
// administrator's token, and whatever service accounts get.
func (c *Cluster) apiServer(dir, port string) (*Server, error) {
	certificate, key, err := selfSigned()
	if err != nil {
		return nil, err
	}
	c.CA = certificate
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	c.http = &http.Client{Transport: bearer{c.Token, &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}},
		Timeout: 10 * time.Second}
	addr := "127.0.0.1:" + port
	url := "https://" + addr
	c.Kubeconfig = filepath.Join(dir, "kubeconfig")
	kubeconfig, err := json.Marshal(c.kubeconfig(url))
	if err != nil {
		return nil, err
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	for name, content := range map[string][]byte{"tls.crt": certificate, "tls.key": key, "kubeconfig": kubeconfig,
		"tokens.csv": []byte(c.Token + ",administrator,1,system:masters\n")} {
		if err := os.WriteFile(file(name), content, 0o600); err != nil {
			return nil, err
		}
	}
	return c.server("kube-apiserver", dir, addr, url, []string{"--etcd-servers", c.Etcd.URL,
		"--bind-address", "127.0.0.1", "--secure-port", port, "--endpoint-reconciler-type", "none",
		"--tls-cert-file", file("tls.crt"), "--tls-private-key-file", file("tls.key"), "--cert-dir", dir,
		"--token-auth-file", file("tokens.csv"), "--anonymous-auth=false", "--authorization-mode", "RBAC",
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", file("tls.key"),
		"--service-account-signing-key-file", file("tls.key"), "--service-cluster-ip-range", "10.0.0.0/16",
		"--shutdown-delay-duration", "0s"},
		func() error {
			if err := healthy(c.http, url+"/readyz"); err != nil {
				return err
			}
			return healthy(c.http, url+"/api/v1/namespaces/default")
		}), nil
}

func (c *Cluster) component(name Component, dir, port string) (*Server, error) {
	addr := "127.0.0.1:" + port
	args := []string{"--kubeconfig", c.Kubeconfig}
	url := "https://" + addr + "/healthz"
	if name == Kwok {
		stages := filepath.Join(dir, "stages.yaml")
		if err := os.WriteFile(stages, []byte(podStages), 0o600); err != nil {
			return nil, err
		}
		args = append(args, "--manage-all-nodes", "--server-address", addr, "--config", stages)
		url = "http://" + addr + "/healthz"
	} else {
		args = append(args, "--leader-elect=false", "--bind-address", "127.0.0.1", "--secure-port", port, "--cert-dir", dir)
	}
	switch name {
	case Scheduler:
		args = append(args, "--kube-api-qps", "500", "--kube-api-burst", "1000") // 50 by default
	case Controllers:
		// On a loaded machine kwok renews its nodes' leases late: none is given up.
		args = append(args, "--kube-api-qps", "500", "--kube-api-burst", "1000", "--node-monitor-grace-period", "24h",
			"--service-account-private-key-file", filepath.Join(c.API.Dir, "tls.key"))
	}
	// It made its certificate itself, and only says that it is well.
	anyone := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
		Timeout: 10 * time.Second}
	return c.server(string(name), dir, addr, url, args, func() error { return healthy(anyone, url) }), nil
}

// podStages is what kwok does with pods. Its own stages let every pod go that is
// marked as deleted, by its name: a pod that goes at once has gone by then, and
// another one of that name would go in its place, over and over.
const podStages = `
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-ready}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
      - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
      - {key: .status.podIP, operator: DoesNotExist}
  next:
    statusTemplate: |
      {{ $now := Now }}
      phase: Running
      startTime: {{ $now | Quote }}
      hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
      podIP: {{ PodIPWith .spec.nodeName false .metadata.uid .metadata.name .metadata.namespace | Quote }}
      conditions:
      - {type: Initialized, status: "True", lastTransitionTime: {{ $now | Quote }}}
      - {type: ContainersReady, status: "True", lastTransitionTime: {{ $now | Quote }}}
      - {type: Ready, status: "True", lastTransitionTime: {{ $now | Quote }}}
      containerStatuses:
      {{ range .spec.containers }}
      - {name: {{ .name | Quote }}, image: {{ .image | Quote }}, ready: true, restartCount: 0, state: {running: {startedAt: {{ $now | Quote }}}}}
      {{ end }}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-delete}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
      - {key: .metadata.deletionTimestamp, operator: Exists}
      - {key: .metadata.deletionGracePeriodSeconds > 0, operator: In, values: ["true"]}
  next: {finalizers: {empty: true}, delete: true}
`

func (c *Cluster) server(name, dir, addr, url string, args []string, answers func() error) *Server {
	return &Server{Addr: addr, URL: url, Dir: dir, name: name, quit: syscall.SIGTERM, answers: answers,
		command: func() *exec.Cmd { return bind(exec.Command(filepath.Join(c.bin, name), args...), nil) }}
}

// kubeconfig is the file's content, JSON being YAML too.
func (c *Cluster) kubeconfig(url string) any {
	type named map[string]any
	return named{"apiVersion": "v1", "kind": "Config", "current-context": "real",
		"clusters": []named{{"name": "real", "cluster": named{"server": url, "certificate-authority-data": c.CA}}},
		"users":    []named{{"name": "real", "user": named{"token": c.Token}}},
		"contexts": []named{{"name": "real", "context": named{"cluster": "real", "user": "real"}}}}
}

// Do sends a request as the administrator and answers what came back; body and
// into are encoded as JSON, nil is none. Any status but a success is an error.
func (c *Cluster) Do(ctx context.Context, method, path string, body, into any) error {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s answers %s: %s", method, path, resp.Status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// Compact has etcd forget every change so far, and the API server too, by a
// restart: a watch from before is answered that its version is too old.
func (c *Cluster) Compact(t testing.TB) {
	t.Helper()
	var now struct{ Header struct{ Revision string } }
	ask := func(path, body string, into any) {
		resp, err := plain.Post(c.Etcd.URL+path, "application/json", bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", resp.Status, answer)
		}
		if err == nil && into != nil {
			err = json.Unmarshal(answer, into)
		}
		if err != nil {
			t.Fatalf("etcd: %s: %v", path, err)
		}
	}
	// A change of our own: the version compacted is one that no client can hold.
	ask("/v3/kv/put", `{"key":"Y29tcGFjdGVk","value":"Lg=="}`, &now)
	c.API.Stop()
	ask("/v3/kv/compaction", `{"revision":"`+now.Header.Revision+`"}`, nil)
	c.API.Start()
}

// healthy says whether a URL answers 200.
func healthy(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %s", url, resp.Status, answer)
	}
	return err
}

// bearer adds a token to every request.
type bearer struct {
	token string
	next  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// selfSigned makes a certificate for 127.0.0.1, which is its own authority.
func selfSigned() (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	encode := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	return encode("CERTIFICATE", der), encode("EC PRIVATE KEY", secret), nil
}
