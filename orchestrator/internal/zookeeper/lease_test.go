package zookeeper

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestLeaseEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 2)
		began := time.Now()
		l := newLease(began, 10*time.Second, func(err error) { ended <- err })
		for range 5 {
			<-time.After(3 * time.Second)
			l.prove(time.Now(), 10*time.Second)
		}
		if err := <-ended; !errors.Is(err, ErrUnproved) {
			t.Error(err)
		}
		if d := time.Since(began); d != 12*time.Second+9*time.Second {
			t.Errorf("it lasted %v, want the proof before the last, at 12s, and 90 %% of 10s", d)
		}
		if l.held() {
			t.Error("held after the end")
		}
		l.prove(time.Now(), 10*time.Second) // a late answer does not bring it back
		if l.held() || len(ended) != 0 {
			t.Error("it has begun again")
		}
	})
}

// A proof counts from when it was asked for, however late the answer comes.
func TestLeaseCountsFromTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		began := time.Now()
		l := newLease(began, 10*time.Second, func(err error) { ended <- err })
		<-time.After(5 * time.Second)
		l.prove(began.Add(3*time.Second), 10*time.Second)
		l.prove(began.Add(time.Second), 10*time.Second) // older than the last
		<-time.After(3 * time.Second)
		l.prove(began.Add(6*time.Second), 10*time.Second)
		<-ended
		if d := time.Since(began); d != 12*time.Second {
			t.Errorf("it lasted %v, want 12s", d)
		}
	})
}

// TestLeaseSettles: proofs in short order do not prolong it beyond what the sign of
// life allows that was passed on before them, and are not kept for ever.
func TestLeaseSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		began := time.Now()
		l := newLease(began, 12*time.Second, func(err error) { ended <- err })
		for range 1000 {
			<-time.After(2 * time.Millisecond)
			l.prove(time.Now(), 12*time.Second)
		}
		if l.proved != began.Add(-4*time.Second) || len(l.asked) > 50 {
			t.Errorf("after 2s it counts from %v, want 4s before the beginning; %d proofs are kept", l.proved.Sub(began), len(l.asked))
		}
		<-time.After(time.Second)
		l.prove(time.Now(), 12*time.Second)
		if late := time.Since(l.proved); late < 12*time.Second/settles || late > 12*time.Second/settles+time.Second {
			t.Errorf("after 3s it counts from %v ago", late)
		}
		<-ended
	})
}

// held asks the clock itself: a stopped process has late timers.
func TestLeaseHeldAsksTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		l := newLease(time.Now(), 10*time.Second, func(err error) { ended <- err })
		l.timer.Stop() // as good as late
		<-time.After(6 * time.Second)
		if l.held() {
			t.Error("held is true though the time is over")
		}
		if err := <-ended; !errors.Is(err, ErrUnproved) {
			t.Error(err)
		}
	})
}

func TestLeaseFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 2)
		l := newLease(time.Now(), 10*time.Second, func(err error) { ended <- err })
		l.finish(ErrGone)
		l.finish(ErrDeposed)
		if err := <-ended; err != ErrGone || len(ended) != 0 || l.held() {
			t.Error(err, len(ended), l.held())
		}
	})
}

// TestElapsed: the clock that says more counts, whether the monotonic one stood
// still or the calendar was set back.
func TestElapsed(t *testing.T) {
	now := time.Now()
	wall := now.Round(0)
	if d := elapsed(wall, wall.Add(time.Minute)); d != time.Minute {
		t.Error(d)
	}
	if d := elapsed(now, now.Add(time.Minute)); d != time.Minute {
		t.Error(d)
	}
}
