//go:build race

package churn

// The race detector makes reading twenty times slower, and there is no
// goroutine here for it to watch: the largest file is then read in part.
const raceDetector = true
