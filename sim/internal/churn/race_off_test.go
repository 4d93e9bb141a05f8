//go:build !race

package churn

const raceDetector = false
