package config

import (
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	commoncfg "github.com/prometheus/common/config"

	"litellm_budget_exporter/collector/counters"
)

const (
	redisPort    = "6379"
	sentinelPort = "26379"
)

// redis is where Redis is, from the file or else from the environment; nil if nowhere.
func (l *loader) redis(s *redisSection) *counters.Options {
	if l.null["redis"] {
		return nil
	}
	if _, given := l.given["redis"]; !given {
		return l.environmentRedis(time.Duration(s.Timeout))
	}
	before := len(l.problems)
	o := &counters.Options{
		Mode:             counters.Mode(s.Mode),
		MasterName:       s.MasterName,
		DB:               s.DB,
		Username:         s.Username,
		SentinelUsername: s.SentinelUsername,
		Namespace:        s.Namespace,
		Timeout:          l.positive("redis.timeout", s.Timeout),
	}
	if s.PasswordFile != "" {
		o.Password = fromFile(l.path(s.PasswordFile))
	}
	if s.SentinelPasswordFile != "" {
		o.SentinelPassword = fromFile(l.path(s.SentinelPasswordFile))
	}
	if s.DB < 0 {
		l.wrong("redis.db", "must be 0 or more, is %d", s.DB)
	}
	_, useTLS := l.given["redis.tls_config"]
	_, hasURL := l.given["redis.url"]
	switch {
	case hasURL:
		useTLS = l.redisURL(s, o)
	case !slices.Contains([]counters.Mode{counters.Standalone, counters.Sentinel, counters.Cluster}, o.Mode):
		l.wrong("redis.mode", "must be standalone, sentinel or cluster")
	default:
		l.redisAddresses(s, o)
	}
	if o.Username != "" && o.Password == nil {
		l.wrong("redis.username", "needs a password: give password_file")
	}
	if o.SentinelUsername != "" && o.SentinelPassword == nil {
		l.wrong("redis.sentinel_username", "needs a password: give sentinel_password_file")
	}
	if useTLS && len(l.problems) == before {
		s.TLSConfig.SetDirectory(l.dir)
		var err error
		if o.TLS, err = newTLS(o, &s.TLSConfig); err != nil {
			l.wrong("redis.tls_config", "%v", err)
		}
	}
	return o
}

// redisAddresses completes o from redis.addresses and checks the fields that depend on the mode.
func (l *loader) redisAddresses(s *redisSection, o *counters.Options) {
	port := redisPort
	if o.Mode == counters.Sentinel {
		port = sentinelPort
	}
	for i, raw := range s.Addresses {
		address, err := parseAddress(raw, port)
		if err != nil {
			l.wrong(item("redis.addresses", i), "%v", err)
		}
		o.Addresses = append(o.Addresses, address)
	}
	switch {
	case len(s.Addresses) == 0:
		l.wrong("redis.addresses", "must be given, or url: where Redis is; redis: null means that there is none")
	case o.Mode == counters.Standalone && len(s.Addresses) > 1:
		l.wrong("redis.addresses", "must be one address with mode standalone: remove the others or set mode to sentinel or cluster")
	case o.Mode == counters.Sentinel && s.MasterName == "":
		l.wrong("redis.master_name", "must be given with mode sentinel: the name under which the Sentinels watch the master")
	case o.Mode == counters.Cluster && s.DB != 0:
		l.wrong("redis.db", "must be 0 with mode cluster, is %d: a Redis Cluster has only database 0", s.DB)
	}
	if o.Mode != counters.Sentinel {
		l.refuse("only makes sense with mode sentinel: remove it or set redis.mode", sentinelFields...)
	}
}

var sentinelFields = []string{"redis.master_name", "redis.sentinel_username", "redis.sentinel_password_file"}

// redisURL completes o from redis.url, and reports fields that say otherwise. It says whether TLS is used.
func (l *loader) redisURL(s *redisSection, o *counters.Options) (useTLS bool) {
	u, err := parseRedisURL(string(s.URL))
	switch {
	case err != nil:
		l.wrong("redis.url", "%v", err)
		return false
	case len(u.query) > 0:
		l.wrong("redis.url", "must not have a query: give the fields of redis and redis.tls_config instead")
	}
	l.refuse("redis.url says where Redis is: keep one of the two", "redis.addresses")
	l.refuse("redis.url is for mode standalone: remove it, or give redis.addresses instead of redis.url", sentinelFields...)
	if o.Mode != counters.Standalone {
		l.wrong("redis.mode", "must be standalone with redis.url: give redis.addresses instead of redis.url for another mode")
	}
	if !u.tls {
		l.refuse("has no effect as redis.url begins with redis://: make it rediss:// or remove tls_config", "redis.tls_config")
	}
	o.Mode = counters.Standalone
	o.Addresses = []string{u.address}
	if u.hasDB {
		if _, given := l.given["redis.db"]; given && s.DB != u.db {
			l.wrong("redis.db", "is %d, but redis.url says %d: keep one of the two", s.DB, u.db)
		}
		o.DB = u.db
	}
	if u.username != "" {
		if s.Username != "" && s.Username != u.username {
			l.wrong("redis.username", "is another than in redis.url: keep one of the two")
		}
		o.Username = u.username
	}
	if u.password != "" {
		l.refuse("redis.url has a password too: keep one of the two", "redis.password_file")
		o.Password = constant(u.password)
	}
	return u.tls
}

// refuse reports those of the fields that are given.
func (l *loader) refuse(text string, fields ...string) {
	for _, field := range fields {
		if _, given := l.given[field]; given {
			l.wrong(field, "%s", text)
		}
	}
}

// newTLS makes o's TLS configuration.
func newTLS(o *counters.Options, c *commoncfg.TLSConfig) (*tls.Config, error) {
	t, err := commoncfg.NewTLSConfig(c)
	// Of Sentinels and cluster nodes each is verified by the name under which it is dialled.
	if err == nil && t.ServerName == "" && o.Mode == counters.Standalone && len(o.Addresses) == 1 {
		t.ServerName, _, err = net.SplitHostPort(o.Addresses[0])
	}
	return t, err
}

// fromFile reads a password anew each time, so that a changed file is seen.
func fromFile(path string) func() (string, error) {
	return func() (string, error) { return readSecret(path) }
}

func constant(password string) func() (string, error) {
	return func() (string, error) { return password, nil }
}

var errAddress = errors.New("must be host:port, with an IPv6 address in brackets, such as redis-1:6379 or [::1]:6379")

// parseAddress makes host:port of an address that may lack the port.
func parseAddress(raw, defaultPort string) (string, error) {
	host, port, err := net.SplitHostPort(raw)
	if err != nil { // perhaps only the port is missing
		host, port, err = net.SplitHostPort(raw + ":" + defaultPort)
	}
	if err != nil || !validHost(host) || !validPort(port) {
		return "", errAddress
	}
	return net.JoinHostPort(host, port), nil
}

func validHost(host string) bool { return host != "" && !strings.ContainsAny(host, "/@ ?#") }

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// redisURL is what a URL says about one Redis.
type redisURL struct {
	tls      bool
	address  string
	username string
	password string
	db       int
	hasDB    bool
	query    url.Values
}

// parseRedisURL reads redis[s]://[user[:password]@]host[:port][/db]. Its errors never quote the URL.
func parseRedisURL(raw string) (redisURL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return redisURL{}, errors.New("is not a valid URL: percent-encode special characters in the password")
	}
	switch {
	case u.Scheme == "unix":
		return redisURL{}, errors.New("must not be a Unix socket: give redis://host:port or rediss://host:port")
	case u.Scheme != "redis" && u.Scheme != "rediss":
		return redisURL{}, errors.New("must begin with redis:// or, for TLS, rediss://")
	case u.Fragment != "":
		return redisURL{}, errors.New("must not have a fragment: percent-encode # in the password as %23")
	}
	r := redisURL{tls: u.Scheme == "rediss", username: u.User.Username(), query: u.Query()}
	r.password, _ = u.User.Password()
	if r.address, err = parseAddress(u.Host, redisPort); err != nil {
		return redisURL{}, errors.New("must name a host, and a port from 1 to 65535 if any: redis://host:port/db")
	}
	if path := strings.Trim(u.Path, "/"); path != "" {
		db, err := strconv.ParseUint(path, 10, 31)
		if err != nil {
			return redisURL{}, errors.New("must have the number of a database as its path, or none: redis://host:port/0")
		}
		r.db, r.hasDB = int(db), true
	}
	return r, nil
}
