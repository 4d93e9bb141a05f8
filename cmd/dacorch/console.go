package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// console is where the program writes, and what it may assume of the reader.
type console struct {
	out, err io.Writer
	getenv   func(string) string
}

// The columns of a page.
const (
	minWidth  = 40
	fileWidth = 100 // where the output is no terminal
	maxWidth  = 160
)

// terminal says whether w is one, and how many columns it has; 80 when it does
// not say.
func terminal(w io.Writer) (columns int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 {
		return 80, true
	}
	return columns, true
}

// width is how many columns the output uses.
func (c console) width() int {
	columns, tty := terminal(c.out)
	if !tty {
		return fileWidth
	}
	return min(max(columns, minWidth), maxWidth)
}

// color says whether the output may be coloured: only on a terminal, and not
// against NO_COLOR (no-color.org) or a terminal that cannot.
func (c console) color() bool {
	_, tty := terminal(c.out)
	return tty && c.getenv("NO_COLOR") == "" && c.getenv("TERM") != "dumb"
}

// unicode says whether the output may have characters beyond ASCII: only on a
// terminal whose locale is UTF-8. What goes to a file or a pipe is ASCII.
func (c console) unicode() bool {
	_, tty := terminal(c.out)
	return tty && utf8Locale(c.getenv)
}

// utf8Locale reads the locale of characters as POSIX says: the first that is set
// of LC_ALL, LC_CTYPE and LANG.
func utf8Locale(getenv func(string) string) bool {
	for _, key := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(getenv(key)); v != "" {
			return strings.HasSuffix(v, "utf-8") || strings.HasSuffix(v, "utf8")
		}
	}
	return false
}

// progressEvery is how often the progress line changes at most.
const progressEvery = 100 * time.Millisecond

// progressLine shows how far a run is on one line of a terminal that it writes
// over and over.
type progressLine struct {
	w       io.Writer
	columns int // of the terminal; 0: there is none, and nothing is shown
	last    time.Time
	shown   int // columns of the line that stands there
}

func (c console) newProgressLine(quiet bool) *progressLine {
	columns, tty := terminal(c.err)
	if !tty || quiet || c.getenv("TERM") == "dumb" {
		columns = 0
	}
	return &progressLine{w: c.err, columns: columns}
}

// show writes the line if the last one has stood long enough.
func (p *progressLine) show(now time.Time, line func() string) {
	if p.columns == 0 || now.Sub(p.last) < progressEvery {
		return
	}
	p.last = now
	s := cut(line(), p.columns-1) // a full line would wrap, and stay
	fmt.Fprintf(p.w, "\r%-*s", p.shown, s)
	p.shown = utf8.RuneCountInString(s)
}

// clear removes the line.
func (p *progressLine) clear() {
	if p.shown > 0 {
		fmt.Fprintf(p.w, "\r%*s\r", p.shown, "")
		p.shown = 0
	}
}

// cut is the first n characters of s.
func cut(s string, n int) string {
	r := []rune(s)
	return string(r[:min(len(r), max(n, 0))])
}

// wrapped is text in lines of at most width columns; all but the first begin
// with indent.
func wrapped(text, indent string, width int) string {
	var out strings.Builder
	used := len(indent)
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case used+1+n > width:
			out.WriteString("\n" + indent)
			used = len(indent)
		default:
			out.WriteByte(' ')
			used++
		}
		out.WriteString(word)
		used += n
	}
	return out.String()
}
