package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// StandaloneTLS starts a Redis of its own that speaks TLS only, with a certificate for 127.0.0.1 and localhost
// from an authority made for this server.
func StandaloneTLS(tb testing.TB, config ...string) *Server {
	tb.Helper()
	files := newCertificates(tb)
	authority := x509.NewCertPool()
	pemCA, err := os.ReadFile(files.ca)
	if err != nil || !authority.AppendCertsFromPEM(pemCA) {
		tb.Fatalf("redistest: the authority's certificate cannot be read back: %v", err)
	}
	s := &Server{CAFile: files.ca, tls: &tls.Config{RootCAs: authority, MinVersion: tls.VersionTLS12}}
	s.run(tb, append([]string{
		"tls-cert-file " + files.cert,
		"tls-key-file " + files.key,
		"tls-ca-cert-file " + files.ca,
		"tls-auth-clients no",
	}, config...))
	return s
}

// certificates are the PEM files of an authority and of a server's certificate with its key.
type certificates struct{ ca, cert, key string }

func newCertificates(tb testing.TB) certificates {
	tb.Helper()
	fatal := func(err error) {
		if err != nil {
			tb.Helper()
			tb.Fatalf("redistest: no certificate: %v", err)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(err)
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(err)

	ca := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "redistest authority"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "redistest server"},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:     []string{"localhost"},
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	fatal(err)
	serverDER, err := x509.CreateCertificate(rand.Reader, server, ca, &serverKey.PublicKey, caKey)
	fatal(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(serverKey)
	fatal(err)

	dir := tb.TempDir()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		fatal(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return file
	}
	return certificates{
		ca:   write("ca.pem", "CERTIFICATE", caDER),
		cert: write("server.pem", "CERTIFICATE", serverDER),
		key:  write("server.key", "PRIVATE KEY", keyDER),
	}
}
