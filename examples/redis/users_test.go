// Package redis tests the users of users.acl in a real Redis.
package redis

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"litellm_budget_exporter/collector/counters"
	"litellm_budget_exporter/collector/counters/redistest"
)

// start starts a Redis with the users, their passwords put in as examples/compose does it.
func start(t *testing.T) *redistest.Server {
	t.Helper()
	users, err := os.ReadFile("users.acl")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "users.acl")
	withPasswords := strings.NewReplacer("LITELLM_PASSWORD", "litellm-secret", "EXPORTER_PASSWORD", "exporter-secret").Replace(string(users))
	if err := os.WriteFile(file, []byte(withPasswords), 0o600); err != nil {
		t.Fatal(err)
	}
	return redistest.Standalone(t, "aclfile "+file)
}

func connect(t *testing.T, s *redistest.Server, username, password string) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.Addr, Username: username, Password: password})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestExporterReads: the exporter's user is enough for all that the exporter asks, and Redis denies it nothing meanwhile.
func TestExporterReads(t *testing.T) {
	s := start(t)
	liteLLM := connect(t, s, "", "litellm-secret")
	for _, command := range [][]any{
		{"SET", "spend:key:a", "1.5", "EX", 60},
		{"RPUSH", "litellm_spend_update_buffer", "{}"},
	} {
		if err := liteLLM.Do(t.Context(), command...).Err(); err != nil {
			t.Fatalf("LiteLLM's user may not %v: %v", command, err)
		}
	}

	exporter, err := counters.New(counters.Options{
		Mode: counters.Standalone, Addresses: []string{s.Addr}, Username: "budget_exporter",
		Password: func() (string, error) { return "exporter-secret", nil }, Timeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = exporter.Close() }()
	readings, err := exporter.Read(t.Context(), []string{"spend:key:a"})
	if err != nil || readings[0].Value != 1.5 {
		t.Errorf("the counter is read as %+v (%v), want 1.5", readings, err)
	}
	lengths, err := exporter.BufferLengths(t.Context())
	if err != nil || lengths["litellm_spend_update_buffer"] != 1 {
		t.Errorf("the lengths of the buffers are %v (%v), want 1 of the first", lengths, err)
	}
	if denied := fmt.Sprint(liteLLM.Do(t.Context(), "ACL", "LOG").Val()); denied != "[]" {
		t.Errorf("Redis denied: %s", denied)
	}
}

// TestExporterMayNothingElse: not write, not look at other keys, not find keys.
func TestExporterMayNothingElse(t *testing.T) {
	s := start(t)
	exporter := connect(t, s, "budget_exporter", "exporter-secret")
	for _, command := range [][]any{
		{"SET", "spend:key:a", "0"},
		{"INCRBYFLOAT", "spend:key:a", "1"},
		{"DEL", "spend:key:a"},
		{"EXPIRE", "spend:key:a", 60},
		{"LPOP", "litellm_spend_update_buffer"},
		{"GET", "cronjob_lock:db_spend_update_job"},
		{"SCAN", 0},
		{"KEYS", "*"},
		{"CONFIG", "GET", "*"},
		{"EVAL", "return 1", 0},
	} {
		if err := exporter.Do(t.Context(), command...).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
			t.Errorf("%v: %v, want NOPERM", command, err)
		}
	}
}

// TestNobodyComesInWithoutAPassword: users.acl leaves no open door.
func TestNobodyComesInWithoutAPassword(t *testing.T) {
	s := start(t)
	for username, password := range map[string]string{"": "", "default": "wrong", "budget_exporter": "wrong"} {
		if err := connect(t, s, username, password).Get(t.Context(), "spend:key:a").Err(); err == nil ||
			!strings.HasPrefix(err.Error(), "NOAUTH") && !strings.HasPrefix(err.Error(), "WRONGPASS") {
			t.Errorf("user %q with password %q: %v, want to be refused", username, password, err)
		}
	}
}

// TestUserIsTheDocumentedOne: README.md and this file give the exporter's user the same.
func TestUserIsTheDocumentedOne(t *testing.T) {
	users, err := os.ReadFile("users.acl")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rights, found := strings.Cut(string(users), "user budget_exporter on >EXPORTER_PASSWORD ")
	if !found || !strings.Contains(string(readme), "ACL SETUSER budget_exporter on >PASSWORD "+rights) {
		t.Errorf("README.md does not give the exporter's user %q", rights)
	}
}
