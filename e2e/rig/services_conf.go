package rig

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"path"
	"slices"
	"strings"
	"text/template"
)

// conf is the services' configuration: a directory for each, with the script start
// that the container runs. Files go to /conf, as they are or, those that hold {{,
// filled in.
//
//go:embed conf
var conf embed.FS

// A confFile is a file in a container.
type confFile struct {
	path string
	mode int64
	data []byte
}

// confDir is where the files are in a container.
const confDir = "/conf/"

// confFiles are all files that a service's container is given, in the order of
// their paths. The same input gives the same bytes. outside is where the service is
// reached from this machine.
func confFiles(name ServiceName, outside string, s secrets, ca []byte, p pair) ([]confFile, error) {
	_, port, err := net.SplitHostPort(outside)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	files, err := filledIn(name, map[string]string{"Port": port, "Orchestrator": UserOrchestrator, "Platform": UserPlatform})
	if err != nil {
		return nil, err
	}
	add := func(file string, data string) { files[file] = []byte(data) }
	both := string(p.key) + string(p.cert)
	switch name {
	case ZooKeeper:
		add("server.pem", both)
		add("ca.pem", string(ca))
	case Kafka:
		add("server.pem", both)
		add("scram", scramUsers(s[name]))
	case Mosquitto:
		add("server.crt", string(p.cert))
		add("server.key", string(p.key))
		add("passwords", mosquittoPasswords(s[name]))
	case PostgreSQL:
		add("server.crt", string(p.cert))
		add("server.key", string(p.key))
		add("password", s[name][userPostgres])
	}
	var all []confFile
	for _, file := range slices.Sorted(maps.Keys(files)) {
		// The container's user reads them, and root owns what is copied in: nobody
		// else is in the container.
		f := confFile{path: confDir + file, mode: 0o644, data: files[file]}
		if file == "start" {
			f.mode = 0o755
		}
		all = append(all, f)
	}
	return all, nil
}

// filledIn are the service's files of conf.
func filledIn(name ServiceName, values map[string]string) (map[string][]byte, error) {
	dir := path.Join("conf", string(name))
	entries, err := fs.ReadDir(conf, dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, e := range entries {
		data, err := fs.ReadFile(conf, path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		t, err := template.New(e.Name()).Option("missingkey=error").Parse(string(data))
		if err != nil {
			return nil, err
		}
		var b strings.Builder
		if err := t.Execute(&b, values); err != nil {
			return nil, err
		}
		files[e.Name()] = []byte(b.String())
	}
	return files, nil
}

// scramUsers are the users that Kafka's storage begins with: arguments of
// kafka-storage, one a line.
func scramUsers(passwords map[string]string) string {
	var b strings.Builder
	for _, user := range slices.Sorted(maps.Keys(passwords)) {
		fmt.Fprintf(&b, "--add-scram\nSCRAM-SHA-512=[name=%s,password=%s]\n", user, passwords[user])
	}
	return b.String()
}

// mosquittoPasswords is what mosquitto_passwd would write. The salt is made of the
// password, so that the same password gives the same file; one of 144 random bits
// loses nothing by that.
func mosquittoPasswords(passwords map[string]string) string {
	const rounds = 101 // mosquitto_passwd's own
	var b strings.Builder
	for _, user := range slices.Sorted(maps.Keys(passwords)) {
		salt := sha256.Sum256([]byte("salt of " + user + passwords[user]))
		hash, err := pbkdf2.Key(sha512.New, passwords[user], salt[:12], rounds, sha512.Size)
		if err != nil {
			panic(err) // only where the platform forbids these constants
		}
		fmt.Fprintf(&b, "%s:$7$%d$%s$%s\n", user, rounds, base64.StdEncoding.EncodeToString(salt[:12]), base64.StdEncoding.EncodeToString(hash))
	}
	return b.String()
}

// confHash tells containers apart that were made of something else: what more is,
// such as image and network, and every file.
func confHash(files []confFile, more ...string) string {
	h := sha256.New()
	for _, m := range more {
		fmt.Fprintf(h, "%d %s\n", len(m), m)
	}
	for _, f := range files {
		fmt.Fprintf(h, "%s %o %d\n", f.path, f.mode, len(f.data))
		h.Write(f.data)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}
