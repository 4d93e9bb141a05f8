package recording

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
)

// TestEveryTypeIsWritten finds an event, an order or a command that has no code.
func TestEveryTypeIsWritten(t *testing.T) {
	have := map[string]bool{}
	for _, typ := range codes {
		have[typ.Name()] = true
	}
	marker := map[string]bool{"event": true, "order": true, "command": true}
	found := 0
	for _, name := range []string{"event.go", "command.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), "../reconcile/"+name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || !marker[f.Name.Name] {
				continue
			}
			found++
			if typ := f.Recv.List[0].Type.(*ast.Ident).Name; !have[typ] {
				t.Errorf("reconcile.%s is in no recording: give it a code", typ)
			}
		}
	}
	if found != len(codes) {
		t.Errorf("reconcile has %d events, orders and commands, and there are %d codes", found, len(codes))
	}
}

// enums are the types whose values are few, and how many.
var enums = map[reflect.Type]int{
	reflect.TypeFor[fleet.Op](): int(fleet.OpBulkDelete) + 1, reflect.TypeFor[fleet.Phase](): int(fleet.PhaseUnknown) + 1,
	reflect.TypeFor[fleet.Outcome](): int(fleet.OutcomeUnknown) + 1, reflect.TypeFor[fleet.ChangeKind](): int(fleet.ChangeDelete) + 1,
	reflect.TypeFor[reconcile.PodAnswer](): int(reconcile.PodRefused) + 1, reflect.TypeFor[reconcile.Purpose](): int(reconcile.PurposeRelease) + 1,
}

var texts = []string{"", "a", "thing-000017", "thing-000018", "9f1c3b52-3f0e-4f3b-8a53-0e1f7d7f7a11", "überlang ∞", "\x00\xff", strings.Repeat("long ", 100)}

// fill sets every field, and all below it, to something; it fails the test for a
// type that it does not know, so that no field is left out unseen.
func fill(t *rapid.T, v reflect.Value) {
	typ := v.Type()
	if n, ok := enums[typ]; ok {
		v.SetUint(uint64(rapid.IntRange(0, n-1).Draw(t, "enum")))
		return
	}
	if typ == reflect.TypeFor[placement.Reason]() {
		v.Set(reflect.ValueOf(rapid.SampledFrom(reasons()).Draw(t, "reason")))
		return
	}
	if typ == reflect.TypeFor[reconcile.Order]() {
		v.Set(drawn(t, codeOrchestrate, codeMaintenance))
		return
	}
	switch typ.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.String:
		v.SetString(rapid.SampledFrom(texts).Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "int"))
	case reflect.Int32:
		v.SetInt(int64(rapid.Int32().Draw(t, "int32")))
	case reflect.Uint64:
		v.SetUint(rapid.Uint64().Draw(t, "uint"))
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "is") {
			v.Set(reflect.New(typ.Elem()))
			fill(t, v.Elem())
		}
	case reflect.Slice:
		n := rapid.IntRange(-1, 4).Draw(t, "length")
		if n < 0 {
			return
		}
		v.Set(reflect.MakeSlice(typ, n, n))
		for i := range n {
			fill(t, v.Index(i))
		}
	default:
		t.Fatalf("no value for a %v", typ)
	}
}

// drawn is a value of one of the types from a code to another.
func drawn(t *rapid.T, from, to code) reflect.Value {
	c := code(rapid.IntRange(int(from), int(to)).Draw(t, "code"))
	v := reflect.New(codes[c]).Elem()
	fill(t, v)
	return v
}

func drawEntry(t *rapid.T, at time.Duration) Entry {
	e := Entry{At: at, Kind: rapid.IntRange(0, 2).Draw(t, "kind"), Process: rapid.IntRange(0, 1).Draw(t, "process")}
	e.Skew = time.Duration(e.Process) * time.Duration(rapid.IntRange(-1, 1).Draw(t, "skew"))
	switch rapid.IntRange(0, 7).Draw(t, "what") {
	case 0, 1, 2:
		e.Event = drawn(t, codeLed, codeOrdered).Interface().(reconcile.Event)
	case 3, 4:
		for range rapid.IntRange(1, 4).Draw(t, "commands") {
			e.Commands = append(e.Commands, drawn(t, codeReadTree, codeNote).Interface().(reconcile.Command))
		}
	case 5:
		e.Restarted = true
	case 6:
		e.Snapshot = []byte(rapid.SampledFrom(texts).Draw(t, "snapshot"))
	case 7:
		e.Mark = &Mark{}
		m := reflect.ValueOf(e.Mark).Elem()
		for i := 1; i < m.NumField(); i++ {
			fill(t, m.Field(i))
		}
		e.Mark.What = MarkKind(rapid.IntRange(0, int(ProcessDied)).Draw(t, "mark"))
	}
	return e
}

func write(w *Writer, e Entry) {
	w.Process(e.Process, e.Skew)
	switch {
	case e.Event != nil:
		w.Event(e.At, e.Kind, e.Event)
	case e.Commands != nil:
		w.Commands(e.At, e.Kind, e.Commands)
	case e.Restarted:
		w.Restarted(e.At, e.Kind)
	case e.Snapshot != nil:
		w.Snapshot(e.At, e.Kind, e.Snapshot)
	case e.Mark != nil:
		w.Mark(e.At, e.Kind, *e.Mark)
	}
}

var threeKinds = Header{Program: "test", Segment: 3, Seed: math.MaxUint64, Scenario: "name: x\n", Kinds: []Kind{
	{reconcile.DefaultConfig("Thing")}, {reconcile.DefaultConfig("Rule")}, {reconcile.DefaultConfig("Probe")}}}

// TestRoundTrip writes entries of every type with every field, and reads the
// same.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var entries []Entry
		var file bytes.Buffer
		w := NewWriter(&file, threeKinds)
		at := time.Duration(rapid.Int64().Draw(t, "at"))
		for range rapid.IntRange(0, 30).Draw(t, "entries") {
			at += time.Duration(rapid.IntRange(-2, 1e12).Draw(t, "wait"))
			e := drawEntry(t, at)
			entries = append(entries, e)
			write(w, e)
			if rapid.IntRange(0, 9).Draw(t, "flush") == 0 && w.Flush() != nil {
				t.Fatal(w.Err())
			}
		}
		closing := Closing{Report: []byte(`{"ok":true}`), Continued: true, Lost: "x"}
		if err := w.Close(closing); err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(&file)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(r.Header(), threeKinds) {
			t.Fatalf("header %+v, want %+v", r.Header(), threeKinds)
		}
		for i, want := range append(entries, Entry{At: w.enc.at, Closing: &closing}) {
			got, err := r.Next()
			if err != nil {
				t.Fatalf("entry %d: %v", i, err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("entry %d is %+v, want %+v", i, got, want)
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Fatalf("after the end: %v", err)
		}
	})
}

// TestListings records listings of a table that changes; those that are written
// as a change of the one before are read whole.
func TestListings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var file bytes.Buffer
		w := NewWriter(&file, threeKinds)
		var all []reconcile.Listed
		for range rapid.IntRange(1, 8).Draw(t, "listings") {
			ids := rapid.SliceOfDistinct(rapid.IntRange(0, 40), func(i int) int { return i }).Draw(t, "rows")
			if rapid.IntRange(0, 4).Draw(t, "any order") > 0 {
				slices.Sort(ids)
			}
			ev := reconcile.Listed{Req: 1, Rows: []fleet.Resource{}}
			for _, id := range ids {
				r := fleet.Resource{ID: "row-" + string(rune('A'+id)), Group: rapid.SampledFrom(texts[:3]).Draw(t, "group")}
				ev.Rows = append(ev.Rows, r)
				ev.Digest.Add(r)
			}
			all = append(all, ev)
			kept := slices.Clone(ev.Rows)
			w.Event(0, 1, ev)
			ev.Rows = kept
			all[len(all)-1].Rows = kept
			if rapid.Bool().Draw(t, "again") {
				all = append(all, all[len(all)-1])
				w.Event(0, 1, all[len(all)-1])
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(&file)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range all {
			got, err := r.Next()
			if err != nil {
				t.Fatalf("listing %d: %v", i, err)
			}
			if !reflect.DeepEqual(got.Event, want) {
				t.Fatalf("listing %d is %v, want %v", i, got.Event, want)
			}
		}
		var end *EndError
		if _, err := r.Next(); !errors.As(err, &end) || !end.Cut || end.Entries != len(all) {
			t.Fatalf("the end: %v", err)
		}
	})
}

// reasons are those of moves that the policies make.
var reasons = sync.OnceValue(func() []placement.Reason {
	out := []placement.Reason{{}}
	for _, policy := range fleet.Policies {
		a := placement.New(placement.Config{Policy: policy, Limits: placement.Limits{ResourcePerInstance: 3, MaxInstances: 4, InitInstances: 1}})
		var p placement.Plan
		for i := range 20 {
			a.Add(fleet.Resource{ID: fmt.Sprint("r", i), Group: fmt.Sprint("g", i%3)}, &p)
		}
		for _, m := range p.Moves {
			out = append(out, m.Why)
		}
	}
	return out
})
