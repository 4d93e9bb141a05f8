package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// process is one orchestrator as a process of its own, so that it can be killed
// as a machine's failure kills it.
type process struct {
	name   string
	config string // file
	url    string
	serve  func(ctx context.Context, config string) *exec.Cmd
	ctx    context.Context // when it ends, the process is killed
	log    io.Writer
	port   io.Closer // keeps its port free for it

	// The run's own.
	stopped bool // by a signal, and will go on
	retired bool // it is not to be started again

	mu    sync.Mutex // guards what start sets
	cmd   *exec.Cmd
	ended chan struct{} // closed when cmd has ended
	said  *tail         // the last of what cmd has printed
	asked atomic.Bool   // somebody wants cmd to end

	// died, unless nil, is told when it ends without having been asked to, on any
	// goroutine.
	died func(why error)
}

// stopPatience bounds the wait for a process that was asked to end.
const stopPatience = 30 * time.Second

// A ZooKeeper session of an orchestrator or a DAC, by the scenario's time, and the
// shortest that a loaded machine keeps alive.
const (
	sessionTimeout = 10 * time.Second
	minSession     = 2 * time.Second
)

func (r *run) session() time.Duration { return max(r.real(sessionTimeout), minSession) }

// newProcess configures a process of the run.
func (r *run) newProcess(i int, s Setting) (*process, error) {
	o := Orchestrator{Name: fmt.Sprintf("orchestrator-%d", i+1), Session: s.Session, Kinds: s.Entries}
	proc, err := r.p.newProcess(r.ctx, o, r.opts.Serve, r.opts.Log)
	if err == nil {
		proc.died = func(why error) { r.queue.add(func(at time.Time) { r.died(at, why) }) }
	}
	return proc, err
}

// newProcess configures a process on a port that is kept for it until stop.
func (p *Platform) newProcess(ctx context.Context, o Orchestrator, serve func(context.Context, string) *exec.Cmd, log io.Writer) (*process, error) {
	listen, port, err := reservePort()
	if err != nil {
		return nil, fmt.Errorf("a port for %s: %w", o.Name, err)
	}
	o.Listen = listen
	proc := &process{name: o.Name, url: "http://" + o.Listen, serve: serve, ctx: ctx, log: log, port: port}
	if proc.config, err = p.Configure(o); err != nil {
		return nil, errors.Join(err, port.Close())
	}
	return proc, nil
}

// start starts the process; it is ready at some later time.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := p.serve(p.ctx, p.config)
	said := &tail{}
	cmd.Stdout = io.MultiWriter(p.log, said)
	cmd.Stderr = cmd.Stdout // one writer: exec writes to it from one goroutine
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended, p.said = cmd, ended, said
	p.asked.Store(false)
	go func() {
		defer close(ended)
		err := cmd.Wait()
		if p.asked.Load() || p.ctx.Err() != nil {
			return
		}
		why := fmt.Errorf("%s ended by itself (%v)%s", p.name, cmd.ProcessState, said)
		fmt.Fprintf(p.log, "%s ended by itself: %v\n", p.name, cmp.Or(err, errNoReason))
		if p.died != nil {
			p.died(why)
		}
	}()
	return nil
}

// errNoReason stands for the error of a process that ended as if it had done its
// work.
var errNoReason = errors.New("exit status 0")

// over says that the process has ended since it was started last.
func (p *process) over() bool {
	_, ended := p.now()
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

// now is the process that was started last, nil before, and what is closed when
// it has ended.
func (p *process) now() (*exec.Cmd, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd, p.ended
}

// kill ends the process at once, and waits for its end.
func (p *process) kill() {
	if cmd, ended := p.now(); cmd != nil {
		p.asked.Store(true)
		_ = cmd.Process.Kill() // it may have ended already
		<-ended
	}
}

// signal sends the process a signal.
func (p *process) signal(s os.Signal) error {
	cmd, _ := p.now()
	if cmd == nil {
		return os.ErrProcessDone
	}
	return cmd.Process.Signal(s)
}

// stop asks the process to end, and kills it when it does not. It is not started
// again.
func (p *process) stop() error {
	err := p.end()
	if free := p.port.Close(); !errors.Is(free, os.ErrClosed) { // it may have been stopped before
		err = errors.Join(err, free)
	}
	return err
}

func (p *process) end() error {
	cmd, ended := p.now()
	if cmd == nil {
		return nil
	}
	p.asked.Store(true)
	if p.stopped {
		_ = p.signal(contSignal) // it could not hear that it is to end
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-ended:
		return nil
	case <-time.After(stopPatience):
		p.kill()
		return fmt.Errorf("%s did not end within %v of being asked to", p.name, stopPatience)
	}
}

// tailBytes bounds what is kept of what a process prints.
const tailBytes = 4 << 10

// tail keeps the last of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

// Write is io.Writer's.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p[max(0, len(p)-tailBytes):]...)
	if more := len(t.kept) - tailBytes; more > 0 {
		t.kept = append(t.kept[:0], t.kept[more:]...)
	}
	return len(p), nil
}

// String is what was printed last, as the end of a sentence.
func (t *tail) String() string {
	const lines = 8
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimSpace(string(t.kept))
	if text == "" {
		return ", and said nothing"
	}
	last := strings.Split(text, "\n")
	return "; its last words:\n  " + strings.Join(last[max(0, len(last)-lines):], "\n  ")
}
