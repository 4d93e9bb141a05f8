package pane

import (
	"image"
	"slices"
	"strings"

	"dacorch/tui/screen"
)

// form is the fields and the buttons of a dialog, and which of them has the
// keyboard.
type form struct {
	fields  []*field
	buttons []string
	at      int // a field, or after them a button

	spots []image.Rectangle // of the last draw: fields, then buttons
}

// field is one line of a form.
type field struct {
	name    string // of the value
	label   string
	line    Line
	choices []choice // of which one is chosen with ← and →; nil: text is typed
	chosen  int
	empty   string              // what it is when nothing is given
	about   string              // beside it, as long as nothing is wrong
	check   func(string) string // what is wrong with a text that is not empty; empty: nothing
	problem string              // what the server says is wrong
}

// choice is one of those that a field offers.
type choice struct{ value, word string }

// value is what has been given; empty for nothing.
func (f *field) value() string {
	if f.choices != nil {
		return f.choices[min(f.chosen, len(f.choices)-1)].value
	}
	return strings.TrimSpace(f.line.Value())
}

// wrong is what is wrong with the value; empty: nothing.
func (f *field) wrong() string {
	if v := f.value(); v != "" && f.check != nil {
		if wrong := f.check(v); wrong != "" {
			return wrong
		}
	}
	return f.problem
}

// choose takes the choice with a value, if there is one.
func (f *field) choose(value string) {
	if i := slices.IndexFunc(f.choices, func(c choice) bool { return c.value == value }); i >= 0 {
		f.chosen = i
	}
}

// field answers the field of a name; nil: there is none.
func (f *form) field(name string) *field {
	if i := slices.IndexFunc(f.fields, func(f *field) bool { return f.name == name }); i >= 0 {
		return f.fields[i]
	}
	return nil
}

// value is a field's value; empty also when there is no such field.
func (f *form) value(name string) string {
	if field := f.field(name); field != nil {
		return field.value()
	}
	return ""
}

// wrong says whether something is wrong with one of the values.
func (f *form) wrong() bool {
	return slices.ContainsFunc(f.fields, func(f *field) bool { return f.wrong() != "" })
}

// focused is the field that has the keyboard; nil: a button has it.
func (f *form) focused() *field {
	if f.at < len(f.fields) {
		return f.fields[f.at]
	}
	return nil
}

// move gives the keyboard to the next, or the one before; around at the ends.
func (f *form) move(n int) {
	if all := len(f.fields) + len(f.buttons); all > 0 {
		f.at = ((f.at+n)%all + all) % all
	}
}

// press handles a key and answers the button that was pressed with it, if any.
// Enter in a field goes on to the next, so that nothing happens by accident.
func (f *form) press(key string) (button string) {
	switch key {
	case "tab", "down", "ctrl+n":
		f.move(1)
		return ""
	case "shift+tab", "up", "ctrl+p":
		f.move(-1)
		return ""
	}
	field := f.focused()
	switch {
	case field == nil:
		return f.pressButton(key)
	case key == "enter":
		f.move(1)
	case field.choices != nil:
		field.pressChoice(key)
	default:
		field.problem = ""
		field.line.Press(key)
	}
	return ""
}

func (f *form) pressButton(key string) (button string) {
	switch key {
	case "enter", "space":
		if i := f.at - len(f.fields); i < len(f.buttons) {
			return f.buttons[i]
		}
	case "left":
		if f.at > len(f.fields) {
			f.at--
		}
	case "right":
		if f.at+1 < len(f.fields)+len(f.buttons) {
			f.at++
		}
	}
	return ""
}

func (f *field) pressChoice(key string) {
	n := len(f.choices)
	switch key {
	case "left":
		f.chosen = (f.chosen + n - 1) % n
	case "right", "space":
		f.chosen = (f.chosen + 1) % n
	default:
		for i := range n { // a letter goes to the next choice that begins with it
			next := (f.chosen + 1 + i) % n
			if key != "" && strings.HasPrefix(f.choices[next].word, key) {
				f.chosen = next
				return
			}
		}
	}
}

// paste puts text into the field that has the keyboard.
func (f *form) paste(text string) {
	if field := f.focused(); field != nil && field.choices == nil {
		field.problem = ""
		field.line.Insert(text)
	}
}

// click gives the keyboard to what is at a place of the last draw, and answers the
// button there, if it is one.
func (f *form) click(x, y int) (button string) {
	for i, spot := range f.spots {
		if !image.Pt(x, y).In(spot) || i >= len(f.fields)+len(f.buttons) {
			continue
		}
		f.at = i
		if i >= len(f.fields) {
			return f.buttons[i-len(f.fields)]
		}
		if field := f.fields[i]; field.choices != nil {
			field.pressChoice("right")
		}
	}
	return ""
}

// drawFields draws the fields from line y on, one a line, and answers the line
// after them.
func (f *form) drawFields(c *screen.Canvas, x, y int) int {
	width, _ := c.Size()
	f.spots = make([]image.Rectangle, len(f.fields)+len(f.buttons))
	long := 0
	for _, field := range f.fields {
		long = max(long, screen.Width(field.label))
	}
	box := min(max(width-long-x-6, 1), 16)
	for i, field := range f.fields {
		field.draw(c, x, y+i, long, box, i == f.at)
		f.spots[i] = image.Rect(0, y+i, x+long+box+4, y+i+1)
	}
	return y + len(f.fields)
}

// draw draws a field's line: label, box, and what there is to say of it.
func (f *field) draw(c *screen.Canvas, x, y, long, box int, focus bool) {
	width, _ := c.Size()
	label, border, inside := screen.Fg(screen.Default), screen.Fg(screen.Border), screen.Fg(screen.Default)
	if focus {
		label, border, inside = screen.Fg(screen.Strong), screen.Fg(screen.Focus).With(screen.Bold), inside.On(screen.Select)
	}
	c.TextRight(x, y, long, f.label, label)
	at := x + long + 2
	c.Fill(at, y, box, 1, " ", inside)
	value := f.value()
	switch {
	case f.choices != nil:
		c.Text(at-1, y, "‹", border)
		c.Text(at+box, y, "›", border)
		c.TextIn(at+1, y, box-1, f.choices[min(f.chosen, len(f.choices)-1)].word, inside)
	case focus:
		c.Text(at-1, y, "[", border)
		c.Text(at+box, y, "]", border)
		if value == "" {
			c.TextIn(at+1, y, box-1, f.empty, screen.Fg(screen.Dim).On(screen.Select))
		}
		f.line.Draw(c, at, y, box, inside)
	default:
		c.Text(at-1, y, "[", border)
		c.Text(at+box, y, "]", border)
		if value == "" {
			c.TextIn(at, y, box, f.empty, screen.Fg(screen.Dim))
		}
		c.TextIn(at, y, box, value, inside)
	}
	room := width - at - box - 3
	if wrong := f.wrong(); wrong != "" {
		c.TextIn(at+box+2, y, room, "✗ "+wrong, screen.Fg(screen.Bad))
	} else {
		c.TextIn(at+box+2, y, room, f.about, screen.Fg(screen.Dim))
	}
}

// drawButtons draws the buttons beside each other; the first can be off, when
// what it does is not possible now.
func (f *form) drawButtons(c *screen.Canvas, x, y int, off bool) {
	if len(f.spots) != len(f.fields)+len(f.buttons) {
		f.spots = make([]image.Rectangle, len(f.fields)+len(f.buttons))
	}
	for i, name := range f.buttons {
		text := "[ " + name + " ]"
		style := screen.Fg(screen.Key)
		focus := f.at == len(f.fields)+i
		switch {
		case off && i == 0:
			style = screen.Fg(screen.Dim)
		case focus:
			style = screen.Fg(screen.Strong)
		}
		if focus {
			text = "▸" + text
			style = style.On(screen.Select).With(screen.Bold)
		} else {
			text = " " + text
		}
		n := c.Text(x, y, text, style)
		f.spots[len(f.fields)+i] = image.Rect(x, y, x+n, y+1)
		x += n + 2
	}
}

// formKeys are the keys of every form.
func formKeys() []KeyHelp {
	return []KeyHelp{
		{Key: "tab", Does: "next field or button", Footer: true},
		{Key: "←/→", Does: "choose"},
		{Key: "enter", Does: "press the button", Footer: true},
		{Key: "esc", Does: "leave", Footer: true},
	}
}
