package sample

import (
	"reflect"
	"testing"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
)

func TestSumsAddUp(t *testing.T) {
	for _, size := range [][2]int{{0, 0}, {0, 7}, {1, 0}, {1, 1}, {3, 10}, {40, 4000}, {97, 12_345}, {2000, 100}, {10_000, 500_000}} {
		s := State(size[0], size[1])
		list, _ := s.Instances("Thing")
		if len(list) != size[0] {
			t.Errorf("%v: %d instances", size, len(list))
		}
		status, _, _ := data.Get[api.Status](s, data.Query{What: data.AskStatus, Kind: "Thing"})
		if len(list) > 0 && status.Resources != size[1] {
			t.Errorf("%v: %d resources", size, status.Resources)
		}
		for i := range list {
			if list[i].Used < 0 || list[i].Capacity < 1 {
				t.Fatalf("%v: instance %d has %d of %d", size, i, list[i].Used, list[i].Capacity)
			}
		}
	}
}

func TestEveryHealthEventAndFlow(t *testing.T) {
	s := State(40, 4000)
	seen := map[data.Health]int{}
	list, _ := s.Instances("Thing")
	for i := range list {
		seen[data.HealthOf(&list[i])]++
	}
	for h := data.Up; h <= data.Down; h++ {
		if seen[h] == 0 {
			t.Errorf("no instance is %s", h)
		}
	}
	types := map[api.EventType]bool{}
	for i, ev := range s.Events {
		types[ev.Type] = true
		if i > 0 && ev.At.Before(s.Events[i-1].At) || ev.At.After(s.Now) {
			t.Errorf("event %d is at %v", i, ev.At)
		}
	}
	if len(types) < 11 || len(s.Flows) < 10 {
		t.Errorf("%d types of events, %d flows", len(types), len(s.Flows))
	}
}

func TestTheSameEachTime(t *testing.T) {
	if !reflect.DeepEqual(State(40, 4000), State(40, 4000)) {
		t.Error("two samples differ")
	}
}

// TestResourcesAgree asks in all ways where resources stand.
func TestResourcesAgree(t *testing.T) {
	s := State(10, 1003)
	on, nowhere, after := map[string]int{}, 0, ""
	for {
		page := search(s, data.Query{Kind: "Thing", After: after, N: 100})
		for _, f := range page.Resources {
			if f.ID <= after {
				t.Fatalf("%s comes after %s", f.ID, after)
			}
			if after = f.ID; f.Instance == nil {
				nowhere++
				continue
			}
			on[f.ID] = *f.Instance
		}
		if page.Next == "" {
			break
		}
	}
	if nowhere != 10 || len(on) != 993 {
		t.Errorf("%d stand somewhere, %d nowhere", len(on), nowhere)
	}
	fleet, _ := s.Instances("Thing")
	for i := range fleet {
		page := list(s, data.Query{Kind: "Thing", Instance: i, N: 1000})
		if len(page.Resources) != fleet[i].Used {
			t.Errorf("instance %d lists %d of %d", i, len(page.Resources), fleet[i].Used)
		}
		for _, f := range page.Resources {
			if on[f.ID] != i {
				t.Errorf("%s is listed on %d, and found on %d", f.ID, i, on[f.ID])
			}
		}
	}
}

func TestEveryQueryHasAnAnswer(t *testing.T) {
	for _, size := range [][2]int{{0, 0}, {3, 0}, {40, 4000}} {
		s := State(size[0], size[1])
		for what := data.AskAbout; what <= data.AskFaults; what++ {
			for _, kind := range []string{"", "Thing", "Nothing"} {
				q := data.Query{What: what, Kind: kind, Instance: 2, Text: "0", N: 20}
				Answer(s, q)
				if s.Answers[q].Value == nil {
					t.Errorf("%v: nothing for %+v", size, q)
				}
			}
		}
	}
	if _, ok := Production(State(3, 30)).Clock(); ok {
		t.Error("production has a clock")
	}
}
