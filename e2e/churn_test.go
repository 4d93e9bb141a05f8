package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// churn is a data centre at work: rows come and go all the while, each announced
// when a broker takes it.
type churn struct {
	w    *world
	k    *kind
	stop func()

	mu        sync.Mutex
	committed map[string]life // rows made
	deleted   int
	unheard   int // commits that could not be announced
	failed    error
}

// life is from a row's commit to its deletion; zero for one that is there.
type life struct{ came, went time.Time }

// churnEvery is the time between two commits. Each third one is a deletion.
const churnEvery = 200 * time.Millisecond

// stir starts churn, until the case has ended or end is called.
func (w *world) stir(k *kind) *churn {
	ctx, cancel := context.WithCancel(context.Background())
	c := &churn{w: w, k: k, committed: map[string]life{}}
	var running sync.WaitGroup
	running.Go(func() { c.work(ctx) })
	c.stop = func() { cancel(); running.Wait() }
	w.t.Cleanup(c.stop)
	return c
}

func (c *churn) work(ctx context.Context) {
	tick := time.NewTicker(churnEvery)
	defer tick.Stop()
	var alive []string
	begun := time.Now().UnixMilli() // in the ids: a case may stir more than once
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		// Each commit is finished: one that is cut off may have happened or not.
		attempt, done := context.WithTimeout(context.Background(), callWithin)
		var m message
		var err error
		if n%3 == 2 {
			var id string
			id, alive = alive[0], alive[1:]
			err = c.w.deleteRows(attempt, c.k, id)
			m = c.k.removed(id)
		} else {
			id := fmt.Sprintf("churn-%d-%05d", begun, n)
			err = c.w.insertRows(attempt, c.k, "south", id)
			alive = append(alive, id)
			m = c.k.created(id)
		}
		done()
		c.note(time.Now(), n%3 == 2, m, err)
		if err != nil {
			return
		}
	}
}

// note announces a commit of then, or keeps why it failed.
func (c *churn) note(then time.Time, deletion bool, m message, err error) {
	var heard error
	if err == nil {
		heard = c.w.publish(m)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed = err
		return
	}
	if heard != nil {
		c.unheard++
	}
	if heard != nil && !errors.Is(heard, errNotPublished) {
		c.failed = heard
	}
	id := m.Key["id"].(string)
	row := c.committed[id]
	if deletion {
		row.went = then
		c.deleted++
	} else {
		row.came = then
	}
	c.committed[id] = row
}

// end stops the churn and says what it did.
func (c *churn) end() map[string]life {
	c.w.t.Helper()
	c.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		c.w.t.Fatalf("churn of %s: %v", c.k.name, c.failed)
	}
	c.w.t.Logf("%s: %d rows came, %d went, %d commits could not be announced", c.k.name, len(c.committed), c.deleted, c.unheard)
	return c.committed
}
