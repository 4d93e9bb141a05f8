package placement

import (
	"fmt"
	"strings"
	"testing"

	"dacorch/orchestrator/fleet"

	"github.com/cockroachdb/datadriven"
)

// TestStories runs the stories in testdata/stories; -rewrite writes their output anew.
//
//	new policy=fill|balance|group [R=6] [max=8] [init=2]   limits
//	size count=N [R=N] [max=N]                             what sizing says
//	orchestrate [count=N] [R=N] [max=N]                    sizes (by the resources known) and re-orchestrates
//	add a b c/group …                                      one Add each
//	remove a b …                                           one Remove each
//	batch, with lines "+a/group" and "-b"                  one Apply
//	close 1 2 [keep]     open 1     forget 1
//	restore, with lines "0 capacity=6 [born=3] [closed]: a b/group" and "none: c"
//
// A word x1..x5 stands for x1 x2 x3 x4 x5. Each answers its plan and the state.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		var s story
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.run(t, d) })
	})
}

type story struct {
	a      *Assignment
	limits Limits
}

func (s *story) run(t *testing.T, d *datadriven.TestData) string {
	var p Plan
	var err error
	switch d.Cmd {
	case "new":
		s.limits = Limits{ResourcePerInstance: 6, MaxInstances: 8, InitInstances: 2}
		var policy string
		d.ScanArgs(t, "policy", &policy)
		d.MaybeScanArgs(t, "R", &s.limits.ResourcePerInstance)
		d.MaybeScanArgs(t, "max", &s.limits.MaxInstances)
		d.MaybeScanArgs(t, "init", &s.limits.InitInstances)
		s.a = New(Config{Policy: fleet.Policy(policy), Limits: s.limits})
	case "size":
		size, err := s.size(t, d)
		if err != nil {
			return err.Error() + "\n"
		}
		return fmt.Sprintf("%+v\n", size)
	case "orchestrate":
		var size Size
		if size, err = s.size(t, d); err == nil {
			err = s.a.Reorchestrate(size, &p)
		}
	case "add":
		for _, r := range resources(words(d)) {
			s.a.Add(r, &p)
		}
	case "remove":
		for _, r := range resources(words(d)) {
			s.a.Remove(r.ID, &p)
		}
	case "batch":
		add, remove := []string{}, []string{}
		for _, w := range strings.Fields(d.Input) {
			if w[0] == '+' {
				add = append(add, w[1:])
			} else {
				remove = append(remove, w[1:])
			}
		}
		var ids []string
		for _, r := range resources(remove) {
			ids = append(ids, r.ID)
		}
		s.a.Apply(resources(add), ids, &p)
	case "close", "open", "forget":
		s.doors(t, d, &p)
	case "restore":
		err = s.restore(t, d, &p)
	default:
		d.Fatalf(t, "unknown command")
	}
	if err != nil {
		return err.Error() + "\n"
	}
	return show(&p) + s.state()
}

func (s *story) size(t *testing.T, d *datadriven.TestData) (Size, error) {
	count, r, most := 0, 0, 0
	if s.a != nil {
		count = s.a.Len()
	}
	d.MaybeScanArgs(t, "count", &count)
	var req Request
	if d.MaybeScanArgs(t, "R", &r) {
		req.ResourcePerInstance = &r
	}
	if d.MaybeScanArgs(t, "max", &most) {
		req.MaxInstances = &most
	}
	return s.limits.Size(count, req)
}

func (s *story) doors(t *testing.T, d *datadriven.TestData, p *Plan) {
	var ids []fleet.InstanceID
	for _, w := range words(d) {
		var i fleet.InstanceID
		if w == "keep" {
			continue
		}
		if _, err := fmt.Sscan(w, &i); err != nil {
			d.Fatalf(t, "%v", err)
		}
		ids = append(ids, i)
	}
	if d.Cmd == "close" {
		s.a.CloseAll(ids, !d.HasArg("keep"), p)
		return
	}
	for _, i := range ids {
		if d.Cmd == "open" {
			s.a.Open(i, p)
		} else {
			s.a.Forget(i)
		}
	}
}

func (s *story) restore(t *testing.T, d *datadriven.TestData, p *Plan) error {
	var instances []Instance
	var placed []Placed
	for line := range strings.Lines(d.Input) {
		head, rest, _ := strings.Cut(line, ":")
		fields := strings.Fields(head)
		at := fleet.NoInstance
		if fields[0] != "none" {
			in := Instance{}
			for i, f := range fields {
				var err error
				switch {
				case i == 0:
					_, err = fmt.Sscan(f, &in.ID)
				case f == "closed":
					in.Closed = true
				case strings.HasPrefix(f, "born="):
					_, err = fmt.Sscanf(f, "born=%d", &in.Born)
				default:
					_, err = fmt.Sscanf(f, "capacity=%d", &in.Capacity)
				}
				if err != nil {
					d.Fatalf(t, "%s: %v", f, err)
				}
			}
			instances, at = append(instances, in), in.ID
		}
		for _, r := range resources(strings.Fields(rest)) {
			placed = append(placed, Placed{r, at})
		}
	}
	return s.a.Restore(instances, placed, p)
}

func words(d *datadriven.TestData) (out []string) {
	for _, a := range d.CmdArgs {
		out = append(out, a.String())
	}
	return out
}

// resources reads words such as a, a/group and a1..a5/group.
func resources(words []string) (out []fleet.Resource) {
	for _, w := range words {
		id, group, _ := strings.Cut(w, "/")
		from, to, ok := strings.Cut(id, "..")
		if !ok {
			out = append(out, fleet.Resource{ID: id, Group: group})
			continue
		}
		letter := from[:1]
		var i, n int
		fmt.Sscan(from[1:], &i)
		fmt.Sscan(strings.TrimPrefix(to, letter), &n)
		for ; i <= n; i++ {
			out = append(out, fleet.Resource{ID: fmt.Sprintf("%s%d", letter, i), Group: group})
		}
	}
	return out
}

// state draws the instances, one a line, with their resources in order of id.
func (s *story) state() string {
	var b strings.Builder
	for i := range s.a.Instances() {
		var hs []uint32
		for id := range func(yield func(string) bool) { s.a.Each(i, yield) } {
			h, _ := s.a.find(id)
			hs = append(hs, h)
		}
		s.a.sortByID(hs)
		closed := ""
		if s.a.Closed(i) {
			closed = " closed"
		}
		fmt.Fprintf(&b, "| %v %d/%d%s:", i, s.a.Used(i), s.a.Capacity(i), closed)
		for _, h := range hs {
			b.WriteString(" " + strings.TrimSuffix(s.a.res[h].id+"/"+s.a.res[h].label.name, "/"))
		}
		b.WriteByte('\n')
	}
	s.a.EachUnplaced(func(r fleet.Resource, why Reason) bool {
		fmt.Fprintf(&b, "| unplaced: %s: %v\n", strings.TrimSuffix(r.ID+"/"+r.Group, "/"), why)
		return true
	})
	if b.Len() == 0 {
		return "| nothing\n"
	}
	return b.String()
}
