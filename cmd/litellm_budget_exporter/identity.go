package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/explain"
)

// credentialGiven is said of a raw key where an id is asked for. It never repeats the key.
const credentialGiven = "a raw sk-… key is a credential and does not belong on a command line or in a URL, where others can read it: " +
	"give the key's SHA-256 or its alias, or \"explain -\" and the key on standard input, where it is hashed"

// canonical is a name as it is looked for: the SHA-256 of a key in lower case, as LiteLLM has it, anything else as it is.
func canonical(name string) string {
	if budget.IsKeyHash(strings.ToLower(name)) {
		return strings.ToLower(name)
	}
	return name
}

// longestName bounds what is read of standard input.
const longestName = 1 << 16

// readName reads an id, an alias or a raw key, of which only the hash is kept.
func readName(stdin io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(stdin, longestName)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading standard input: %w", err)
	}
	name := strings.TrimSpace(line)
	switch {
	case name == "":
		return "", errors.New("there is no id, alias or key on standard input")
	case budget.IsRawKey(name):
		return budget.HashKey(name), nil
	case budget.HoldsRawKey(name):
		return "", errors.New("there is more than a raw key on standard input: give the key alone, from its sk- on")
	}
	return canonical(name), nil
}

// match is an entity that a name can mean.
type match struct {
	Scope budget.Scope `json:"scope"`
	ID    string       `json:"id"`
	Alias string       `json:"alias"`
	Team  string       `json:"team"` // alias or id of a key's team
}

func matchOf(e *budget.Entity) match { return match{e.ID.Scope, e.ID.Value, e.Names.Alias, team(e)} }

func (m match) id() budget.ID { return budget.ID{Scope: m.Scope, Value: m.ID} }

func (m match) String() string {
	text := string(m.Scope) + " " + explain.Clean(m.ID)
	if m.Alias != "" {
		text += ", alias " + explain.Clean(m.Alias)
	}
	if m.Team != "" {
		text += ", of team " + explain.Clean(m.Team)
	}
	return text
}

// find lists the entities that a name can mean: the one whose id it is, or else all of that alias. byID says that it
// was an id, so that nothing read later can change the answer.
func find(s *budget.Snapshot, name string) (found []match, byID bool) {
	for _, scope := range budget.Scopes {
		for _, e := range s.Entities[scope] {
			if e.ID.Value == name {
				return []match{matchOf(e)}, true
			}
			if e.Names.Alias == name {
				found = append(found, matchOf(e))
			}
		}
	}
	return found, false
}

// whichOf says that a name is no answer to which entity is meant.
type whichOf struct{ matches []match }

func (e *whichOf) Error() string {
	if len(e.matches) == 0 {
		return "no key or team has that id or alias"
	}
	lines := make([]string, 0, len(e.matches))
	for _, m := range e.matches {
		lines = append(lines, "  "+m.String())
	}
	return fmt.Sprintf("%d keys and teams have that alias; take the id of one:\n", len(e.matches)) + strings.Join(lines, "\n")
}
