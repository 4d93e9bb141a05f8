package kind

import (
	"errors"

	"dacorch/scenarios"
	"dacorch/sim/wire"
)

// Check answers what a scenario asks for that cannot be played on a rig, all of it.
// Whether one is up it does not ask.
func Check(sc *scenarios.Scenario) error {
	return errors.Join(refuse(sc), wire.Check(sc, &ground{}))
}
