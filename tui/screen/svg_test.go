package screen

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew: read the difference before you commit it")

// gallery has every shape, attribute and sort of character.
func gallery() *Canvas {
	c := New(44, 14)
	for i, lines := range []Lines{Round, Square, Heavy, Double, Dashed, Dotted} {
		in := c.Sub(i*7, 0, 7, 3).Box(lines, "", "", Fg(Up+Role(i%5)))
		in.Text(0, 0, "x<&>", Fg(Ink).On(Load0+Role(i)))
	}
	titled := c.Sub(0, 3, 30, 3).Box(Round, "title", "a note", Fg(Focus))
	titled.Text(0, 0, "日本 ▲12 ▼3 ★ →", Fg(Accent))
	c.Text(31, 3, "├┼┤┬┴", Fg(Border))
	c.Text(31, 4, "░▒▓█▀▐▌▔", Fg(Info))
	c.Text(31, 5, "⣿⡇⠁⢀", Fg(Good))
	c.Text(0, 7, "▁▂▃▄▅▆▇█", Fg(Load5))
	c.Text(16, 6, "▏▎▍▌▋▊▉█", Fg(Load6))
	c.Text(16, 7, "bold", Fg(Strong))
	c.Text(21, 7, "faint ─", Fg(Default).With(Faint))
	c.Text(16, 8, "under", Fg(Match).With(Underline))
	c.Text(22, 8, "strike", Fg(Default).With(Strike))
	c.Text(29, 8, "reverse", Fg(Bad).With(Reverse))
	for i := range 8 {
		c.Text(i*4, 10, " 42 ", Fg(Ink).On(Load0+Role(i)))
	}
	c.Fill(0, 12, 44, 1, " ", Style{Bg: Bar})
	c.Text(1, 12, "a bar", Fg(Default).On(Bar))
	c.Scrollbar(43, 3, 7, 2, 10, 40, Fg(Focus))
	return c
}

func TestSVGGolden(t *testing.T) {
	for _, theme := range []*Theme{Dark, Light, Mono} {
		var b strings.Builder
		if err := gallery().SVG(&b, theme); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", "gallery-"+theme.Name+".svg")
		if *rewrite {
			if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != b.String() {
			t.Errorf("%s has changed: look at the picture, then go test ./tui/screen -rewrite", path)
		}
	}
}

// TestSVGIsXML: any text makes a well-formed picture, in which every run of text
// says how wide it is.
func TestSVGIsXML(t *testing.T) {
	c := gallery()
	c.Text(0, 13, `]]></text><script>"'&`+"\x00\x1b\u202e\xff", Fg(Bad))
	var b strings.Builder
	if err := c.SVG(&b, Dark); err != nil {
		t.Fatal(err)
	}
	texts := 0
	for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		if el, ok := token.(xml.StartElement); ok {
			switch el.Name.Local {
			case "text":
				texts++
				if !strings.Contains(b.String(), "textLength") {
					t.Error("text without a width")
				}
			case "svg", "rect", "g", "path", "circle":
			default:
				t.Errorf("element %s", el.Name.Local)
			}
		}
	}
	if texts < 20 {
		t.Errorf("only %d texts", texts)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestSVGSaysWhatWentWrong(t *testing.T) {
	if err := gallery().SVG(fullDisk{}, Dark); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("got %v", err)
	}
}

func TestShapes(t *testing.T) {
	want := `╭──╮┌──┐┏━━┓╔══╗┌╌╌┐┌┈┈┐
╰──╯└──┘┗━━┛╚══╝└╌╌┘└┈┈┘
`
	c := New(24, 2)
	for i, lines := range []Lines{Round, Square, Heavy, Double, Dashed, Dotted} {
		c.Sub(i*4, 0, 4, 2).Box(lines, "", "", Style{})
	}
	if got := c.Plain(); got != want {
		t.Errorf("got\n%s", got)
	}
	for width, want := range map[int]string{
		40: "╭─ a long title ────────── and a note ─╮", 24: "╭─ a long title ── a… ─╮", 12: "╭─ a lon… ─╮", 5: "╭───╮", 2: "╭╮", 1: " "} {
		c = New(width, 2)
		c.Box(Round, "a long title", "and a note", Style{})
		if got := strings.Split(c.Plain(), "\n")[0]; got != strings.TrimRight(want, " ") {
			t.Errorf("%d wide:\n%s, want\n%s", width, got, want)
		}
	}
	c = New(1, 4)
	c.Scrollbar(0, 0, 4, 50, 50, 100, Style{})
	if got, want := c.Plain(), "│\n│\n┃\n┃\n"; got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}
