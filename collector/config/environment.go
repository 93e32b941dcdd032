package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	commoncfg "github.com/prometheus/common/config"

	"litellm_budget_exporter/collector/counters"
)

// The variables that can say where Redis is, in the order in which LiteLLM prefers them (1.84.0 and 1.109.1 alike).
const (
	clusterNodes  = "REDIS_CLUSTER_NODES"
	redisURLName  = "REDIS_URL"
	sentinelNodes = "REDIS_SENTINEL_NODES"
	redisHost     = "REDIS_HOST"
)

// redisDetails are the variables that say how Redis is reached, but not where. REDIS_PORT is none of them:
// Kubernetes sets one of its own beside a service that is called redis.
var redisDetails = []string{
	"REDIS_PASSWORD", "REDIS_PASSWORD_FILE", "REDIS_USERNAME", "REDIS_DB", "REDIS_SSL", "REDIS_SSL_CA_CERTS",
	"REDIS_SSL_CERTFILE", "REDIS_SSL_KEYFILE", "REDIS_SSL_CERT_REQS", "REDIS_SSL_CHECK_HOSTNAME",
	"REDIS_SERVICE_NAME", "REDIS_SENTINEL_PASSWORD", "REDIS_SENTINEL_PASSWORD_FILE",
}

// setting is a setting of redis-py, the client library of LiteLLM, by its name there: its value ("" = not
// given), and the variable to name in errors.
type setting func(name string) (value, variable string)

// environmentRedis is where LiteLLM's own variables say Redis is; nil if they name none.
func (l *loader) environmentRedis(timeout time.Duration) *counters.Options {
	o := &counters.Options{Mode: counters.Standalone, Timeout: timeout}
	before := len(l.problems)
	get := l.redisVariable
	var useTLS bool
	if url, file := l.secretVariable(redisURLName); l.variable(clusterNodes) == "" && url+file != "" {
		get, useTLS = l.urlVariable(o, url, file)
	} else {
		if !l.redisPlace(o) {
			return nil
		}
		l.redisLogin(o)
		useTLS = l.boolean(get, "ssl", false)
	}
	if useTLS && len(l.problems) == before {
		l.redisPyTLS(o, get)
	}
	return o
}

// redisVariable is a setting from a variable of its own.
func (l *loader) redisVariable(name string) (value, variable string) {
	variable = "REDIS_" + strings.ToUpper(name)
	return l.variable(variable), variable
}

// urlVariable reads REDIS_URL. Beside it LiteLLM looks at no other variable, only at settings in its query.
func (l *loader) urlVariable(o *counters.Options, raw, file string) (get setting, useTLS bool) {
	variable := redisURLName
	if file != "" {
		variable += "_FILE"
		var err error
		if raw, err = readSecret(file); err != nil {
			return nil, false // secretVariable has reported it
		}
	}
	u, err := parseRedisURL(raw)
	if err != nil {
		l.wrongVariable(variable, "%v", err)
		return nil, false
	}
	get = func(name string) (string, string) { return u.query.Get(name), variable + ": " + name }
	o.Addresses = []string{u.address}
	o.DB = u.db
	if value, _ := get("db"); value != "" {
		o.DB = l.database(get)
	}
	query := func(name, preferred string) string {
		if preferred == "" {
			preferred, _ = get(name)
		}
		return preferred
	}
	o.Username = query("username", u.username)
	if password := query("password", u.password); password != "" {
		o.Password = constant(password)
	}
	return get, u.tls
}

// redisPlace sets mode and addresses from the variables other than REDIS_URL. It is false when there are none.
func (l *loader) redisPlace(o *counters.Options) bool {
	switch {
	case l.variable(clusterNodes) != "":
		o.Mode = counters.Cluster
		l.clusterNodes(o)
	case l.variable(sentinelNodes) != "":
		o.Mode = counters.Sentinel
		l.sentinelNodes(o)
	case l.variable(redisHost) != "":
		port := l.variable("REDIS_PORT")
		if port == "" {
			port = redisPort
		}
		if !validPort(port) {
			l.wrongVariable("REDIS_PORT", "must be a port from 1 to 65535; if Kubernetes has set it for a service called redis, set it to the port yourself")
			return true
		}
		address, err := nodeAddress(l.variable(redisHost), port)
		if err != nil {
			l.wrongVariable(redisHost, "must be the name or address of a host")
		}
		o.Addresses = []string{address}
	default:
		for _, name := range redisDetails {
			if l.variable(name) != "" {
				l.wrongVariable(name, "is set, but nothing says where Redis is: set %s, %s, %s or %s, or unset it",
					redisURLName, redisHost, clusterNodes, sentinelNodes)
			}
		}
		return false
	}
	return true
}

func (l *loader) clusterNodes(o *counters.Options) {
	var nodes []struct {
		Host string      `json:"host"`
		Port json.Number `json:"port"`
	}
	err := json.Unmarshal([]byte(l.variable(clusterNodes)), &nodes)
	for _, n := range nodes {
		address, wrong := nodeAddress(n.Host, n.Port.String())
		err = errors.Join(err, wrong)
		o.Addresses = append(o.Addresses, address)
	}
	if err != nil || len(nodes) == 0 {
		l.wrongVariable(clusterNodes, `must be JSON such as [{"host": "redis-1", "port": 6379}]`)
	}
}

func (l *loader) sentinelNodes(o *counters.Options) {
	var nodes [][]any
	decoder := json.NewDecoder(strings.NewReader(l.variable(sentinelNodes)))
	decoder.UseNumber()
	err := decoder.Decode(&nodes)
	for _, n := range nodes {
		if len(n) != 2 {
			err = errAddress
			break
		}
		address, wrong := nodeAddress(fmt.Sprint(n[0]), fmt.Sprint(n[1]))
		err = errors.Join(err, wrong)
		o.Addresses = append(o.Addresses, address)
	}
	if err != nil || len(nodes) == 0 {
		l.wrongVariable(sentinelNodes, `must be JSON such as [["sentinel-1", 26379]]`)
	}
	if o.MasterName = l.variable("REDIS_SERVICE_NAME"); o.MasterName == "" {
		l.wrongVariable("REDIS_SERVICE_NAME", "must be set with %s: the name under which the Sentinels watch the master", sentinelNodes)
	}
}

// nodeAddress joins a host, an IPv6 address in brackets or without, and a port.
func nodeAddress(host, port string) (string, error) {
	return parseAddress(net.JoinHostPort(strings.Trim(host, "[]"), port), "")
}

// redisLogin sets database, user and passwords from their variables.
func (l *loader) redisLogin(o *counters.Options) {
	if o.DB = l.database(l.redisVariable); o.DB != 0 && o.Mode == counters.Cluster {
		l.wrongVariable("REDIS_DB", "must be 0 with %s: a Redis Cluster has only database 0", clusterNodes)
	}
	o.Username = l.variable("REDIS_USERNAME")
	o.Password = l.passwordVariable("REDIS_PASSWORD")
	if o.Username != "" && o.Password == nil {
		l.wrongVariable("REDIS_USERNAME", "needs a password: set REDIS_PASSWORD or REDIS_PASSWORD_FILE")
	}
	if o.Mode == counters.Sentinel {
		// LiteLLM 1.109.1 authenticates at the Sentinels as the same user, with a password of their own.
		if o.SentinelPassword = l.passwordVariable("REDIS_SENTINEL_PASSWORD"); o.SentinelPassword != nil {
			o.SentinelUsername = o.Username
		}
	}
}

// passwordVariable is a password from a variable or a file; nil if there is none.
func (l *loader) passwordVariable(name string) func() (string, error) {
	switch password, file := l.secretVariable(name); {
	case file != "":
		return fromFile(file)
	case password != "":
		return constant(password)
	default:
		return nil
	}
}

func (l *loader) database(get setting) int {
	value, variable := get("db")
	if value == "" {
		return 0
	}
	db, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		l.wrongVariable(variable, "must be the number of a database, 0 or more")
	}
	return int(db)
}

// boolean reads a truth value as LiteLLM does.
func (l *loader) boolean(get setting, name string, otherwise bool) bool {
	value, variable := get(name)
	switch strings.ToLower(value) {
	case "":
		return otherwise
	case "true", "1", "yes":
		return true
	case "false", "0", "no":
		return false
	default:
		l.wrongVariable(variable, "must be True or False")
		return otherwise
	}
}

// redisPyTLS sets up TLS from the settings of redis-py.
func (l *loader) redisPyTLS(o *counters.Options, get setting) {
	before := len(l.problems)
	file := func(name string) string {
		path, variable := get(name)
		if path != "" {
			if _, err := readSecret(path); err != nil {
				l.wrongVariable(variable, "%v", err)
			}
		}
		return path
	}
	c := commoncfg.TLSConfig{CAFile: file("ssl_ca_certs"), CertFile: file("ssl_certfile"), KeyFile: file("ssl_keyfile")}
	if c.KeyFile == "" {
		c.KeyFile = c.CertFile // the file may hold both
	}
	checkHostname := l.boolean(get, "ssl_check_hostname", true)
	switch value, variable := get("ssl_cert_reqs"); strings.ToLower(value) {
	case "none":
		c.InsecureSkipVerify, checkHostname = true, true
	case "", "optional", "required": // to a client the two are the same
	default:
		l.wrongVariable(variable, "must be required, optional or none")
	}
	if len(l.problems) > before {
		return
	}
	t, err := newTLS(o, &c)
	if err != nil {
		_, variable := get("ssl_ca_certs")
		l.wrongVariable(variable, "or a certificate or key beside it cannot be used: %v", err)
		return
	}
	if !checkHostname {
		verifyChainOnly(t)
	}
	o.TLS = t
}

// verifyChainOnly makes t accept a valid certificate whatever name it is for.
func verifyChainOnly(t *tls.Config) {
	t.InsecureSkipVerify = true // what it skips is done here, but for the name
	roots := t.RootCAs
	t.VerifyConnection = func(s tls.ConnectionState) error {
		intermediates := x509.NewCertPool()
		for _, c := range s.PeerCertificates[1:] {
			intermediates.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates})
		return err
	}
}
