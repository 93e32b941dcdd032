package budget

import "testing"

func TestRawKeys(t *testing.T) {
	for text, want := range map[string]bool{
		"sk-1234": true, " sk-1234\n": true, "sk-": true,
		"": false, "team-sk-1": false, "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b": false,
	} {
		if got := IsRawKey(text); got != want {
			t.Errorf("%q is a raw key: %v, want %v", text, got, want)
		}
	}
	for text, want := range map[string]bool{
		"sk-1": true, " sk-1": true, "Bearer sk-1": true, "'sk-1'": true, `"sk-1"`: true, "--id=sk-1": true, "key:sk-1": true,
		"": false, "team-sk-1": false, "task-force": false, "a_sk-1": false, "--config.file=/etc/sk-1": false,
	} {
		if got := HoldsRawKey(text); got != want {
			t.Errorf("%q holds a raw key: %v, want %v", text, got, want)
		}
	}
	// printf %s sk-1234 | sha256sum
	const hash = "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b"
	if got := HashKey(" sk-1234\n"); got != hash {
		t.Errorf("hashed to %s, want %s", got, hash)
	}
}
