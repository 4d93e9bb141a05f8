package zookeeper

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// packet is a frame of 32-bit and 64-bit numbers.
func packet(numbers ...any) []byte {
	var b bytes.Buffer
	for _, n := range numbers {
		binary.Write(&b, binary.BigEndian, n)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(b.Len())), b.Bytes()...)
}

// TestFramed: what is asked for anew after a reconnect is what happened since the
// connection broke, whatever has been answered in between.
func TestFramed(t *testing.T) {
	w := &wire{cfg: &Config{SessionTimeout: 10 * time.Second}}
	w.zxid.Store(41)
	client, server := net.Pipe()
	defer server.Close()
	f := &framed{Conn: client, wire: w, since: 41}
	defer f.Close()

	sends := func(b []byte) []byte {
		t.Helper()
		go f.Write(b)
		got := make([]byte, len(b))
		if _, err := io.ReadFull(server, got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	receives := func(b []byte) []byte {
		t.Helper()
		go func() {
			for i := range b { // in as many pieces as can be
				server.Write(b[i : i+1])
			}
		}()
		got := make([]byte, len(b))
		if _, err := io.ReadFull(f, got); err != nil {
			t.Fatal(err)
		}
		return got
	}

	greeting := packet(int32(0), int64(0), int32(10_000), int64(0), int32(0))
	if got := sends(greeting); binary.BigEndian.Uint64(got[8:]) != 41 || binary.BigEndian.Uint64(greeting[8:]) != 0 {
		t.Errorf("greeting %x (given: %x), want the last transaction seen, 41, in what is sent", got, greeting)
	}
	back := packet(int32(0), int32(7_000), int64(99), int32(16), make([]byte, 16))
	if got := receives(back); !bytes.Equal(got, back) || w.timeout.Load() != int64(7*time.Second) {
		t.Errorf("greeted with %x: %x, session timeout %v", back, got, time.Duration(w.timeout.Load()))
	}
	for zxid := int64(50); zxid < 53; zxid++ {
		answer := packet(int32(3), zxid, int32(0), []byte("data that stays"))
		want := packet(int32(3), int64(0), int32(0), []byte("data that stays"))
		if got := receives(answer); !bytes.Equal(got, want) {
			t.Errorf("answer %x, want %x: without the number", got, want)
		}
	}
	receives(packet(int32(-1), int64(-1), int32(0), []byte("an event")))
	if got := w.zxid.Load(); got != 52 {
		t.Errorf("last transaction seen %d, want 52", got)
	}
	if got := sends(packet(int32(-8), int32(opSetWatches), int64(0), int32(0))); binary.BigEndian.Uint64(got[12:]) != 41 {
		t.Errorf("watches asked for with %x, want 41: what stood when the connection began", got)
	}
	other := packet(int32(5), int32(4), int64(7), int32(0))
	if got := sends(other); !bytes.Equal(got, other) {
		t.Errorf("sent %x, want %x", got, other)
	}
	go server.Write([]byte{0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	if _, err := io.ReadFull(f, make([]byte, 20)); err == nil {
		t.Error("a packet shorter than its header was taken")
	}
}

// TestFramedBreaksAgain: a connection that breaks before every watch was asked for
// anew leaves it to the next to ask since when.
func TestFramedBreaksAgain(t *testing.T) {
	w := &wire{cfg: &Config{SessionTimeout: 10 * time.Second}}
	const some, full = 100, 127 << 10
	for i, c := range []struct {
		session  int64 // that is asked for
		answer   int64 // the number of an answer
		watches  []int // bytes of each request for watches
		answered int   // of them
		since    int64
	}{
		{session: 0, answer: 41},
		{session: 7, answer: 60, watches: []int{full, some}, answered: 0, since: 41},
		{session: 7, answer: 70, watches: []int{full, some}, answered: 1, since: 41},
		{session: 7, answer: 80, watches: []int{full, some}, answered: 2, since: 41},
		{session: 7, answer: 90, watches: []int{some}, answered: 1, since: 80},
		{session: 7, answer: 95, since: 90},
		{session: 0, answer: 99}, // it has expired, and the watches with it
		{session: 8, watches: []int{some}, since: 99},
	} {
		client, server := net.Pipe()
		w.cfg.Dial = func(context.Context, string, string) (net.Conn, error) { return client, nil }
		w.running = t.Context()
		conn, err := w.dial("tcp", "", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		seen := w.zxid.Load()
		sends := func(b []byte) []byte {
			go conn.Write(b)
			got := make([]byte, len(b))
			if _, err := io.ReadFull(server, got); err != nil {
				t.Fatal(err)
			}
			return got
		}
		receives := func(b []byte) {
			go server.Write(b)
			if _, err := io.ReadFull(conn, make([]byte, len(b))); err != nil {
				t.Fatal(err)
			}
		}
		greeting := sends(packet(int32(0), int64(0), int32(10_000), c.session, int32(16), make([]byte, 16)))
		if got := int64(binary.BigEndian.Uint64(greeting[8:])); got != seen {
			t.Errorf("connection %d greets with %d, want %d: a server that lags behind is of no use", i, got, seen)
		}
		receives(packet(int32(0), int32(10_000), max(c.session, 9), int32(16), make([]byte, 16)))
		if c.answer > 0 {
			receives(packet(int32(1), c.answer, int32(0)))
		}
		for n, size := range c.watches {
			got := sends(packet(int32(2+n), int32(opSetWatches), int64(0), make([]byte, size)))
			if since := int64(binary.BigEndian.Uint64(got[12:])); since != c.since {
				t.Errorf("connection %d asks for watches since %d, want %d", i, since, c.since)
			}
			if n < c.answered {
				receives(packet(int32(2+n), c.answer, int32(0)))
			}
		}
		server.Close()
	}
}

func TestServers(t *testing.T) {
	s := new(servers)
	if err := s.Init([]string{"a:1", "b:1"}); err != nil || s.Len() != 2 {
		t.Fatal(err)
	}
	first, pause1 := s.Next()
	second, pause2 := s.Next()
	if first == second || pause1 || pause2 {
		t.Errorf("%s (pause %v), %s (pause %v): want both without a pause", first, pause1, second, pause2)
	}
	if third, pause := s.Next(); third != first || !pause {
		t.Errorf("%s (pause %v), want the first again after a pause", third, pause)
	}
	s.Connected()
	s.Next()
	if _, pause := s.Next(); !pause {
		t.Error("no pause though the connection did not last")
	}
}

// TestFramedHugePacket: a length that no server means is refused before the
// library sets that many bytes aside for it. An HTTP server's answer begins with
// 1.2 GB.
func TestFramedHugePacket(t *testing.T) {
	for name, c := range map[string]struct {
		greeted bool
		length  []byte
		refused bool
	}{
		"HTTP":                 {false, []byte("HTTP"), true},
		"a long greeting":      {false, []byte{0, 0, 4, 1}, true},
		"a greeting":           {false, []byte{0, 0, 0, 37}, false},
		"a huge answer":        {true, []byte{4, 0, 0, 1}, true},
		"a negative length":    {true, []byte{255, 255, 255, 255}, true},
		"a long list of names": {true, []byte{4, 0, 0, 0}, false},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := net.Pipe()
			defer server.Close()
			f := &framed{Conn: client, wire: &wire{cfg: &Config{SessionTimeout: 10 * time.Second, MaxRequest: 1 << 20}}}
			defer f.Close()
			f.greeted.Store(c.greeted)
			go server.Write(c.length)
			_, err := io.ReadFull(f, make([]byte, 4))
			if c.refused != errors.Is(err, errHugePacket) {
				t.Errorf("a length of %x answers %v", c.length, err)
			}
		})
	}
}
