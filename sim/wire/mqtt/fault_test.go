package mqtt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

func only(id string) func(string) bool { return func(got string) bool { return got == id } }

// The nth message goes through in either direction, and its acknowledgement does
// not.
func TestCutAfter(t *testing.T) {
	s := start(t, Config{})
	_, all := subscribe(t, s, "all", "#", 1, false)

	s.CutAfter(only("pub"), 3)
	lost := make(chan error, 1)
	pub := connect(t, s.Addr(), "pub", func(o *paho.ClientOptions) {
		o.SetCleanSession(true).SetConnectionLostHandler(func(_ paho.Client, err error) { lost <- err })
	})
	for i := 1; i <= 2; i++ {
		done(t, "publishing", pub.Publish("t", 1, false, fmt.Sprint(i)))
	}
	unsure := pub.Publish("t", 1, false, "3")
	<-lost
	if unsure.WaitTimeout(patience) && unsure.Error() == nil {
		t.Error("the third was acknowledged")
	}
	all.want(t, "1", "2", "3")

	box := newInbox()
	cut := make(chan error, 1)
	o := func(o *paho.ClientOptions) {
		o.SetDefaultPublishHandler(box.take).SetConnectionLostHandler(func(_ paho.Client, err error) { cut <- err })
	}
	sub := connect(t, s.Addr(), "sub", o)
	done(t, "subscribing", sub.Subscribe("t", 1, nil))
	s.CutAfter(only("sub"), 2)
	for i := 4; i <= 6; i++ {
		publish(t, s, "t", fmt.Sprint(i), 1, false)
	}
	<-cut
	connect(t, s.Addr(), "sub", func(o *paho.ClientOptions) { o.SetDefaultPublishHandler(box.take) })
	got := payloads(box.await(t, "the rest", func(ms []paho.Message) bool { return slices.Contains(payloads(ms), "6") }))
	if !slices.Contains(got, "5?") {
		t.Errorf("got %q: want 5 again", got)
	}
}

func TestDropAcks(t *testing.T) {
	s := start(t, Config{})
	_, box := subscribe(t, s, "sub", "t", 1, false)
	pub := connect(t, s.Addr(), "pub", nil)
	s.DropAcks(true)
	lost := pub.Publish("t", 1, false, "a")
	box.want(t, "a")
	connect(t, s.Addr(), "sub", func(o *paho.ClientOptions) { o.SetDefaultPublishHandler(box.take) })
	box.want(t, "a", "a?")
	select {
	case <-lost.Done():
		t.Error("the publisher heard an acknowledgement")
	default:
	}
	s.DropAcks(false)
	connect(t, s.Addr(), "sub", func(o *paho.ClientOptions) { o.SetDefaultPublishHandler(box.take) })
	await(t, s, "acknowledged at last", empty)
}

func TestStallAndDelay(t *testing.T) {
	s := start(t, Config{})
	_, box := subscribe(t, s, "sub", "t", 1, false)
	pub := connect(t, s.Addr(), "pub", nil)
	s.Stall(true)
	token := pub.Publish("t", 1, false, "a")
	publish(t, s, "t", "b", 1, false) // from inside, it is queued
	if got := s.Stats(); got.Published != 1 || got.Delivered != 0 {
		t.Errorf("stalled, and yet %+v", got)
	}
	s.Stall(false)
	done(t, "publishing", token)
	box.want(t, "b", "a")
	s.Delay(time.Millisecond)
	for i := range 100 {
		publish(t, s, "t", fmt.Sprint(i), 1, false)
	}
	for i, m := range box.first(t, 102)[2:] {
		if string(m.Payload()) != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, m.Payload())
		}
	}
}

func TestRefuse(t *testing.T) {
	s := start(t, Config{})
	connect(t, s.Addr(), "x", nil)
	s.Refuse(true)
	if _, err := client(t, s.Addr(), "y", nil); err == nil {
		t.Error("a client got in")
	}
	if n := s.Cut(only("y")) + s.Cut(only("x")); n != 1 {
		t.Errorf("cut %d, want 1", n)
	}
	s.Refuse(false)
	connect(t, s.Addr(), "y", nil)
}

// Mosquitto's own clients work against the broker, TLS and credentials included.
func TestMosquittoClients(t *testing.T) {
	for _, tool := range []string{"mosquitto_pub", "mosquitto_sub"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed")
		}
	}
	ca, secret := secrets(t)
	for name, c := range map[string]struct {
		cfg   Config
		flags []string
	}{
		"in the clear":         {Config{}, nil},
		"TLS and a password":   {Config{TLS: secret, User: "u", Password: "p"}, []string{"--cafile", ca, "-u", "u", "-P", "p"}},
		"MQTT 3.1, as of 2010": {Config{}, []string{"-V", "mqttv31"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, c.cfg)
			_, port, _ := net.SplitHostPort(s.Addr())
			run := func(tool string, args ...string) *exec.Cmd {
				return exec.Command(tool, append(append([]string{"-h", "127.0.0.1", "-p", port}, c.flags...), args...)...)
			}
			for qos := range 3 {
				q, id := fmt.Sprint(qos), fmt.Sprintf("sub%d", qos)
				sub := run("mosquitto_sub", "-i", id, "-c", "-q", q, "-t", "a/+/c", "-C", "3")
				var out, complaints bytes.Buffer
				sub.Stdout, sub.Stderr = &out, &complaints
				if err := sub.Start(); err != nil {
					t.Fatal(err)
				}
				await(t, s, "the subscription", func(ss []Session) bool {
					return slices.ContainsFunc(ss, func(x Session) bool { return x.ClientID == id && len(x.Subscriptions) == 1 })
				})
				for _, m := range []string{"one", "two", "three"} {
					if out, err := run("mosquitto_pub", "-q", q, "-t", "a/b/c", "-m", m).CombinedOutput(); err != nil {
						t.Fatalf("mosquitto_pub: %v: %s", err, out)
					}
				}
				if err := sub.Wait(); err != nil || out.String() != "one\ntwo\nthree\n" {
					t.Errorf("quality of service %d: mosquitto_sub got %q: %v %s", qos, out.String(), err, complaints.String())
				}
			}
		})
	}
}

// secrets are a certificate for 127.0.0.1: as a file to trust, and to serve.
func secrets(t *testing.T) (string, *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// A journal that has grown is written anew, and nothing is lost over it; a last
// line that was not finished is nobody's.
func TestJournal(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Config{DataDir: dir})
	c, _ := subscribe(t, s, "x", "t", 1, true)
	c.Disconnect(1000)
	await(t, s, "offline", func(ss []Session) bool { return !ss[0].Connected })
	s.mu.Lock()
	s.journal.most = 4 << 10
	begun := s.journal.base
	s.mu.Unlock()
	for i := range 150 {
		publish(t, s, "t", fmt.Sprint(i), 1, false)
	}
	if s.journal.base == begun {
		t.Error("the journal was never compacted")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, journalName)
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	file.WriteString(`{"op":"qu`)
	file.Close()
	s = start(t, Config{DataDir: dir})
	if got := s.Sessions(); len(got) != 1 || got[0].Queued != 150 {
		t.Errorf("%+v", got)
	}
	s.Close()
	for _, bad := range []string{"{\n", `{"op":"ack","session":"none"}` + "\n", `{"op":"queue","session":"x","seq":7000}` + "\n", `{"op":"?","session":"x"}` + "\n"} {
		lines := `{"op":"began","session":"x"}` + "\n" + bad
		if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Start(Config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), journalName+":2: ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestConfig(t *testing.T) {
	for want, cfg := range map[string]Config{
		"MaxQueued":     {MaxQueued: -1},
		"MaxInflight":   {MaxInflight: 65536},
		"MaxPacket":     {MaxPacket: 1},
		"without User":  {Password: "p"},
		"mqtt broker: ": {Addr: "127.0.0.1:99999"},
	} {
		if _, err := Start(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// Whatever a client sends, the broker lives on and serves the others.
func FuzzBroker(f *testing.F) {
	hello := func() *bytes.Buffer {
		var b bytes.Buffer
		p := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
		p.ProtocolName, p.ProtocolVersion, p.ClientIdentifier = "MQTT", 4, "fuzz"
		p.Write(&b)
		return &b
	}
	f.Add(hello().Bytes())
	f.Add(append(hello().Bytes(), "\x82\x06\x00\x01\x00\x01#\x01\x32\x06\x00\x01a\x00\x07x\x34\x06\x00\x01a\x00\x08x\x62\x02\x00\x08\x40\x02\x00\x01\xc0\x00\xe0\x00"...))
	f.Add(append(hello().Bytes(), "\x30\xff\xff\xff\x7f"...))
	f.Add(append(hello().Bytes(), "\x40\x00\x50\x02\x00\x01\x70\x02\x00\x01\xa2\x05\x00\x01\x00\x01#"...))
	s, err := Start(Config{MaxPacket: 1 << 16})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	f.Fuzz(func(t *testing.T, sent []byte) {
		nc, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		go io.Copy(io.Discard, nc)
		nc.Write(sent) // an error is the broker's right
		nc.(*net.TCPConn).CloseWrite()
		if err := s.Publish("a", nil, 1, false); err != nil {
			t.Fatal(err)
		}
	})
}
