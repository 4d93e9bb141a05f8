package mqtt

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"dacorch/orchestrator/fleet"
)

var grouped = Parser{GroupColumn: map[fleet.Kind]string{"Rule": "tenant"}}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		payload string
		want    string // operation, table, ids, and the group when it is known
	}{
		// CONTRACT.md's forms.
		{`{"o":"c","t":"Thing","k":{"id":"a"},"instance":{"id":"a","name":"x"}}`, `c Thing [a]`},
		{`{"o":"u","t":"Thing","k":{"id":"a"},"instance":{}}`, `u Thing [a]`},
		{`{"o":"d","t":"Thing","k":{"id":"a"}}`, `d Thing [a]`},
		{`{"o":"bc","t":"Thing","keys":[{"id":"b"},{"id":"a"},{"id":"b"}]}`, `bc Thing [b a]`},
		{`{"o":"bu","t":"Thing","where":{"id":"a"}}`, `bu Thing [a]`},
		{`{"o":"bd","t":"Thing","where":{"id":["a","b"]}}`, `bd Thing [a b]`},
		{`{"o":"sync","t":"Rule"}`, `other Rule []`},
		{`{"o":"C","t":"Rule","k":{"id":"a"}}`, `other Rule []`},
		{` {"t":"Thing" ,"o":"d","k":{"id":"\u00e9\ud83d\ude00"},"x":[1,{}]} `, "d Thing [é😀]"},

		// Numbers are exact.
		{`{"o":"d","t":"Thing","k":{"id":12345678901234567890123}}`, `d Thing [12345678901234567890123]`},
		{`{"o":"d","t":"Thing","k":{"id":9007199254740993}}`, `d Thing [9007199254740993]`},
		{`{"o":"d","t":"Thing","k":{"id":-7}}`, `d Thing [-7]`},
		{`{"o":"d","t":"Thing","k":{"id":-0}}`, `d Thing [0]`},
		{`{"o":"bd","t":"Thing","where":{"id":[1,"1",2]}}`, `bd Thing [1 2]`},

		// Keys.
		{`{"o":"d","t":"Thing","k":{"id":"a","site":3}}`, `d Thing [a]`},
		{`{"o":"d","t":"DeviceMeta","k":{"code":"a"}}`, `d DeviceMeta []`},
		{`{"o":"bc","t":"Thing","keys":["a",7]}`, `bc Thing [a 7]`},
		{`{"o":"bc","t":"Thing","keys":[]}`, `bc Thing []`},
		{`{"o":"bc","t":"Thing","keys":[{"id":"a"},{"code":"b"}]}`, `bc Thing []`},

		// Conditions that name ids and nothing else.
		{`{"o":"bd","t":"Thing","where":{"id":{"$in":["a","b"]}}}`, `bd Thing [a b]`},
		{`{"o":"bd","t":"Thing","where":{"id":{"in":["a"]}}}`, `bd Thing [a]`},
		{`{"o":"bd","t":"Thing","where":{"id":{"inq":[1]}}}`, `bd Thing [1]`},
		{`{"o":"bd","t":"Thing","where":{"id":{"$eq":"a"}}}`, `bd Thing [a]`},
		{`{"o":"bd","t":"Thing","where":{"or":[{"id":"a"},{"id":["b","c"]}]}}`, `bd Thing [a b c]`},
		{`{"o":"bd","t":"Thing","where":{"$or":[{"id":{"$eq":"a"}},{"$or":[{"id":"b"}]}]}}`, `bd Thing [a b]`},
		{`{"o":"bd","t":"Thing","where":{"and":[{"id":"a"}]}}`, `bd Thing [a]`},

		// Conditions that may mean anything.
		{`{"o":"bd","t":"Thing"}`, `bd Thing []`},
		{`{"o":"bd","t":"Thing","where":null}`, `bd Thing []`},
		{`{"o":"bd","t":"Thing","where":{}}`, `bd Thing []`},
		{`{"o":"bd","t":"Thing","where":[]}`, `bd Thing []`},
		{`{"o":"bd","t":"Thing","where":"id = 'a'"}`, `bd Thing []`},
		{`{"o":"bd","t":"Thing","where":{"id":"a","name":"x"}}`, `bd Thing []`},
		{`{"o":"bd","t":"Thing","where":{"ID":"a"}}`, `bd Thing []`},
		{`{"o":"bd","t":"Thing","where":{"id":null}}`, `bd Thing []`},
		{`{"o":"bd","t":"Thing","where":{"id":""}}`, `bd Thing []`},
		{`{"o":"bd","t":"Thing","where":{"id":1.5}}`, `bd Thing []`},
		{`{"o":"bd","t":"Thing","where":{"id":["a",null]}}`, `bd Thing []`},
		{`{"o":"bd","t":"Thing","where":{"id":["a",["b"]]}}`, `bd Thing []`},
		{`{"o":"bd","t":"Thing","where":{"id":{"$ne":"a"}}}`, `bd Thing []`},
		{`{"o":"bd","t":"Thing","where":{"id":{"$in":"a"}}}`, `bd Thing []`},
		{`{"o":"bd","t":"Thing","where":{"id":{"$eq":["a"]}}}`, `bd Thing []`},
		{`{"o":"bd","t":"Thing","where":{"id":{"$in":["a"],"$ne":"a"}}}`, `bd Thing []`},
		{`{"o":"bd","t":"Thing","where":{"or":[{"id":"a"},{"name":"x"}]}}`, `bd Thing []`},
		{`{"o":"bd","t":"Thing","where":{"or":[]}}`, `bd Thing []`},
		{`{"o":"bd","t":"Thing","where":{"and":[{"id":"a"},{"id":"b"}]}}`, `bd Thing []`},
		{`{"o":"bd","t":"Thing","where":{"not":{"id":"a"}}}`, `bd Thing []`},

		// Groups.
		{`{"o":"c","t":"Rule","k":{"id":"a"},"instance":{"tenant":"north"}}`, `c Rule [a] group "north"`},
		{`{"o":"u","t":"Rule","k":{"id":"a"},"instance":{"tenant":42}}`, `u Rule [a] group "42"`},
		{`{"o":"c","t":"Rule","k":{"id":"a"},"instance":{"tenant":null}}`, `c Rule [a] group ""`},
		{`{"o":"c","t":"Rule","k":{"id":"a"},"instance":{"tenant":""}}`, `c Rule [a] group ""`},
		{`{"o":"c","t":"Rule","k":{"id":"a"},"instance":{"tenant":true}}`, `c Rule [a]`},
		{`{"o":"u","t":"Rule","k":{"id":"a"},"instance":{"name":"x"}}`, `u Rule [a]`},
		{`{"o":"c","t":"Rule","k":{"id":"a"},"instance":[]}`, `c Rule [a]`},
		{`{"o":"c","t":"Rule","k":{"id":"a"}}`, `c Rule [a]`},
		{`{"o":"d","t":"Rule","k":{"id":"a"},"instance":{"tenant":"north"}}`, `d Rule [a]`},
		{`{"o":"c","t":"Thing","k":{"id":"a"},"instance":{"tenant":"north"}}`, `c Thing [a]`},
	} {
		n, err := grouped.Parse([]byte(c.payload))
		if err != nil {
			t.Errorf("%s: %v", c.payload, err)
			continue
		}
		if got := describe(n); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.payload, got, c.want)
		}
	}
}

func describe(n *fleet.Notification) string {
	ids := make([]string, len(n.Resources))
	for i, r := range n.Resources {
		ids[i] = r.ID
	}
	s := fmt.Sprintf("%v %s %v", n.Op, n.Table, ids)
	if n.GroupKnown {
		s += fmt.Sprintf(" group %q", n.Resources[0].Group)
	}
	return s
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ payload, want string }{
		{``, `byte 0`},
		{`{"o":"c","t":`, `byte 13`},
		{`{"o":"c","t":"Thing"}x`, `byte 22`},
		{`[]`, `byte 0: "[]": want a JSON object`},
		{`null`, `byte 0: "null": want a JSON object`},
		{`"c"`, `want a JSON object`},
		{"{\"o\":\"\xff\"}", `byte 6: 0xff: want UTF-8`},
		{strings.Repeat("[", 65) + strings.Repeat("]", 65), `byte 64: more than 64`},
		{strings.Repeat(" ", MaxPayload+1), `want at most 16777216`},
		{`{"t":"Thing"}`, `o: missing is not valid: want an operation`},
		{`{"o":1,"t":"Thing"}`, `o: "1" is not valid: want an operation`},
		{`{"o":"","t":"Thing"}`, `o: "\"\""`},
		{`{"o":"c"}`, `t: missing is not valid: want the table's name`},
		{`{"o":"c","t":{}}`, `t: "{}"`},
		{`{"O":"c","t":"Thing"}`, `o: missing`},
		{`{"o":"c","t":"Thing"}`, `k: missing is not valid: want the primary key`},
		{`{"o":"c","t":"Thing","k":"a"}`, `k: "\"a\""`},
		{`{"o":"c","t":"Thing","k":null}`, `k: "null"`},
		{`{"o":"c","t":"Thing","k":{}}`, `k: "{}"`},
		{`{"o":"c","t":"Thing","k":{"id":""}}`, `k.id: "\"\"" is not valid: want a string that is not empty`},
		{`{"o":"c","t":"Thing","k":{"id":1.0}}`, `k.id: "1.0"`},
		{`{"o":"c","t":"Thing","k":{"id":1e3}}`, `k.id: "1e3"`},
		{`{"o":"c","t":"Thing","k":{"id":"\ud800"}}`, `k.id: "\"\\ud800\""`},
		{`{"o":"c","t":"Thing","k":{"id":true}}`, `k.id: "true"`},
		{`{"o":"bc","t":"Thing"}`, `keys: missing`},
		{`{"o":"bc","t":"Thing","keys":{"id":"a"}}`, `keys: "{\"id\":\"a\"}" is not valid: want an array`},
		{`{"o":"bc","t":"Thing","keys":[{"id":"a"},{"id":null}]}`, `keys[1].id: "null"`},
		{`{"o":"bc","t":"Thing","keys":[null]}`, `keys[0]: "null"`},
	} {
		n, err := grouped.Parse([]byte(c.payload))
		if err == nil || n != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q: %v, %v; want an error with %q", c.payload, n, err, c.want)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%.60q: an error of %d bytes", c.payload, len(err.Error()))
		}
	}
}

// A message that names too many rows is one that names none: the core compares
// with the database.
func TestParseMany(t *testing.T) {
	for _, n := range []int{MaxIDs, MaxIDs + 1} {
		ids := make([]string, n)
		for i := range ids {
			ids[i] = strconv.Itoa(i)
		}
		payload, err := json.Marshal(map[string]any{"o": "bd", "t": "Thing", "where": map[string]any{"id": ids}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parser{}.Parse(payload)
		want := n
		if n > MaxIDs {
			want = 0
		}
		if err != nil || len(got.Resources) != want {
			t.Errorf("%d ids: %d resources, %v; want %d", n, len(got.Resources), err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"o":"c","t":"Rule","k":{"id":"a"},"instance":{"id":"a","tenant":"north"}}`,
		`{"o":"bc","t":"Thing","keys":[{"id":"a"},7]}`,
		`{"o":"bd","t":"Thing","where":{"or":[{"id":{"$in":["a",12345678901234567890]}},{"id":-0}]}}`,
		`{"o":"x","t":"Thing"}`, `{"o":"d","t":"Thing","k":{"id":"\ud800"}}`, "\xff", `[[[[`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		n, err := grouped.Parse(payload)
		if err != nil {
			if n != nil || err.Error() == "" {
				t.Fatalf("an error %q beside %v", err, n)
			}
			return
		}
		if n.Table == "" || !utf8.ValidString(n.Table) {
			t.Fatalf("table %q", n.Table)
		}
		seen := map[string]bool{}
		for _, r := range n.Resources {
			if r.ID == "" || !utf8.ValidString(r.ID) || seen[r.ID] {
				t.Fatalf("id %q among %d", r.ID, len(n.Resources))
			}
			seen[r.ID] = true
			if !utf8.ValidString(r.Group) {
				t.Fatalf("group %q", r.Group)
			}
			if !appears(payload, r.ID) {
				t.Fatalf("id %q stands nowhere in %q", r.ID, payload)
			}
		}
		if n.GroupKnown && len(n.Resources) != 1 {
			t.Fatalf("a group of %d resources", len(n.Resources))
		}
		again, err := grouped.Parse(payload)
		if err != nil || !reflect.DeepEqual(n, again) {
			t.Fatalf("a second look: %v, %v", again, err)
		}
	})
}

// appears says whether the id is one of the payload's strings or numbers, exactly.
func appears(payload []byte, id string) bool {
	d := json.NewDecoder(strings.NewReader(string(payload)))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		switch v := token.(type) {
		case string:
			if v == id {
				return true
			}
		case json.Number:
			if v.String() == id || v.String() == "-0" && id == "0" {
				return true
			}
		}
	}
}
