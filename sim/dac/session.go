package dac

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// session is the DAC's connection to ZooKeeper, over all the sessions that come
// one after the other: when one expires, the client opens the next by itself.
type session struct {
	*DAC
	conn *zk.Conn
	wake chan struct{} // something may have changed

	mu    sync.Mutex
	armed map[string]bool // paths with a watch that has not fired

	// What is applied and reported; the run loop's own.
	born     int64  // creation of the _reload whose list is held; 0: none
	times    int64  // that _reload's
	reported string // what the status says
	reporter int64  // the session that it belongs to
}

const (
	firstWait = 50 * time.Millisecond
	lastWait  = 5 * time.Second
)

// serve follows the instance's nodes until ctx ends.
func (d *DAC) serve(ctx context.Context) error {
	s := &session{DAC: d, wake: make(chan struct{}, 1), armed: map[string]bool{}}
	conn, events, err := zk.Connect(d.cfg.ZooKeeper, d.cfg.Session,
		zk.WithDialer(d.link.dial), zk.WithHostProvider(new(servers)), zk.WithEventCallback(s.event), zk.WithLogger(silent{}), zk.WithLogInfo(false),
		// It sends its status alone, and receives its list.
		zk.WithMaxConnBufferSize(4<<10), zk.WithMaxBufferSize(d.cfg.MaxPacket))
	if err != nil {
		return fmt.Errorf("dac: zookeeper %v: %w", d.cfg.ZooKeeper, err)
	}
	s.conn = conn
	closed := make(chan struct{})
	end := func() {
		defer close(closed)
		if !d.hung() {
			d.endAll() // before the session
		}
		conn.Close()
	}
	cut := context.AfterFunc(ctx, end) // also while a request waits for its answer
	if s.login(ctx) {
		s.follow(ctx)
	}
	if cut() { // ctx is seen to have ended before the function is called that waits for it
		end()
	}
	<-closed
	d.link.mute()
	for range events { // closed when the client's last goroutine has ended
	}
	return nil
}

// login tells the library the user; it repeats it at every connection. Nothing is
// asked before. false: ctx has ended.
func (s *session) login(ctx context.Context) bool {
	if s.cfg.Login.User == "" {
		return ctx.Err() == nil
	}
	for wait := firstWait; ctx.Err() == nil; wait = min(2*wait, lastWait) {
		err := s.conn.AddAuth("digest", []byte(s.cfg.Login.User+":"+s.cfg.Login.Password))
		if err == nil {
			return true
		}
		s.cfg.Log.Warn("cannot log in to ZooKeeper", "error", err)
		pause(ctx, wait/2+rand.N(wait/2))
	}
	return false
}

// rights are those of the status: everybody's where there is no user.
func (s *session) rights() []zk.ACL {
	if s.cfg.Login.User == "" {
		return zk.WorldACL(zk.PermAll)
	}
	return append(zk.AuthACL(zk.PermAll), zk.WorldACL(zk.PermRead)...)
}

// event hears everything from the client; it must not block.
func (s *session) event(e zk.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.Type != zk.EventSession:
		delete(s.armed, e.Path)
	case e.State == zk.StateExpired: // what comes may be another ensemble's
		s.link.zxid.Store(0)
		return
	case e.State != zk.StateHasSession:
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// follow applies what the nodes say, again after each change and each new
// session.
func (s *session) follow(ctx context.Context) {
	wait := firstWait
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		if s.zombie.Load() {
			continue
		}
		err := s.update(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			wait = firstWait
			continue
		}
		s.cfg.Log.Warn("cannot follow the instance's nodes", "error", err)
		again := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-ctx.Done():
		case <-again.C:
		}
		again.Stop()
		wait = min(2*wait, lastWait)
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// update reads the list, applies it, and reports that.
func (s *session) update(ctx context.Context) error {
	now, err := s.read()
	if err != nil {
		return err
	}
	if now.born == 0 { // there are no nodes: nothing is ours, and there is nowhere to report
		s.apply(ctx, nil)
		s.born, s.times, s.reported = 0, -1, ""
		s.applied(false)
		return ctx.Err()
	}
	fresh := now.born != s.born || now.times != s.times
	if s.apply(ctx, now.ids); ctx.Err() != nil {
		return ctx.Err() // it may have been applied in part: confirm nothing
	}
	if now.born != s.born { // a status of ours went with the nodes before
		s.reported = ""
	}
	s.born, s.times = now.born, now.times
	s.applied(fresh)
	if fresh && s.cfg.OnReload != nil {
		s.cfg.OnReload(now.times)
	}
	return s.report(now.times)
}

// applied notes what is applied, for State.
func (s *session) applied(fresh bool) {
	s.DAC.mu.Lock()
	defer s.DAC.mu.Unlock()
	s.state.Times = s.times
	if fresh {
		s.state.Reloads++
	}
}

// reading is what the nodes said.
type reading struct {
	born  int64 // 0: there were none
	times int64
	ids   []string // ascending, no id twice
}

// read reads the list, and times that it surely includes. _reload is read first:
// list and times change in one transaction, so a list that is read afterwards is
// at least as new. Unless the nodes were deleted and made again in between; so
// when the list is newer, the times are looked at once more.
func (s *session) read() (reading, error) {
	for range 10 {
		r, reload, err := s.readReload()
		if err != nil || reload == nil {
			return r, err
		}
		data, list, err := s.get(s.path + "/resources")
		if errors.Is(err, zk.ErrNoNode) {
			continue // deleted in between, or not yet there
		} else if err != nil {
			return r, fmt.Errorf("%s/resources: %w", s.path, err)
		}
		if list.Mzxid > reload.Mzxid {
			_, again, err := s.conn.Exists(s.path + "/_reload")
			if err != nil {
				return r, fmt.Errorf("%s/_reload: %w", s.path, err)
			}
			if again.Czxid != reload.Czxid || again.Mzxid != reload.Mzxid {
				continue
			}
		}
		if r.ids, err = parseList(data); err != nil {
			return r, fmt.Errorf("%s/resources: %w", s.path, err)
		}
		return r, nil
	}
	return reading{}, fmt.Errorf("%s changes faster than it can be read", s.path)
}

// readReload reads _reload; its stat is nil when there is none.
func (s *session) readReload() (reading, *zk.Stat, error) {
	path := s.path + "/_reload"
	data, stat, err := s.get(path)
	if errors.Is(err, zk.ErrNoNode) {
		there, err := s.await(path)
		if err != nil {
			return reading{}, nil, fmt.Errorf("%s: %w", path, err)
		}
		if !there {
			return reading{}, nil, nil
		}
		data, stat, err = s.get(path)
		if err != nil {
			return reading{}, nil, fmt.Errorf("%s: %w", path, err)
		}
	} else if err != nil {
		return reading{}, nil, fmt.Errorf("%s: %w", path, err)
	}
	var reload struct{ Times int64 }
	if err := json.Unmarshal(data, &reload); err != nil {
		return reading{}, nil, fmt.Errorf(`%s: %w: want {"times": n}`, path, err)
	}
	return reading{born: stat.Czxid, times: reload.Times}, stat, nil
}

// get reads a node, and leaves a watch unless there is one.
func (s *session) get(path string) ([]byte, *zk.Stat, error) {
	if !s.arm(path) {
		return s.conn.Get(path)
	}
	data, stat, _, err := s.conn.GetW(path)
	if err != nil {
		s.disarm(path)
	}
	return data, stat, err
}

// await says whether a node is there, and leaves a watch unless there is one.
func (s *session) await(path string) (bool, error) {
	if !s.arm(path) {
		there, _, err := s.conn.Exists(path)
		return there, err
	}
	there, _, _, err := s.conn.ExistsW(path)
	if err != nil {
		s.disarm(path)
	}
	return there, err
}

// arm notes that a watch is about to be set; false when there is one. It comes
// before the request: the event may be faster than whoever waits for its answer.
func (s *session) arm(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.armed[path] {
		return false
	}
	s.armed[path] = true
	return true
}

func (s *session) disarm(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.armed, path)
}

// report writes what has been applied to tmp/status. An ephemeral node there of
// another session is that of the instance's last pod, which is gone: ours takes
// its place.
func (s *session) report(times int64) error {
	data := "{}"
	if s.cfg.Confirms {
		data = `{"times":` + strconv.FormatInt(times, 10) + `}`
	}
	mine := s.conn.SessionID()
	s.DAC.mu.Lock()
	s.state.Session = mine
	s.DAC.mu.Unlock()
	if s.reported == data && s.reporter == mine {
		return nil
	}
	err := s.write(s.path+"/tmp/status", []byte(data), mine)
	if errors.Is(err, zk.ErrNoNode) {
		return nil // the instance is being deleted: the watch tells
	}
	if err != nil {
		return fmt.Errorf("%s/tmp/status: %w", s.path, err)
	}
	s.reported, s.reporter = data, mine
	return nil
}

func (s *session) write(path string, data []byte, mine int64) error {
	rights := s.rights()
	_, err := s.conn.Create(path, data, zk.FlagEphemeral, rights)
	if !errors.Is(err, zk.ErrNodeExists) {
		return err
	}
	there, stat, err := s.conn.Exists(path)
	switch {
	case err != nil:
		return err
	case there && stat.EphemeralOwner == mine:
		_, err = s.conn.Set(path, data, stat.Version)
	case there:
		_, err = s.conn.Multi(&zk.DeleteRequest{Path: path, Version: stat.Version},
			&zk.CreateRequest{Path: path, Data: data, Acl: rights, Flags: zk.FlagEphemeral})
	default:
		_, err = s.conn.Create(path, data, zk.FlagEphemeral, rights)
	}
	return err
}

// parseList reads {"ids": […]}: ascending, no id twice.
func parseList(data []byte) ([]string, error) {
	var list struct {
		IDs []string `json:"ids"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf(`%d bytes: %w: want {"ids": ["…", …]}`, len(data), err)
	}
	slices.Sort(list.IDs)
	return slices.Compact(list.IDs), nil
}

// silent is the client's log. What it would say, requests' errors say too.
type silent struct{}

func (silent) Printf(string, ...any) {}
