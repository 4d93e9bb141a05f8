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
		if d := time.Since(began); d != 15*time.Second+9*time.Second {
			t.Errorf("it lasted %v, want the last proof at 15s and 90 %% of 10s", d)
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
		<-time.After(8 * time.Second)
		l.prove(began.Add(2*time.Second), 10*time.Second)
		l.prove(began.Add(time.Second), 10*time.Second) // older than the last
		<-ended
		if d := time.Since(began); d != 11*time.Second {
			t.Errorf("it lasted %v, want 11s", d)
		}
	})
}

// held asks the clock itself: a stopped process has late timers.
func TestLeaseHeldAsksTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		l := newLease(time.Now(), 10*time.Second, func(err error) { ended <- err })
		l.timer.Stop() // as good as late
		<-time.After(9 * time.Second)
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
