package world

import (
	"time"

	"dacorch/sim/internal/timeline"
)

// queue is a first-in-first-out ring. It grows to the largest length it has
// had and allocates no more.
type queue[T any] struct {
	buf  []T
	head int
	n    int
}

func (q *queue[T]) len() int { return q.n }

func (q *queue[T]) push(v T) {
	if q.n == len(q.buf) {
		grown := make([]T, max(8, 2*len(q.buf)))
		for i := range q.n {
			grown[i] = *q.at(i)
		}
		q.buf, q.head = grown, 0
	}
	q.n++
	*q.at(q.n - 1) = v
}

func (q *queue[T]) pop() T {
	p := q.at(0)
	v := *p
	var zero T
	*p = zero
	q.head = (q.head + 1) & (len(q.buf) - 1)
	q.n--
	return v
}

// at is the i-th element from the head. The buffer's length is a power of two.
func (q *queue[T]) at(i int) *T { return &q.buf[(q.head+i)&(len(q.buf)-1)] }

// delay draws one named latency from a stream of its own.
type delay struct {
	latency timeline.Latency
	stream  *timeline.Stream
}

func (d *delay) draw() time.Duration { return d.latency.Draw(d.stream) }

// pipe is one direction of a connection: what is sent later arrives no earlier.
type pipe struct{ last time.Duration }

func (p *pipe) arrival(at time.Duration) time.Duration {
	p.last = max(p.last, at)
	return p.last
}
