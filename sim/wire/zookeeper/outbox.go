package zookeeper

import (
	"sync"
	"time"
)

// outbox is what a connection still has to send, in order. Requests put answers
// in, watches put events in, one writer takes all there is at once: so a
// pipeline of answers goes out in few writes.
type outbox struct {
	mu     sync.Mutex
	more   sync.Cond // there is something to write, or nothing ever again
	room   sync.Cond // something was written
	chunks []chunk
	size   int
	flush  bool // the writer should not wait for more
	last   bool // nothing more will come: close when all is written
	dead   bool // the connection is closed
	spare  []byte
}

// chunk is bytes that may go out together.
type chunk struct {
	data []byte
	due  time.Time // not before, zero for at once
	seq  uint64    // not before the log has got that far
}

// maxQueued is how many bytes may wait for a client that does not read, before
// its requests are left unread too. Events come on top: one for each watch.
const maxQueued = 4 << 20

func (o *outbox) init() {
	o.more.L, o.room.L = &o.mu, &o.mu
}

// add appends one frame, which put writes behind the four bytes of its length.
func (o *outbox) add(due time.Time, seq uint64, put func([]byte) []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead || o.last {
		return
	}
	n := len(o.chunks)
	if n == 0 || !o.chunks[n-1].due.Equal(due) {
		o.chunks = append(o.chunks, chunk{data: o.spare[:0], due: due})
		o.spare = nil
		n++
	}
	ch := &o.chunks[n-1]
	at := len(ch.data)
	b := put(append(ch.data, 0, 0, 0, 0))
	putInt(b[:at], int32(len(b)-at-4))
	ch.data, ch.seq = b, seq
	o.size += len(b) - at
}

// send lets the writer go.
func (o *outbox) send() {
	o.mu.Lock()
	if len(o.chunks) > 0 || o.last {
		o.flush = true
		o.more.Signal()
	}
	o.mu.Unlock()
}

// end lets the writer close the connection once it has written what there is.
func (o *outbox) end() {
	o.mu.Lock()
	o.last, o.flush = true, true
	o.more.Signal()
	o.mu.Unlock()
}

// kill throws away what was not sent.
func (o *outbox) kill() {
	o.mu.Lock()
	o.dead, o.chunks = true, nil
	o.more.Broadcast()
	o.room.Broadcast()
	o.mu.Unlock()
}

// wait blocks while too much is queued.
func (o *outbox) wait() {
	o.mu.Lock()
	for o.size > maxQueued && !o.dead {
		o.flush = true
		o.more.Signal()
		o.room.Wait()
	}
	o.mu.Unlock()
}

// take answers all there is, nil when nothing more will come.
func (o *outbox) take() []chunk {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.dead && !o.last && !(o.flush && len(o.chunks) > 0) {
		o.more.Wait()
	}
	chunks := o.chunks
	o.chunks, o.flush = nil, false
	return chunks
}

// written gives a chunk's room back.
func (o *outbox) written(ch chunk) {
	o.mu.Lock()
	o.size -= len(ch.data)
	if o.spare == nil && cap(ch.data) <= 1<<18 {
		o.spare = ch.data[:0]
	}
	o.room.Signal()
	o.mu.Unlock()
}

// raw appends bytes that are no frame.
func (o *outbox) raw(b []byte) {
	o.mu.Lock()
	o.chunks = append(o.chunks, chunk{data: b})
	o.size += len(b)
	o.mu.Unlock()
}
