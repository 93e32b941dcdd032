package counters_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/counters"
	"litellm_budget_exporter/collector/counters/redistest"
)

// The users of the package's documentation, as lines of redis.conf.
const (
	reader         = "user budget_exporter on >pw resetkeys ~spend:* ~litellm_*_buffer* -@all +get +pttl +llen"
	sentinelReader = "user budget_exporter on >pw -@all +sentinel|get-master-addr-by-name"
	clusterReader  = reader + " +cluster|slots +asking"
)

func asReader(o *counters.Options) { o.Username, o.Password = "budget_exporter", password("pw") }

func TestLeastPrivilegedUserReadsEverything(t *testing.T) {
	s := redistest.Standalone(t, reader)
	s.Do(t, "SET", "spend:key:a", "1.5", "EX", 60)
	s.Do(t, "RPUSH", "litellm_spend_update_buffer", "{}", "{}")
	s.Do(t, "RPUSH", "litellm_gateway_requests_buffer_v2", "{}")
	r := open(t, s.Addr, asReader)
	if got := read(t, r, "spend:key:a")[0]; got.Value != 1.5 {
		t.Errorf("read %+v", got)
	}
	lengths, err := r.BufferLengths(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if lengths["litellm_spend_update_buffer"] != 2 || lengths["litellm_gateway_requests_buffer_v2"] != 1 || len(lengths) != 13 {
		t.Errorf("lengths are %v", lengths)
	}
	s.Do(t, "ACL", "SETUSER", "budget_exporter", "+select")
	db1 := open(t, s.Addr, func(o *counters.Options) { asReader(o); o.DB = 1 })
	if got := read(t, db1, "spend:key:a")[0]; got.State != budget.CounterAbsent {
		t.Errorf("database 1: %+v, want absent", got)
	}
	if denied := fmt.Sprint(s.Do(t, "ACL", "LOG")); denied != "[]" {
		t.Errorf("Redis denied: %v", denied)
	}
}

// The patterns of the documentation's last paragraph.
func TestLeastPrivilegedUserOfANamespace(t *testing.T) {
	s := redistest.Standalone(t,
		"user budget_exporter on >pw resetkeys ~ns:spend:* ~ns:litellm_*_buffer* ~litellm_*_buffer* -@all +get +pttl +llen")
	r := open(t, s.Addr, func(o *counters.Options) { asReader(o); o.Namespace = "ns" })
	if got := read(t, r, "spend:key:a")[0]; got.State != budget.CounterAbsent {
		t.Errorf("an absent counter is read as %+v", got)
	}
	s.Do(t, "SET", "ns:spend:key:a", "1.5", "EX", 60)
	if got := read(t, r, "spend:key:a")[0]; got.Value != 1.5 {
		t.Errorf("read %+v", got)
	}
	if _, err := r.BufferLengths(t.Context()); err != nil {
		t.Error(err)
	}
}

// The documentation is what people copy: it must hold the very users that the tests use.
func TestDocumentedUsersAreTheTestedOnes(t *testing.T) {
	doc := readFile(t, "doc.go")
	for _, user := range []string{reader, sentinelReader, clusterReader} {
		line := "ACL SETUSER budget_exporter on >PASSWORD" + strings.TrimPrefix(user, "user budget_exporter on >pw") + "\n"
		if !strings.Contains(doc, line) {
			t.Errorf("doc.go has not %q", line)
		}
	}
}

// MONITOR shows each command, those on connecting included.
func TestSendsOnlyCommandsThatRead(t *testing.T) {
	s := redistest.Standalone(t)
	fill(t, s, 1200)
	end := s.Monitor(t)
	r := open(t, s.Addr, func(o *counters.Options) { o.DB, o.Namespace = 1, "ns" })
	names := make([]string, 1200)
	for i := range names {
		names[i] = fmt.Sprintf("spend:key:%d", i)
	}
	read(t, r, names...)
	if _, err := r.BufferLengths(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := end()
	for command := range seen {
		if !slices.Contains([]string{"get", "pttl", "llen", "select", "hello"}, command) {
			t.Errorf("%s was sent", command)
		}
	}
	if seen["get"] != 2*1200 || seen["pttl"] != 2*1200 || seen["llen"] != 2*13 {
		t.Errorf("MONITOR saw %v, want each name once in each form", seen)
	}
}

// Redis does not show what it does not know, such as CLIENT SETINFO before 7.2.
func TestConnectingTakesHelloAlone(t *testing.T) {
	seen := make(chan string, 100)
	address := fakeRedis(t, func(command []string) string {
		seen <- strings.ToLower(command[0])
		return "$-1\r\n"
	})
	read(t, open(t, address, nil), "spend:key:a")
	var got []string
	for range len(seen) {
		got = append(got, <-seen)
	}
	if want := []string{"hello", "get", "pttl"}; !slices.Equal(got, want) {
		t.Errorf("%v were sent, want %v", got, want)
	}
}

func TestBufferLengthsWithoutPermissionAreNoError(t *testing.T) {
	s := redistest.Standalone(t,
		"user no_llen on >pw ~* -@all +get +pttl",
		"user no_lists on >pw ~spend:* -@all +get +pttl +llen",
		"user one_list on >pw ~litellm_spend_update_buffer -@all +llen")
	s.Do(t, "RPUSH", "litellm_spend_update_buffer", "{}")
	for user, want := range map[string]int{"no_llen": 0, "no_lists": 0, "one_list": 1} {
		r := open(t, s.Addr, func(o *counters.Options) { o.Username, o.Password = user, password("pw") })
		lengths, err := r.BufferLengths(t.Context())
		if err != nil || len(lengths) != want {
			t.Errorf("%s: %v and error %v, want %d lists", user, lengths, err, want)
		}
	}
}

func TestBufferLengthsBareAndPrefixed(t *testing.T) {
	s := redistest.Standalone(t)
	s.Do(t, "RPUSH", "litellm_spend_update_buffer", "{}")
	s.Do(t, "RPUSH", "ns:litellm_daily_tag_spend_update_buffer", "{}", "{}")
	lengths, err := open(t, s.Addr, func(o *counters.Options) { o.Namespace = "ns" }).BufferLengths(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int64{
		"litellm_spend_update_buffer":           1, // as LiteLLM up to 1.90.7 has it
		"litellm_daily_tag_spend_update_buffer": 2, // from 1.91.0 on
		"litellm_spend_logs_buffer":             0,
	} {
		if got, ok := lengths[name]; !ok || got != want {
			t.Errorf("%s has %d, want %d", name, got, want)
		}
	}
	for name := range lengths {
		if strings.HasPrefix(name, "ns:") {
			t.Errorf("%s has its namespace", name)
		}
	}
}

func TestBufferOfAnotherType(t *testing.T) {
	s := redistest.Standalone(t)
	s.Do(t, "SET", "litellm_spend_logs_buffer", "1")
	s.Do(t, "RPUSH", "litellm_spend_update_buffer", "{}")
	lengths, err := open(t, s.Addr, nil).BufferLengths(t.Context())
	if wantReason(t, err, counters.WrongType); !strings.Contains(err.Error(), "litellm_spend_logs_buffer") {
		t.Errorf("%v does not name the list", err)
	}
	if _, there := lengths["litellm_spend_logs_buffer"]; there || lengths["litellm_spend_update_buffer"] != 1 {
		t.Errorf("lengths are %v", lengths)
	}
}
