package zookeeper

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Log reads the transaction log of a real ZooKeeper as it grows, over the files that
// come one after the other. So it tells every state that the server was in, as the
// stand-in's Observe does, which no client can see.
type Log struct {
	dir  string   // with files log.<hex of their first zxid>
	file *os.File // nil before the first
	zxid uint64   // of the file's name
	at   int64    // where the next record begins; 0: the header was not seen
	last int64    // zxid of the last record
	torn time.Time
	buf  []byte

	owned map[int64]map[string]bool // ephemeral nodes of each session
	owner map[string]int64          // and whose each is
}

// tornPatience is how long what is no record may stand at the end of the newest
// file until it is an error: a write takes moments.
const tornPatience = 5 * time.Second

// FollowLog begins behind all that the log holds now; dir is the server's
// dataLogDir/version-2, and may not be there yet. Ephemeral nodes that are there
// now end unnoticed.
func FollowLog(dir string) (*Log, error) {
	f := &Log{dir: dir, buf: make([]byte, 64<<10), owned: map[int64]map[string]bool{}, owner: map[string]int64{}}
	newest, found, err := f.newer(0, true)
	if err != nil || !found {
		return f, err
	}
	if err := f.open(newest); err != nil {
		return nil, err
	}
	if err := f.readFile(func(logged) {}); err != nil && !errors.Is(err, errTorn) {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Close closes the file.
func (f *Log) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

// newer finds the file after one, or the newest of all.
func (f *Log) newer(than uint64, newest bool) (zxid uint64, found bool, err error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, false, fmt.Errorf("ZooKeeper's transaction log: %w", err)
	}
	for _, e := range entries {
		number, is := strings.CutPrefix(e.Name(), "log.")
		n, err := strconv.ParseUint(number, 16, 64)
		if !is || err != nil || f.file != nil && n <= than {
			continue
		}
		if !found || newest == (n > zxid) {
			zxid, found = n, true
		}
	}
	return zxid, found, nil
}

func (f *Log) open(zxid uint64) error {
	file, err := os.Open(filepath.Join(f.dir, "log."+strconv.FormatUint(zxid, 16)))
	if err != nil {
		return fmt.Errorf("ZooKeeper's transaction log: %w", err)
	}
	_ = f.Close() // it was only read
	f.file, f.zxid, f.at, f.torn = file, zxid, 0, time.Time{}
	return nil
}

// Read tells of every transaction that has changed nodes since, in order, with the
// session that made it, or whose end it is, and when by the server's clock. It
// answers when there is no more for now.
func (f *Log) Read(tell func(session int64, at time.Time, changes []Change)) error {
	each := func(t logged) {
		if changes := f.changes(t); len(changes) > 0 {
			tell(t.session, t.at, changes)
		}
	}
	for {
		next, found, err := f.newer(f.zxid, false)
		if err != nil {
			return err
		}
		if f.file != nil { // what the file before the next one holds is complete by now
			err := f.readFile(each)
			if errors.Is(err, errTorn) && !found {
				return f.isTorn(err)
			} else if err != nil && !errors.Is(err, errTorn) {
				return err
			}
		}
		f.torn = time.Time{}
		if !found {
			return nil
		}
		if err := f.open(next); err != nil {
			return err
		}
	}
}

// isTorn bears with what is no record for a while.
func (f *Log) isTorn(err error) error {
	switch {
	case f.torn.IsZero():
		f.torn = time.Now()
	case time.Since(f.torn) > tornPatience:
		return fmt.Errorf("%s, offset %d: %w", f.file.Name(), f.at, err)
	}
	return nil
}

// readFile hands over the records of the file that have not been.
func (f *Log) readFile(each func(logged)) error {
	for {
		b, err := f.window(len(f.buf))
		if err != nil {
			return err
		}
		if f.at == 0 {
			if err := checkLogHeader(b); err != nil {
				return err
			}
			f.at, b = logHeader, b[logHeader:]
		}
		done, err := f.records(b, each)
		if done || err != nil {
			return err
		}
	}
}

// records hands over the records at the beginning of b; done when no whole one is
// left in the file.
func (f *Log) records(b []byte, each func(logged)) (done bool, err error) {
	for {
		record, size, need, err := nextRecord(b)
		switch {
		case err != nil:
			return false, err
		case need > len(f.buf):
			f.buf = make([]byte, need)
			return false, nil
		case need > 0: // more of it may stand in the file
			return f.atEnd(need)
		case record == nil:
			return true, nil
		}
		t, err := parseLogged(record)
		if err != nil {
			return false, fmt.Errorf("%s, offset %d: %w", f.file.Name(), f.at, err)
		}
		f.at, b = f.at+int64(size), b[size:]
		if t.zxid > f.last { // a server that was killed may write its last ones again
			f.last = t.zxid
			each(t)
		}
	}
}

// atEnd says that the file holds fewer bytes than these from here on.
func (f *Log) atEnd(need int) (bool, error) {
	b, err := f.window(need)
	return len(b) < need, err
}

// window reads up to n bytes from where the next record begins.
func (f *Log) window(n int) ([]byte, error) {
	got, err := f.file.ReadAt(f.buf[:n], f.at)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("ZooKeeper's transaction log: %w", err)
	}
	return f.buf[:got], nil
}

// changes are what a transaction does to nodes.
func (f *Log) changes(t logged) (out []Change) {
	for _, o := range t.ops {
		switch {
		case o.ephemeral:
			if f.owned[t.session] == nil {
				f.owned[t.session] = map[string]bool{}
			}
			f.owned[t.session][o.Path], f.owner[o.Path] = true, t.session
		case o.Op == observed[opDelete]:
			if session, is := f.owner[o.Path]; is {
				delete(f.owned[session], o.Path)
				delete(f.owner, o.Path)
			}
		}
		out = append(out, o.Change)
	}
	if t.ends {
		for _, path := range slices.Sorted(maps.Keys(f.owned[t.session])) {
			out = append(out, Change{Op: observed[opDelete], Path: path})
			delete(f.owner, path)
		}
		delete(f.owned, t.session)
	}
	return out
}
