package zookeeper

import (
	"reflect"
	"strings"
	"testing"

	"dacorch/orchestrator/fleet"
)

func TestNumbers(t *testing.T) {
	for data, want := range map[string]numbers{
		`{"used":3,"count":500}`: {3, 500}, ` { "count" : "500", "x": [], "used": 3.0 } `: {3, 500}, `{"used":0,"count":2147483647}`: {0, 2147483647},
	} {
		if got, err := decodeNumbers([]byte(data)); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", data, got, err, want)
		}
	}
	for _, data := range []string{``, `null`, `[]`, `{}`, `{"used":1}`, `{"used":null,"count":1}`, `{"used":-1,"count":1}`, `{"used":1.5,"count":1}`,
		`{"used":"x","count":1}`, `{"used":2147483648,"count":1}`, `{"used":1,"count":1e30}`, `{"used":true,"count":1}`, `{"used":1,"count":1}x`} {
		if got, err := decodeNumbers([]byte(data)); err == nil || !strings.Contains(err.Error(), "want") {
			t.Errorf("%s: %+v, %v, want an error that says what is wanted", data, got, err)
		}
	}
	if got := string(numbers{3, 500}.encode()); got != `{"used":3,"count":500}` {
		t.Error(got)
	}
}

func TestTimes(t *testing.T) {
	for data, want := range map[string]int64{`{"times":4}`: 4, `{"times":0}`: 0, `{}`: 0, `{"times":null}`: 0, ` { "more": 1 } `: 0} {
		if got, set, err := decodeTimes([]byte(data)); err != nil || got != want || set != (strings.Contains(data, "times") && !strings.Contains(data, "null")) {
			t.Errorf("%s: %d, %v, %v, want %d", data, got, set, err, want)
		}
	}
	for _, data := range []string{``, `null`, `[]`, `4`, `"times"`, `{"times":-1}`, `{"times":0.5}`, `{"times":"x"}`, `{"times":{}}`} {
		if got, _, err := decodeTimes([]byte(data)); err == nil || !strings.Contains(err.Error(), "want") {
			t.Errorf("%s: %d, %v, want an error that says what is wanted", data, got, err)
		}
	}
}

func TestStatus(t *testing.T) {
	for data, times := range map[string]int64{
		`{"times":4}`: 4, `{"times":"4","more":1}`: 4, `{"times":0}`: 0, `{"times":-2}`: -1, `{"times":1.5}`: -1,
		``: -1, `{}`: -1, `{"times":null}`: -1, `running`: -1, `7`: -1, `"times"`: -1, `null`: -1, `[{"times":1}]`: -1,
	} {
		if got := decodeStatus([]byte(data)); got != (fleet.Status{Present: true, Times: times}) {
			t.Errorf("%s: %+v, want times %d", data, got, times)
		}
	}
}

func FuzzData(f *testing.F) {
	for _, s := range []string{`{"used":3,"count":500}`, `{"times":4}`, `{"capacity":7,"closing":[1,2]}`, `{"times":"1e3"}`, `null`, ``, `{"used":"","count":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := decodeNumbers(data); err == nil {
			if again, err := decodeNumbers(n.encode()); err != nil || again != n {
				t.Errorf("%+v read again: %+v, %v", n, again, err)
			}
		}
		times, set, err := decodeTimes(data)
		if err == nil {
			if again, set, err := decodeTimes(encodeTimes(times)); err != nil || !set || again != times {
				t.Errorf("%d read again: %d, %v, %v", times, again, set, err)
			}
		}
		if s := decodeStatus(data); !s.Present || (err == nil && set) != (s.Times >= 0) {
			t.Errorf("status %+v, with times %d, %v", s, times, err)
		}
		if c, err := decodeControl(data); err == nil {
			out, err := encodeControl(&c)
			again, err2 := decodeControl(out)
			if err != nil || err2 != nil || len(c.Closing) > 0 && !reflect.DeepEqual(c, again) {
				t.Errorf("%+v read again: %+v, %v, %v", c, again, err, err2)
			}
		}
		places([]string{string(data)})
		instanceID(string(data))
	})
}

func TestPaths(t *testing.T) {
	for _, kind := range []fleet.Kind{"", ".", "..", "a/b", "a\x00", "a\n", "\xff", fleet.Kind(strings.Repeat("k", 201)), "\ufff0"} {
		if p, err := pathsOf(kind); err == nil {
			t.Errorf("kind %q has paths %+v, want an error", kind, p)
		}
	}
	p, err := pathsOf("Thing")
	if err != nil || p.instance(3).status != "/iota/orchestration/Thing/3/tmp/status" || p.epoch != "/iota/orchestrator/Thing/epoch" {
		t.Errorf("%+v, %v", p, err)
	}
	for _, name := range []string{"", "-1", "01", "+1", "1 ", "x", "2147483648", "1.0"} {
		if id, ok := instanceID(name); ok {
			t.Errorf("%q is instance %d, want none", name, id)
		}
	}
	if id, ok := instanceID("2147483647"); !ok || id != 2147483647 {
		t.Error(id, ok)
	}
}
