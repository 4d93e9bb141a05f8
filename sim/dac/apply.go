package dac

import (
	"context"
	"time"
)

// apply makes ids, ascending, what is held: what is no longer in it ends first.
// When ctx ends it stops half-way, and what is held is what runs.
func (d *DAC) apply(ctx context.Context, ids []string) {
	d.mu.Lock()
	held := d.state.Held
	d.mu.Unlock()
	gone, come := differences(held, ids)
	if len(gone)+len(come) == 0 {
		return
	}
	pause(ctx, d.cfg.Latency+time.Duration(len(gone)+len(come))*d.cfg.Cost)
	d.mu.Lock()
	defer d.mu.Unlock()
	if ctx.Err() != nil { // held stands as it was
		return
	}
	d.state.Held = ids
	d.tell(gone, false)
	d.tell(come, true)
}

// endAll ends everything that runs.
func (d *DAC) endAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	held := d.state.Held
	d.state.Held = nil
	d.tell(held, false)
}

// tell tells OnRun. It is called with the lock held, so that State never shows
// what has not been told, nor hides what has.
func (d *DAC) tell(ids []string, on bool) {
	if d.cfg.OnRun == nil {
		return
	}
	for _, id := range ids {
		d.cfg.OnRun(id, on)
	}
}

// differences are what is in a alone and in b alone, both ascending.
func differences(a, b []string) (onlyA, onlyB []string) {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			onlyA, a = append(onlyA, a[0]), a[1:]
		case a[0] > b[0]:
			onlyB, b = append(onlyB, b[0]), b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
	return append(onlyA, a...), append(onlyB, b...)
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
