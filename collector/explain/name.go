package explain

import "encoding/json"

// Name is a text that is null in JSON when there is none.
type Name string

// MarshalJSON writes the text, or null.
func (n Name) MarshalJSON() ([]byte, error) {
	if n == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(n))
}
