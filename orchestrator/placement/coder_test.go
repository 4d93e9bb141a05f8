package placement

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"

	"dacorch/orchestrator/fleet"
)

// TestSnapshotBomb reads states of which each byte stands for a hundred in memory.
func TestSnapshotBomb(t *testing.T) {
	const n = 100_000
	list := func(before ...uint64) []byte {
		var out []byte
		for _, v := range append(before, n) {
			out = binary.AppendUvarint(out, v)
		}
		return append(out, make([]byte, n)...)
	}
	for name, data := range map[string][]byte{
		"instances": list(0, 2, 2, 2, 0, 0, 0),
		"resources": list(0, 2, 2, 2, 0, 0, 0, 0, 0),
	} {
		c := NewReader(binary.LittleEndian.AppendUint32(data, crc32.Checksum(data, castagnoli)))
		c.alloc = 1 << 20
		a := New(Config{Policy: fleet.PolicyFill})
		a.Code(c)
		if _, err := c.Done(); err == nil || !strings.Contains(err.Error(), "in the "+name) || !strings.Contains(err.Error(), "MiB of memory") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
