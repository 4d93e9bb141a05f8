package pane

import (
	"cmp"
	"strconv"
	"strings"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// InstanceView is all that is known of one instance: how it is, its resources,
// what Kubernetes says of its pod, and what has happened to it.
type InstanceView struct {
	kind     string
	instance int

	parts   sections
	list    pages
	pod     rows[podRow, int]
	said    []podRow
	history eventTable
	events  []api.Event // of the history, oldest first
	told    made
	above   int // lines of the summary, at the last draw
}

// podRow is an event of the pod, and its place in the answer.
type podRow struct {
	api.PodEvent
	place int
}

// NewInstance makes the view of an instance of a kind.
func NewInstance(kind string, instance int) *InstanceView {
	v := &InstanceView{kind: kind, instance: instance, history: newEventTable(false)}
	v.parts = sections{names: []string{"resources", "pod", "history"}, areas: v.areas}
	v.list.columns = foundColumns(false)
	v.pod.columns = podColumns
	v.pod.key = func(r *podRow) int { return r.place }
	v.history.reverse = true // the newest first
	return v
}

var podColumns = []column[podRow]{
	{title: "seen", least: 7, most: 9, right: true,
		text: func(r *podRow, _ *data.State) (string, screen.Style) {
			return AgeSeconds(&r.AgeSeconds), screen.Fg(screen.Dim)
		},
		order: func(a, b *podRow) int { return cmp.Compare(a.AgeSeconds, b.AgeSeconds) }},
	{title: "", least: 1, most: 1,
		text: func(r *podRow, _ *data.State) (string, screen.Style) {
			if r.Type == "Warning" {
				return "!", screen.Fg(screen.Warn)
			}
			return "·", screen.Fg(screen.Dim)
		}},
	{title: "what", least: 10, most: 24,
		text: func(r *podRow, _ *data.State) (string, screen.Style) {
			if r.Type == "Warning" {
				return r.Reason, screen.Fg(screen.Warn)
			}
			return r.Reason, plainStyle
		},
		order: func(a, b *podRow) int { return strings.Compare(a.Reason, b.Reason) }},
	{title: "times", least: 6, most: 8, right: true, rank: 2,
		text: func(r *podRow, _ *data.State) (string, screen.Style) {
			if r.Count <= 1 {
				return "", plainStyle
			}
			return Count(r.Count) + "×", plainStyle
		},
		order: func(a, b *podRow) int { return cmp.Compare(a.Count, b.Count) }, down: true},
	{title: "text", least: 16, most: 500,
		text: func(r *podRow, _ *data.State) (string, screen.Style) { return r.Text, plainStyle }},
	{title: "source", least: 17, most: 24, rank: 3,
		text:  func(r *podRow, _ *data.State) (string, screen.Style) { return r.Source, screen.Fg(screen.Dim) },
		order: func(a, b *podRow) int { return strings.Compare(a.Source, b.Source) }},
}

// mostHistory is how many events of its history are asked for.
const mostHistory = 200

func (v *InstanceView) askPod() data.Query {
	return data.Query{What: data.AskPod, Kind: v.kind, Instance: v.instance}
}

func (v *InstanceView) askHistory() data.Query {
	return data.Query{What: data.AskRecent, Kind: v.kind, Instance: v.instance, N: mostHistory}
}

// Title names the instance.
func (v *InstanceView) Title(s *data.State) string {
	if in, _ := v.find(s); in != nil {
		return "instance " + strconv.Itoa(v.instance) + " of " + v.kind + ": " + in.Pod
	}
	return "instance " + strconv.Itoa(v.instance) + " of " + v.kind
}

// Note is its health.
func (v *InstanceView) Note(s *data.State) string {
	if in, _ := v.find(s); in != nil {
		text, _ := healthWords(in)
		return text
	}
	return ""
}

// Needs are the instances, its pod, its resources and its history.
func (v *InstanceView) Needs(s *data.State) []data.Query {
	v.look(s)
	return append([]data.Query{{What: data.AskInstances, Kind: v.kind}, v.askPod(), v.askHistory()}, v.list.needs()...)
}

// find is the instance, if there is one.
func (v *InstanceView) find(s *data.State) (*api.Instance, *data.Answer) {
	list, a := s.Instances(v.kind)
	for i := range list {
		if list[i].ID == v.instance {
			return &list[i], a
		}
	}
	return nil, a
}

// look brings the tables to what is known now.
func (v *InstanceView) look(s *data.State) {
	v.list.about(data.Query{What: data.AskList, Kind: v.kind, Instance: v.instance})
	v.list.look(s)
	pod, a, _ := data.Get[api.Pod](s, v.askPod())
	v.said = v.said[:0]
	for i := range pod.Events {
		v.said = append(v.said, podRow{pod.Events[i], i})
	}
	v.pod.set(v.said, a.At)
	recent, a, _ := data.Get[api.Recent](s, v.askHistory())
	v.history.past(recent.Events, made{count: len(recent.Events), at: a.At}, &v.events, &v.told)
}

// past gives the table events that come newest first. List holds them the other
// way round, and of says what it was made of.
func (t *eventTable) past(events []api.Event, now made, list *[]api.Event, of *made) {
	if len(events) > 0 {
		now.first = &events[0]
	}
	if now != *of {
		*of = now
		*list = make([]api.Event, 0, len(events))
		for i := range events {
			*list = append(*list, events[len(events)-1-i])
		}
	}
	t.tell(*list)
}

// Draw draws the summary and the sections.
func (v *InstanceView) Draw(c *screen.Canvas, s *data.State) {
	v.look(s)
	in, a := v.find(s)
	above, old := trouble(c, s, a, "the instance")
	v.parts.told = a.Err
	w, h := above.Size()
	v.above = 0
	switch {
	case in == nil && a.Value == nil:
		empty(above.Sub(0, 0, w, 3), Waiting(a, "the instance"))
		v.above = 3
	case in == nil:
		c.TextIn(gutter, 0, w-gutter, "! "+v.kind+" has no instance "+strconv.Itoa(v.instance)+" now; what is remembered of it is below", screen.Fg(screen.Warn))
		v.above = 2
	default:
		v.above = labels(above, v.summary(s, in)) + 1
		if old {
			faded(above.Sub(0, 0, w, v.above))
		}
	}
	n, all := v.list.readSoFar()
	if v.list.whole = 0; !all && in != nil {
		v.list.whole = in.Used
	}
	counts := []string{Count(max(n, v.list.whole)), Count(v.pod.count), Count(v.history.count)}
	v.parts.draw(above.Sub(0, v.above, w, h-v.above), counts, func(part int, c *screen.Canvas, focused bool) {
		switch part {
		case 0:
			v.drawList(c, s, focused)
		case 1:
			v.drawPod(c, s, focused)
		case 2:
			v.drawHistory(c, s, focused)
		}
	})
}

// areas are its resources at the left, and pod and history below each other at
// the right, where there is room.
func (v *InstanceView) areas(w, h int) []area {
	if w < 100 || h < 14 {
		return nil
	}
	const gap = 2
	left := min(max(w/4, min(42, w*2/5)), 60) // a UUID is 36 columns wide
	high := min(max(v.pod.count+3, 5), h/3)
	x := left + gap
	return []area{{width: left, height: h}, {x: x, width: w - x, height: high}, {x: x, y: high, width: w - x, height: h - high}}
}

// summary tells how the instance is.
func (v *InstanceView) summary(s *data.State, in *api.Instance) []label {
	text, role := healthWords(in)
	if why := troubleOf(in); why != "" {
		text += ": " + why
	}
	lines := []label{
		{name: "health", text: text, role: role},
		{name: "load", draw: func(c *screen.Canvas) {
			drawLoad(c, 26, in, s)
			said := Plural(in.Used, "resource") + ", room for " + Count(in.Capacity)
			if in.Arriving > 0 {
				said += ", " + Count(in.Arriving) + " arriving"
			}
			if in.Leaving > 0 {
				said += ", " + Count(in.Leaving) + " leaving"
			}
			w, _ := c.Size()
			c.TextIn(28, 0, w-28, said, plainStyle)
		}},
		{name: "pod", text: v.podWords(s, in)},
		{name: "heard", text: heardSentence(in)},
	}
	return lines
}

// troubleOf says what is wrong with an instance, or what happens to it.
func troubleOf(in *api.Instance) string {
	switch {
	case in.NodeLost:
		return "its Kubernetes node does not answer"
	case in.Silent:
		return "its pod runs, but no heartbeat came within the deadline"
	case in.Closing && in.Used > 0:
		return "its resources move away, then it is let go"
	case in.Closing:
		return "it is let go"
	case in.Terminating:
		return "its pod is being deleted"
	case in.Phase == "Missing":
		return "it has no pod"
	case !in.Up && in.Phase == "Running":
		return "its pod runs, and it is not ready yet"
	case !in.Up:
		return "its pod is " + phaseWords(in)
	}
	return ""
}

// podWords tells of its pod: the instance's own figures until the pod is read.
func (v *InstanceView) podWords(s *data.State, in *api.Instance) string {
	words := []string{in.Pod, phaseWords(in)}
	pod, _, ok := data.Get[api.Pod](s, v.askPod())
	if node := cmp.Or(pod.Node, in.Node); node != "" {
		words = append(words, "on "+node)
	}
	if in.AgeSeconds != nil {
		words = append(words, AgeSeconds(in.AgeSeconds)+" old")
	}
	if in.Restarts != nil {
		words = append(words, Plural(*in.Restarts, "restart"))
	}
	if ok && pod.Image != "" {
		words = append(words, pod.Image)
	}
	return strings.Join(words, ", ")
}

// heardSentence tells how the DAC in it is heard.
func heardSentence(in *api.Instance) string {
	var words []string
	if in.HeartbeatAgeSeconds != nil {
		words = append(words, AgeSeconds(in.HeartbeatAgeSeconds)+" ago")
	} else {
		words = append(words, "no heartbeat yet")
	}
	if in.Session {
		words = append(words, "connected to ZooKeeper")
	} else {
		words = append(words, "not connected to ZooKeeper")
	}
	switch n := behind(in); {
	case !in.Session:
	case n == 0:
		words = append(words, "it has its newest list of resources")
	case n > 0:
		words = append(words, "it is "+Plural(n, "change")+" of its list behind")
	}
	return strings.Join(words, "; ")
}

func (v *InstanceView) drawList(c *screen.Canvas, s *data.State, focused bool) {
	n, all := v.list.readSoFar()
	a := v.list.first(s)
	switch {
	case n == 0 && all:
		empty(c, "no resource stands on it")
	case n == 0:
		empty(c, Waiting(a, "its resources"))
	default:
		above, old := v.parts.trouble(c, s, a, "its resources")
		v.list.draw(above, s, focused, old)
	}
}

func (v *InstanceView) drawPod(c *screen.Canvas, s *data.State, focused bool) {
	pod, a, ok := data.Get[api.Pod](s, v.askPod())
	above, old := v.parts.trouble(c, s, a, "its pod")
	w, h := above.Size()
	switch {
	case !ok:
		empty(c, Waiting(a, "its pod"))
		return
	case pod.EventsError != "":
		above.TextIn(gutter, h-1, w-gutter, "! there may be more: "+pod.EventsError, screen.Fg(screen.Warn))
		above = above.Sub(0, 0, w, h-1)
	}
	if v.pod.count == 0 {
		empty(above, "Kubernetes has no event about its pod", "It forgets them, usually after an hour.")
		return
	}
	v.pod.draw(above, s, focused, old)
}

func (v *InstanceView) drawHistory(c *screen.Canvas, s *data.State, focused bool) {
	v.parts.past(c, s, &v.history, v.askHistory(), focused, "nothing is remembered of it")
}

// past draws what has happened, newest first, and says when older events are
// forgotten.
func (n *sections) past(c *screen.Canvas, s *data.State, t *eventTable, q data.Query, focused bool, none string) {
	recent, a, ok := data.Get[api.Recent](s, q)
	above, old := n.trouble(c, s, a, "the events")
	w, h := above.Size()
	if !ok {
		empty(c, Waiting(a, "the events"))
		return
	}
	if !recent.Complete && h > 3 {
		above.TextIn(gutter, h-1, w-gutter, "older events are forgotten, or not shown", screen.Fg(screen.Dim))
		above = above.Sub(0, 0, w, h-1)
	}
	if t.count == 0 {
		empty(above, none)
		return
	}
	t.draw(above, s, focused, old)
}

// Press switches the section, and else is for the one that has the keyboard.
func (v *InstanceView) Press(key string, s *data.State) (Intent, bool) {
	v.look(s)
	if v.parts.press(key) {
		return Intent{}, true
	}
	if key == "o" {
		return Intent{Act: Orchestrate, Kind: v.kind}, true
	}
	if key == "enter" {
		return v.open(s)
	}
	switch v.parts.at {
	case 0:
		if v.list.press(key) {
			v.list.moved(s)
			return Intent{}, true
		}
	case 1:
		if v.pod.press(key) {
			return Intent{}, true
		}
	case 2:
		if v.history.press(key) {
			return Intent{}, true
		}
	}
	return instanceKeys(key, v.kind, v.instance)
}

// open opens what is under the cursor of the section that has the keyboard.
func (v *InstanceView) open(s *data.State) (Intent, bool) {
	switch v.parts.at {
	case 0:
		return openResource("enter", v.kind, v.list.current(s))
	case 2:
		if do, ok := v.history.open(); ok && (do.View != Instance || do.Instance != v.instance) {
			return do, true
		}
	}
	return Intent{}, false
}

// Click goes to a section, chooses, or opens.
func (v *InstanceView) Click(x, y int, twice bool, s *data.State) (do Intent) {
	v.look(s)
	x, y, ok := v.parts.click(x, y-v.above)
	if !ok || y < 0 {
		return do
	}
	row := false
	switch v.parts.at {
	case 0:
		if _, row = v.list.click(x, y); row {
			v.list.moved(s)
		}
	case 1:
		row = v.pod.click(x, y)
	case 2:
		row = v.history.click(x, y)
	}
	if row && twice {
		do, _ = v.open(s)
	}
	return do
}

// Wheel scrolls the section that has the keyboard.
func (v *InstanceView) Wheel(n int, s *data.State) {
	v.look(s)
	switch v.parts.at {
	case 0:
		v.list.wheel(n)
		v.list.moved(s)
	case 1:
		v.pod.wheel(n)
	case 2:
		v.history.wheel(n)
	}
}

// Keys are the sections', the tables', and those of orders.
func (v *InstanceView) Keys() []KeyHelp {
	keys := append([]KeyHelp{{Key: "enter", Does: "open", Footer: true}}, keysOfSections...)
	keys = append(keys, keysOfOrders...)
	keys = append(keys, keysOfSorting[0], keysOfSorting[2])
	return append(keys, keysOfTables...)
}
