package pane

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/tui/screen"
)

// eventRow is one line of a table of events: an event in words, or several that
// say the same folded into one.
type eventRow struct {
	seq      int       // its place in time
	at       time.Time // of the last event
	first    eventKey  // of the first event
	what     api.EventType
	kind     string
	instance int // that it is about; below 0: none, or several
	place    string
	resource string // the one that moved; empty for none, or several
	text     string
	role     screen.Role
}

// eventKey tells rows apart, over refreshes.
type eventKey struct {
	id   string
	at   int64
	what api.EventType
}

func (r *eventRow) key() eventKey { return r.first }

// common says that the row is one of those of which churn makes many.
func (r eventRow) common() bool {
	return r.what == api.EventMove || r.what == api.EventCommit && r.role == screen.Dim
}

// eventRows words events, oldest first. The moves of a transaction and its commit
// become one row, and so do transactions one after another of which nothing else
// is told.
func eventRows(to []eventRow, events []api.Event) []eventRow {
	to = to[:0]
	for i := 0; i < len(events); {
		ev := &events[i]
		n := alike(events[i:])
		var row eventRow
		switch {
		case ev.Type == api.EventMove:
			row = movedRow(events[i : i+n])
			if i+n < len(events) && events[i+n].Resource == ev.Resource && done(&events[i+n]) {
				n++ // the moves say all that it would
			}
		case n > 1:
			row = committedRow(events[i : i+n])
		default:
			row = eventRow{instance: -1, kind: ev.Resource}
			row.text, row.role = eventWords(ev)
			if ev.Instance != nil {
				row.instance, row.place = *ev.Instance, strconv.Itoa(*ev.Instance)
			}
		}
		row.first = eventKey{ev.ID, ev.At.UnixNano(), ev.Type}
		row.seq, row.at, row.what = len(to), events[i+n-1].At, ev.Type
		to = append(to, row)
		i += n
	}
	return to
}

// done says whether an event is a transaction that went well.
func done(ev *api.Event) bool { return ev.Type == api.EventCommit && ev.Code == "done" }

// atOnce is how far apart the moves of one transaction may be told.
const atOnce = 50 * time.Millisecond

// alike is how many events from the first on are told in one row: moves of one
// kind at once, which are those of a transaction, or transactions that went well.
func alike(events []api.Event) int {
	first, n := &events[0], 1
	for n < len(events) {
		ev := &events[n]
		moves := first.Type == api.EventMove && ev.Type == api.EventMove && ev.Resource == first.Resource && ev.At.Sub(first.At) <= atOnce
		if !moves && !(done(first) && done(ev)) {
			break
		}
		n++
	}
	return n
}

// committedRow words transactions one after another.
func committedRow(commits []api.Event) eventRow {
	sum := commits[0]
	sum.Count = 0
	row := eventRow{instance: -1, kind: sum.Resource}
	for i := range commits {
		sum.Count += commits[i].Count
		if kind := commits[i].Resource; kind != sum.Resource && !strings.Contains(row.kind, ", "+kind) {
			row.kind += ", " + kind
		}
	}
	row.text, row.role = commitWords(&sum)
	row.text += ", in " + Plural(len(commits), "transaction")
	return row
}

// mostMoves is how many moves of one transaction a server tells.
const mostMoves = 100

// movedRow words moves of one transaction.
func movedRow(moves []api.Event) eventRow {
	from, to := places(moves, false, true), places(moves, true, false)
	row := eventRow{instance: -1, kind: moves[0].Resource}
	if len(from) == 1 && len(to) == 1 {
		row.place = arrowWords(from[0], to[0])
		row.instance = max(from[0], to[0])
		if to[0] >= 0 {
			row.instance = to[0]
		}
	}
	what := Plural(len(moves), "resource")
	if len(moves) == 1 {
		row.resource = moves[0].ResourceID
		what = row.resource
	}
	if len(moves) == mostMoves {
		what = Count(len(moves)) + " resources, or more,"
	}
	row.text = goneWhere(moves, what)
	if why := reason(moves); why != "" {
		row.text += ": " + why
	}
	return row
}

// goneWhere is where resources have gone, what naming all of them: placed for the
// first time, moved, or taken off.
func goneWhere(moves []api.Event, what string) string {
	var placed, moved, taken []api.Event
	for i := range moves {
		switch ev := moves[i]; {
		case ev.From == nil && ev.To != nil:
			placed = append(placed, ev)
		case ev.To == nil && ev.From != nil:
			taken = append(taken, ev)
		default:
			moved = append(moved, ev)
		}
	}
	var parts []string
	add := func(some []api.Event, words func() string) {
		if len(some) == 0 {
			return
		}
		if len(some) < len(moves) {
			if what = Plural(len(some), "resource"); len(parts) > 0 {
				what = Count(len(some))
			}
		}
		parts = append(parts, what+" "+words())
	}
	add(placed, func() string { return "placed on " + placesWords(places(placed, true, false)) })
	add(moved, func() string {
		from, to := places(moved, false, true), places(moved, true, false)
		if len(from) > 2 && len(to) > 2 {
			return "moved among " + Plural(len(places(moved, true, true)), "instance")
		}
		return "moved from " + placesWords(from) + " to " + placesWords(to)
	})
	add(taken, func() string { return "taken off " + placesWords(places(taken, false, true)) })
	return strings.Join(parts, ", ")
}

// places are the different instances that moves go to, or come from, ascending;
// -1 first for none.
func places(moves []api.Event, to, from bool) []int {
	list := make([]int, 0, 2*len(moves))
	for i := range moves {
		if to {
			list = append(list, placeOf(moves[i].To))
		}
		if from {
			list = append(list, placeOf(moves[i].From))
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	if to && from && list[0] < 0 {
		return list[1:]
	}
	return list
}

// placesWords names two places, and counts more.
func placesWords(list []int) string {
	name := func(at int) string {
		if at < 0 {
			return "nowhere"
		}
		return strconv.Itoa(at)
	}
	switch {
	case len(list) == 1:
		return name(list[0])
	case len(list) == 2:
		return name(list[0]) + " and " + name(list[1])
	}
	return Count(len(list)) + " instances"
}

// arrowWords is a move in the fewest letters: "5 → 10".
func arrowWords(from, to int) string {
	switch {
	case from < 0 && to < 0:
		return ""
	case from < 0:
		return "→ " + strconv.Itoa(to)
	case to < 0:
		return strconv.Itoa(from) + " →"
	}
	return strconv.Itoa(from) + " → " + strconv.Itoa(to)
}

// reason is why resources moved, as far as it is the same for all of them.
func reason(moves []api.Event) string {
	why := moves[0].Text
	for i := range moves {
		if text := moves[i].Text; text != why {
			why, _, _ = strings.Cut(why, ";")
			if !strings.HasPrefix(text, why) {
				return ""
			}
		}
	}
	return why
}

// eventWords says what has happened, for any event but a move.
func eventWords(ev *api.Event) (string, screen.Role) {
	on := ev.On != nil && *ev.On
	switch ev.Type {
	case api.EventCommit:
		return commitWords(ev)
	case api.EventPod:
		return podWords(ev)
	case api.EventInstance:
		return instanceWords(ev), screen.Default
	case api.EventOrder:
		return orderWords(ev)
	case api.EventProgress:
		return "re-orchestration: " + cmp.Or(ev.Text, "gets on"), screen.Default
	case api.EventMaintenance:
		if on {
			return "maintenance is on: nothing is done automatically", screen.Warn
		}
		return "maintenance is over", screen.Default
	case api.EventAlarm:
		if on {
			return "alarm: " + cmp.Or(ev.Text, ev.Code), screen.Bad
		}
		return "alarm is over: " + cmp.Or(ev.Text, ev.Code), screen.Good
	case api.EventLeader:
		if ev.Code == "" {
			return "nobody leads", screen.Warn
		}
		return ev.Code + " leads", screen.Default
	case api.EventGap:
		if ev.Count > 0 {
			return Plural(ev.Count, "event") + " did not reach this terminal", screen.Warn
		}
		return "events did not reach this terminal", screen.Warn
	case api.EventBye:
		return "the server has ended the stream of events: " + cmp.Or(byes[ev.Code], ev.Text, ev.Code), screen.Warn
	case api.EventTime:
		return cmp.Or(ev.Text, "another moment is shown"), screen.Info
	}
	return cmp.Or(ev.Text, ev.Code), screen.Default
}

var byes = map[string]string{
	api.ByeSlow:    "this terminal was too slow for it",
	api.ByeClosing: "it shuts down",
	api.ByeLeader:  "another process leads now",
	api.ByeToken:   "the token is valid no longer",
}

func commitWords(ev *api.Event) (string, screen.Role) {
	what := "instances' nodes"
	if ev.Count > 0 {
		what = Plural(ev.Count, "change") + " of instances' lists"
	}
	switch ev.Code {
	case "done":
		return "written: " + what, screen.Dim
	case "conflict":
		return "not written, somebody else had changed it: " + what, screen.Warn
	case "deposed":
		return "not written, another process leads: " + what, screen.Warn
	case "unknown":
		return "perhaps written, the answer was lost: " + what, screen.Warn
	}
	return "could not be written: " + notes(what, ev.Text), screen.Bad
}

func podWords(ev *api.Event) (string, screen.Role) {
	text, role := "its pod: "+ev.Code, screen.Default
	switch ev.Code {
	case "Running":
		text, role = "its pod runs", screen.Up
	case "Pending":
		text, role = "its pod is pending", screen.Starting
	case "Missing":
		return "its pod is gone", role
	case "Failed":
		text, role = "its pod has failed", screen.Down
	case "Unknown":
		text, role = "its pod is in an unknown state", screen.Down
	case "Succeeded":
		text, role = "its pod has ended", screen.Down
	}
	why := strings.TrimLeft(strings.TrimPrefix(ev.Text, ev.Code), ":, ")
	if rest, ok := strings.CutPrefix(why, "terminating"); ok {
		text, role, why = text+", and is being deleted", screen.Closing, strings.TrimLeft(rest, ":, ")
	}
	if why != "" {
		text += ": " + why
	}
	return text, role
}

func instanceWords(ev *api.Event) string {
	text := map[string]string{
		"opened":  "opened: its nodes are in ZooKeeper",
		"gone":    "let go: its nodes are out of ZooKeeper",
		"create":  "its pod is being created",
		"replace": "its pod is deleted, to be created anew",
		"ordered": "its pod is deleted, to be created anew",
		"release": "its pod is deleted for good",
	}[ev.Code]
	if text == "" {
		text = ev.Code
	}
	switch {
	case ev.Text == "":
		return text
	case text == "":
		return ev.Text
	}
	return text + ": " + ev.Text
}

func orderWords(ev *api.Event) (string, screen.Role) {
	what := "order: " + cmp.Or(ev.Text, "an operator's")
	switch ev.Code {
	case "":
		return what, screen.Info
	case "done":
		return what + " – done", screen.Info
	}
	return what + " – " + ev.Code, screen.Info
}
