package recording

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"dacorch/orchestrator/reconcile"
)

// TestLimit has a recording end with a note once it is as large as it may be:
// what is told of it after that is left out, and it can be read.
func TestLimit(t *testing.T) {
	const limit = 4 << 20
	var out bytes.Buffer
	w := NewWriter(&out, Header{Program: "test", Kinds: make([]Kind, 1)})
	w.Limit(limit)
	const told = 30
	for i := range told {
		at := time.Duration(i) * time.Second
		w.Restarted(at, 0)
		w.Event(at, 0, reconcile.Deposed{Why: noise(i, 300<<10)})
		w.Commands(at, 0, []reconcile.Command{reconcile.StepDown{Why: "so"}})
		w.Mark(at, 0, Mark{What: Healed})
	}
	if err := w.Close(Closing{Report: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if size := out.Len(); size < limit || size > limit+2<<20 {
		t.Errorf("%d bytes: want it to end shortly after %d", size, limit)
	}
	r, err := NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	events := 0
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			t.Fatal("it has no closing")
		} else if err != nil {
			t.Fatal(err)
		}
		if e.Event != nil {
			events++
		}
		if e.Closing != nil {
			if e.Closing.Lost != "it had reached its limit of 4 MiB" || len(e.Closing.Report) > 0 {
				t.Errorf("%+v", e.Closing)
			}
			break
		}
	}
	if events < 10 || events == told {
		t.Errorf("it holds %d of %d events", events, told)
	}
}

// noise is text that cannot be packed.
func noise(seed, n int) string {
	text := make([]byte, n)
	x := uint64(seed)*0x9e3779b97f4a7c15 + 1
	for i := range text {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		text[i] = byte(x >> 32)
	}
	return string(text)
}
