package screen

import (
	"fmt"
	"strings"
)

// arms are a box-drawing character's four lines from the middle of its cell: up,
// right, down, left. 1 is light, 2 heavy, 3 double.
type arms [4]uint8

var boxArms = map[string]arms{
	"─": {0, 1, 0, 1}, "│": {1, 0, 1, 0}, "┌": {0, 1, 1, 0}, "┐": {0, 0, 1, 1}, "┘": {1, 0, 0, 1}, "└": {1, 1, 0, 0},
	"├": {1, 1, 1, 0}, "┤": {1, 0, 1, 1}, "┬": {0, 1, 1, 1}, "┴": {1, 1, 0, 1}, "┼": {1, 1, 1, 1},
	"╴": {0, 0, 0, 1}, "╵": {1, 0, 0, 0}, "╶": {0, 1, 0, 0}, "╷": {0, 0, 1, 0},
	"━": {0, 2, 0, 2}, "┃": {2, 0, 2, 0}, "┏": {0, 2, 2, 0}, "┓": {0, 0, 2, 2}, "┛": {2, 0, 0, 2}, "┗": {2, 2, 0, 0},
	"═": {0, 3, 0, 3}, "║": {3, 0, 3, 0}, "╔": {0, 3, 3, 0}, "╗": {0, 0, 3, 3}, "╝": {3, 0, 0, 3}, "╚": {3, 3, 0, 0},
}

// roundCorners are paths from one side of the cell to another.
var roundCorners = map[string]string{
	"╭": "M%[1]g %[4]gV%[6]gQ%[1]g %[2]g %[5]g %[2]gH%[3]g",
	"╮": "M%[1]g %[4]gV%[6]gQ%[1]g %[2]g %[7]g %[2]gH%[8]g",
	"╯": "M%[1]g %[9]gV%[10]gQ%[1]g %[2]g %[7]g %[2]gH%[8]g",
	"╰": "M%[1]g %[9]gV%[10]gQ%[1]g %[2]g %[5]g %[2]gH%[3]g",
}

// dashes are broken lines: whether they stand, how many dashes they have in a
// cell, and their width.
var dashes = map[string]struct {
	upright bool
	count   int
	width   float64
}{
	"╌": {false, 2, 1.2}, "╎": {true, 2, 1.2}, "┄": {false, 3, 1.2}, "┆": {true, 3, 1.2}, "┈": {false, 4, 1.2}, "┊": {true, 4, 1.2},
	"╍": {false, 2, 2.6}, "╏": {true, 2, 2.6}, "┅": {false, 3, 2.6}, "┇": {true, 3, 2.6},
}

// shape draws a character that is a line, a block, a shade or braille; false for
// any other.
func (p *picture) shape(x, y int, text, fill string, attr Attr) bool {
	r := []rune(text)
	if len(r) != 1 {
		return false
	}
	if attr&Faint != 0 {
		fill += `" opacity="0.6`
	}
	left, top := float64(x*cellWidth), float64(y*cellHeight)
	switch {
	case p.line(left, top, text, fill):
	case r[0] >= 0x2800 && r[0] <= 0x28ff:
		p.braille(left, top, r[0], fill)
	default:
		bx, by, bw, bh, opacity, ok := block(r[0])
		if !ok {
			return false
		}
		if opacity != "" {
			fill += `" fill-opacity="` + opacity
		}
		fmt.Fprintf(p.out, `<rect x="%g" y="%g" width="%g" height="%g" fill="%s"/>`+"\n",
			left+bx*cellWidth, top+by*cellHeight, bw*cellWidth, bh*cellHeight, fill)
	}
	return true
}

// block is the part of a cell that a block element fills.
func block(r rune) (x, y, width, height float64, opacity string, ok bool) {
	switch {
	case r >= '▁' && r <= '█':
		part := float64(r-'▁'+1) / 8
		return 0, 1 - part, 1, part, "", true
	case r >= '▉' && r <= '▏':
		return 0, 0, 1 - float64(r-'▉'+1)/8, 1, "", true
	case r >= '░' && r <= '▓':
		return 0, 0, 1, 1, [...]string{"0.25", "0.5", "0.75"}[r-'░'], true
	case r == '▀':
		return 0, 0, 1, 0.5, "", true
	case r == '▐':
		return 0.5, 0, 0.5, 1, "", true
	case r == '▔':
		return 0, 0, 1, 0.125, "", true
	case r == '▕':
		return 0.875, 0, 0.125, 1, "", true
	}
	return 0, 0, 0, 0, "", false
}

// braille draws the dots that are set.
func (p *picture) braille(left, top float64, r rune, fill string) {
	for dot := range 8 {
		if r&(1<<dot) == 0 {
			continue
		}
		col, row := dot/3, dot%3
		if dot >= 6 {
			col, row = dot-6, 3
		}
		fmt.Fprintf(p.out, `<circle cx="%g" cy="%g" r="1.5" fill="%s"/>`+"\n",
			left+cellWidth*(0.25+0.5*float64(col)), top+cellHeight*(0.125+0.25*float64(row)), fill)
	}
}

// line adds a line's path to those of its look.
func (p *picture) line(left, top float64, text, stroke string) bool {
	x, y := left+cellWidth/2.0, top+cellHeight/2.0
	right, bottom := left+cellWidth, top+cellHeight
	if form, ok := roundCorners[text]; ok {
		const r = 4
		p.stroke(stroke, 1.2, fmt.Sprintf(form+"%.[11]s", x, y, right, bottom, x+r, y+r, x-r, left, top, y-r, ""))
		return true
	}
	if d, ok := dashes[text]; ok {
		length := right - left
		if d.upright {
			length = bottom - top
		}
		step := length / float64(d.count)
		for i := range d.count {
			at := float64(i)*step + step*0.2
			if d.upright {
				p.stroke(stroke, d.width, fmt.Sprintf("M%g %gv%g", x, top+at, step*0.6))
			} else {
				p.stroke(stroke, d.width, fmt.Sprintf("M%g %gh%g", left+at, y, step*0.6))
			}
		}
		return true
	}
	arm, ok := boxArms[text]
	if !ok {
		return false
	}
	p.arms(arm, left, top, stroke)
	return true
}

// arms draws each arm from its side of the cell to the middle, and as far beyond
// as makes corners whole.
func (p *picture) arms(arm arms, left, top float64, stroke string) {
	x, y := left+cellWidth/2.0, top+cellHeight/2.0
	const gap = 1.6 // of a double line's halves from the middle
	for side, weight := range arm {
		if weight == 0 {
			continue
		}
		width, offsets := [...]float64{0, 1.2, 2.6, 1.2}[weight], []float64{0}
		if weight == 3 {
			offsets = []float64{-gap, gap}
		}
		for _, off := range offsets {
			over := width / 2
			if weight == 3 {
				over = double(arm, side, off, gap) + width/2
			}
			switch side {
			case 0:
				p.stroke(stroke, width, fmt.Sprintf("M%g %gV%g", x+off, top, y+over))
			case 1:
				p.stroke(stroke, width, fmt.Sprintf("M%g %gH%g", left+cellWidth, y+off, x-over))
			case 2:
				p.stroke(stroke, width, fmt.Sprintf("M%g %gV%g", x+off, top+cellHeight, y-over))
			case 3:
				p.stroke(stroke, width, fmt.Sprintf("M%g %gH%g", left, y+off, x+over))
			}
		}
	}
}

// double is by how much one half of a double line goes beyond the middle: at a
// corner the outer half goes further, the inner one ends before.
func double(arm arms, side int, off, gap float64) float64 {
	next, before := (side+1)%4, (side+3)%4
	if arm[(side+2)%4] != 0 { // it goes straight on
		return 0
	}
	turns := next // the side to which the line turns
	if arm[next] == 0 {
		turns = before
	}
	positive := turns == 1 || turns == 2 // the side of greater coordinates
	if (off > 0) == positive {
		return -gap
	}
	return gap
}

// stroke keeps a path until all of its look are written at once.
func (p *picture) stroke(color string, width float64, path string) {
	key := fmt.Sprintf(`stroke="%s" stroke-width="%g"`, color, width)
	b := p.strokes[key]
	if b == nil {
		b = &strings.Builder{}
		p.strokes[key] = b
		p.order = append(p.order, key)
	}
	b.WriteString(path)
}

func (p *picture) flushStrokes() {
	for _, key := range p.order {
		fmt.Fprintf(p.out, `<path fill="none" %s d="%s"/>`+"\n", key, p.strokes[key])
	}
}
