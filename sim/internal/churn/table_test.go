package churn

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// readAll reads every row of a headerless CSV; a broken row is nil.
func readAll(src io.Reader) ([][]string, error) {
	t, err := openTable(src, "t.csv", 0, true)
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for {
		fields, problem, err := t.next()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		row := []string{}
		for _, f := range fields {
			row = append(row, string(f))
		}
		if problem != "" {
			row = nil
		}
		rows = append(rows, row)
	}
}

// twinAgrees holds the reader to encoding/csv wherever that one reads the whole
// file and finds rows of equal length.
func twinAgrees(t interface{ Fatalf(string, ...any) }, data []byte) {
	twin := csv.NewReader(bytes.NewReader(data))
	want, err := twin.ReadAll()
	if err != nil || len(want) == 0 || bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) ||
		bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) || bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		return
	}
	got, err := readAll(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	if !slices.EqualFunc(got, want, slices.Equal[[]string]) {
		t.Fatalf("%q is read as %q, want %q", data, got, want)
	}
}

func TestReadsWhatEncodingCSVReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.IntRange(1, 6).Draw(t, "rows")
		columns := rapid.IntRange(1, 4).Draw(t, "columns")
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "line end")
		var file strings.Builder
		for range rows {
			for c := range columns {
				field := rapid.StringOfN(rapid.RuneFrom([]rune("ab\",\r\n é")), 0, 6, -1).Draw(t, "field")
				if c > 0 {
					file.WriteByte(',')
				}
				if strings.ContainsAny(field, "\",\r\n") || field == "" {
					file.WriteString(`"` + strings.ReplaceAll(field, `"`, `""`) + `"`)
				} else {
					file.WriteString(field)
				}
			}
			file.WriteString(end)
		}
		twinAgrees(t, []byte(file.String()))
	})
}

func TestArbitraryTextReadsLikeEncodingCSV(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		twinAgrees(t, []byte(rapid.StringOfN(rapid.RuneFrom([]rune("ab\",\r\n")), 0, 30, -1).Draw(t, "file")))
	})
}

// However the bytes arrive, the rows are the same: also where quotes and line
// ends fall on a buffer's border, and where a row is longer than the buffer.
func TestHowBytesArriveDoesNotMatter(t *testing.T) {
	long := strings.Repeat("x", firstBuffer-3)
	for _, file := range []string{
		"a,b\n1,2\n", "a,b\r\n\"1\",\"2\"\r\n", "a,b\n\"1\n1\",2", "a,b\n\"1,2\n3,4\n",
		"a,b\n" + long + ",2\n3,4\n", "a,b\n" + long[:len(long)-4] + ",\"\"\"\"\r\n3,\"4\r\n5\"\n",
		"a,b\n\"" + long + long + "\",2\n3,4\n", "a,b\n\"" + long + "\n" + strings.Repeat("1,2\n", firstBuffer) + "3,4\n",
	} {
		want, err := readAll(strings.NewReader(file))
		if err != nil || len(want) < 2 {
			t.Fatalf("%d rows, %v", len(want), err)
		}
		var zipped bytes.Buffer
		w := gzip.NewWriter(&zipped)
		io.WriteString(w, file)
		w.Close()
		for how, r := range map[string]io.Reader{
			"half reads": iotest.HalfReader(strings.NewReader(file)),
			"bytes":      iotest.OneByteReader(strings.NewReader(file)),
			"data+EOF":   iotest.DataErrReader(strings.NewReader(file)),
			"gzip":       &zipped,
			"with a BOM": strings.NewReader("\xef\xbb\xbf" + file),
		} {
			if got, err := readAll(r); err != nil || !slices.EqualFunc(got, want, slices.Equal[[]string]) {
				t.Errorf("%s: %d rows, want %d (%v)", how, len(got), len(want), err)
			}
		}
	}
}

func TestAStrayQuoteBreaksOneRow(t *testing.T) {
	var file strings.Builder
	for i := range 100_000 { // 1.2 MB: further than any row may reach
		if i == 10 {
			file.WriteString("\"stray,10\n")
		} else {
			fmt.Fprintf(&file, "row-%05d,%d\n", i, i%10)
		}
	}
	rows, err := readAll(strings.NewReader(file.String()))
	if err != nil || len(rows) != 100_000 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, row := range rows {
		if broken := row == nil; broken != (i == 10) {
			t.Fatalf("row %d is %q", i, row)
		}
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	for i := range 5_000 {
		fmt.Fprintf(w, "%d,%d\n", i*i, i)
	}
	w.Close()
	damaged := slices.Clone(zipped.Bytes())
	damaged[len(damaged)-6] ^= 1 // in the checksum
	disk := errors.New("disk on fire")
	for name, c := range map[string]struct {
		src  io.Reader
		want string
	}{
		"cut short":    {bytes.NewReader(zipped.Bytes()[:zipped.Len()/2]), "the gzip stream ends too early: is the file whole?"},
		"damaged":      {bytes.NewReader(damaged), "the gzip stream is damaged: gzip: invalid checksum"},
		"no gzip":      {strings.NewReader("\x1f\x8bnonsense that is no gzip header"), "t.csv:1: the gzip stream is damaged: gzip: invalid header"},
		"long row":     {strings.NewReader("a,b\n" + strings.Repeat("x", maxRowBytes+1)), "t.csv:2: the row is longer than 1048576 bytes: is this a CSV?"},
		"endless line": {io.MultiReader(strings.NewReader("a,b\n1,2\n\n"), zeros{}), "t.csv:4: the row is longer than 1048576 bytes: is this a CSV?"},
		"UTF-16":       {strings.NewReader("\xff\xfea\x00"), "t.csv:1: the file is UTF-16: want UTF-8"},
		"empty":        {strings.NewReader("\n\r\n"), "t.csv: the file is empty: want a CSV"},
		"error":        {iotest.ErrReader(disk), "t.csv:1: disk on fire"},
		"later error":  {io.MultiReader(strings.NewReader("a,b\n"), iotest.ErrReader(disk)), "t.csv:1: disk on fire"},
		"no progress":  {stuck{}, "multiple Read calls return no data or error"},
	} {
		_, err := readAll(c.src)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func FuzzReadTrace(f *testing.F) {
	for _, s := range []string{
		"id,from,to,g\na,1,2,x\na,2,3,y\nb,1,,\n", "id,from,to,g\n\"a\",1,2,\"x\n\"\nb,\"2,3,4\n", "\xef\xbb\xbfid,from,to,g\r\nc,1e3,0x1,\r\n",
		"id,from,to,g\na,1,1,x\na,1,2,x\na,0,1,x\n\n\"\"\"\",5,6,7\n", "id,from,to,g\na,-1e300,1,\nb,NaN,2,\nc,9e17,,\n",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, noHeader bool) {
		twinAgrees(t, data)
		format := Format{ID: []string{"id"}, Created: "from", Deleted: "to", Group: "g", Time: "s"}
		if noHeader {
			format = Format{NoHeader: true, ID: []string{"1", "4"}, Created: "2", Deleted: "3", Time: "ms", Scale: Scale{Trace: 3600e9, Scenario: 1e9}}
		}
		trace, stats, err := ReadTrace(bytes.NewReader(data), format)
		if err != nil {
			return
		}
		checkAccounts(t, stats)
		p, _ := NewPopulation("Thing", nil, 1)
		g, err := NewGenerator(p, 1, trace)
		if err != nil {
			t.Fatal(err)
		}
		if p.Len() != stats.Initial {
			t.Fatalf("%d rows at the start, want %d", p.Len(), stats.Initial)
		}
		created := p.Len()
		for last, n := int64(0), 0; ; n++ {
			op, ok := g.Next()
			if !ok {
				break
			}
			if int64(op.At) < last || len(op.Resources) != 1 {
				t.Fatalf("%+v after %d ns", op, last)
			}
			if op.Verb == Create {
				created++
			}
			last = int64(op.At)
		}
		if c := g.Counts(); c.OutOfPlace != 0 || c.NoneLeft != 0 || created != stats.Used {
			t.Fatalf("%+v, %d created of %d used", c, created, stats.Used)
		}
	})
}

func FuzzReadNodes(f *testing.F) {
	f.Add([]byte("0,add,n1\r\n5,remove,n1\r\n2,add,n2\r\n"))
	f.Add([]byte("0,add,\"n\"\"1\"\n0,add,n1\n-5,remove,n1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		events, stats, err := ReadNodes(bytes.NewReader(data), p3Format)
		if err != nil {
			return
		}
		checkAccounts(t, stats)
		there := map[string]bool{}
		for i, e := range events {
			if there[e.Node] == e.Add || i > 0 && e.At < events[i-1].At {
				t.Fatalf("event %d: %+v", i, e)
			}
			there[e.Node] = e.Add
		}
		if len(events) != stats.Used {
			t.Fatalf("%d events, %d used", len(events), stats.Used)
		}
	})
}
