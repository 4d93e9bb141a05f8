package loop

import (
	"sync"

	"dacorch/orchestrator/fleet"
)

// acks tells the broker what is safe: every message up to a token, of whichever
// kind it was. A machine acknowledges its own messages up to a token; the broker
// is told up to just before the first one that any machine has yet to make safe.
type acks struct {
	ack func(token uint64)

	mu    sync.Mutex
	seen  uint64 // the last token that came
	told  uint64 // what the broker was told
	open  map[fleet.Kind][]uint64
	kinds []fleet.Kind
}

func newAcks(ack func(uint64)) *acks {
	return &acks{ack: ack, open: map[fleet.Kind][]uint64{}}
}

func (a *acks) join(kind fleet.Kind) { a.kinds = append(a.kinds, kind) }

// expect notes a message that a kind's machine has to make safe.
func (a *acks) expect(kind fleet.Kind, token uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = token
	a.open[kind] = append(a.open[kind], token)
}

// skip notes a message that nobody needs.
func (a *acks) skip(token uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = token
	a.tell()
}

// safe notes that a kind's messages up to a token are safe.
func (a *acks) safe(kind fleet.Kind, token uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	open := a.open[kind]
	n := 0
	for n < len(open) && open[n] <= token {
		n++
	}
	a.open[kind] = append(open[:0], open[n:]...)
	a.tell()
}

// cut notes that the connection broke over which all messages up to now came:
// the broker sends again what it was not told of, under new tokens.
func (a *acks) cut() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.open)
}

// tell is called with mu held, so that what the broker is told rises.
func (a *acks) tell() {
	upTo := a.seen
	for _, k := range a.kinds {
		if open := a.open[k]; len(open) > 0 {
			upTo = min(upTo, open[0]-1)
		}
	}
	if upTo > a.told {
		a.told = upTo
		a.ack(upTo)
	}
}
