package reconcile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
)

// summed gives a snapshot that somebody has changed the checksum that it needs.
func summed(data []byte) []byte {
	data = bytes.Clone(data[:max(0, len(data)-4)])
	return binary.LittleEndian.AppendUint32(data, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
}

// FuzzRestore reads anything, with the right checksum: it must end with an error
// that says where, or with a machine that can be written again, and read.
func FuzzRestore(f *testing.F) {
	configs := []Config{smallConfig(fleet.PolicyGroup, fleet.HandoffStrict), smallConfig(fleet.PolicyFill, fleet.HandoffFast)}
	for i, cfg := range configs {
		g := newRig(cfg)
		f.Add(uint8(i), g.m.Snapshot(nil))
		for i := range 12 {
			g.rows[fmt.Sprint(i)] = "abc"[i%3 : i%3+1]
		}
		g.lead()
		f.Add(uint8(i), g.m.Snapshot(nil))
		g.run()
		g.notify(fleet.OpCreate, "Thing", true, "x")
		f.Add(uint8(i), g.m.Snapshot(nil))
		g.pass(time.Minute)
		g.step(Ordered{Req: 1, Order: Drain{Instance: 1}})
		f.Add(uint8(i), g.m.Snapshot(nil))
	}
	f.Add(uint8(0), sample(f).Snapshot(nil))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		cfg := configs[int(which)%len(configs)]
		m, err := Restore(cfg, summed(data))
		if err != nil {
			if m != nil || !strings.HasPrefix(err.Error(), "snapshot: byte ") {
				t.Fatalf("%v, %v", m, err)
			}
			return
		}
		again := m.Snapshot(nil)
		twin, err := Restore(cfg, again)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(twin.Snapshot(nil), again) {
			t.Fatal("written twice, different")
		}
		m.Pending(10)
		m.Deadline()
		m.EachInstance(func(Instance) bool { return true })
	})
}

// TestRestoreRefuses: what is not a whole, undamaged state that belongs to the
// configuration is refused with the place.
func TestRestoreRefuses(t *testing.T) {
	m := sample(t)
	data := m.Snapshot(nil)
	for n := range len(data) {
		if _, err := Restore(m.cfg, data[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are taken for a machine", n, len(data))
		}
		if _, err := Restore(m.cfg, summed(data[:n])); err == nil || !strings.HasPrefix(err.Error(), "snapshot: byte ") {
			t.Errorf("the first %d of %d bytes: %v", n, len(data), err)
		}
		broken := bytes.Clone(data)
		broken[n] ^= 0x10
		if _, err := Restore(m.cfg, broken); err == nil {
			t.Errorf("a wrong byte %d is not noticed", n)
		}
	}
	for want, cfg := range map[string]func(*Config){
		`it is of kind "Thing", the configuration is of "Rule"`:                    func(c *Config) { c.Kind = "Rule" },
		`it was placed by policy "group", the configuration's is "fill"`:           func(c *Config) { c.Policy = fleet.PolicyFill },
		"silence: 1s is not valid: want more than heartbeatInterval (1m0s), or ev": func(c *Config) { c.Silence = time.Second },
	} {
		other := m.cfg
		cfg(&other)
		if _, err := Restore(other, data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	data[len(snapshotMagic)+1]++
	if _, err := Restore(m.cfg, summed(data)); err == nil || err.Error() != "snapshot: byte 17, in the header: version 3: this program reads version 2" {
		t.Error(err)
	}
}

// BenchmarkSnapshot writes and restores a machine of 100 instances of 5,000
// resources with ids as long as a UUID.
func BenchmarkSnapshot(b *testing.B) {
	m := large(b)
	data := m.Snapshot(nil)
	b.Run("write", func(b *testing.B) {
		buf := make([]byte, 0, len(data))
		for b.Loop() {
			buf = m.Snapshot(buf[:0])
		}
		b.ReportMetric(float64(len(data))/float64(m.Resources()), "B/resource")
	})
	b.Run("restore", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Restore(m.cfg, data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// large is a machine that has just placed all of a large kind: with txn in
// flight and, before it is answered, everything pending.
func large(b *testing.B) *Machine {
	cfg := DefaultConfig("Thing")
	cfg.Limits.InitInstances = 100
	cfg.Limits.ResourcePerInstance = 5001
	m, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	rows := make([]fleet.Resource, 500_000)
	for i := range rows {
		rows[i].ID = fmt.Sprintf("%08x-9d3c-4f6e-8a1b-%012x", uint32(i)*2654435761, i)
	}
	answer(m, m.Step(0, Led{Epoch: 1}), rows)
	if m.Resources() != len(rows) || len(m.pending) > 0 {
		b.Fatalf("%d resources, %d pending", m.Resources(), len(m.pending))
	}
	return m
}

// answer does what is commanded, and what follows from that.
func answer(m *Machine, commands []Command, rows []fleet.Resource) {
	for queue := append([]Command{}, commands...); len(queue) > 0; queue = queue[1:] {
		var ev Event
		switch c := queue[0].(type) {
		case ReadTree:
			ev = TreeRead{Req: c.Req, Tree: fleet.Tree{ControlVersion: -1}}
		case ListRows:
			ev = Listed{Req: c.Req, Rows: rows}
		case ListPods:
			ev = PodsListed{Req: c.Req}
		case Commit:
			ev = Committed{Txn: c.Txn.ID}
		default:
			continue
		}
		queue = append(queue, m.Step(0, ev)...)
	}
}
