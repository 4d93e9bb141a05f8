//go:build !unix

package kind

import "os"

// lockFile does nothing where there are no advisory locks: two runs at once are
// the user's to avoid.
func lockFile(*os.File) error { return nil }
