package zookeeper

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"testing"

	"dacorch/orchestrator/porttest/real"
)

// BenchmarkMulti is transactions of 3 setData of 100 bytes, pipelined on one
// connection, by how many are in flight: on the stand-in in memory and with a
// log, and on a real ZooKeeper in the same run. Neither waits for the disk.
func BenchmarkMulti(b *testing.B) {
	servers := []struct {
		name  string
		start func(b *testing.B) string
	}{
		{"memory", func(b *testing.B) string { return start(b, Config{}).Addr() }},
		{"log", func(b *testing.B) string { return start(b, Config{DataDir: b.TempDir()}).Addr() }},
		{"real", func(b *testing.B) string { return real.ZooKeeper(b).Addr }},
	}
	for _, server := range servers {
		b.Run(server.name, func(b *testing.B) {
			addr := server.start(b)
			for _, inFlight := range []int{1, 10, 100, 1000} {
				b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) { benchmarkMulti(b, addr, inFlight) })
			}
		})
	}
}

func benchmarkMulti(b *testing.B, addr string, inFlight int) {
	c := mustDialRaw(b, addr)
	var steps []entry
	for i := range 3 {
		path := fmt.Sprintf("/n%d", i)
		if _, err := c.do(opCreate, createBody(path, nil, openACL, 0)); err != nil {
			b.Fatal(err)
		}
		steps = append(steps, entry{opSetData, setBody(path, bytes.Repeat([]byte("x"), 100), -1)})
	}
	body := append(putInt(putInt(nil, 1), int32(opMulti)), multiBody(steps)...)
	frame := append(putInt(nil, int32(len(body))), body...)
	tokens := make(chan struct{}, inFlight)
	out, in := bufio.NewWriterSize(c.nc, 64<<10), bufio.NewReaderSize(c.nc, 64<<10)
	b.ResetTimer()
	go func() {
		for range b.N {
			select {
			case tokens <- struct{}{}:
			default:
				_ = out.Flush() // an error shows in the answers
				tokens <- struct{}{}
			}
			_, _ = out.Write(frame)
		}
		_ = out.Flush()
	}()
	for range b.N {
		if err := answered(in); err != nil {
			b.Fatal(err)
		}
		<-tokens
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "multi/s")
}

// answered reads one answer to a multi that must have succeeded.
func answered(in *bufio.Reader) error {
	head, err := in.Peek(4 + 16 + 4)
	if err != nil {
		return err
	}
	if err, first := int32(binary.BigEndian.Uint32(head[16:])), opCode(binary.BigEndian.Uint32(head[20:])); err != 0 || first != opSetData {
		return fmt.Errorf("error %d, first entry %v", err, first)
	}
	_, err = io.CopyN(io.Discard, in, int64(4+binary.BigEndian.Uint32(head)))
	return err
}
