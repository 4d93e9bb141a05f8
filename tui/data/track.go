package data

import "time"

// Track is figures of a kind over the time that they have been watched, for the
// charts. A simulation's clock counts where there is one.
type Track struct {
	Points []Point // oldest first, at most MaxPoints
}

// MaxPoints bounds a track.
const MaxPoints = 600

// Point is the figures at one moment.
type Point struct {
	At           time.Time
	Resources    int
	Unplaced     int
	Instances    int
	Up           int
	Moves        int64   // counter
	Commits      int64   // counter
	HeartbeatAge float64 // seconds, of the instance heard longest ago; below 0: none sends
}

// Add appends a point, and forgets what came after it: time may have gone back.
func (t *Track) Add(p Point) {
	for n := len(t.Points); n > 0 && !t.Points[n-1].At.Before(p.At); n-- {
		t.Points = t.Points[:n-1]
	}
	if len(t.Points) == MaxPoints {
		t.Points = append(t.Points[:0], t.Points[1:]...)
	}
	t.Points = append(t.Points, p)
}
