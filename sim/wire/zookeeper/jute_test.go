package zookeeper

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"net"
	"os"
	"reflect"
	"testing"
	"time"
)

func TestJute(t *testing.T) {
	acl := []ACL{{1, "world", "anyone"}, {31, "digest", "a:b"}}
	b := putInt(nil, -7)
	b = putLong(b, math.MinInt64)
	b = putBool(putBool(b, true), false)
	b = putString(putString(b, "é"), "")
	b = putBuffer(putBuffer(putBuffer(b, []byte{1, 2}), []byte{}), nil)
	b = putACL(putStrings(b, []string{"x", "yz"}), acl)
	d := decoder{b: b}
	if d.int() != -7 || d.long() != math.MinInt64 || !d.bool() || d.bool() || d.string() != "é" || d.string() != "" {
		t.Error("numbers or strings differ")
	}
	if one, empty, null := d.data(), d.data(), d.data(); !bytes.Equal(one, []byte{1, 2}) || empty == nil || len(empty) > 0 || null != nil {
		t.Errorf("buffers %v %v %v", one, empty, null)
	}
	if v := d.strings(); !reflect.DeepEqual(v, []string{"x", "yz"}) {
		t.Errorf("strings %q", v)
	}
	if v := d.acl(); !reflect.DeepEqual(v, acl) || d.err != nil || len(d.b) > 0 {
		t.Errorf("acl %v, %v, %d bytes left", v, d.err, len(d.b))
	}
	for name, read := range map[string]func(*decoder){
		"int":     func(d *decoder) { d.int() },
		"long":    func(d *decoder) { d.long() },
		"bool":    func(d *decoder) { d.bool() },
		"string":  func(d *decoder) { d.string() },
		"buffer":  func(d *decoder) { d.data() },
		"strings": func(d *decoder) { d.strings() },
		"acl":     func(d *decoder) { d.acl() },
	} {
		if d := (decoder{}); true {
			if read(&d); d.err == nil {
				t.Errorf("%s of nothing: no error", name)
			}
		}
	}
	if d := (decoder{b: putInt(nil, -1)}); true {
		if d.path(); d.err == nil {
			t.Error("a null path: no error")
		}
	}
}

func TestValidPath(t *testing.T) {
	for path, want := range map[string]bool{
		"/": true, "/a": true, "/a/b.c/..d/e..": true, "/é\ufeff": true, "/a b": true,
		"": false, "a": false, "/a/": false, "//": false, "/a//b": false, "/.": false, "/a/..": false, "/./a": false,
		"/\x00": false, "/\x1f": false, "/\x7f": false, "/\ue000": false, "/\ufff0": false, "/\U0001F600": false,
	} {
		if got := validPath(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}

// FuzzFrame gives a server any bytes behind a handshake: nothing may panic, and
// the server must go on serving others.
func FuzzFrame(f *testing.F) {
	for _, body := range [][]byte{
		createBody("/a", []byte("x"), openACL, 3), setBody("/a", nil, -1), versionBody("/a", 0), watchBody("/", true),
		multiBody([]entry{{opCreate, createBody("/a", nil, openACL, 0)}, {opDelete, versionBody("/a", -1)}}),
		putStrings(putStrings(putStrings(putLong(nil, 1), []string{"/"}), []string{"/a"}), []string{"/"}), authBody("digest", []byte("a:b")),
	} {
		for _, op := range []opCode{opCreate, opMulti, opSetWatches, opExists, opAuth, opCloseSession, opGetACL, opRemoveWatches, 77} {
			f.Add(append(putInt(putInt(nil, 1), int32(op)), body...))
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		s := &Server{tree: newTree(), dataWatches: newWatchTable(), childWatches: newWatchTable(),
			sessions: map[int64]*session{}, conns: map[*conn]struct{}{}, done: make(chan struct{})}
		s.config, _ = Config{}.withDefaults()
		near, far := net.Pipe()
		defer far.Close()
		c := newConn(s, near)
		s.mu.Lock()
		c.session = s.openSession(time.Minute, time.Now())
		s.mu.Unlock()
		for range 2 {
			c.handle(frame)
		}
		for _, n := range s.Dump() {
			if !validPath(n.Path) {
				t.Errorf("path %q", n.Path)
			}
			if parent, _ := split(n.Path); s.tree.nodes[parent] == nil {
				t.Errorf("%q has no parent", n.Path)
			}
		}
		c.cut()
	})
}

// FuzzStream is the same for what comes before and between frames.
func FuzzStream(f *testing.F) {
	hello := putBool(putBuffer(putLong(putInt(putLong(putInt(nil, 0), 0), 1000), 0), nil), false)
	whole := append(putInt(nil, int32(len(hello))), hello...)
	f.Add(whole)
	f.Add(append(whole, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 11))
	f.Add([]byte("ruok"))
	f.Add([]byte("mntr\n"))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 0x10, 0, 0})
	f.Fuzz(func(t *testing.T, stream []byte) {
		l := &memoryListener{conns: make(chan net.Conn), done: make(chan struct{})}
		s, err := Start(Config{Listener: l})
		if err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe()
		l.conns <- far
		go func() {
			_, _ = near.Write(stream)
			_ = near.SetReadDeadline(time.Now().Add(time.Millisecond))
		}()
		_, _ = io.Copy(io.Discard, near)
		near.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// FuzzLog starts from any log, its checksums made good, and FuzzSnapshot from any
// snapshot: a server comes up, or says what is wrong.
func FuzzLog(f *testing.F) {
	_, log := history(f, f.TempDir())
	for at := 0; at < len(log); {
		body, _ := recordAt(log[at:])
		f.Add(body, log)
		at += recordHead + len(body)
	}
	f.Fuzz(func(t *testing.T, body, rest []byte) {
		dir := t.TempDir()
		b := putInt(putInt(nil, int32(len(body))), int32(crc32.Checksum(body, castagnoli)))
		if err := os.WriteFile(logName(dir, 1), append(append(b, body...), rest...), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := recovered(dir); err == nil {
			want := s.state()
			if s, err = recovered(dir); err != nil || s.state() != want {
				t.Errorf("the second time: %v", err)
			}
		}
	})
}

func FuzzSnapshot(f *testing.F) {
	dir := f.TempDir()
	history(f, dir)
	s, err := recovered(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.image()[len(snapshotMagic):])
	f.Fuzz(func(t *testing.T, image []byte) {
		dir := t.TempDir()
		b := append([]byte(snapshotMagic), image...)
		b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
		if err := os.WriteFile(snapshotName(dir, 1), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := recovered(dir); err == nil {
			s.state()
		}
	})
}
