package kafka

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	at := time.Unix(1700000000, 0)
	for _, c := range []struct {
		value string
		want  Beat
	}{
		{`{"resource":"Thing","instanceId":3,"timestamp":1700000000}`, Beat{"Thing", 3, at}},
		{`{"resource":"Thing","instanceId":"3","timestamp":"1700000000"}`, Beat{"Thing", 3, at}},
		{` { "Timestamp" : "1700000000" , "INSTANCEID" : 0 , "Resource" : "Rule" } `, Beat{"Rule", 0, at}},
		{`{"more":{"resource":"x"},"resource":"Thing","instanceId":2147483647,"timestamp":1.7e9}`, Beat{"Thing", 2147483647, at}},
		{`{"resource":"Thing","instanceId":3,"timestamp":1700000000.5}`, Beat{"Thing", 3, at.Add(500 * time.Millisecond)}},
		{`{"resource":"\u0054hing","instanceId":"\u0033","timestamp":0}`, Beat{"Thing", 3, time.Unix(0, 0)}},
		{`{"resource":"Rule","resource":"Thing","instanceId":3,"timestamp":1700000000}`, Beat{"Thing", 3, at}},
	} {
		got, err := Parse([]byte(c.value))
		if err != nil || got.Kind != c.want.Kind || got.Instance != c.want.Instance || !got.SentAt.Equal(c.want.SentAt) {
			t.Errorf("%s: got %+v, %v, want %+v", c.value, got, err, c.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for value, want := range map[string]string{
		``:                                   "no heartbeat",
		`{`:                                  "no heartbeat",
		`[1]`:                                "no heartbeat",
		`null`:                               "resource",
		`{"resource":""}`:                    "resource",
		`{"resource":7}`:                     "resource",
		`{"resource":"Thing","timestamp":1}`: "instanceId",
		`{"resource":"Thing","instanceId":null,"timestamp":1}`:          "instanceId",
		`{"resource":"Thing","instanceId":-1,"timestamp":1}`:            "instanceId",
		`{"resource":"Thing","instanceId":1.5,"timestamp":1}`:           "instanceId",
		`{"resource":"Thing","instanceId":2147483648,"timestamp":1}`:    "instanceId",
		`{"resource":"Thing","instanceId":" 1","timestamp":1}`:          "instanceId",
		`{"resource":"Thing","instanceId":[1],"timestamp":1}`:           "instanceId",
		`{"resource":"Thing","instanceId":1}`:                           "timestamp",
		`{"resource":"Thing","instanceId":1,"timestamp":"now"}`:         "timestamp",
		`{"resource":"Thing","instanceId":1,"timestamp":"NaN"}`:         "timestamp",
		`{"resource":"Thing","instanceId":1,"timestamp":1e300}`:         "timestamp",
		`{"resource":"Thing","instanceId":1,"timestamp":-1}`:            "timestamp",
		`{"resource":"Thing","instanceId":1,"timestamp":true}`:          "timestamp",
		`{"resource":"` + strings.Repeat("x", 5000) + `","instanceId"}`: "no heartbeat",
	} {
		_, err := Parse([]byte(value))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "want ") {
			t.Errorf("%.80s: error %v does not name %s and what would be right", value, err, want)
		} else if len(err.Error()) > 500 {
			t.Errorf("%.80s: an error of %d bytes", value, len(err.Error()))
		}
	}
}

// TestQuick: what a DAC sends is read the quick way.
func TestQuick(t *testing.T) {
	for _, value := range []string{
		`{"resource":"Thing","instanceId":3,"timestamp":1700000000}`,
		`{ "timestamp": "1700000000", "resource": "Thing", "instanceId": "3", "host": "a", "n": 7 }`,
	} {
		if b, ok := quick([]byte(value), "Thing"); !ok || b.Kind != "Thing" || b.Instance != 3 {
			t.Errorf("%s: %+v, %t", value, b, ok)
		}
		bytes := []byte(value)
		if n := testing.AllocsPerRun(100, func() { quick(bytes, "Thing") }); n > 0 {
			t.Errorf("%s: %v allocations", value, n)
		}
	}
}

// FuzzParse: whatever comes, Parse answers; the quick way and the slow one agree;
// and it reads what it has read again from the same heartbeat written anew.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"resource":"Thing","instanceId":"3","timestamp":"1700000000"}`))
	f.Add([]byte(`{"Resource":"Thing","instanceid":3,"timestamp":1700000000.25,"x":[{}]}`))
	f.Add([]byte(`{"resource":"Thing","instanceId":"3","timestamp":"1_0"}`))
	f.Add([]byte(`{"resource":"Thing","instanceId":03,"timestamp":17,"timestamp":18}`))
	f.Add([]byte(`{"":"","resource":"","instanceId":"007","timestamp":""}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		b, err := slow(value)
		if q, ok := quick(value, "Thing"); ok && (err != nil || q != b) {
			t.Fatalf("%q is %+v the quick way, and %+v, %v the slow one", value, q, b, err)
		}
		if err != nil {
			return
		}
		if b.Kind == "" || b.Instance < 0 || b.SentAt.Unix() < 0 || b.SentAt.Unix() > maxTimestamp {
			t.Fatalf("%q is taken as %+v", value, b)
		}
		again, err := json.Marshal(map[string]any{
			"resource": string(b.Kind), "instanceId": b.Instance.String(), "timestamp": b.SentAt.Unix()})
		if err != nil {
			t.Fatal(err)
		}
		b2, err := Parse(again)
		if err != nil || b2.Kind != b.Kind || b2.Instance != b.Instance || b2.SentAt.Unix() != b.SentAt.Unix() {
			t.Fatalf("%q is %+v, written anew %+v, %v", value, b, b2, err)
		}
	})
}

// TestProgress: the rule by which the channel is up, without brokers.
func TestProgress(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(1000, int64(ms)*1e6) }
	p := &progress{fresh: time.Second, maxAge: time.Minute}
	check := func(ms int, want bool, why string) {
		t.Helper()
		if p.up(at(ms)) != want {
			t.Errorf("%d ms: up is %t: %s", ms, !want, why)
		}
	}
	ask := func(ms int, ends map[int32]int64) { p.answered(answer{at: at(ms), ends: ends, read: p.read()}) }

	ask(0, map[int32]int64{0: 0})
	check(0, false, "no session yet")
	p.start()
	first := p.claim(at(0), 0, 5, 5)
	ask(10, map[int32]int64{0: 5, 1: 0})
	check(10, false, "partition 1 is another's")
	p.claim(at(20), 1, 0, 0)
	check(20, true, "all had been read at 10 ms, as is known now")
	check(1010, true, "a second later to the instant")
	check(1011, false, "too long ago")
	ask(1100, map[int32]int64{0: 7, 1: 0})
	check(1100, false, "two records are not read")
	first.next.Store(6)
	ask(1200, map[int32]int64{0: 9, 1: 0})
	check(1200, false, "one of them is not read")
	first.next.Store(7)
	check(1300, true, "what was there at 1100 ms is read")
	check(2101, false, "what was there at 1200 ms is not")
	first.next.Store(9)
	check(2150, true, "now it is")
	ask(2160, map[int32]int64{0: 3, 1: 0})
	check(3000, false, "a topic that ends before what had been read is another one")
	p.stop()
	ask(3100, map[int32]int64{0: 9, 1: 0})
	check(3100, false, "no session")
	p.start()
	check(3100, false, "the new session's partitions are not claimed")
}

// TestRecent: which records were appended within the age that counts.
func TestRecent(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1000+int64(s), 0) }
	p := &progress{fresh: time.Second, maxAge: time.Minute}
	p.start()
	c := p.claim(at(0), 0, 5, 9)
	for _, step := range []struct {
		s         int
		end, want int64
	}{{0, 9, 9}, {29, 20, 9}, {30, 30, 9}, {59, 40, 9}, {60, 50, 30}, {90, 60, 50}, {1000, 70, 70}} {
		p.answered(answer{at: at(step.s), ends: map[int32]int64{0: step.end}})
		if got := c.recent.Load(); got != step.want {
			t.Errorf("%d s: recent from offset %d on, want %d", step.s, got, step.want)
		}
	}
}
