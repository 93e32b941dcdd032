package config

import (
	"net/url"
	"regexp"
	"strings"

	commoncfg "github.com/prometheus/common/config"
)

var release = regexp.MustCompile(`^\d+\.\d+\.\d+`)

func (l *loader) litellm(s *litellmSection) LiteLLM {
	if s.Version != "" && !release.MatchString(s.Version) {
		l.wrong("litellm.version", "must be a LiteLLM release such as 1.84.0, or empty to detect it")
	}
	if r := s.MaxBusyRatio; !(r > 0 && r <= 1) {
		l.wrong("litellm.max_busy_ratio", "must be above 0 and at most 1, is %v", r)
	}
	return LiteLLM{
		URL:          l.litellmURL(s.URL),
		HTTP:         l.http(s),
		Timeout:      l.positive("litellm.timeout", s.Timeout),
		Version:      s.Version,
		MaxBusyRatio: s.MaxBusyRatio,
	}
}

// litellmURL checks LiteLLM's URL, from the file or the environment. It is never quoted: it may hold a password.
func (l *loader) litellmURL(raw string) string {
	wrong := func(text string) { l.wrong("litellm.url", "%s", text) }
	if _, given := l.given["litellm.url"]; !given {
		if raw = l.variable("LITELLM_URL"); raw == "" {
			wrong("must be given, or LITELLM_URL be set: the base URL of LiteLLM, such as https://litellm.example.com")
			return ""
		}
		wrong = func(text string) { l.wrongVariable("LITELLM_URL", "%s", text) }
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		wrong("must be a URL that begins with http:// or https:// and names a host")
		return ""
	case u.User != nil:
		wrong("must not hold credentials: put them in api_key_file")
		return ""
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#"):
		wrong("must not have a query or fragment: remove what follows the path")
	}
	return strings.TrimRight(u.String(), "/")
}

// credentials are the fields that authenticate at LiteLLM: exactly one of them may be given.
var credentials = []string{
	"litellm.api_key", "litellm.api_key_file", "litellm.authorization", "litellm.basic_auth", "litellm.oauth2",
	"litellm.bearer_token", "litellm.bearer_token_file",
}

// http completes the configuration of the HTTP client with the credential.
func (l *loader) http(s *litellmSection) commoncfg.HTTPClientConfig {
	c := s.HTTP
	c.SetDirectory(l.dir)
	if c.FollowRedirects {
		l.wrong("litellm.follow_redirects", "must be false: a credential must never follow a redirect")
	}

	var given []string
	for _, field := range credentials {
		if _, ok := l.given[field]; ok {
			given = append(given, field)
		}
	}
	switch {
	case len(given) > 1:
		l.wrong(given[1], "%s is given too: keep one of the two", given[0])
		return c
	case len(given) == 0:
		c.Authorization = l.environmentCredential(c.HTTPHeaders)
	case given[0] == "litellm.api_key":
		key := strings.TrimSpace(string(s.APIKey))
		if key == "" {
			l.wrong("litellm.api_key", "is empty: give LiteLLM's key, or the file that holds it as api_key_file")
		}
		c.Authorization = bearer(key, "")
	case given[0] == "litellm.api_key_file":
		c.Authorization = bearer("", l.path(s.APIKeyFile))
	case given[0] == "litellm.authorization" && c.Authorization.Credentials == "" && c.Authorization.CredentialsFile == "":
		l.wrong("litellm.authorization", "has no credential: give credentials_file or credentials")
	}
	if err := c.Validate(); err != nil {
		l.wrong("litellm", "%v", err)
	}
	l.checkTLS("litellm.tls_config", &c.TLSConfig)
	if c.OAuth2 != nil {
		l.checkTLS("litellm.oauth2.tls_config", &c.OAuth2.TLSConfig)
	}
	return c
}

// environmentCredential is the credential that the environment gives. Without one the file's http_headers must
// authenticate: LiteLLM can be told to expect its keys in a header of any name.
func (l *loader) environmentCredential(headers *commoncfg.Headers) *commoncfg.Authorization {
	key, file := l.secretVariable("LITELLM_API_KEY")
	if key = strings.TrimSpace(key); key != "" || file != "" {
		return bearer(key, file)
	}
	if !haveSecret(headers) {
		l.wrong("litellm.api_key_file", "must be given, or LITELLM_API_KEY or LITELLM_API_KEY_FILE be set: LiteLLM's management API needs a key")
	}
	return nil
}

func haveSecret(headers *commoncfg.Headers) bool {
	if headers != nil {
		for _, h := range headers.Headers {
			if len(h.Secrets) > 0 || len(h.Files) > 0 {
				return true
			}
		}
	}
	return false
}

func bearer(key, file string) *commoncfg.Authorization {
	return &commoncfg.Authorization{Type: "Bearer", Credentials: commoncfg.Secret(key), CredentialsFile: file}
}

// checkTLS reports certificates and keys that cannot be used.
func (l *loader) checkTLS(field string, c *commoncfg.TLSConfig) {
	if _, err := commoncfg.NewTLSConfig(c); err != nil {
		l.wrong(field, "%v", err)
	}
}
