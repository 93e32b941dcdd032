package counters_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/counters"
	"litellm_budget_exporter/collector/counters/redistest"
)

func TestAnswersThatFailTheSource(t *testing.T) {
	tests := []struct {
		answer string
		reason counters.Reason
	}{
		{"-LOADING Redis is loading the dataset in memory", counters.Loading},
		{"-CLUSTERDOWN The cluster is down", counters.Unavailable},
		{"-CLUSTERDOWN Hash slot not served", counters.Unavailable},
		{"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", counters.Unavailable},
		{"-NOAUTH Authentication required.", counters.NoAuth},
		{"-WRONGPASS invalid username-password pair or user is disabled.", counters.NoAuth},
		{"-ERR invalid password", counters.NoAuth},
		{"-NOPERM User reader has no permissions to run the 'get' command", counters.NoPerm},
		{"-NOPERM No permissions to access a key", counters.NoPerm},
		{"-ERR max number of clients reached", counters.Connection},
		{"-BUSY Redis is busy running a script.", counters.Other},
		{"-ERR unknown command 'GET'", counters.Other},
	}
	for _, tt := range tests {
		t.Run(tt.answer, func(t *testing.T) {
			address := fakeRedis(t, func(command []string) string {
				if strings.EqualFold(command[0], "hello") {
					return "*0\r\n"
				}
				return tt.answer + "\r\n"
			})
			readings, err := open(t, address, nil).Read(t.Context(), []string{"a", "b"})
			wantReason(t, err, tt.reason)
			if !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), tt.answer[1:]) {
				t.Errorf("the text names not both the address and the answer: %v", err)
			}
			for _, got := range readings {
				if got.State != budget.CounterUnread {
					t.Errorf("a failed reading is %+v, want unread", got)
				}
			}
		})
	}
}

func TestAnswersThatRepeatThePasswordAreCut(t *testing.T) {
	address := fakeRedis(t, func(command []string) string {
		return "-ERR unknown command `" + command[0] + "`, with args beginning with: `" + strings.Join(command[1:], "` `") + "`\r\n"
	})
	r := open(t, address, func(o *counters.Options) {
		o.Password = func() (string, error) { return "hidden", nil }
	})
	_, err := r.Read(t.Context(), []string{"a"})
	wantReason(t, err, counters.Other)
	if strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), "unknown command") {
		t.Errorf("the text has the password, or not the answer: %v", err)
	}
}

func TestHangingRedisReturnsByTheTimeout(t *testing.T) {
	const timeout = 200 * time.Millisecond
	tests := map[string]func(command []string) string{
		"on connecting": func([]string) string { return "" },
		"on reading": func(command []string) string {
			if strings.EqualFold(command[0], "hello") {
				return "*0\r\n"
			}
			return ""
		},
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			r := open(t, fakeRedis(t, answer), func(o *counters.Options) { o.Timeout = timeout })
			start := time.Now()
			const names = 50_000 // a hundred batches, of which only the first may take its time
			readings, err := r.Read(t.Context(), make([]string, names))
			wantReason(t, err, counters.Timeout)
			if took := time.Since(start); took > 20*timeout {
				t.Errorf("it took %s, with a timeout of %s", took, timeout)
			}
			if len(readings) != names {
				t.Errorf("%d readings for %d names", len(readings), names)
			}
		})
	}
}

func TestReadEndsWithItsContext(t *testing.T) {
	r := open(t, fakeRedis(t, func([]string) string { return "" }), nil)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	start := time.Now()
	_, err := r.Read(ctx, []string{"a"})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want the cancellation", err)
	}
	if took := time.Since(start); took > patience/2 {
		t.Errorf("it took %s to notice the cancellation", took)
	}
}

func TestRedisThatIsDown(t *testing.T) {
	s := redistest.Standalone(t)
	r := open(t, s.Addr, nil)
	read(t, r, "a")
	s.Kill()
	for range 10 { // more often than the pool has connections
		_, err := r.Read(t.Context(), []string{"a"})
		wantReason(t, err, counters.Connection)
	}
}

func TestConnectionThatDiedIsMadeAgain(t *testing.T) {
	s := redistest.Standalone(t)
	r := open(t, s.Addr, nil)
	read(t, r, "a")
	s.Do(t, "CLIENT", "KILL", "TYPE", "normal")
	read(t, r, "a")
}

func TestPassword(t *testing.T) {
	const secret, rotated = "first-secret", "second-secret"
	s := redistest.Standalone(t, "requirepass "+secret)
	file := filepath.Join(t.TempDir(), "password")
	write := func(p string) {
		if err := os.WriteFile(file, []byte(p), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fromFile := func() (string, error) {
		text, err := os.ReadFile(file)
		return string(text), err
	}
	r := open(t, s.Addr, func(o *counters.Options) { o.Password = fromFile })

	_, err := r.Read(t.Context(), []string{"a"})
	wantReason(t, err, counters.NoAuth)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing password file gives %v, which does not say so", err)
	}

	write("wrong-secret")
	_, err = r.Read(t.Context(), []string{"a"})
	wantReason(t, err, counters.NoAuth)
	if strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("the password is in the error: %v", err)
	}

	write(secret)
	read(t, r, "a")

	// A password that changes does not end connections; what ends them may come at any time.
	admin := s.Client(t).Conn()
	defer func() { _ = admin.Close() }()
	if err := admin.ConfigSet(t.Context(), "requirepass", rotated).Err(); err != nil {
		t.Fatal(err)
	}
	read(t, r, "a")
	write(rotated)
	if err := admin.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
		t.Fatal(err)
	}
	read(t, r, "a")

	_, err = open(t, s.Addr, nil).Read(t.Context(), []string{"a"})
	wantReason(t, err, counters.NoAuth)
}

func TestTLS(t *testing.T) {
	s := redistest.StandaloneTLS(t)
	s.Do(t, "SET", "spend:key:a", "1.5", "EX", 60)
	with := func(config *tls.Config) *counters.Reader {
		return open(t, s.Addr, func(o *counters.Options) { o.TLS = config })
	}
	if got := read(t, with(s.TLSConfig()), "spend:key:a")[0]; got.Value != 1.5 {
		t.Errorf("through TLS: %+v", got)
	}

	_, err := with(&tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}).Read(t.Context(), []string{"a"})
	wantReason(t, err, counters.TLS)

	otherName := s.TLSConfig()
	otherName.ServerName = "redis.example.com"
	_, err = with(otherName).Read(t.Context(), []string{"a"})
	wantReason(t, err, counters.TLS)

	s.Kill()
	_, err = with(s.TLSConfig()).Read(t.Context(), []string{"a"})
	wantReason(t, err, counters.Connection)
}

func TestTLSThatWantsAClientCertificate(t *testing.T) {
	s := redistest.StandaloneTLS(t, "tls-auth-clients yes")
	config := s.TLSConfig()
	config.MaxVersion = tls.VersionTLS12 // of 1.3 the refusal comes after the handshake, and can be lost
	_, err := open(t, s.Addr, func(o *counters.Options) { o.TLS = config }).Read(t.Context(), []string{"a"})
	wantReason(t, err, counters.TLS)
}

func TestTLSWhereTheOtherSideHasNone(t *testing.T) {
	secure, plain := redistest.StandaloneTLS(t), redistest.Standalone(t)
	_, err := open(t, plain.Addr, func(o *counters.Options) {
		o.TLS, o.Timeout = secure.TLSConfig(), 300*time.Millisecond
	}).Read(t.Context(), []string{"a"})
	if wantReason(t, err, counters.Timeout); !strings.Contains(err.Error(), "TLS") { // Redis waits for the end of a line
		t.Errorf("%v does not think of TLS", err)
	}
	_, err = open(t, secure.Addr, nil).Read(t.Context(), []string{"a"})
	if wantReason(t, err, counters.Connection); !strings.Contains(err.Error(), "TLS") {
		t.Errorf("%v does not think of TLS", err)
	}
}

func TestMissingGrantsAreNamed(t *testing.T) {
	s := redistest.Standalone(t,
		"user no_pttl on >pw ~* -@all +get",
		"user no_keys on >pw ~other:* -@all +get +pttl",
		"user no_select on >pw ~* -@all +get +pttl")
	tests := []struct {
		user  string
		db    int
		named string
	}{
		{"no_pttl", 0, "pttl"},
		{"no_keys", 0, "key"},
		{"no_select", 1, "select"},
	}
	s.Do(t, "SET", "spend:key:a", "1", "EX", 60)
	for _, tt := range tests {
		t.Run(tt.user, func(t *testing.T) {
			r := open(t, s.Addr, func(o *counters.Options) {
				o.Username, o.Password, o.DB = tt.user, password("pw"), tt.db
			})
			readings, err := r.Read(t.Context(), []string{"spend:key:a"})
			wantReason(t, err, counters.NoPerm)
			if cause := errors.Unwrap(err).Error(); !strings.Contains(cause, tt.named) {
				t.Errorf("%s does not name %q", cause, tt.named)
			}
			if readings[0].State != budget.CounterUnread {
				t.Errorf("read %+v, want unread", readings[0])
			}
		})
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	tests := []struct {
		name string
		set  func(*counters.Options)
		says string
	}{
		{"no mode", func(o *counters.Options) { o.Mode = "" }, "mode"},
		{"no address", func(o *counters.Options) { o.Addresses = nil }, "address"},
		{"two addresses", func(o *counters.Options) { o.Addresses = []string{"a:1", "b:1"} }, "one address"},
		{"no timeout", func(o *counters.Options) { o.Timeout = 0 }, "timeout"},
		{"user without password", func(o *counters.Options) { o.Username = "reader" }, "password"},
		{"Sentinel without name", func(o *counters.Options) { o.Mode = counters.Sentinel }, "master_name"},
		{"name without Sentinel", func(o *counters.Options) { o.MasterName = "m" }, "master_name"},
		{"Cluster with database", func(o *counters.Options) { o.Mode, o.DB = counters.Cluster, 1 }, "database"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := counters.Options{Mode: counters.Standalone, Addresses: []string{"127.0.0.1:1"}, Timeout: time.Second}
			tt.set(&o)
			if _, err := counters.New(o); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error is %v, want one that says %q", err, tt.says)
			}
		})
	}
}

func TestEveryReasonHasARemedy(t *testing.T) {
	for _, reason := range counters.Reasons {
		e := &counters.Error{Reason: reason, Address: "redis:6379", Err: net.ErrClosed}
		if text := e.Error(); strings.HasSuffix(text, "; ") || !strings.HasPrefix(text, "redis at redis:6379: ") {
			t.Errorf("%s: %q", reason, text)
		}
	}
}
