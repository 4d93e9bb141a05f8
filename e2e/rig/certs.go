package rig

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	// certValid is how long the rig's certificates are valid: the most that
	// browsers and Java take without a word.
	certValid = 825 * 24 * time.Hour
	// certRenew is when one is made anew before it ends.
	certRenew = 30 * 24 * time.Hour
	// certSlack is how far clocks may be behind this machine's.
	certSlack = time.Hour
)

// pair is a certificate with its key, as they stand in files (PEM; the key PKCS #8,
// which Java wants).
type pair struct{ cert, key []byte }

// prepareCertificates makes, renews or keeps the authority, r.state.CAFile with its
// key beside it, and a certificate for each service in the same directory.
func (r *Rig) prepareCertificates() (StepState, error) {
	caFile := r.State().CAFile
	dir := filepath.Dir(caFile)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return StepFailed, err
	}
	did := StepThere
	now := time.Now()
	ca, err := readPair(caFile)
	if err == nil {
		err = checkAuthority(ca, now)
	}
	if err != nil {
		if ca, err = newAuthority("dacorch rig "+r.State().Name, now); err == nil {
			err = ca.write(caFile)
		}
		if err != nil {
			return StepFailed, fmt.Errorf("the rig's authority: %w", err)
		}
		did = StepDone
	}
	for _, name := range ServiceNames {
		file, names := filepath.Join(dir, string(name)+".crt"), serviceNames(name)
		if p, err := readPair(file); err == nil && checkServer(p, ca.cert, names, now) == nil {
			continue
		}
		p, err := newServer(ca, names, now)
		if err == nil {
			err = p.write(file)
		}
		if err != nil {
			return StepFailed, fmt.Errorf("the certificate of %s: %w", name, err)
		}
		did = StepDone
	}
	return did, nil
}

// serviceNames are what a service's certificate bears.
func serviceNames(name ServiceName) []string { return []string{string(name), "localhost", "127.0.0.1"} }

// servicePair is a service's certificate as prepareCertificates left it.
func (r *Rig) servicePair(name ServiceName) (pair, error) {
	p, err := readPair(filepath.Join(filepath.Dir(r.State().CAFile), string(name)+".crt"))
	if err != nil {
		return p, fmt.Errorf("the certificate of %s: %w", name, err)
	}
	return p, nil
}

// issue makes a certificate of the rig's authority for these names and addresses (PEM).
func (r *Rig) issue(names ...string) (cert, key []byte, err error) {
	ca, err := readPair(r.State().CAFile)
	if err != nil {
		return nil, nil, fmt.Errorf("the rig's authority: %w", err)
	}
	p, err := newServer(ca, names, time.Now())
	return p.cert, p.key, err
}

// keyFile stands beside its certificate.
func keyFile(certFile string) string {
	return certFile[:len(certFile)-len(filepath.Ext(certFile))] + ".key"
}

func readPair(certFile string) (p pair, err error) {
	if p.cert, err = os.ReadFile(certFile); err != nil {
		return p, err
	}
	p.key, err = os.ReadFile(keyFile(certFile))
	return p, err
}

// write writes the key first: a certificate that is there has its key.
func (p pair) write(certFile string) error {
	if err := os.Remove(certFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writePrivate(keyFile(certFile), p.key); err != nil {
		return err
	}
	return writePrivate(certFile, p.cert)
}

func newAuthority(name string, now time.Time) (pair, error) {
	return newCertificate(&x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, nil, now)
}

// newServer makes a certificate for a server of these names and addresses.
func newServer(ca pair, names []string, now time.Time) (pair, error) {
	if len(names) == 0 {
		return pair{}, errors.New("a certificate for no name: want at least one")
	}
	authority, err := tls.X509KeyPair(ca.cert, ca.key)
	if err != nil {
		return pair{}, fmt.Errorf("the rig's authority: %w", err)
	}
	c := &x509.Certificate{
		Subject:               pkix.Name{CommonName: names[0]},
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	return newCertificate(c, &authority, now)
}

// newCertificate signs with the authority, or with the certificate's own key
// without one.
func newCertificate(c *x509.Certificate, authority *tls.Certificate, now time.Time) (p pair, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return p, err
	}
	if c.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return p, err
	}
	c.NotBefore, c.NotAfter = now.Add(-certSlack), now.Add(certValid)
	parent, signer := c, crypto.PrivateKey(key)
	if authority != nil {
		parent, signer = authority.Leaf, authority.PrivateKey
		if parent.NotAfter.Before(c.NotAfter) {
			c.NotAfter = parent.NotAfter
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		return p, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return p, err
	}
	p.cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	p.key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	return p, nil
}

// checkAuthority says why an authority is to be made anew.
func checkAuthority(ca pair, now time.Time) error {
	c, err := tls.X509KeyPair(ca.cert, ca.key)
	switch {
	case err != nil:
		return err
	case !c.Leaf.IsCA:
		return errors.New("it is no authority")
	}
	return checkTime(c.Leaf, now)
}

// checkServer says why a server's certificate is to be made anew.
func checkServer(p pair, ca []byte, names []string, now time.Time) error {
	c, err := tls.X509KeyPair(p.cert, p.key)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bytes.TrimSpace(ca)) {
		return errors.New("the authority holds no certificate")
	}
	for _, name := range names {
		if _, err := c.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now}); err != nil {
			return err
		}
	}
	return checkTime(c.Leaf, now)
}

func checkTime(c *x509.Certificate, now time.Time) error {
	if now.Before(c.NotBefore) || now.Add(certRenew).After(c.NotAfter) {
		return fmt.Errorf("it is valid from %s to %s", c.NotBefore, c.NotAfter)
	}
	return nil
}
