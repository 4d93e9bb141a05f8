package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
)

// outside is where the services are reached from this machine: loopback alone.
var outside = map[ServiceName]string{ZooKeeper: "127.0.0.1:12281", Kafka: "127.0.0.1:19093",
	Mosquitto: "127.0.0.1:18883", PostgreSQL: "127.0.0.1:15432"}

// insidePorts are where pods and containers reach them, by name.
var insidePorts = map[ServiceName]string{ZooKeeper: "2281", Kafka: "9093", Mosquitto: "8883", PostgreSQL: "5432"}

const (
	// answersWithin is how long a service may take from its start to its answer; a
	// loaded machine starts Java slowly.
	answersWithin = 3 * time.Minute
	// stopWithin is how long a service may take to end in good order.
	stopWithin = 20 * time.Second
	// logLines is how much of a failing service's log an error tells.
	logLines = 25
	// containerUser is who the services run as, in every image.
	containerUser = "65532:65532"
	// hashLabel says what a container was made of; see confHash.
	hashLabel = "dacorch.rig.made-of"
	// memoryLimit holds for each service's container, and logSize, twice over, for what
	// Docker keeps of its log: Mosquitto tells of every client that connects.
	memoryLimit = 768 << 20
	logSize     = "10m"
)

// ZooKeeperData is the directory, of this machine, with ZooKeeper's snapshots and
// transaction log (version-2/log.*): whoever reads the log sees every transaction,
// in order.
func (r *Rig) ZooKeeperData() string { return filepath.Join(r.State().Dir, "zookeeper-data") }

// startService makes, starts or keeps the service's container
// <rig>-<service>, on network r.state.Network, labelled rigLabel=<rig>, waits until it
// answers, and enters it into r.state.Services under r.mu. Called for all at once.
//
// A container that was made of another image, network, configuration or
// certificate is made anew, with nothing of its data; why says so.
func (r *Rig) startService(ctx context.Context, name ServiceName) (did StepState, why string, err error) {
	r.enterService(name)
	plan, err := r.planService(ctx, name)
	if err != nil {
		return StepFailed, "", err
	}
	did = StepDone
	switch found, unseen := r.inspectService(ctx, name); {
	case errdefs.IsNotFound(unseen):
		err = r.makeService(ctx, plan)
	case unseen != nil:
		err = fmt.Errorf("%s: %w", name, unseen)
	case found.Config == nil || found.Config.Labels[rigLabel] != r.State().Name:
		err = fmt.Errorf("a container %s is there that is no part of this rig: docker rm it, or give the rig another name", r.containerName(name))
	case found.State.Status == container.StateCreated:
		// One that has never started may lack its files: whoever made it was ended.
		err = r.remakeService(ctx, plan)
	case found.Config.Labels[hashLabel] != plan.hash:
		why = "made anew, for it was set up otherwise: its data are gone"
		if was := found.Config.Image; was != plan.service.Image {
			why = "made anew, for it was of " + was + ": its data are gone"
		}
		err = r.remakeService(ctx, plan)
	case !found.State.Running || found.State.Paused:
		err = r.resume(ctx, name, found.State)
	default:
		did = StepThere
	}
	if err == nil {
		err = r.awaitService(ctx, name)
	}
	if err != nil {
		return StepFailed, why, err
	}
	if err := r.furnish(ctx, name); err != nil {
		return StepFailed, why, r.withLog(name, fmt.Errorf("%s: %w", name, err))
	}
	return did, why, nil
}

func (r *Rig) remakeService(ctx context.Context, p servicePlan) error {
	if err := r.unsettled(); err != nil {
		return err
	}
	if err := r.removeService(ctx, p.name); err != nil {
		return err
	}
	return r.makeService(ctx, p)
}

// enterService notes how a service is reached, unless that is known.
func (r *Rig) enterService(name ServiceName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.Services == nil {
		r.state.Services = map[ServiceName]Service{}
	}
	s := r.state.Services[name]
	if s.Outside == "" {
		s.Outside = outside[name]
	}
	s.Name, s.Image, s.User = name, r.state.Images.Of(name), UserOrchestrator
	s.Inside = net.JoinHostPort(string(name), insidePorts[name])
	r.state.Services[name] = s
}

// containerName is that of a service's container.
func (r *Rig) containerName(name ServiceName) string { return r.State().Name + "-" + string(name) }

// A servicePlan is what a container is made of.
type servicePlan struct {
	name    ServiceName
	service Service
	files   []confFile
	hash    string
	user    string
	mounts  []mount.Mount
}

func (r *Rig) planService(ctx context.Context, name ServiceName) (servicePlan, error) {
	state := r.State()
	p := servicePlan{name: name, service: state.Services[name], user: containerUser}
	all, err := readSecrets(state.Dir)
	if err != nil {
		return p, err
	}
	ca, err := os.ReadFile(state.CAFile)
	if err != nil {
		return p, fmt.Errorf("the rig's authority: %w", err)
	}
	own, err := r.servicePair(name)
	if err != nil {
		return p, err
	}
	if p.files, err = confFiles(name, p.service.Outside, all, ca, own); err != nil {
		return p, err
	}
	if name == ZooKeeper {
		p.user = dataOwner()
		p.mounts = []mount.Mount{{Type: mount.TypeBind, Source: r.ZooKeeperData(), Target: "/data"}}
	}
	at, err := r.docker.NetworkInspect(ctx, state.Network, client.NetworkInspectOptions{})
	if err != nil {
		return p, fmt.Errorf("%s: the network %s: %w", name, state.Network, err)
	}
	p.hash = confHash(p.files, p.service.Image, p.service.Outside, at.Network.ID, p.user, fmt.Sprint(p.mounts))
	return p, nil
}

// dataOwner is who may write ZooKeeper's data on this machine: this process's user,
// so that it can remove them; root runs nothing as root.
func dataOwner() string {
	if os.Getuid() <= 0 {
		return containerUser
	}
	return fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())
}

// makeService creates and starts the container.
func (r *Rig) makeService(ctx context.Context, p servicePlan) error {
	if p.name == ZooKeeper {
		if err := r.makeZooKeeperData(); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if err := loopbackFree(p.service.Outside); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	made, err := testcontainers.GenericContainer(ctx, r.request(p))
	if err != nil {
		err = r.withLog(p.name, fmt.Errorf("%s: %w", p.name, err))
		if made != nil { // half of a container helps nobody
			err = errors.Join(err, r.removeService(context.WithoutCancel(ctx), p.name))
		}
	}
	return err
}

// request is the container as testcontainers makes it.
func (r *Rig) request(p servicePlan) testcontainers.GenericContainerRequest {
	tameTestcontainers()
	state := r.State()
	port := insidePorts[p.name]
	if p.name == Kafka { // each of its listeners tells clients one address, so the outside has its own
		_, port, _ = net.SplitHostPort(p.service.Outside)
	}
	req := testcontainers.ContainerRequest{
		Name:           r.containerName(p.name),
		Image:          p.service.Image,
		Entrypoint:     []string{"/bin/sh", confDir + "start"},
		Labels:         map[string]string{rigLabel: state.Name, hashLabel: p.hash},
		ExposedPorts:   []string{port + "/tcp"},
		Networks:       []string{state.Network},
		NetworkAliases: map[string][]string{state.Network: {string(p.name)}},
		ConfigModifier: func(c *container.Config) {
			c.User = p.user
			c.StopSignal = stopSignals[p.name]
		},
		HostConfigModifier: func(c *container.HostConfig) {
			host, outside, _ := net.SplitHostPort(p.service.Outside) // checked by confFiles
			c.PortBindings = network.PortMap{network.MustParsePort(port + "/tcp"): {{HostIP: netip.MustParseAddr(host), HostPort: outside}}}
			c.Mounts = p.mounts
			c.Memory = memoryLimit
			c.LogConfig = container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": logSize, "max-file": "2"}}
			c.CapDrop = []string{"ALL"}
			c.SecurityOpt = []string{"no-new-privileges"}
		},
	}
	for _, f := range p.files {
		req.Files = append(req.Files, testcontainers.ContainerFile{
			Reader: bytes.NewReader(f.data), ContainerFilePath: f.path, FileMode: f.mode})
	}
	return testcontainers.GenericContainerRequest{ContainerRequest: req, Started: true, Logger: noLog{}}
}

// stopSignals ask a service to end in good order: PostgreSQL without waiting for
// its clients.
var stopSignals = map[ServiceName]string{ZooKeeper: "SIGTERM", Kafka: "SIGTERM", Mosquitto: "SIGTERM", PostgreSQL: "SIGINT"}

// tameTestcontainers keeps it from starting a container that removes ours once this
// process has ended, and from writing to standard error.
var tameTestcontainers = sync.OnceFunc(func() {
	os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
	log.SetDefault(noLog{})
})

// noLog is testcontainers' log. What it would say, steps and errors say.
type noLog struct{}

func (noLog) Printf(string, ...any) {}

// makeZooKeeperData makes the directory, empty: data of another container are of
// other passwords.
func (r *Rig) makeZooKeeperData() error {
	dir := r.ZooKeeperData()
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	// Its user need not be this process's. Nobody gets here but through the rig's
	// directory, which is closed to others.
	return os.Chmod(dir, 0o777)
}

// loopbackFree says who is in the way before Docker does, in more words.
func loopbackFree(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%s is taken: %w: end what listens there (another rig?), then try again", address, err)
	}
	return l.Close()
}

func (r *Rig) inspectService(ctx context.Context, name ServiceName) (container.InspectResponse, error) {
	found, err := r.docker.ContainerInspect(ctx, r.containerName(name), client.ContainerInspectOptions{})
	return found.Container, err
}

func (r *Rig) removeService(ctx context.Context, name ServiceName) error {
	_, err := r.docker.ContainerRemove(ctx, r.containerName(name), client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// resume starts a container that is stopped, or lets one that is frozen go on.
func (r *Rig) resume(ctx context.Context, name ServiceName, state *container.State) error {
	if state.Paused {
		return r.UnpauseService(ctx, name)
	}
	if _, err := r.docker.ContainerStart(ctx, r.containerName(name), client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	return nil
}

// StopService asks a service to end in good order, and kills it if it has not
// after 20 s; its data stay. One that does not run is left as it is.
func (r *Rig) StopService(ctx context.Context, name ServiceName) error {
	seconds := int(stopWithin / time.Second)
	if _, err := r.docker.ContainerStop(ctx, r.containerName(name), client.ContainerStopOptions{Timeout: &seconds}); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}

// StartService starts a service that was stopped, with the data that it had, and
// waits until it answers.
func (r *Rig) StartService(ctx context.Context, name ServiceName) error {
	if _, err := r.docker.ContainerStart(ctx, r.containerName(name), client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	return r.awaitService(ctx, name)
}

// PauseService freezes a service: connections stay, nothing answers.
func (r *Rig) PauseService(ctx context.Context, name ServiceName) error {
	if _, err := r.docker.ContainerPause(ctx, r.containerName(name), client.ContainerPauseOptions{}); err != nil {
		return fmt.Errorf("pause %s: %w", name, err)
	}
	return nil
}

// UnpauseService lets a frozen service go on.
func (r *Rig) UnpauseService(ctx context.Context, name ServiceName) error {
	if _, err := r.docker.ContainerUnpause(ctx, r.containerName(name), client.ContainerUnpauseOptions{}); err != nil {
		return fmt.Errorf("unpause %s: %w", name, err)
	}
	return nil
}

// awaitService waits until a service answers. It gives up when its container has
// ended.
func (r *Rig) awaitService(ctx context.Context, name ServiceName) error {
	within, cancel := context.WithTimeoutCause(ctx, answersWithin, fmt.Errorf("no answer within %s", answersWithin))
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := r.serviceAnswers(within, name)
		if err == nil {
			return nil
		}
		found, gone := r.inspectService(within, name)
		if gone == nil && !found.State.Running {
			return r.withLog(name, fmt.Errorf("%s: %w", r.containerName(name), ended(found.State)))
		}
		select {
		case <-tick.C:
		case <-within.Done():
			return r.withLog(name, fmt.Errorf("%s: %w: %w", r.containerName(name), context.Cause(within), err))
		}
	}
}

func ended(s *container.State) error {
	if s.OOMKilled {
		return errors.New("it needed more memory than it may have, and was killed")
	}
	return fmt.Errorf("it has ended with exit code %d", s.ExitCode)
}

// withLog adds the end of a service's log to an error.
func (r *Rig) withLog(name ServiceName, err error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // the error's own context may have ended
	defer cancel()
	said := logTail(ctx, r.docker, r.containerName(name), logLines)
	if said == "" {
		return err
	}
	return fmt.Errorf("%w; the end of its log (docker logs %s):\n%s", err, r.containerName(name), said)
}
