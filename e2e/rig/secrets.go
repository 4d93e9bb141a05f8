package rig

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// The users of the services. Who needs none at a service has none there.
const (
	UserOrchestrator = "dacorch"  // reads tables, heartbeats and notifications; owns its ZooKeeper nodes
	UserDAC          = "dac"      // the instances: may send heartbeats
	UserPlatform     = "platform" // the data centre, and whoever tests: may do everything
	userPostgres     = "postgres" // PostgreSQL's superuser, for the rig alone
)

// users are those of each service.
var users = map[ServiceName][]string{
	ZooKeeper:  {UserOrchestrator, UserDAC, UserPlatform},
	Kafka:      {UserOrchestrator, UserDAC, UserPlatform},
	Mosquitto:  {UserOrchestrator, UserPlatform},
	PostgreSQL: {UserOrchestrator, UserPlatform, userPostgres},
}

// secrets are the passwords by service and user.
type secrets map[ServiceName]map[string]string

// secretsFile holds all passwords of a rig, in its directory. Its owner alone may
// read it, and nothing prints what stands there.
const secretsFile = "secrets.json"

// passwords are all of them, for whoever hands them on: a missing one is an error.
func (r *Rig) passwords() (secrets, error) {
	all, err := readSecrets(r.State().Dir)
	if err != nil {
		return nil, err
	}
	if all.complete() {
		return nil, fmt.Errorf("%s lacks a password: %s makes the missing ones", filepath.Join(r.State().Dir, secretsFile), Command("up", r.State().Name))
	}
	return all, nil
}

// Password is a user's password at a service; "" for one that it does not know, and
// where the file cannot be read: it will be refused like any wrong one.
func (r *Rig) Password(name ServiceName, user string) string {
	all, err := readSecrets(r.State().Dir)
	if err != nil {
		return ""
	}
	return all[name][user]
}

// prepareSecrets makes the passwords that are missing.
func (r *Rig) prepareSecrets() (StepState, error) {
	dir := r.State().Dir
	all, err := readSecrets(dir)
	if errors.Is(err, fs.ErrNotExist) {
		all, err = secrets{}, nil
	}
	if err != nil {
		return StepFailed, err
	}
	if !all.complete() {
		return StepThere, nil
	}
	return StepDone, writeSecrets(dir, all)
}

// complete makes what is missing, and says whether anything was.
func (s secrets) complete() bool {
	made := false
	for name, of := range users {
		if s[name] == nil {
			s[name] = map[string]string{}
		}
		for _, user := range of {
			if s[name][user] == "" {
				s[name][user] = newPassword()
				made = true
			}
		}
	}
	return made
}

// newPassword is 144 random bits in letters that need no quotes in any of the
// services' files, nor in a URL.
func newPassword() string {
	b := make([]byte, 18)
	rand.Read(b) // it never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

func readSecrets(dir string) (secrets, error) {
	path := filepath.Join(dir, secretsFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the rig's passwords: %w", err)
	}
	s, err := parseSecrets(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s, then up, makes new ones", path, err, Command("down", filepath.Base(dir)))
	}
	return s, nil
}

// parseSecrets reads secretsFile. The error holds nothing of what stands there.
func parseSecrets(data []byte) (secrets, error) {
	var s secrets
	if err := json.Unmarshal(data, &s); err != nil || s == nil {
		return nil, errors.New(`not as it was written: want {"<service>": {"<user>": "<password>"}}`)
	}
	for name, of := range s {
		for user, password := range of {
			if !plain(password) {
				return nil, fmt.Errorf("the password of %.40q at %.40q is not of letters, digits, - and _", user, name)
			}
		}
	}
	return s, nil
}

// plain says that a password can stand in every service's file as it is.
func plain(password string) bool {
	return !slices.ContainsFunc([]byte(password), func(c byte) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_')
	})
}

func writeSecrets(dir string, s secrets) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writePrivate(filepath.Join(dir, secretsFile), append(data, '\n'))
}

// writePrivate writes a file that its owner alone may read; a reader finds the
// whole file or the one before.
func writePrivate(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
