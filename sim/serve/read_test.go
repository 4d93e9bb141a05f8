package serve

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
)

// TestPagesWhileTimePasses: while time passes a page is worked out in another way than while it
// stands still, and is the same; each row stands where the machine says, also in the
// middle of a re-orchestration.
func TestPagesWhileTimePasses(t *testing.T) {
	s := paused(t, small)
	ctx := context.Background()
	for _, at := range []time.Duration{30 * time.Second, 3 * time.Minute, 9*time.Minute + 200*time.Millisecond, 9*time.Minute + 2*time.Second, 11 * time.Minute} {
		s.until(at)
		st := ok[state](t)(s.at(s.moment, s.kinds["Thing"]))
		seen := 0
		st.machine.EachPlace(func(id string, on fleet.InstanceID) bool {
			seen++
			if is, known := st.machine.Where(id); !known || is != on {
				t.Errorf("%v: %s is told on %v, and asked for on %v", at, id, on, is)
			}
			return true
		})
		if want := st.machine.Resources(); seen != want {
			t.Errorf("%v: %d resources are told of %d", at, seen, want)
		}
		for _, c := range []struct {
			prefix, after string
			limit         int
		}{{"", "", 7}, {"Thing-00000", "", 1000}, {"", "Thing-0000100", 20}, {"Thing-00001", "Thing-0000111", 3}, {"X", "", 5}} {
			still, moreStill, err := s.Search(ctx, "Thing", c.prefix, c.after, c.limit)
			if err != nil {
				t.Fatal(err)
			}
			s.clock.paused = false // nobody serves: no time passes
			moving, moreMoving, err := s.Search(ctx, "Thing", c.prefix, c.after, c.limit)
			s.clock.paused = true
			if err != nil {
				t.Fatal(err)
			}
			if moreStill != moreMoving || len(still) != len(moving) {
				t.Fatalf("%v, %+v: %d rows (more: %t) while time passes, %d (more: %t) while it stands", at, c, len(moving), moreMoving, len(still), moreStill)
			}
			for i := range still {
				if still[i].ID != moving[i].ID || still[i].RunIn != moving[i].RunIn {
					t.Errorf("%v, %+v: row %d is %+v while time passes, and %+v while it stands", at, c, i, moving[i], still[i])
				}
			}
			if !slices.IsSortedFunc(still, func(a, b api.Found) int { return strings.Compare(a.ID, b.ID) }) {
				t.Errorf("%v, %+v: not sorted", at, c)
			}
		}
	}
}
