package wire

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// BenchmarkRESTReads asks the running orchestrator where resources run, over 64
// and over 3,000 connections that are kept, each with one request after the other.
// raw is a bare net/http handler that returns the same bytes, asked by the same
// client in turns with it.
func BenchmarkRESTReads(b *testing.B) {
	r := newRig(b, Config{}, false, 2*perInstance+1000, entryOf)
	body := r.read(rowID(7))
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}))
	b.Cleanup(bare.Close)
	for _, conns := range []int{64, 3000} {
		b.Run(fmt.Sprintf("connections=%d", conns), func(b *testing.B) {
			const rounds, requests = 5, 60_000
			var whole, raw asked
			product, reference := connect(b, r.addr, conns), connect(b, bare.Listener.Addr().String(), conns)
			product.ask(requests / 10)
			reference.ask(requests / 10)
			for range rounds {
				whole.add(product.ask(requests))
				raw.add(reference.ask(requests))
			}
			tell := func(by string, a asked) {
				figures := a.latencies.figures()
				figures["requests/s"] = float64(len(a.latencies)) / a.took.Seconds()
				figures["%-of-raw"] = 100 * float64(raw.took) / float64(a.took)
				rowOf(b, by, a.took/time.Duration(len(a.latencies)), figures)
			}
			tell("raw", raw)
			tell("orchestrator", whole)
		})
	}
}

// read is the answer for one resource.
func (r *rig) read(id string) []byte {
	resp, err := http.Get("http://" + r.addr + wherePath(id))
	if err != nil {
		r.b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		r.b.Fatal(resp.Status, err)
	}
	return body
}

func wherePath(id string) string { return "/v1/api/orchestrations/Thing/" + id + "/instances" }

// asked is what many requests took.
type asked struct {
	took      time.Duration
	latencies latencies
}

func (a *asked) add(more asked) {
	a.took += more.took
	a.latencies = append(a.latencies, more.latencies...)
}

// askers are kept connections to one server, with a client that costs as little
// as can be: the server is what is measured.
type askers struct {
	b     *testing.B
	addr  string
	conns []net.Conn
	in    []*bufio.Reader
}

func connect(b *testing.B, addr string, n int) *askers {
	b.Helper()
	a := &askers{b: b, addr: addr}
	b.Cleanup(func() {
		for _, c := range a.conns {
			c.Close()
		}
	})
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		a.conns = append(a.conns, c)
		a.in = append(a.in, bufio.NewReaderSize(c, 1024))
	}
	return a
}

// ask sends so many requests, divided among the connections.
func (a *askers) ask(requests int) asked {
	each := requests / len(a.conns)
	all := make([]latencies, len(a.conns))
	began := time.Now()
	var over sync.WaitGroup
	for i := range a.conns {
		over.Go(func() {
			for n := range each {
				before := time.Now()
				if err := a.one(i, rowID((i*each+n)%(2*perInstance))); err != nil {
					a.b.Error(err)
					return
				}
				all[i] = append(all[i], time.Since(before))
			}
		})
	}
	over.Wait()
	sum := asked{took: time.Since(began)}
	for _, l := range all {
		sum.latencies = append(sum.latencies, l...)
	}
	return sum
}

func (a *askers) one(i int, id string) error {
	if _, err := io.WriteString(a.conns[i], "GET "+wherePath(id)+" HTTP/1.1\r\nHost: "+a.addr+"\r\nAccept: application/json\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(a.in[i], nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s for %s", resp.Status, id)
	}
	return nil
}
