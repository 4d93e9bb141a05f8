package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// console is where the program writes, and what it may assume of the reader.
type console struct {
	out, err io.Writer
	getenv   func(string) string
}

// terminal says whether w is one, and how many columns it has.
func terminal(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 40 {
		return 80, true
	}
	return min(width, 160), true
}

// color says whether the output may be coloured: only on a terminal, and not
// against NO_COLOR (no-color.org) or a terminal that cannot.
func (c console) color() bool {
	_, tty := terminal(c.out)
	return tty && c.getenv("NO_COLOR") == "" && c.getenv("TERM") != "dumb"
}

// progressLine shows how far a run is on one line of a terminal that it writes
// over and over, at most ten times a second; nothing when w is no terminal.
type progressLine struct {
	w     io.Writer
	on    bool
	last  time.Time
	width int
}

func newProgressLine(w io.Writer, quiet bool) *progressLine {
	_, tty := terminal(w)
	return &progressLine{w: w, on: tty && !quiet}
}

func (p *progressLine) show(line func() string) {
	if now := time.Now(); p.on && now.Sub(p.last) >= 100*time.Millisecond {
		p.last = now
		s := line()
		fmt.Fprintf(p.w, "\r%-*s", p.width, s)
		p.width = len(s)
	}
}

// clear removes the line.
func (p *progressLine) clear() {
	if p.on && p.width > 0 {
		fmt.Fprintf(p.w, "\r%*s\r", p.width, "")
	}
}
