package zookeeper

import "strings"

// validPath says whether ZooKeeper takes path as the name of a node.
func validPath(path string) bool {
	if path == "/" {
		return true
	}
	if path == "" || path[0] != '/' || path[len(path)-1] == '/' {
		return false
	}
	for name := range strings.SplitSeq(path[1:], "/") {
		if name == "" || name == "." || name == ".." {
			return false
		}
	}
	for _, r := range path {
		if !validRune(r) {
			return false
		}
	}
	return true
}

// validRune: Java sees what lies beyond U+FFFF as surrogates, which ZooKeeper
// refuses with the control characters, the private use area and the specials.
func validRune(r rune) bool {
	switch {
	case r <= 0x1f, r >= 0x7f && r <= 0x9f, r >= 0xd800 && r <= 0xf8ff, r >= 0xfff0:
		return false
	}
	return true
}

// hasParent is the looser check that ZooKeeper makes before it looks for a
// path's parent.
func hasParent(path string) bool {
	return strings.IndexByte(path, '/') >= 0 && strings.IndexByte(path, 0) < 0
}

func isSpecial(path string) bool {
	return path == rootPath || path == procPath || path == quotaPath || path == configPath
}
