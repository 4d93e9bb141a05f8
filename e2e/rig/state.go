package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// ErrNotUp is what Open and Status say of a rig that was never brought up, or was
// taken down.
var ErrNotUp = errors.New("no rig is up: dacorch rig up brings one up")

// State is what is kept of a rig, in its directory.
type State struct {
	Name       string                  `json:"name"`
	Dir        string                  `json:"dir"`        // this rig's, readable by its owner alone
	Network    string                  `json:"network"`    // of Docker
	Kubeconfig string                  `json:"kubeconfig"` // file
	CAFile     string                  `json:"caFile"`     // certificate of the rig's authority (PEM)
	Services   map[ServiceName]Service `json:"services"`
	Images     Images                  `json:"images"`
	AirGapped  bool                    `json:"airGapped"` // the images come from e2e/airgap/build
	// PortOffset is by how much the ports on this machine are above the usual.
	PortOffset int `json:"portOffset,omitempty"`
	// Node is the id of the cluster's node container, once the cluster is whole, and
	// KindConfig the hash of the configuration that it was made of.
	Node       string `json:"node,omitempty"`
	KindConfig string `json:"kindConfig,omitempty"`
	// Up is set once everything has been there.
	Up bool `json:"up"`
}

// names keeps a rig's name fit for containers, networks, host names and paths.
var names = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,28}[a-z0-9])?$`)

// checkName is name, or Name for "".
func checkName(name string) (string, error) {
	if name == "" {
		return Name, nil
	}
	if !names.MatchString(name) {
		return "", fmt.Errorf("%q cannot be a rig's name: want 1 to 30 of a-z, 0-9 and -, a letter or digit at both ends", name)
	}
	return name, nil
}

// Command is how one calls a command of dacorch for a rig.
func Command(verb, name string) string {
	if name == Name {
		return "dacorch rig " + verb
	}
	return "dacorch rig " + verb + " --name " + name
}

// CacheDir is where all that dacorch keeps for itself on this machine is:
// DACORCH_CACHE, or dacorch in the user's cache directory.
func CacheDir() (string, error) {
	if dir := os.Getenv("DACORCH_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no directory to keep the rig in: %w; set DACORCH_CACHE to one", err)
	}
	return filepath.Join(dir, "dacorch"), nil
}

// newState is that of a rig of which nothing is there yet.
func newState(name string) (State, error) {
	cache, err := CacheDir()
	if err != nil {
		return State{}, err
	}
	dir := filepath.Join(cache, "rig", name)
	return State{
		Name: name, Dir: dir, Network: name,
		Kubeconfig: filepath.Join(dir, "kubeconfig"),
		CAFile:     filepath.Join(dir, "tls", "ca.crt"),
		Services:   map[ServiceName]Service{},
	}, nil
}

// stateFile holds the State, in its directory.
const stateFile = "rig.json"

func (s State) file() string { return filepath.Join(s.Dir, stateFile) }

// readState is what save wrote. The error is fs.ErrNotExist when there is no rig.
func readState(name string) (State, error) {
	own, err := newState(name)
	if err != nil {
		return own, err
	}
	s := own
	data, err := os.ReadFile(s.file())
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("%s is damaged: %w; %s, then up, makes it anew", own.file(), err, Command("down", name))
	}
	s.Dir, s.Kubeconfig, s.CAFile = own.Dir, own.Kubeconfig, own.CAFile // where it is now, also if it was moved
	if s.Services == nil {
		s.Services = map[ServiceName]Service{}
	}
	return s, nil
}

// outside is where a service is reached from this machine.
func (s State) outside(name ServiceName) string {
	if known := s.Services[name].Outside; known != "" {
		return known
	}
	host, port, _ := net.SplitHostPort(outside[name])
	n, _ := strconv.Atoi(port) // both are right: they stand in the source
	return net.JoinHostPort(host, strconv.Itoa(n+s.PortOffset))
}

// save keeps the state, whole or not at all.
func (r *Rig) save() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	data, err := json.MarshalIndent(r.state, "", "  ")
	if err != nil {
		return err
	}
	return writePrivate(r.state.file(), append(data, '\n'))
}

// lock makes the rig this process's own until the file is closed. It stands
// beside the rig's directory, which Down removes.
func lock(s State) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(s.Dir), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(s.Dir+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("another dacorch rig up or down is at work on %s: wait for it to end", s.Name), f.Close())
	}
	return f, nil
}

// ErrClaimed says that another process has what was to be claimed.
var ErrClaimed = errors.New("another process has it")

// Claim makes something of the rig, such as "sim", this process's own until what it
// answers is closed, or the process ends in whatever way. The error is ErrClaimed
// when another has it.
func (r *Rig) Claim(what string) (io.Closer, error) {
	f, err := os.OpenFile(filepath.Join(r.State().Dir, what+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("%w (%s: %w)", ErrClaimed, f.Name(), err), f.Close())
	}
	return f, nil
}

// Open attaches to a rig that is up; "" stands for Name. The error is ErrNotUp
// when there is none.
func Open(name string) (*Rig, error) {
	name, err := checkName(name)
	if err != nil {
		return nil, err
	}
	state, err := readState(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNotUp
	case err != nil:
		return nil, err
	case !state.Up:
		return nil, fmt.Errorf("the rig %s is not whole: %s goes on with it", name, Command("up", name))
	}
	docker, err := connectDocker(context.Background())
	if err != nil {
		return nil, err
	}
	r := &Rig{docker: docker, state: state}
	if err := errors.Join(r.loadCA(), r.loadKubeconfig()); err != nil {
		return nil, errors.Join(err, docker.Close())
	}
	return r, nil
}
