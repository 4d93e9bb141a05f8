package porttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/loop"
)

// notesPatience only ever fails a test; nothing waits for its end.
const notesPatience = 60 * time.Second

// notesListening is a Listen under way and what it has told.
type notesListening struct {
	t      *testing.T
	port   loop.Notifications
	cancel context.CancelFunc
	done   chan error

	mu      sync.Mutex
	changed chan struct{} // closed and replaced with every change
	notes   []toldNote
	channel []bool
	inside  int  // calls under way
	ended   bool // no call may come
	ack     bool // acknowledge each at once
	block   chan struct{}
	wrong   []string
}

type toldNote struct {
	token uint64
	n     *fleet.Notification
	at    int // how often the channel had been told before
}

// id is the first row's that the message names, "" when it names none.
func (n toldNote) id() string {
	if len(n.n.Resources) == 0 {
		return ""
	}
	return n.n.Resources[0].ID
}

// listenNotes starts a Listen; ack acknowledges each message as it comes.
func listenNotes(t *testing.T, port loop.Notifications, ack bool) *notesListening {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &notesListening{t: t, port: port, cancel: cancel, done: make(chan error, 1), changed: make(chan struct{}), ack: ack}
	go func() {
		err := port.Listen(ctx, l.note, l.tell)
		l.mu.Lock()
		l.ended = true
		l.mu.Unlock()
		l.done <- err
	}()
	t.Cleanup(func() {
		l.stop()
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, w := range l.wrong {
			t.Error(w)
		}
	})
	return l
}

// call is a call of note or channel, one at a time.
func (l *notesListening) call(what func()) {
	l.mu.Lock()
	if l.inside++; l.inside > 1 {
		l.wrong = append(l.wrong, "two calls at once")
	}
	if l.ended {
		l.wrong = append(l.wrong, "a call after Listen has returned")
	}
	block := l.block
	l.mu.Unlock()
	if block != nil {
		<-block
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	what()
	l.inside--
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *notesListening) note(token uint64, n *fleet.Notification) {
	l.call(func() {
		if last := len(l.notes) - 1; last >= 0 && l.notes[last].token >= token {
			l.wrong = append(l.wrong, fmt.Sprintf("token %d after %d", token, l.notes[last].token))
		}
		if up := len(l.channel); up == 0 || !l.channel[up-1] {
			l.wrong = append(l.wrong, "a message while the channel is down")
		}
		l.notes = append(l.notes, toldNote{token, n, len(l.channel)})
	})
	if l.ack {
		l.port.Ack(token)
	}
}

func (l *notesListening) tell(up bool) {
	l.call(func() {
		if told := len(l.channel); told > 0 && l.channel[told-1] == up {
			l.wrong = append(l.wrong, fmt.Sprintf("the channel was told twice that up is %t", up))
		}
		l.channel = append(l.channel, up)
	})
}

// wait waits until what holds; it is called with the lock held.
func (l *notesListening) wait(why string, what func() bool) {
	l.t.Helper()
	late := time.NewTimer(notesPatience)
	defer late.Stop()
	for {
		l.mu.Lock()
		ok, changed := what(), l.changed
		l.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case err := <-l.done:
			l.done <- err
			l.t.Fatalf("waiting for %s: Listen has returned %v", why, err)
		case <-late.C:
			l.mu.Lock()
			defer l.mu.Unlock()
			l.t.Fatalf("waited %s for %s: channel %v, %d messages", notesPatience, why, l.channel, len(l.notes))
		}
	}
}

// waitUp waits until the channel has been told to be up for the nth time.
func (l *notesListening) waitUp(n int) {
	l.t.Helper()
	l.wait(fmt.Sprintf("the channel to be up %d times", n), func() bool {
		ups := 0
		for _, up := range l.channel {
			if up {
				ups++
			}
		}
		return ups >= n
	})
}

func (l *notesListening) waitDown() {
	l.t.Helper()
	l.wait("the channel to be down", func() bool { return len(l.channel) > 0 && !l.channel[len(l.channel)-1] })
}

// waitNotes waits for n messages since message from, and answers them.
func (l *notesListening) waitNotes(from, n int) []toldNote {
	l.t.Helper()
	l.wait(fmt.Sprintf("%d messages", from+n), func() bool { return len(l.notes) >= from+n })
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.notes[from:])
}

// waitIDs waits for messages of these ids, in order and no others, since message
// from.
func (l *notesListening) waitIDs(from int, ids ...string) []toldNote {
	l.t.Helper()
	notes := l.waitNotes(from, len(ids))
	for i, id := range ids {
		if notes[i].id() != id {
			l.t.Fatalf("message %d is %q, want %q", from+i, notes[i].id(), id)
		}
	}
	return notes
}

// inOrder waits until the last of the ids has been seen, and wants the first
// sights of all of them in order, whatever was repeated in between.
func (l *notesListening) inOrder(ids []string) {
	l.t.Helper()
	last := ids[len(ids)-1]
	l.wait("message "+last, func() bool {
		return slices.ContainsFunc(l.notes, func(n toldNote) bool { return n.id() == last })
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := map[string]bool{}
	for i, n := range l.notes {
		if seen[n.id()] {
			continue
		}
		if want := ids[len(seen)]; n.id() != want {
			l.t.Fatalf("message %d is %q, and %q never came before it", i, n.id(), want)
		}
		seen[n.id()] = true
	}
}

// stop ends the Listen and waits for it.
func (l *notesListening) stop() {
	l.t.Helper()
	l.cancel()
	l.mu.Lock()
	if l.block != nil {
		close(l.block)
		l.block = nil
	}
	l.mu.Unlock()
	select {
	case err := <-l.done:
		l.done <- err
		if !errors.Is(err, context.Canceled) {
			l.t.Errorf("Listen answers %v, want the context's error", err)
		}
	case <-time.After(notesPatience):
		l.t.Fatal("Listen does not return though its context has ended")
	}
}
