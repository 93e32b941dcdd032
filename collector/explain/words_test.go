package explain

import "testing"

func TestAmount(t *testing.T) {
	for _, c := range []struct {
		v    float64
		want string
	}{
		{0, "0.00"},
		{10, "10.00"},
		{100, "100.00"},
		{10.607, "10.607"},
		{3.536, "3.536"},
		{0.1 + 0.2, "0.30"},
		{-2.5, "-2.50"},
		{0.0000012, "0.000001"},
		{4e-9, "4e-09"},
		{1.2345e20, "1.23e+20"},
	} {
		if got := Amount(c.v); got != c.want {
			t.Errorf("Amount(%v) = %s, want %s", c.v, got, c.want)
		}
	}
}

func TestClean(t *testing.T) {
	for name, want := range map[string]string{
		"checkout-prod":        "checkout-prod",
		"Grüße 🚀":              "Grüße 🚀",
		"red \x1b[31m alert":   `"red \x1b[31m alert"`,
		"two\nlines":           `"two\nlines"`,
		"invalid \xff UTF-8":   `"invalid \xff UTF-8"`,
		"right-to-left \u202e": `"right-to-left \u202e"`,
	} {
		if got := Clean(name); got != want {
			t.Errorf("Clean(%q) = %s, want %s", name, got, want)
		}
	}
}

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{
		"spend:key:abc": "spend:key:abc",
		"team of Bob's": `'team of Bob'\''s'`,
		"$(reboot)":     "'$(reboot)'",
		"":              "''",
		"a\nb":          `$'a\x0ab'`,
		"it's\x00":      `$'it\'s\x00'`,
	} {
		if got := Quote(word); got != want {
			t.Errorf("Quote(%q) = %s, want %s", word, got, want)
		}
	}
}

func TestCommand(t *testing.T) {
	for id, want := range map[string]string{
		"team-1":  "litellm_budget_exporter explain team-1 --watch",
		"-team 1": "litellm_budget_exporter explain --watch -- '-team 1'",
	} {
		if got := Command(id, "--watch"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := Command("-n", ""); got != "litellm_budget_exporter explain -- -n" {
		t.Errorf("without flags: %s", got)
	}
}
