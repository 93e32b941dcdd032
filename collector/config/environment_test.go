package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/counters"
)

const redisFile, urlFile = "testdata/good/secrets/redis", "testdata/good/secrets/redis-url"

func TestRedisInEnvironment(t *testing.T) {
	const s = 3 * time.Second
	const nodes = `[{"host":"a.test","port":7001},{"host":"::1","port":"7002","server_type":"primary"}]`
	const sentinels = `[["s1.test",26379],["s2.test","26380"]]`
	tests := []struct {
		name string
		env  []string
		want redis
	}{
		{"none", nil, redis{}},
		{"empty variables", []string{"REDIS_URL", "", "REDIS_HOST", "", "REDIS_PASSWORD", ""}, redis{}},
		{"only what Kubernetes sets", []string{"REDIS_PORT", "tcp://10.0.0.1:6379"}, redis{}},
		{"host", []string{"REDIS_HOST", "redis.test"}, redis{Mode: counters.Standalone, Addresses: "redis.test:6379", Timeout: s}},
		{"host in full", []string{"REDIS_HOST", "redis.test", "REDIS_PORT", "6380", "REDIS_DB", "2", "REDIS_USERNAME", "u", "REDIS_PASSWORD", "SECRET"},
			redis{Mode: counters.Standalone, Addresses: "redis.test:6380", DB: 2, Username: "u", Password: "SECRET", Timeout: s}},
		{"IPv6 host", []string{"REDIS_HOST", "::1"}, redis{Mode: counters.Standalone, Addresses: "[::1]:6379", Timeout: s}},
		{"password file", []string{"REDIS_HOST", "redis.test", "REDIS_PASSWORD_FILE", redisFile},
			redis{Mode: counters.Standalone, Addresses: "redis.test:6379", Password: "SECRET-redis", Timeout: s}},
		{"TLS", []string{"REDIS_HOST", "redis.test", "REDIS_SSL", "True"},
			redis{Mode: counters.Standalone, Addresses: "redis.test:6379", TLS: "name=redis.test", Timeout: s}},
		{"TLS as 1", []string{"REDIS_HOST", "redis.test", "REDIS_SSL", "1", "REDIS_SSL_CERT_REQS", "optional"},
			redis{Mode: counters.Standalone, Addresses: "redis.test:6379", TLS: "name=redis.test", Timeout: s}},
		{"no TLS", []string{"REDIS_HOST", "redis.test", "REDIS_SSL", "False", "REDIS_SSL_CA_CERTS", "/not/read"},
			redis{Mode: counters.Standalone, Addresses: "redis.test:6379", Timeout: s}},
		{"TLS unverified", []string{"REDIS_HOST", "redis.test", "REDIS_SSL", "true", "REDIS_SSL_CERT_REQS", "None", "REDIS_SSL_CHECK_HOSTNAME", "False"},
			redis{Mode: counters.Standalone, Addresses: "redis.test:6379", TLS: "name=redis.test unverified", Timeout: s}},
		{"TLS with any name", []string{"REDIS_HOST", "redis.test", "REDIS_SSL", "true", "REDIS_SSL_CHECK_HOSTNAME", "False"},
			redis{Mode: counters.Standalone, Addresses: "redis.test:6379", TLS: "name=redis.test unverified but for the chain", Timeout: s}},
		{"URL wins over all but cluster nodes", []string{
			"REDIS_URL", "redis://:SECRET@redis.test:6380/1", "REDIS_HOST", "other.test", "REDIS_PASSWORD", "other", "REDIS_USERNAME", "other",
			"REDIS_DB", "9", "REDIS_SSL", "True", "REDIS_SENTINEL_NODES", sentinels, "REDIS_SERVICE_NAME", "main",
		}, redis{Mode: counters.Standalone, Addresses: "redis.test:6380", DB: 1, Password: "SECRET", Timeout: s}},
		{"URL with TLS", []string{"REDIS_URL", "rediss://redis.test"},
			redis{Mode: counters.Standalone, Addresses: "redis.test:6379", TLS: "name=redis.test", Timeout: s}},
		{"URL with redis-py's query", []string{"REDIS_URL", "rediss://redis.test/1?db=2&username=u&password=SECRET&ssl_cert_reqs=none&socket_timeout=5"},
			redis{Mode: counters.Standalone, Addresses: "redis.test:6379", DB: 2, Username: "u", Password: "SECRET", TLS: "name=redis.test unverified", Timeout: s}},
		{"URL file", []string{"REDIS_URL_FILE", urlFile},
			redis{Mode: counters.Standalone, Addresses: "redis.test:6379", Username: "u", Password: "SECRET", Timeout: s}},
		{"cluster wins over all", []string{
			"REDIS_CLUSTER_NODES", nodes, "REDIS_URL", "redis://other.test", "REDIS_SENTINEL_NODES", sentinels, "REDIS_SERVICE_NAME", "main",
			"REDIS_HOST", "other.test", "REDIS_USERNAME", "u", "REDIS_PASSWORD", "SECRET", "REDIS_SSL", "True",
		}, redis{Mode: counters.Cluster, Addresses: "a.test:7001 [::1]:7002", Username: "u", Password: "SECRET", TLS: "name=", Timeout: s}},
		{"Sentinel", []string{"REDIS_SENTINEL_NODES", sentinels, "REDIS_SERVICE_NAME", "main", "REDIS_HOST", "other.test"},
			redis{Mode: counters.Sentinel, Addresses: "s1.test:26379 s2.test:26380", MasterName: "main", Timeout: s}},
		{"Sentinel in full", []string{
			"REDIS_SENTINEL_NODES", sentinels, "REDIS_SERVICE_NAME", "main", "REDIS_DB", "1", "REDIS_USERNAME", "u", "REDIS_PASSWORD", "SECRET",
			"REDIS_SENTINEL_PASSWORD_FILE", "testdata/good/secrets/sentinel", "REDIS_SSL", "yes",
		}, redis{
			Mode: counters.Sentinel, Addresses: "s1.test:26379 s2.test:26380", MasterName: "main", DB: 1, Username: "u", Password: "SECRET",
			SentinelUsername: "u", SentinelPassword: "SECRET-sentinel", TLS: "name=", Timeout: s,
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := plainRedis(t, load(t, "", litellmOnly.with(test.env...)).Redis); got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestLiteLLMInEnvironment(t *testing.T) {
	c := load(t, "", environment{"LITELLM_URL": "https://litellm.test/prefix/", "LITELLM_API_KEY_FILE": "testdata/good/secrets/litellm"})
	if a := c.LiteLLM.HTTP.Authorization; c.LiteLLM.URL != "https://litellm.test/prefix" || a.CredentialsFile != "testdata/good/secrets/litellm" {
		t.Errorf("got URL %s, credentials_file %s", c.LiteLLM.URL, a.CredentialsFile)
	}
	// The environment's path is relative to the working directory, wherever the file is.
	c = load(t, "testdata/good/empty.yml", environment{"LITELLM_URL": "http://litellm.test", "LITELLM_API_KEY_FILE": "testdata/good/secrets/litellm"})
	if got := c.LiteLLM.HTTP.Authorization.CredentialsFile; got != "testdata/good/secrets/litellm" {
		t.Errorf("got credentials_file %s", got)
	}
}

func TestBadEnvironment(t *testing.T) {
	const address = ` must be JSON such as [{"host": "redis-1", "port": 6379}]`
	const sentinel = ` must be JSON such as [["sentinel-1", 26379]]`
	tests := []struct {
		name string
		env  environment
		want string
	}{
		{"nothing", environment{}, "litellm.url: must be given, or LITELLM_URL be set: the base URL of LiteLLM, such as https://litellm.example.com\n" +
			"litellm.api_key_file: must be given, or LITELLM_API_KEY or LITELLM_API_KEY_FILE be set: LiteLLM's management API needs a key"},
		{"URL", litellmOnly.with("LITELLM_URL", "litellm.test"), "LITELLM_URL: must be a URL that begins with http:// or https:// and names a host"},
		{"URL with credentials", litellmOnly.with("LITELLM_URL", "http://u:SECRET@litellm.test"), "LITELLM_URL: must not hold credentials: put them in api_key_file"},
		{"two keys", litellmOnly.with("LITELLM_API_KEY_FILE", redisFile), "LITELLM_API_KEY_FILE: LITELLM_API_KEY is set too: unset one of the two"},
		{"key file", litellmOnly.with("LITELLM_API_KEY", "", "LITELLM_API_KEY_FILE", "/missing"), "LITELLM_API_KEY_FILE: must be the path of a readable file: open /missing: no such file or directory"},
		{"key as key file", litellmOnly.with("LITELLM_API_KEY", "", "LITELLM_API_KEY_FILE", "sk-SECRET"), "LITELLM_API_KEY_FILE: must be the path of a file: put the secret into one"},
		{"no host", litellmOnly.with("REDIS_PASSWORD", "SECRET"), "REDIS_PASSWORD: is set, but nothing says where Redis is: set REDIS_URL, REDIS_HOST, REDIS_CLUSTER_NODES or REDIS_SENTINEL_NODES, or unset it"},
		{"host", litellmOnly.with("REDIS_HOST", "http://redis.test"), "REDIS_HOST: must be the name or address of a host"},
		{"port", litellmOnly.with("REDIS_HOST", "redis.test", "REDIS_PORT", "tcp://10.0.0.1:6379"),
			"REDIS_PORT: must be a port from 1 to 65535; if Kubernetes has set it for a service called redis, set it to the port yourself"},
		{"database", litellmOnly.with("REDIS_HOST", "redis.test", "REDIS_DB", "SECRET"), "REDIS_DB: must be the number of a database, 0 or more"},
		{"user without password", litellmOnly.with("REDIS_HOST", "redis.test", "REDIS_USERNAME", "u"), "REDIS_USERNAME: needs a password: set REDIS_PASSWORD or REDIS_PASSWORD_FILE"},
		{"two passwords", litellmOnly.with("REDIS_HOST", "redis.test", "REDIS_PASSWORD", "SECRET", "REDIS_PASSWORD_FILE", redisFile), "REDIS_PASSWORD_FILE: REDIS_PASSWORD is set too: unset one of the two"},
		{"two Sentinel passwords", litellmOnly.with("REDIS_SENTINEL_NODES", `[["s.test",1]]`, "REDIS_SERVICE_NAME", "main", "REDIS_SENTINEL_PASSWORD", "SECRET", "REDIS_SENTINEL_PASSWORD_FILE", redisFile),
			"REDIS_SENTINEL_PASSWORD_FILE: REDIS_SENTINEL_PASSWORD is set too: unset one of the two"},
		{"two URLs", litellmOnly.with("REDIS_URL", "redis://:SECRET@redis.test", "REDIS_URL_FILE", urlFile), "REDIS_URL_FILE: REDIS_URL is set too: unset one of the two"},
		{"URL file", litellmOnly.with("REDIS_URL_FILE", "/missing"), "REDIS_URL_FILE: must be the path of a readable file: open /missing: no such file or directory"},
		{"URL in file", litellmOnly.with("REDIS_URL_FILE", redisFile), "REDIS_URL_FILE: must begin with redis:// or, for TLS, rediss://"},
		{"Redis URL", litellmOnly.with("REDIS_URL", "unix://:SECRET@/run/redis"), "REDIS_URL: must not be a Unix socket: give redis://host:port or rediss://host:port"},
		{"database in query", litellmOnly.with("REDIS_URL", "redis://redis.test?db=SECRET"), "REDIS_URL: db: must be the number of a database, 0 or more"},
		{"certificate in query", litellmOnly.with("REDIS_URL", "rediss://redis.test?ssl_ca_certs=/missing"), "REDIS_URL: ssl_ca_certs: must be the path of a readable file: open /missing: no such file or directory"},
		{"TLS", litellmOnly.with("REDIS_HOST", "redis.test", "REDIS_SSL", "on"), "REDIS_SSL: must be True or False"},
		{"hostname check", litellmOnly.with("REDIS_HOST", "redis.test", "REDIS_SSL", "1", "REDIS_SSL_CHECK_HOSTNAME", "?"), "REDIS_SSL_CHECK_HOSTNAME: must be True or False"},
		{"verification", litellmOnly.with("REDIS_HOST", "redis.test", "REDIS_SSL", "1", "REDIS_SSL_CERT_REQS", "CERT_NONE"), "REDIS_SSL_CERT_REQS: must be required, optional or none"},
		{"certificate", litellmOnly.with("REDIS_HOST", "redis.test", "REDIS_SSL", "1", "REDIS_SSL_CA_CERTS", redisFile),
			"REDIS_SSL_CA_CERTS: or a certificate or key beside it cannot be used: unable to use specified CA cert file " + redisFile},
		{"cluster", litellmOnly.with("REDIS_CLUSTER_NODES", "SECRET"), "REDIS_CLUSTER_NODES:" + address},
		{"no cluster nodes", litellmOnly.with("REDIS_CLUSTER_NODES", "[]"), "REDIS_CLUSTER_NODES:" + address},
		{"cluster port", litellmOnly.with("REDIS_CLUSTER_NODES", `[{"host":"a.test"}]`), "REDIS_CLUSTER_NODES:" + address},
		{"cluster database", litellmOnly.with("REDIS_CLUSTER_NODES", `[{"host":"a.test","port":1}]`, "REDIS_DB", "1"), "REDIS_DB: must be 0 with REDIS_CLUSTER_NODES: a Redis Cluster has only database 0"},
		{"Sentinel", litellmOnly.with("REDIS_SENTINEL_NODES", `["SECRET"]`, "REDIS_SERVICE_NAME", "main"), "REDIS_SENTINEL_NODES:" + sentinel},
		{"Sentinel pair", litellmOnly.with("REDIS_SENTINEL_NODES", `[["a.test"]]`, "REDIS_SERVICE_NAME", "main"), "REDIS_SENTINEL_NODES:" + sentinel},
		{"Sentinel without service", litellmOnly.with("REDIS_SENTINEL_NODES", `[["a.test",1]]`),
			"REDIS_SERVICE_NAME: must be set with REDIS_SENTINEL_NODES: the name under which the Sentinels watch the master"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load("", test.env.lookup)
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "SECRET") {
				t.Error("the error shows a secret")
			}
		})
	}
}

// tlsServer starts a server whose certificate is for example.com, and writes that certificate to ca and, with
// its key, to pair.
func tlsServer(t *testing.T) (address, ca, pair string) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what is tested
	server.StartTLS()
	t.Cleanup(server.Close)
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	ca, pair = filepath.Join(t.TempDir(), "ca.pem"), filepath.Join(t.TempDir(), "pair.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	both := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), certificate...)
	for file, content := range map[string][]byte{ca: certificate, pair: both} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return server.Listener.Addr().String(), ca, pair
}

// TestCertificateFiles: certificates in the file are found relative to it, and a client certificate and key may
// be in one file, as for redis-py.
func TestCertificateFiles(t *testing.T) {
	_, ca, pair := tlsServer(t)
	content := `
litellm: {url: https://litellm.test, api_key: sk-SECRET, tls_config: {ca_file: ca.pem}}
redis: {url: rediss://redis.test, tls_config: {ca_file: ca.pem}}
`
	c, err := Parse(filepath.Join(filepath.Dir(ca), "config.yml"), []byte(content), environment{}.lookup)
	if err != nil {
		t.Fatal(err)
	}
	if c.LiteLLM.HTTP.TLSConfig.CAFile != ca || c.Redis.TLS.RootCAs == nil {
		t.Errorf("got ca_file %s for LiteLLM, %v for Redis", c.LiteLLM.HTTP.TLSConfig.CAFile, c.Redis.TLS.RootCAs)
	}

	c = load(t, "", litellmOnly.with("REDIS_HOST", "redis.test", "REDIS_SSL", "True", "REDIS_SSL_CERTFILE", pair))
	if got, err := c.Redis.TLS.GetClientCertificate(nil); err != nil || len(got.Certificate) != 1 || got.PrivateKey == nil {
		t.Errorf("client certificate: got %v, %v", got, err)
	}
}

// TestCertificateNames: a certificate for another name is refused, but not where the name is not to be checked;
// one of an unknown authority always is.
func TestCertificateNames(t *testing.T) {
	address, ca, _ := tlsServer(t)
	tests := []struct {
		name string
		env  []string
		ok   bool
	}{
		{"right name", []string{"REDIS_HOST", "example.com", "REDIS_SSL_CA_CERTS", ca}, true},
		{"wrong name", []string{"REDIS_HOST", "redis.test", "REDIS_SSL_CA_CERTS", ca}, false},
		{"any name", []string{"REDIS_HOST", "redis.test", "REDIS_SSL_CA_CERTS", ca, "REDIS_SSL_CHECK_HOSTNAME", "False"}, true},
		{"unknown authority", []string{"REDIS_HOST", "redis.test", "REDIS_SSL_CHECK_HOSTNAME", "False"}, false},
		{"unverified", []string{"REDIS_HOST", "redis.test", "REDIS_SSL_CERT_REQS", "none"}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := load(t, "", litellmOnly.with("REDIS_SSL", "True").with(test.env...))
			conn, err := tls.Dial("tcp", address, c.Redis.TLS)
			if err == nil {
				_ = conn.Close()
			}
			if (err == nil) != test.ok {
				t.Errorf("got %v, want success %v", err, test.ok)
			}
		})
	}
}
