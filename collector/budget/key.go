package budget

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
)

// IsRawKey says that a text is a virtual key itself, a credential, and not the hash that is its identity.
func IsRawKey(text string) bool { return strings.HasPrefix(strings.TrimSpace(text), "sk-") }

var heldKey = regexp.MustCompile(`(?:^|[\s"'=:])sk-`)

// HoldsRawKey says that a text is or holds what can be a virtual key itself: "Bearer sk-…", "--id=sk-…". An id that has
// the letters elsewhere, as team-sk-1, does not.
func HoldsRawKey(text string) bool { return heldKey.MatchString(text) }

var keyHash = regexp.MustCompile(`^[0-9a-f]{64}$`)

// IsKeyHash says that a text has the form of HashKey: 64 lower-case hex digits.
func IsKeyHash(text string) bool { return keyHash.MatchString(text) }

// HashKey is the identity of a virtual key: its SHA-256 in lower-case hex, by which LiteLLM looks up a key that is
// presented to it and names its counter (1.83.3 to 1.109.1).
func HashKey(raw string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.TrimSpace(raw))))
}
