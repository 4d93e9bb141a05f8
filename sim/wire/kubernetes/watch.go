package kubernetes

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// watcher is one open watch.
type watcher struct {
	*call
	ask       question
	ctx       context.Context
	out       io.Writer // frames what is written to it
	flush     func()
	upTo      uint64 // every change up to this version is out
	bookmarks bool
	begun     bool // an object was sent
}

func (c *call) watch() error {
	w, initial, err := c.watcher()
	if err != nil {
		return err
	}
	ctx, end := c.stream(c.r)
	defer end()
	ctx, cancel := context.WithTimeout(ctx, c.duration())
	defer cancel()
	w.ctx = ctx

	media := c.form.info.MediaType
	if media != runtime.ContentTypeJSON {
		media += ";stream=watch"
	}
	c.w.Header().Set("Content-Type", media)
	c.w.WriteHeader(http.StatusOK)
	w.out = c.form.info.StreamSerializer.NewFrameWriter(c.w)
	if f, is := c.w.(http.Flusher); is {
		w.flush = f.Flush
	} else {
		w.flush = func() {}
	}
	w.flush()
	w.run(initial)
	if context.Cause(ctx) == errCut {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// watcher reads what is asked for. initial is what stands already and is to be
// sent first.
func (c *call) watcher() (w *watcher, initial []object, err error) {
	w = &watcher{call: c, bookmarks: c.flag("allowWatchBookmarks")}
	if w.ask, err = c.question(); err != nil {
		return nil, nil, err
	}
	if c.form.info.StreamSerializer == nil {
		return nil, nil, unsupported(c.form.info.MediaType)
	}
	streaming := c.flag("sendInitialEvents")
	all, now := c.store.now(c.res.home(), c.namespace)
	if w.ask.version > now {
		return nil, nil, tooLarge(w.ask.version, now)
	}
	if !streaming && w.ask.version != 0 {
		w.upTo = w.ask.version
		return w, nil, nil
	}
	w.upTo = now
	if c.query.Has("sendInitialEvents") && !streaming {
		return w, nil, nil
	}
	return w, all, nil
}

// duration is how long the watch may go on: what the client says, or half an
// hour to a whole one, so that not all end together.
func (c *call) duration() time.Duration {
	if n, err := number("timeoutSeconds", c.query.Get("timeoutSeconds")); err == nil && n > 0 {
		return time.Duration(min(n, 24*60*60)) * time.Second
	}
	return 30*time.Minute + rand.N(30*time.Minute)
}

// run sends what stands, and then every change, until the watch ends or falls
// too far behind.
func (w *watcher) run(initial []object) {
	w.faults.free(w.ctx, &w.faults.silent)
	for _, o := range initial {
		if (w.namespace == "" || o.GetNamespace() == w.namespace) && !w.offer(change{kind: watch.Added, object: o}) {
			return
		}
	}
	if w.flag("sendInitialEvents") && !w.bookmark(true) {
		return
	}
	w.flush()
	tick := time.NewTicker(w.config.BookmarkEvery)
	defer tick.Stop()
	for {
		w.faults.unstalled(w.ctx)
		if w.ctx.Err() != nil {
			return
		}
		changes, upTo, more, err := w.store.since(w.res.home(), w.upTo)
		if err != nil {
			w.send(watch.Error, statusOf(err))
			w.flush()
			return
		}
		if len(changes) > 0 {
			w.faults.audible(w.ctx)
		}
		for _, c := range changes {
			if !w.offer(c) {
				return
			}
		}
		w.upTo = upTo
		if len(changes) > 0 {
			w.flush()
		}
		if len(changes) == batch {
			continue
		}
		select {
		case <-more:
		case <-tick.C:
			if w.bookmarks && !w.bookmark(false) {
				return
			}
		case <-w.ctx.Done():
			return
		}
	}
}

// offer sends a change as it looks through the watch's selectors: what comes to
// match is added, what no longer does is deleted.
func (w *watcher) offer(c change) bool {
	if w.namespace != "" && c.object.GetNamespace() != w.namespace {
		return true
	}
	now := w.res.view(c.object)
	is := w.ask.matches(now) && c.kind != watch.Deleted
	was := c.old != nil && w.ask.matches(w.res.view(c.old))
	kind := watch.Modified
	switch {
	case is && !was:
		kind = watch.Added
	case was && !is:
		kind = watch.Deleted
		now = w.res.view(c.lastMatch(w.res.home()))
	case !is:
		return true
	}
	header := !w.begun
	w.begun = true
	return w.send(kind, w.transform(w.res.stamp(now), header, true))
}

// lastMatch is what a watch is told for the last time about an object that no
// longer matches: how it was, with the version of the change.
func (c change) lastMatch(res *resource) object {
	if c.kind == watch.Deleted {
		return c.object
	}
	o := res.copyOf(c.old)
	o.SetResourceVersion(c.object.GetResourceVersion())
	return o
}

// bookmark tells up to which version the client has seen everything. initial is
// the one that ends what stood already.
func (w *watcher) bookmark(initial bool) bool {
	o := w.res.new()
	o.SetResourceVersion(formatVersion(w.upTo))
	if initial {
		o.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	}
	ok := w.send(watch.Bookmark, w.transform(w.res.stamp(o), false, false))
	w.flush()
	return ok
}

// send writes one event, and says whether the connection took it.
func (w *watcher) send(kind watch.EventType, o runtime.Object) bool {
	var raw, frame bytes.Buffer
	info := w.form.info
	if err := info.Serializer.Encode(o, &raw); err != nil {
		return false
	}
	event := &metav1.WatchEvent{Type: string(kind), Object: runtime.RawExtension{Raw: raw.Bytes()}}
	if err := info.StreamSerializer.Serializer.Encode(event, &frame); err != nil {
		return false
	}
	_, err := w.out.Write(frame.Bytes())
	return err == nil
}
