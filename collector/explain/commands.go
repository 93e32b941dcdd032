package explain

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"litellm_budget_exporter/collector/budget"
)

// look is commands that show both numbers and change nothing.
func (s subject) look(b *Budget) []string {
	e := s.Entity.Entity
	path := "/key/list?return_full_object=true&size=1&key_hash="
	if e.ID.Scope == budget.Team {
		path = "/v2/team/list?team_id="
	}
	commands := []string{s.curl("GET", path+url.QueryEscape(e.ID.Value), nil)}
	return append(commands, append(s.redis(b.Counter.Name, "GET"), s.redis(b.Counter.Name, "PTTL")...)...)
}

func (s subject) update(fields map[string]any) string { return s.change("update", fields) }

// change is a request about the entity to LiteLLM's management API.
func (s subject) change(action string, fields map[string]any) string {
	e := s.Entity.Entity
	if e.ID.Scope == budget.Team {
		fields["team_id"] = e.ID.Value
	} else {
		fields["key"] = e.ID.Value
	}
	return s.curl("POST", "/"+string(e.ID.Scope)+"/"+action, fields)
}

// curl is a request to LiteLLM's management API. The credential is the shell's to fill in.
func (s subject) curl(method, path string, body map[string]any) string {
	command := "curl"
	if method != "GET" {
		command += " -X " + method
	}
	command += " " + Quote(s.in.Deployment.LiteLLMURL+path) + ` -H "Authorization: Bearer $LITELLM_MASTER_KEY"`
	if body == nil {
		return command
	}
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false) // it goes through a shell
	if err := e.Encode(body); err != nil {
		panic(err) // names and finite numbers always have a JSON form
	}
	return command + " -H 'Content-Type: application/json' -d " + Quote(strings.TrimSuffix(text.String(), "\n"))
}

// credentials says where the commands take theirs from, none of them from a command line.
func (d Deployment) credentials() string {
	if d.Redis == nil {
		return "they take LITELLM_MASTER_KEY from the environment."
	}
	own := "--user NAME for a user of its own"
	if d.Redis.TLS {
		own += " and --cacert FILE for a CA of its own"
	}
	return "they take LITELLM_MASTER_KEY and, for redis-cli, REDISCLI_AUTH from the environment. If it says NOAUTH: " +
		"read -rs REDISCLI_AUTH && export REDISCLI_AUTH. Add " + own + "."
}

// redis is a command to the server that holds a counter: none without a Redis. The exporter's own user may only read,
// so it is not named.
func (s subject) redis(name string, command ...string) []string {
	r := s.in.Deployment.Redis
	if r == nil || len(r.Addresses) == 0 {
		return nil
	}
	host, port, err := net.SplitHostPort(r.Addresses[0])
	if err != nil {
		host, port = r.Addresses[0], "6379"
	}
	words := []string{"redis-cli"}
	switch r.Mode {
	case "sentinel":
		tls := ""
		if r.TLS {
			tls = " --tls" // as the exporter: to the Sentinels, too
		}
		words = append(words, fmt.Sprintf("$(redis-cli -h %s -p %s%s SENTINEL get-master-addr-by-name %s | xargs printf -- '-h %%s -p %%s')",
			Quote(host), Quote(port), tls, Quote(r.MasterName)))
	default:
		words = append(words, "-h", Quote(host), "-p", Quote(port))
	}
	if r.Mode == "cluster" {
		words = append(words, "-c")
	}
	if r.TLS {
		words = append(words, "--tls")
	}
	if r.DB != 0 {
		words = append(words, "-n", strconv.Itoa(r.DB))
	}
	words = append(words, command[0], Quote(name))
	return []string{strings.Join(append(words, command[1:]...), " ")}
}

// Command is the shell command that explains an entity by an id or alias, with flags ("" for none). A name that looks like
// a flag is told from one.
func Command(name, flags string) string {
	words := []string{"litellm_budget_exporter explain", Quote(name), flags}
	if strings.HasPrefix(name, "-") {
		words = []string{"litellm_budget_exporter explain", flags, "--", Quote(name)}
	}
	return strings.Join(slices.DeleteFunc(words, func(word string) bool { return word == "" }), " ")
}

// Quote is a word as a shell takes it.
func Quote(word string) string {
	plain := func(r rune) bool {
		return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.:/@%+,=", r))
	}
	switch {
	case word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0:
		return word
	case strings.IndexFunc(word, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) >= 0:
		return quoteBytes(word)
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// quoteBytes writes byte for byte what is not printable, in the form that bash and zsh know.
func quoteBytes(word string) string {
	var text strings.Builder
	text.WriteString("$'")
	for _, c := range []byte(word) {
		switch {
		case c == '\'' || c == '\\':
			text.WriteByte('\\')
			text.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&text, `\x%02x`, c)
		default:
			text.WriteByte(c)
		}
	}
	text.WriteByte('\'')
	return text.String()
}
