package porttest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/loop"
)

// NotificationsFixture is a broker whose topic nobody has subscribed to.
type NotificationsFixture struct {
	// New makes the adapter of one process: each that it makes stands for the same
	// process, started again.
	New func(t *testing.T) loop.Notifications
	// Publish sends a message with quality of service 1 and waits until the broker
	// has it. It reaches the broker during an Outage too.
	Publish func(t *testing.T, payload []byte)
	// Cut breaks the adapters' connections once.
	Cut func(t *testing.T)
	// Outage makes the broker unreachable for the adapters, and reachable again.
	Outage func(t *testing.T, on bool)
	// Stall lets the broker take everything and answer nothing, until it is over.
	// The case is skipped when it is nil.
	Stall func(t *testing.T, on bool)
	// Restart stops the broker in good order and starts it again where it was. The
	// case is skipped when it is nil.
	Restart func(t *testing.T)
	// Stranger makes an adapter with credentials that the broker refuses, and says
	// how to wait until its log holds so many lines about it. The case is skipped
	// when it is nil.
	Stranger func(t *testing.T) (port loop.Notifications, refusals func(ctx context.Context, n int) error)
	// Window is how many messages the broker sends ahead of acknowledgements.
	Window int
}

// Notifications holds an adapter of loop.Notifications to its contract. start is
// called once for each case.
func Notifications(t *testing.T, start func(t *testing.T) NotificationsFixture) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, f NotificationsFixture)
	}{
		{"in order", notesInOrder},
		{"every operation", notesOperations},
		{"bad messages are skipped and forgotten", notesBad},
		{"a bad message waits for those before it", notesBadBetween},
		{"unacknowledged comes again after a cut", notesCut},
		{"unacknowledged comes again after a restart", notesRestart},
		{"a token of an earlier connection", notesOldToken},
		{"what came while nobody listened", notesOffline},
		{"the broker is away at first", notesAway},
		{"an outage", notesOutage},
		{"a stall", notesStall},
		{"the broker starts again", notesBrokerRestart},
		{"more than the window", notesWindow},
		{"a listener that blocks", notesBlocked},
		{"cut again and again", notesCutAgain},
		{"wrong credentials", notesStranger},
		{"nothing after the end", notesEnd},
		{"an end before the beginning", notesEnded},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, start(t)) })
	}
}

// NotificationValue is the message that a row of the kind was created.
func NotificationValue(kind fleet.Kind, id string) []byte {
	return fmt.Appendf(nil, `{"o":"c","t":%q,"k":{"id":%q},"instance":{"id":%q}}`, string(kind), id, id)
}

func (f NotificationsFixture) publish(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		f.Publish(t, NotificationValue("Thing", id))
	}
}

// noteIDs are n ids in a row.
func noteIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = strconv.Itoa(i)
	}
	return ids
}

// subscribed listens for the first time, so that the broker knows the process.
func (f NotificationsFixture) subscribed(t *testing.T, ack bool) *notesListening {
	t.Helper()
	l := listenNotes(t, f.New(t), ack)
	l.waitUp(1)
	return l
}

func notesInOrder(t *testing.T, f NotificationsFixture) {
	l := f.subscribed(t, true)
	ids := noteIDs(200)
	f.publish(t, ids...)
	l.waitIDs(0, ids...)
}

func notesOperations(t *testing.T, f NotificationsFixture) {
	l := f.subscribed(t, true)
	for i, c := range []struct {
		payload string
		op      fleet.Op
		ids     []string
	}{
		{`{"o":"c","t":"Thing","k":{"id":"a"},"instance":{"id":"a"}}`, fleet.OpCreate, []string{"a"}},
		{`{"o":"u","t":"Thing","k":{"id":"b"},"instance":{"id":"b"}}`, fleet.OpUpdate, []string{"b"}},
		{`{"o":"d","t":"Thing","k":{"id":"c"}}`, fleet.OpDelete, []string{"c"}},
		{`{"o":"bc","t":"Thing","keys":[{"id":"d"},{"id":"e"}]}`, fleet.OpBulkCreate, []string{"d", "e"}},
		{`{"o":"bu","t":"Thing","where":{"id":"f"}}`, fleet.OpBulkUpdate, []string{"f"}},
		{`{"o":"bd","t":"Thing","where":{"id":["g","h"]}}`, fleet.OpBulkDelete, []string{"g", "h"}},
		{`{"o":"bd","t":"Thing","where":{"name":"x"}}`, fleet.OpBulkDelete, nil},
		{`{"o":"truncate","t":"Thing"}`, fleet.OpOther, nil},
		{`{"o":"d","t":"Rule","k":{"id":"i"}}`, fleet.OpDelete, []string{"i"}},
	} {
		f.Publish(t, []byte(c.payload))
		n := l.waitNotes(i, 1)[0].n
		var ids []string
		for _, r := range n.Resources {
			ids = append(ids, r.ID)
		}
		if n.Op != c.op || fmt.Sprint(ids) != fmt.Sprint(c.ids) {
			t.Errorf("%s: op %v, ids %v; want op %v, ids %v", c.payload, n.Op, ids, c.op, c.ids)
		}
	}
}

var badNotes = []string{"", "{", "null", "\xff", `{"o":"c"}`, `{"o":"c","t":"Thing","k":{"id":""}}`}

func notesBad(t *testing.T, f NotificationsFixture) {
	l := f.subscribed(t, true)
	for _, payload := range badNotes {
		f.Publish(t, []byte(payload))
	}
	f.publish(t, "good")
	l.waitIDs(0, "good")
	l.stop()
	f.publish(t, "later") // and nothing comes again before it
	listenNotes(t, f.New(t), true).waitIDs(0, "later")
}

func notesBadBetween(t *testing.T, f NotificationsFixture) {
	l := f.subscribed(t, false)
	f.publish(t, "a")
	f.Publish(t, []byte("bad"))
	f.publish(t, "b")
	l.waitIDs(0, "a", "b")
	f.Cut(t)
	l.waitUp(2)
	notes := l.waitIDs(2, "a", "b")
	l.port.Ack(notes[0].token)
	l.stop()
	listenNotes(t, f.New(t), true).waitIDs(0, "b")
}

func notesCut(t *testing.T, f NotificationsFixture) {
	l := f.subscribed(t, false)
	f.publish(t, "a", "b", "c")
	l.waitIDs(0, "a", "b", "c")
	f.Cut(t)
	l.waitUp(2)
	notes := l.waitIDs(3, "a", "b", "c")
	if notes[0].at != 3 {
		t.Errorf("the channel had been told %d times before what came again: want up, down, up", notes[0].at)
	}
	l.port.Ack(notes[2].token)
	l.stop()
	f.publish(t, "d")
	listenNotes(t, f.New(t), true).waitIDs(0, "d")
}

func notesRestart(t *testing.T, f NotificationsFixture) {
	l := f.subscribed(t, false)
	f.publish(t, "a", "b", "c")
	l.port.Ack(l.waitIDs(0, "a", "b", "c")[0].token)
	l.stop()
	l = listenNotes(t, f.New(t), false)
	l.port.Ack(l.waitIDs(0, "b", "c")[1].token)
	l.stop()
	f.publish(t, "d")
	listenNotes(t, f.New(t), true).waitIDs(0, "d")
}

func notesOldToken(t *testing.T, f NotificationsFixture) {
	l := f.subscribed(t, false)
	f.publish(t, "a", "b")
	old := l.waitIDs(0, "a", "b")[1].token
	f.Cut(t)
	l.waitUp(2)
	l.waitIDs(2, "a", "b")
	l.port.Ack(old) // names nothing that this connection brought
	l.port.Ack(0)
	l.stop()
	l.port.Ack(old) // with no connection at all
	l = listenNotes(t, f.New(t), false)
	notes := l.waitIDs(0, "a", "b")
	l.port.Ack(notes[1].token)
	l.stop()
	f.publish(t, "c")
	listenNotes(t, f.New(t), true).waitIDs(0, "c")
}

func notesOffline(t *testing.T, f NotificationsFixture) {
	f.subscribed(t, true).stop()
	ids := noteIDs(100)
	f.publish(t, ids...)
	listenNotes(t, f.New(t), true).waitIDs(0, ids...)
}

func notesAway(t *testing.T, f NotificationsFixture) {
	f.Outage(t, true)
	l := listenNotes(t, f.New(t), true)
	f.Outage(t, false)
	l.waitUp(1)
	f.publish(t, "a")
	l.waitIDs(0, "a")
}

func notesOutage(t *testing.T, f NotificationsFixture) {
	l := f.subscribed(t, true)
	f.Outage(t, true)
	l.waitDown()
	f.publish(t, "a")
	f.Outage(t, false)
	l.waitUp(2)
	l.waitIDs(0, "a")
	l.mu.Lock()
	defer l.mu.Unlock()
	if fmt.Sprint(l.channel) != "[true false true]" {
		t.Errorf("the channel was told %v: want up, down, up", l.channel)
	}
}

func notesStall(t *testing.T, f NotificationsFixture) {
	if f.Stall == nil {
		t.Skip("this broker cannot be made to stall")
	}
	l := f.subscribed(t, true)
	f.Stall(t, true)
	l.waitDown()
	f.Stall(t, false)
	l.waitUp(2)
	f.publish(t, "a")
	l.waitIDs(0, "a")
}

func notesBrokerRestart(t *testing.T, f NotificationsFixture) {
	if f.Restart == nil {
		t.Skip("this broker cannot be started again")
	}
	l := f.subscribed(t, false)
	f.publish(t, "a", "b", "c")
	l.waitIDs(0, "a", "b", "c")
	f.Restart(t)
	l.waitUp(2)
	l.port.Ack(l.waitIDs(3, "a", "b", "c")[2].token)
	f.publish(t, "d")
	l.waitIDs(6, "d")
	l.stop()
	f.Restart(t)
	listenNotes(t, f.New(t), true).waitIDs(0, "d")
}

func notesWindow(t *testing.T, f NotificationsFixture) {
	l := f.subscribed(t, false)
	ids := noteIDs(5*f.Window + 7)
	f.publish(t, ids...)
	for n := 0; n < len(ids); {
		step := min(f.Window, len(ids)-n)
		notes := l.waitIDs(n, ids[n:n+step]...)
		n += step
		l.port.Ack(notes[step-1].token)
	}
	l.inOrder(ids)
}

func notesBlocked(t *testing.T, f NotificationsFixture) {
	l := f.subscribed(t, true)
	block := make(chan struct{})
	l.mu.Lock()
	l.block = block
	l.mu.Unlock()
	ids := noteIDs(3 * f.Window)
	f.publish(t, ids...)
	f.Cut(t) // the listener hears of it when it comes to itself
	l.mu.Lock()
	l.block = nil
	l.mu.Unlock()
	close(block)
	l.waitUp(2)
	l.inOrder(ids)
}

func notesCutAgain(t *testing.T, f NotificationsFixture) {
	l := f.subscribed(t, true)
	ids := noteIDs(1000)
	published := make(chan struct{})
	go func() {
		defer close(published)
		f.publish(t, ids...)
	}()
	for i := 1; i <= 8; i++ {
		l.waitNotes(0, i*len(ids)/10)
		f.Cut(t)
		l.waitUp(i + 1)
	}
	<-published
	l.inOrder(ids)
}

func notesStranger(t *testing.T, f NotificationsFixture) {
	if f.Stranger == nil {
		t.Skip("this broker lets everybody in")
	}
	port, refusals := f.Stranger(t)
	l := listenNotes(t, port, true)
	ctx, cancel := context.WithTimeout(t.Context(), notesPatience)
	defer cancel()
	if err := refusals(ctx, 3); err != nil {
		t.Fatalf("waiting for the log to tell of the refusal three times: %v", err)
	}
	l.stop()
	if len(l.channel) > 0 {
		t.Errorf("the channel was told %v: want nothing", l.channel)
	}
}

func notesEnd(t *testing.T, f NotificationsFixture) {
	l := f.subscribed(t, false)
	f.publish(t, noteIDs(f.Window)...)
	l.waitNotes(0, 1)
	l.stop()
	f.publish(t, "late") // the recorder complains of a call from here on
	l = listenNotes(t, l.port, true)
	l.inOrder(append(noteIDs(f.Window), "late"))
}

func notesEnded(t *testing.T, f NotificationsFixture) {
	f.Outage(t, true)
	port := f.New(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	never := func(bool) { t.Error("the channel was told without a broker") }
	err := port.Listen(ctx, func(uint64, *fleet.Notification) {}, never)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Listen answers %v, want the context's error", err)
	}
	f.Outage(t, false)
}
