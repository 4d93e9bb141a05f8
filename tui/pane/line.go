package pane

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"dacorch/tui/screen"
)

// Line is one line of text that is being edited. The zero value is empty and
// ready.
type Line struct {
	text []rune
	at   int // the cursor is before text[at]
	from int // first rune that was drawn last
}

// MaxLine is how many characters a line holds; what would be more is dropped.
const MaxLine = 1024

// Value is the text.
func (l *Line) Value() string { return string(l.text) }

// Set replaces the text and puts the cursor at its end.
func (l *Line) Set(text string) {
	l.text, l.from = nil, 0
	l.at = 0
	l.Insert(text)
}

// Insert puts text at the cursor, as from the clipboard: line breaks and tabs
// become blanks, what is no character is dropped.
func (l *Line) Insert(text string) {
	var in []rune
	for _, r := range strings.TrimRight(text, "\r\n") {
		if len(l.text)+len(in) >= MaxLine {
			break
		}
		switch {
		case r == '\n', r == '\t':
			in = append(in, ' ')
		case r == utf8.RuneError, unicode.IsControl(r):
		default:
			in = append(in, r)
		}
	}
	l.text = append(l.text[:l.at:l.at], append(in, l.text[l.at:]...)...)
	l.at += len(in)
}

// Press handles a key as bubbletea names it; false for one that edits nothing.
func (l *Line) Press(key string) bool {
	switch key {
	case "left", "ctrl+b":
		l.at = max(l.at-1, 0)
	case "right", "ctrl+f":
		l.at = min(l.at+1, len(l.text))
	case "alt+b", "ctrl+left", "alt+left":
		l.at = l.wordLeft()
	case "alt+f", "ctrl+right", "alt+right":
		l.at = l.wordRight()
	case "home", "ctrl+a":
		l.at = 0
	case "end", "ctrl+e":
		l.at = len(l.text)
	case "backspace", "ctrl+h":
		l.cut(max(l.at-1, 0), l.at)
	case "delete", "ctrl+d":
		l.cut(l.at, min(l.at+1, len(l.text)))
	case "ctrl+w", "alt+backspace", "ctrl+backspace":
		l.cut(l.wordLeft(), l.at)
	case "alt+d":
		l.cut(l.at, l.wordRight())
	case "ctrl+u":
		l.cut(0, l.at)
	case "ctrl+k":
		l.cut(l.at, len(l.text))
	case "space":
		l.Insert(" ")
	default:
		if utf8.RuneCountInString(key) != 1 {
			return false
		}
		l.Insert(key)
	}
	return true
}

// cut takes out text[from:to], around or beside the cursor.
func (l *Line) cut(from, to int) {
	l.text = append(l.text[:from:from], l.text[to:]...)
	l.at = from
}

// wordLeft is where the word at or before the cursor begins.
func (l *Line) wordLeft() int {
	at := l.at
	for at > 0 && !wordy(l.text[at-1]) {
		at--
	}
	for at > 0 && wordy(l.text[at-1]) {
		at--
	}
	return at
}

// wordRight is where the word at or after the cursor ends.
func (l *Line) wordRight() int {
	at := l.at
	for at < len(l.text) && !wordy(l.text[at]) {
		at++
	}
	for at < len(l.text) && wordy(l.text[at]) {
		at++
	}
	return at
}

func wordy(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// Draw draws the part of the line around the cursor in so many columns, and puts
// the terminal's cursor there.
func (l *Line) Draw(c *screen.Canvas, x, y, width int, st screen.Style) {
	if width <= 0 {
		return
	}
	l.from = min(l.from, l.at)
	for l.from < l.at && screen.Width(string(l.text[l.from:l.at])) >= width {
		l.from++
	}
	for l.from > 0 && screen.Width(string(l.text[l.from-1:])) < width { // room has come free at the right
		l.from--
	}
	c.Sub(x, y, width, 1).Text(0, 0, string(l.text[l.from:]), st)
	c.Cursor(x+screen.Width(string(l.text[l.from:l.at])), y)
}
