package recording

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// bomb is a small file whose records begin with start and go on with part, again
// and again.
func bomb(t *testing.T, header any, start, part []byte, blocks int) []byte {
	t.Helper()
	var p packer
	data, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	file := binary.AppendUvarint([]byte(magic), Version)
	file = append(file, p.block(data)...)
	if len(start) > 0 {
		file = append(file, p.block(start)...)
	}
	again := bytes.Clone(p.block(bytes.Repeat(part, blockBytes/len(part))))
	for range blocks {
		file = append(file, again...)
	}
	return file
}

// record is the beginning of a record.
func record(c code, rest ...any) []byte {
	out := []byte{byte(c), 0}
	for _, r := range rest {
		switch r := r.(type) {
		case code:
			out = append(out, byte(r))
		case int:
			out = binary.AppendUvarint(out, uint64(r))
		}
	}
	return out
}

// TestBombs reads small files that unpack to more than any memory: each is refused
// long before that.
func TestBombs(t *testing.T) {
	const most = 1<<28 - 1
	string255 := append([]byte{wordUnkept, 0, 255, 1}, bytes.Repeat([]byte("x"), 255)...)
	again := []byte{wordUnkept, 255, 0}
	for name, c := range map[string]struct{ start, part []byte }{
		"a list of nothing":  {record(codeEvent, codeListed, 1, 0, 0, 0, 0, rowsPlain, most), []byte{0, 0}},
		"pods":               {record(codeEvent, codePodsListed, 1, most), make([]byte, 6)},
		"a tree":             {record(codeEvent, codeTreeRead, 1, most), make([]byte, 12)},
		"commands":           {record(codeCommands, most), []byte{byte(codeAck), 0}},
		"strings that share": {append(record(codeCommands, 1, codeListRows, 1, most), string255...), again},
		"a state":            {record(codeSnapshot, most+1), []byte{0}},
	} {
		r, err := NewReader(bytes.NewReader(bomb(t, threeKinds, c.start, c.part, 8)))
		if err != nil {
			t.Fatal(err)
		}
		r.dec.most = 4 << 20
		if _, err = r.Next(); err == nil || !strings.Contains(err.Error(), "after 0 entries") || !strings.Contains(err.Error(), "a record takes more than 4 MiB of memory") {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := map[string]any{"kinds": make([]struct{}, 1_000_000)}
	if _, err := NewReader(bytes.NewReader(bomb(t, many, nil, []byte{0}, 0))); err == nil || !strings.Contains(err.Error(), "header: more than 1024 kinds") {
		t.Errorf("kinds: %v", err)
	}
}

// A state of several blocks is read as it was written.
func TestLargeState(t *testing.T) {
	state := make([]byte, 5*blockBytes+7)
	for i := range state {
		state[i] = byte(i >> 8)
	}
	var file bytes.Buffer
	w := NewWriter(&file, threeKinds)
	w.Snapshot(1, 2, state)
	w.Snapshot(1, 2, state[:99])
	if err := w.Close(Closing{}); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]byte{state, state[:99]} {
		if e, err := r.Next(); err != nil || !bytes.Equal(e.Snapshot, want) {
			t.Errorf("%d bytes, not the %d written; %v", len(e.Snapshot), len(want), err)
		}
	}
}

// The listings of all kinds are kept: together they are bounded too.
func TestListingsAreBounded(t *testing.T) {
	d := decoder{lists: make([]listing, 3), most: 1 << 20}
	rows := make([]fleet.Resource, d.most/rowBytes/2)
	for d.kind = range 3 {
		if d.err != nil {
			t.Error(d.err)
		}
		ev := reconcile.Listed{Digest: fleet.Digest{Count: len(rows)}, Rows: rows}
		d.remember(&ev)
		d.remember(&ev) // takes the place of the one before
	}
	if d.err == nil || !strings.Contains(d.err.Error(), "the listings of all kinds take more than 1 MiB") {
		t.Error(d.err)
	}
}

// A field that this program does not know is told of.
func TestUnknownField(t *testing.T) {
	for want, header := range map[string]any{
		"":           threeKinds,
		`"fallback"`: map[string]any{"kinds": []any{map[string]any{"config": map[string]any{"Kind": "Thing", "fallback": 1}}}},
		`"model"`:    map[string]any{"model": 1},
	} {
		r, err := NewReader(bytes.NewReader(bomb(t, header, nil, []byte{0}, 0)))
		if err != nil || r.Unknown() != want {
			t.Errorf("%s: %v", want, err)
		}
		if err == nil && want == `"fallback"` && r.Header().Kinds[0].Config.Kind != "Thing" {
			t.Errorf("%+v", r.Header())
		}
	}
}
