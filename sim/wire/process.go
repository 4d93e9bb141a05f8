package wire

import (
	"context"
	"errors"
	"fmt"
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
	r      *run
	name   string
	config string // file
	url    string
	cmd    *exec.Cmd
	ended  chan struct{} // closed when cmd has ended
}

// stopPatience bounds the wait for a process that was asked to end.
const stopPatience = 30 * time.Second

func (r *run) newProcess(i int) (*process, error) {
	p := &process{r: r, name: fmt.Sprintf("orchestrator-%d", i+1)}
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free now
	if err != nil {
		return nil, err
	}
	listen := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	p.url = "http://" + listen
	o := Orchestrator{Name: p.name, Listen: listen, Session: max(r.real(sessionTimeout), minSession), Kinds: map[fleet.Kind]string{}}
	for _, k := range r.kinds {
		o.Kinds[k.name] = r.entry(k.spec)
	}
	p.config, err = r.p.Configure(o)
	return p, err
}

// The orchestrator's ZooKeeper session, by the scenario's time, and the shortest
// that a loaded machine keeps alive.
const (
	sessionTimeout = 10 * time.Second
	minSession     = 2 * time.Second
)

// start starts the process; it is ready at some later time.
func (p *process) start() error {
	cmd := p.r.opts.Serve(p.r.ctx, p.config)
	cmd.Stdout, cmd.Stderr = p.r.opts.Log, p.r.opts.Log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended = cmd, ended
	go func() {
		defer close(ended)
		if err := cmd.Wait(); err != nil && p.r.ctx.Err() == nil {
			fmt.Fprintf(p.r.opts.Log, "%s ended: %v\n", p.name, err)
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
