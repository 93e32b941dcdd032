package litellm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	commoncfg "github.com/prometheus/common/config"
	"github.com/prometheus/common/version"
)

// largestAnswer bounds what is read of one answer. A page of 100 keys is about 300 KB; a budget table is
// read whole.
const largestAnswer = 64 << 20

// largestRefusal bounds what is read of an answer that is no success.
const largestRefusal = 64 << 10

// errTooLarge is what reading an answer beyond the bound ends with.
var errTooLarge = errors.New("larger than the limit")

// parseBase reads the base URL. Its errors do not repeat it: it may hold a secret by mistake.
func parseBase(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("LiteLLM's URL cannot be read: it must look like https://litellm.example.com/optional/prefix")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("LiteLLM's URL must begin with http:// or https://")
	case u.Host == "":
		return nil, errors.New("LiteLLM's URL names no host")
	case u.User != nil:
		return nil, errors.New("LiteLLM's URL must hold no user or password: put them in basic_auth or authorization")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("LiteLLM's URL must have no query and no fragment")
	}
	return u, nil
}

func newHTTPClient(cfg commoncfg.HTTPClientConfig) (*http.Client, error) {
	cfg.FollowRedirects = false // no credential ever follows a redirect
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("LiteLLM's HTTP client: %w", err)
	}
	client, err := commoncfg.NewClientFromConfig(cfg, "litellm", commoncfg.WithUserAgent("litellm_budget_exporter/"+version.Version))
	if err != nil {
		return nil, fmt.Errorf("LiteLLM's HTTP client: %w", err)
	}
	return client, nil
}

// answer is a success: HTTP 200 and its whole body.
type answer struct {
	endpoint string
	body     []byte
	at       time.Time // when it had arrived
}

// malformed makes an *Error of an error in decoding, whose text repeats no value; ErrNotFound and nil stay as they are.
func (a answer) malformed(err error) error {
	if err == nil || errors.Is(err, ErrNotFound) {
		return err
	}
	return &Error{Endpoint: a.endpoint, Status: http.StatusOK, Reason: Malformed, Detail: oneLine(err.Error()), Err: err}
}

func (c *Client) get(ctx context.Context, endpoint string, query url.Values) (answer, error) {
	return c.send(ctx, http.MethodGet, endpoint, query, nil)
}

func (c *Client) post(ctx context.Context, endpoint string, body any) (answer, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return answer{}, &Error{Endpoint: endpoint, Reason: Other, Detail: err.Error(), Err: err}
	}
	return c.send(ctx, http.MethodPost, endpoint, nil, encoded)
}

// send is the one place from which requests go out.
func (c *Client) send(ctx context.Context, method, endpoint string, query url.Values, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()

	u := c.base.JoinPath(endpoint)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, unanswered(endpoint, 0, err)
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		// A POST only asks here. So marked, which is not sent, it may go out again where LiteLLM closed an idle connection
		// just then, as a GET may.
		req.Header["Idempotency-Key"] = nil
	}

	resp, err := c.http.Do(req)
	if err != nil {
		c.observed(endpoint, "none")
		return answer{}, unanswered(endpoint, 0, err)
	}
	defer func() { _ = resp.Body.Close() }()
	c.observed(endpoint, strconv.Itoa(resp.StatusCode))

	if resp.StatusCode != http.StatusOK {
		// A refusal is told by its status; a body that breaks off only tells less.
		text, _ := io.ReadAll(io.LimitReader(resp.Body, largestRefusal))
		return answer{}, refused(endpoint, resp.StatusCode, resp.Header, text)
	}
	whole, err := readBounded(resp)
	if err != nil {
		return answer{}, unanswered(endpoint, resp.StatusCode, err)
	}
	return answer{endpoint: endpoint, body: whole, at: time.Now()}, nil
}

func (c *Client) observed(endpoint, code string) {
	if c.observe != nil {
		c.observe(endpoint, code)
	}
}

func readBounded(resp *http.Response) ([]byte, error) {
	if resp.ContentLength > largestAnswer {
		return nil, errTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, largestAnswer+1))
	if err == nil && len(body) > largestAnswer {
		err = errTooLarge
	}
	return body, err
}
