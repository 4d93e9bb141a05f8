package fleet

// Digest stands for a set of resources, whatever their order: two sets with
// equal digests are the same, but for a chance of about 2⁻⁶⁴. It spares whoever
// compares two large sets from looking at each member.
type Digest struct {
	Count  int
	IDs    uint64 // over the ids
	Groups uint64 // over ids and groups
}

// Add puts a resource into the set. It must not be in it.
func (d *Digest) Add(r Resource) {
	id := fnv(fnvOffset, r.ID)
	d.Count++
	d.IDs += mix(id)
	d.Groups += mix(fnv((id^0xff)*fnvPrime, r.Group))
}

// Remove takes a resource out of the set. It must be in it.
func (d *Digest) Remove(r Resource) {
	id := fnv(fnvOffset, r.ID)
	d.Count--
	d.IDs -= mix(id)
	d.Groups -= mix(fnv((id^0xff)*fnvPrime, r.Group))
}

const (
	fnvOffset uint64 = 14695981039346656037
	fnvPrime  uint64 = 1099511628211
)

// fnv continues the 64-bit FNV-1a hash h with s.
func fnv(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

// mix is the finalizer of SplitMix64: sums of mixed hashes do not cancel out as
// those of similar ones do.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
