package mqtt

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

const (
	journalName = "sessions.jsonl"
	compactAt   = 8 << 20
)

// journal is a data directory: one file of JSON lines, each what changed, that is
// written anew from time to time. All methods do nothing on a nil journal; the
// server's mutex guards them.
type journal struct {
	path string
	file *os.File
	buf  bytes.Buffer // not yet written
	size int          // bytes in the file
	base int          // of those, bytes after the last compaction
	most int          // bytes of growth beyond twice base before the next compaction
}

// entry is one line. Op says which of the others count.
type entry struct {
	Op       string `json:"op"`
	Session  string `json:"session,omitempty"`
	Filter   string `json:"filter,omitempty"`
	Topic    string `json:"topic,omitempty"`
	Payload  []byte `json:"payload,omitempty"`
	Seq      uint64 `json:"seq,omitempty"`
	QoS      byte   `json:"qos,omitempty"`
	Retained bool   `json:"retained,omitempty"`
}

const (
	opBegan        = "began"  // Session
	opEnded        = "ended"  // Session
	opSubscribed   = "sub"    // Session, Filter, QoS
	opUnsubscribed = "unsub"  // Session, Filter
	opMessage      = "msg"    // Seq, Topic, Payload, QoS: before the first line that names Seq
	opQueued       = "queue"  // Session, Seq, QoS, Retained
	opAcked        = "ack"    // Session, Seq
	opRetain       = "retain" // Topic, Seq; Seq 0 forgets
)

func (j *journal) put(e entry) {
	line, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings, bytes and numbers alone
	}
	j.buf.Write(line)
	j.buf.WriteByte('\n')
}

func (j *journal) began(ss *session) {
	if j != nil {
		j.put(entry{Op: opBegan, Session: ss.id})
	}
}

func (j *journal) ended(ss *session) {
	if j != nil {
		j.put(entry{Op: opEnded, Session: ss.id})
	}
}

func (j *journal) subscribed(ss *session, filter string, qos byte) {
	if j != nil {
		j.put(entry{Op: opSubscribed, Session: ss.id, Filter: filter, QoS: qos})
	}
}

func (j *journal) unsubscribed(ss *session, filter string) {
	if j != nil && !ss.clean {
		j.put(entry{Op: opUnsubscribed, Session: ss.id, Filter: filter})
	}
}

func (j *journal) queued(ss *session, d *delivery) {
	if j != nil {
		j.keep(d.m)
		j.put(entry{Op: opQueued, Session: ss.id, Seq: d.m.seq, QoS: d.qos, Retained: d.retained})
	}
}

func (j *journal) acked(ss *session, d *delivery) {
	if j != nil {
		j.put(entry{Op: opAcked, Session: ss.id, Seq: d.m.seq})
	}
}

// retain remembers the message of a topic, or with an empty one that there is
// none.
func (j *journal) retain(m *message) {
	switch {
	case j == nil:
	case len(m.payload) == 0:
		j.put(entry{Op: opRetain, Topic: m.topic})
	default:
		j.keep(m)
		j.put(entry{Op: opRetain, Topic: m.topic, Seq: m.seq})
	}
}

func (j *journal) keep(m *message) {
	if !m.kept {
		m.kept = true
		j.put(entry{Op: opMessage, Seq: m.seq, Topic: m.topic, Payload: m.payload, QoS: m.qos})
	}
}

// flush writes what has been put, and compacts the file when it has grown.
func (j *journal) flush(s *Server) error {
	if j == nil || j.file == nil || j.buf.Len() == 0 {
		return nil
	}
	n, err := j.buf.WriteTo(j.file)
	j.size += int(n)
	if err == nil && j.size > 2*j.base+j.most {
		err = j.compact(s)
	}
	return err
}

func (j *journal) close() error {
	if j == nil || j.file == nil {
		return nil
	}
	err := errors.Join(j.file.Sync(), j.file.Close())
	j.file = nil
	return err
}

// compact writes the file anew with what the server holds now.
func (j *journal) compact(s *Server) error {
	j.buf.Reset()
	for _, ss := range s.sessions {
		for _, d := range slices.Concat(ss.flight, ss.queue) {
			d.m.kept = false
		}
	}
	for _, m := range s.retained {
		m.kept = false
	}
	for _, ss := range s.sessions {
		if ss.clean {
			continue
		}
		j.began(ss)
		for filter, qos := range ss.subs {
			j.subscribed(ss, filter, qos)
		}
		for _, d := range slices.Concat(ss.flight, ss.queue) {
			j.queued(ss, d)
		}
	}
	for _, m := range s.retained {
		j.retain(m)
	}
	next, err := os.OpenFile(j.path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	size, err := j.buf.WriteTo(next)
	if err = errors.Join(err, next.Sync()); err == nil {
		err = os.Rename(j.path+".new", j.path)
	}
	if err != nil {
		return errors.Join(err, next.Close())
	}
	if j.file != nil {
		j.file.Close() // its name is the new one's
	}
	j.file, j.size, j.base = next, int(size), int(size)
	return nil
}

// restore reads the data directory and opens it for writing. Every message that
// was not acknowledged may have been sent before.
func (s *Server) restore() error {
	if err := os.MkdirAll(s.cfg.DataDir, 0o700); err != nil {
		return err
	}
	s.journal = &journal{path: filepath.Join(s.cfg.DataDir, journalName), most: compactAt}
	file, err := os.Open(s.journal.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err == nil {
		err = s.replay(file)
		file.Close()
		if err != nil {
			return err
		}
	}
	return s.journal.compact(s)
}

// replay applies the lines of a journal. A last line without its end was being
// written when the process died: nobody was told of it.
func (s *Server) replay(from io.Reader) error {
	messages := map[uint64]*message{}
	r := bufio.NewReader(from)
	for line := 1; ; line++ {
		text, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var e entry
		if err := json.Unmarshal(text, &e); err != nil {
			return fmt.Errorf("%s:%d: %w", journalName, line, err)
		}
		if err := s.apply(e, messages); err != nil {
			return fmt.Errorf("%s:%d: %w", journalName, line, err)
		}
	}
}

func (s *Server) apply(e entry, messages map[uint64]*message) error {
	m, ss := messages[e.Seq], s.sessions[e.Session]
	switch {
	case e.Op == opMessage:
		messages[e.Seq] = &message{seq: e.Seq, topic: e.Topic, payload: e.Payload, qos: e.QoS}
		s.seq = max(s.seq, e.Seq)
	case e.Op == opRetain && e.Seq == 0:
		delete(s.retained, e.Topic)
	case e.Op == opRetain && m != nil:
		s.retained[e.Topic] = m
	case e.Op == opBegan:
		s.sessions[e.Session] = newSession(e.Session, false)
	case ss == nil:
		return fmt.Errorf("%q for the session %q, which has not begun", e.Op, e.Session)
	case e.Op == opEnded:
		delete(s.sessions, e.Session)
	case e.Op == opSubscribed:
		ss.subs[e.Filter] = e.QoS
	case e.Op == opUnsubscribed:
		delete(ss.subs, e.Filter)
	case e.Op == opQueued && m != nil:
		ss.queue = append(ss.queue, &delivery{m: m, qos: e.QoS, retained: e.Retained, dup: true})
	case e.Op == opAcked:
		if i := slices.IndexFunc(ss.queue, func(d *delivery) bool { return d.m.seq == e.Seq }); i >= 0 {
			ss.queue = slices.Delete(ss.queue, i, i+1)
		}
	default:
		return fmt.Errorf("%q for message %d: want an operation of this journal, and its message before it", e.Op, e.Seq)
	}
	return nil
}
