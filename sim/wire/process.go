package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"

	"dacorch/orchestrator/fleet"
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
	cmd    *exec.Cmd
	ended  chan struct{} // closed when cmd has ended
}

// stopPatience bounds the wait for a process that was asked to end.
const stopPatience = 30 * time.Second

// The orchestrator's ZooKeeper session, by the scenario's time, and the shortest
// that a loaded machine keeps alive.
const (
	sessionTimeout = 10 * time.Second
	minSession     = 2 * time.Second
)

// newProcess configures a process of the run.
func (r *run) newProcess(i int) (*process, error) {
	o := Orchestrator{Name: fmt.Sprintf("orchestrator-%d", i+1), Session: max(r.real(sessionTimeout), minSession), Kinds: map[fleet.Kind]string{}}
	for _, k := range r.kinds {
		o.Kinds[k.name] = r.entry(k.spec)
	}
	return r.p.newProcess(r.ctx, o, r.opts.Serve, r.opts.Log)
}

// newProcess configures a process on a port that is free now.
func (p *Platform) newProcess(ctx context.Context, o Orchestrator, serve func(context.Context, string) *exec.Cmd, log io.Writer) (*process, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o.Listen = l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	proc := &process{name: o.Name, url: "http://" + o.Listen, serve: serve, ctx: ctx, log: log}
	proc.config, err = p.Configure(o)
	return proc, err
}

// start starts the process; it is ready at some later time.
func (p *process) start() error {
	cmd := p.serve(p.ctx, p.config)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended = cmd, ended
	go func() {
		defer close(ended)
		if err := cmd.Wait(); err != nil && p.ctx.Err() == nil {
			fmt.Fprintf(p.log, "%s ended: %v\n", p.name, err)
		}
	}()
	return nil
}

// kill ends the process at once, and waits for its end.
func (p *process) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill() // it may have ended already
		<-p.ended
	}
}

// stop asks the process to end, and kills it when it does not.
func (p *process) stop() error {
	if p.cmd == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopPatience):
		p.kill()
		return fmt.Errorf("%s did not end within %v of being asked to", p.name, stopPatience)
	}
}

// ready waits until the process answers that it is ready.
func (p *process) ready(ctx context.Context) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("it answers %s", resp.Status)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-p.ended:
			return fmt.Errorf("%s ended before it was ready", p.name)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", p.name, err)
		}
	}
}
