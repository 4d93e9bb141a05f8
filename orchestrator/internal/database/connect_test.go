package database

import (
	"strings"
	"testing"
)

// FuzzURL: a URL that is refused shows none of itself, wherever a password with
// characters that should have been escaped ends up in it.
func FuzzURL(f *testing.F) {
	for _, seed := range []string{"u:%s@h/d", "u:%s@h:5432/d?sslmode=disable", "h/d?password=%s", "u:%s/@h", "u:a%s?b@h:x", "h:%s/d", "%s", "h/d?sslmode=%s", "h/d?port=%s"} {
		f.Add(seed, "/")
		f.Add(seed, "%zz@:?#&=")
	}
	const secret = "hunter2"
	f.Fuzz(func(t *testing.T, shape, odd string) {
		url := "postgres://" + strings.ReplaceAll(shape, "%s", odd+secret+odd)
		cfg, err := parsePostgreSQL(url)
		if err == nil {
			if cfg == nil {
				t.Fatal("neither a configuration nor an error")
			}
			return
		}
		// What should be files may be named: that they are missing must be said.
		if strings.Contains(err.Error(), secret) && !strings.Contains(url, "ssl") {
			t.Fatalf("%q: %v", url, err)
		}
	})
}
