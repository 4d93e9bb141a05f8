package kafka

import (
	"sync"
	"sync/atomic"
	"time"
)

// progress is what is known of the distance between the ends of the partitions
// and what has been read of them. Its times are arguments: it has no clock.
type progress struct {
	fresh, maxAge time.Duration

	mu     sync.Mutex
	claims map[int32]*claim // by partition; nil outside a session
	asked  []answer         // not yet reached, oldest first, at most maxAnswers
	proven time.Time        // all that there was then has been read
}

// maxAnswers is more than are given within Fresh.
const maxAnswers = 16

// claim is a partition that is ours.
type claim struct {
	next atomic.Int64 // offset of the first record not yet handed over
	// recent: a record at this offset or after it was appended at most maxAge ago.
	recent      atomic.Int64
	coming      int64 // what recent will be
	comingSince time.Time
}

// answer is where the partitions ended at a moment, and how far we had read
// before that.
type answer struct {
	at   time.Time // when the question was asked
	ends map[int32]int64
	read map[int32]int64
}

// start opens a session. Each of its partitions is claimed afterwards.
func (p *progress) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims, p.asked, p.proven = map[int32]*claim{}, nil, time.Time{}
}

// stop ends the session: nothing is ours.
func (p *progress) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims, p.asked, p.proven = nil, nil, time.Time{}
}

// claim takes up a partition from the offset next on; it ended at end a moment ago.
func (p *progress) claim(now time.Time, partition int32, next, end int64) *claim {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &claim{coming: end, comingSince: now}
	c.next.Store(next)
	c.recent.Store(end)
	if p.claims != nil {
		p.claims[partition] = c
	}
	return c
}

// read is how far each partition has been read.
func (p *progress) read() map[int32]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	read := make(map[int32]int64, len(p.claims))
	for partition, c := range p.claims {
		read[partition] = c.next.Load()
	}
	return read
}

// answered takes up where the partitions ended.
func (p *progress) answered(a answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for partition, c := range p.claims {
		end, ok := a.ends[partition]
		age := a.at.Sub(c.comingSince)
		if !ok || age < p.maxAge/2 {
			continue
		}
		if age > p.maxAge { // no answer came for long
			c.coming = end
		}
		c.recent.Store(c.coming)
		c.coming, c.comingSince = end, a.at
	}
	if len(p.asked) == maxAnswers {
		p.asked = p.asked[1:]
	}
	p.asked = append(p.asked, a)
}

// up says whether all that the brokers held no longer ago than fresh has been
// read.
func (p *progress) up(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.asked) - 1; i >= 0; i-- {
		if p.reached(p.asked[i]) {
			p.proven = p.asked[i].at
			p.asked = append(p.asked[:0], p.asked[i+1:]...)
			break
		}
	}
	return !p.proven.IsZero() && now.Sub(p.proven) <= p.fresh
}

// reached says whether every partition is ours and read up to the answer. One
// that ends before what had been read is another topic by the same name: it
// proves nothing.
func (p *progress) reached(a answer) bool {
	for partition, end := range a.ends {
		c := p.claims[partition]
		if c == nil || c.next.Load() < end || a.read[partition] > end {
			return false
		}
	}
	return len(a.ends) > 0
}
