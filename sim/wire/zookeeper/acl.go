package zookeeper

import (
	"crypto/sha1" // what ZooKeeper's digest scheme is made of
	"encoding/base64"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// openACL lets everybody do everything. It is shared and never written to.
var openACL = []ACL{{31, "world", "anyone"}}

func isOpen(acl []ACL) bool { return len(acl) == 1 && acl[0] == openACL[0] }

// identity is who a connection has shown to be.
type identity struct{ scheme, id string }

// digest is how the scheme of that name writes user:password.
func digest(userAndPassword string) string {
	user, _, _ := strings.Cut(userAndPassword, ":")
	sum := sha1.Sum([]byte(userAndPassword))
	return user + ":" + base64.StdEncoding.EncodeToString(sum[:])
}

// permitted says whether ids may do perm where acl stands. An empty list permits
// everything, as in ZooKeeper.
func permitted(acl []ACL, perm int32, ids []identity) bool {
	if len(acl) == 0 {
		return true
	}
	for _, a := range acl {
		if a.Perms&perm == 0 {
			continue
		}
		if a.Scheme == "world" && a.ID == "anyone" {
			return true
		}
		for _, who := range ids {
			if who.scheme == a.Scheme && (a.ID == who.id && a.Scheme == "digest" || a.Scheme == "ip" && within(who.id, a.ID)) {
				return true
			}
		}
	}
	return false
}

// within says whether an address lies in a block such as 10.0.0.0/8. ZooKeeper
// knows IPv4 alone here.
func within(address, block string) bool {
	a, err := netip.ParseAddr(address)
	p, valid := parseBlock(block)
	return err == nil && valid && p.Contains(a.Unmap())
}

func parseBlock(s string) (netip.Prefix, bool) {
	addr, bits, cut := strings.Cut(s, "/")
	a, err := netip.ParseAddr(addr)
	n := 32
	if err != nil || !a.Is4() {
		return netip.Prefix{}, false
	}
	if cut {
		if n, err = strconv.Atoi(bits); err != nil || n < 0 || n > 32 {
			return netip.Prefix{}, false
		}
	}
	return netip.PrefixFrom(a, n), true
}

// resolve makes the list that a node gets from the one a client sent: without
// repetitions, every scheme known, "auth" replaced by who the client is.
func resolve(acl []ACL, ids []identity) ([]ACL, code) {
	if isOpen(acl) {
		return openACL, ok
	}
	var out []ACL
	for i, a := range acl {
		if slices.Contains(acl[:i], a) {
			continue
		}
		switch {
		case a.Scheme == "world" && a.ID == "anyone":
			out = append(out, a)
		case a.Scheme == "auth":
			n := len(out)
			for _, who := range ids {
				if who.scheme == "digest" {
					out = append(out, ACL{a.Perms, who.scheme, who.id})
				}
			}
			if len(out) == n {
				return nil, invalidACL
			}
		case validID(a.Scheme, a.ID):
			out = append(out, a)
		default:
			return nil, invalidACL
		}
	}
	if len(out) == 0 {
		return nil, invalidACL
	}
	return out, ok
}

func validID(scheme, id string) bool {
	switch scheme {
	case "digest":
		// Java's split drops empty parts at the end.
		return len(strings.Split(strings.TrimRight(id, ":"), ":")) == 2
	case "ip":
		_, valid := parseBlock(id)
		return valid
	}
	return false
}

// withoutDigests hides the password's digest from who may only read.
func withoutDigests(acl []ACL) []ACL {
	out := slices.Clone(acl)
	for i, a := range out {
		if user, _, cut := strings.Cut(a.ID, ":"); a.Scheme == "digest" && cut {
			out[i].ID = user + ":x"
		}
	}
	return out
}
