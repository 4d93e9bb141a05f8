package recording

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// sample is a recording with something of everything, in several blocks.
func sample(t testing.TB) []byte {
	t.Helper()
	var file bytes.Buffer
	w := NewWriter(&file, threeKinds)
	rows := []fleet.Resource{{ID: "a"}, {ID: "b", Group: "g"}}
	listed := reconcile.Listed{Req: 1, Rows: rows}
	for _, r := range rows {
		listed.Digest.Add(r)
	}
	for kind := range 2 {
		w.Event(5, kind, reconcile.Led{Epoch: 9})
		w.Commands(5, kind, []reconcile.Command{reconcile.ReadTree{Req: 1}, reconcile.ListRows{Req: 2, IDs: []string{"a"}},
			reconcile.Commit{Txn: &fleet.Txn{ID: 1, Changes: []fleet.Change{{Add: []string{"a", "b"}}}, Control: &fleet.Control{}}}})
		w.Event(7, kind, listed)
		w.Event(8, kind, listed)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	w.Process(1, 3)
	w.Restarted(9, 2)
	w.Snapshot(9, 2, []byte("state"))
	w.Mark(10, 0, Mark{What: Settled, For: 5})
	w.Event(11, 1, reconcile.Notified{Token: 1, Note: &fleet.Notification{Table: "Rule", Resources: rows}})
	if err := w.Close(Closing{}); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// readAll reads to the end, which must be said in one of the ways that Next names.
func readAll(t *testing.T, data []byte) (entries int) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(data))
	var end *EndError
	var newer *VersionError
	if err != nil {
		if !errors.As(err, &end) && !errors.As(err, &newer) && !errors.Is(err, ErrNoRecording) {
			t.Fatalf("%T %v", err, err)
		}
		return 0
	}
	for ; ; entries++ {
		if _, err := r.Next(); err == nil {
			continue
		} else if err != io.EOF && !errors.As(err, &end) {
			t.Fatalf("%T %v", err, err)
		}
		if _, again := r.Next(); again == nil {
			t.Fatal("it goes on after its end")
		}
		return entries
	}
}

// FuzzReader reads anything.
func FuzzReader(f *testing.F) {
	f.Add(sample(f))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) { readAll(t, data) })
}

// FuzzRecords reads blocks whose frames are right and whose records are anything.
func FuzzRecords(f *testing.F) {
	records := unpacked(f, sample(f))
	f.Add(records, uint8(200))
	f.Fuzz(func(t *testing.T, records []byte, size uint8) {
		var p packer
		file, err := p.opening(threeKinds)
		if err != nil {
			t.Fatal(err)
		}
		file = bytes.Clone(file)
		for n := int(size) + 1; len(records) > 0; records = records[min(n, len(records)):] {
			file = append(file, p.block(records[:min(n, len(records))])...)
		}
		readAll(t, file)
	})
}

// TestCutAnywhere cuts a recording at every byte: what comes before the last whole
// block is read, and the error says where it ends.
func TestCutAnywhere(t *testing.T) {
	whole := sample(t)
	all, last := readAll(t, whole), 0
	for n := range whole {
		if n < len(magic) {
			continue
		}
		r, err := NewReader(bytes.NewReader(whole[:n]))
		var end *EndError
		if err == nil {
			entries := 0
			for ; ; entries++ {
				if _, err = r.Next(); err != nil {
					break
				}
			}
			if entries < last || entries >= all {
				t.Fatalf("%d bytes: %d entries, after %d with fewer", n, entries, last)
			}
			last = entries
		}
		if !errors.As(err, &end) || !end.Cut || end.Offset > int64(n) || end.Entries != last || !strings.Contains(err.Error(), "cut off at byte") {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	if last == 0 {
		t.Fatal("nothing was read of any")
	}
}

// TestDamage changes each byte: it is noticed, and nothing false is read.
func TestDamage(t *testing.T) {
	whole := sample(t)
	for n := range whole {
		bad := bytes.Clone(whole)
		bad[n] ^= 0x40
		r, err := NewReader(bytes.NewReader(bad))
		for err == nil {
			_, err = r.Next()
		}
		if err == io.EOF {
			t.Fatalf("byte %d is another one, and nobody has noticed", n)
		}
	}
}

// TestRefused says what is wrong with what is no recording, or too new.
func TestRefused(t *testing.T) {
	newer := append([]byte(magic), 7)
	for _, c := range []struct {
		data []byte
		want string
	}{
		{nil, `not a recording: it does not begin with "dacrec\r\n"`},
		{[]byte("name: first-light\n"), "not a recording: it does not begin with"},
		{newer, "the recording is of version 7 of the format, and this program reads up to 2: use a newer dacorch"},
		{append([]byte(magic), 0), "not a recording: there is no version 0"},
		{[]byte(magic + "\x01"), "the recording is cut off at byte 9, after 0 entries"},
	} {
		if _, err := NewReader(bytes.NewReader(c.data)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.data, err, c.want)
		}
	}
}

// A reader's own error is handed on as it is.
func TestReadError(t *testing.T) {
	whole := sample(t)
	broken := errors.New("the disk is on fire")
	r, err := NewReader(io.MultiReader(bytes.NewReader(whole[:len(whole)-3]), failing{broken}))
	for err == nil {
		_, err = r.Next()
	}
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestFormatStays notices a change of what is written: raise Version, keep reading
// what was written before, and say so in docs/recording.md.
func TestFormatStays(t *testing.T) {
	if got := fmt.Sprintf("%x", sha256.Sum256(unpacked(t, sample(t)))); Version != 2 || got != written1 {
		t.Errorf("the records of the sample, in version %d, are %s, and were %s in versions 1 and 2", Version, got, written1)
	}
}

// TestOlderVersion reads what version 1 wrote, which knew one mark less.
func TestOlderVersion(t *testing.T) {
	asOne := func(data []byte) []byte {
		data = bytes.Clone(data)
		data[len(magic)] = 1
		return data
	}
	if got, want := readAll(t, asOne(sample(t))), readAll(t, sample(t)); got != want || want == 0 {
		t.Errorf("%d entries of version 1, and %d of version %d", got, want, Version)
	}
	var file bytes.Buffer
	w := NewWriter(&file, threeKinds)
	w.Mark(1, 0, Mark{What: PodBound, Instance: 3, Text: "node-1"})
	if err := w.Close(Closing{}); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(bytes.NewReader(asOne(file.Bytes())))
	if err != nil {
		t.Fatal(err)
	}
	if e, err := r.Next(); err == nil || !strings.Contains(err.Error(), "mark") {
		t.Errorf("a mark that version 1 did not have: %+v, %v", e, err)
	}
}

const written1 = "0ff2386255575aeab477b648e69cc8d37f6538813462333c68ce668a1bf5d9f9"

// unpacked are a recording's records.
func unpacked(t testing.TB, whole []byte) []byte {
	t.Helper()
	unpack, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unpack.Close()
	var records []byte
	for at := len(magic) + 1; at < len(whole); {
		n := int(binary.LittleEndian.Uint32(whole[at:]))
		raw, err := unpack.DecodeAll(whole[at+frameBytes:at+frameBytes+n], nil)
		if err != nil {
			t.Fatal(err)
		}
		if at > len(magic)+1 { // behind the header
			records = append(records, raw...)
		}
		at += frameBytes + n
	}
	return records
}
