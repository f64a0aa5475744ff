package vault

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"openservicemesh.io/osm/internal/certs/remote"
	"openservicemesh.io/osm/internal/certs/signer"
)

const (
	dialTimeout = 5 * time.Second
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 1 << 20
)

// Credentials are what is shown to the server, and how its own certificate is verified.
type Credentials struct {
	Token string
	// CA is PEM of the roots that a server certificate has to chain to; empty means those of the system.
	CA []byte
}

// Options configure a Client. All are needed.
type Options struct {
	// Protocol is http or https.
	Protocol, Host string
	Port           int
	Role           string
	// Credentials is asked before each request, so that a changed token is used at once.
	Credentials func(context.Context) (Credentials, error)
}

// Client is a remote.Asker.
type Client struct {
	opts Options

	mu   sync.Mutex
	http *http.Client
	ca   string
}

// New returns a client.
func New(o Options) *Client { return &Client{opts: o} }

// String implements remote.Asker.
func (c *Client) String() string { return fmt.Sprintf("Vault at %s, role %q", c.base(), c.opts.Role) }

func (c *Client) base() string {
	return c.opts.Protocol + "://" + net.JoinHostPort(c.opts.Host, strconv.Itoa(c.opts.Port))
}

// Ask implements remote.Asker.
func (c *Client) Ask(ctx context.Context, tmpl *x509.Certificate) (*signer.Leaf, error) {
	cred, err := c.opts.Credentials(ctx)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{
		"common_name": tmpl.DNSNames[0], "alt_names": strings.Join(tmpl.DNSNames, ","),
		"ttl": strconv.Itoa(max(1, int(time.Until(tmpl.NotAfter)/time.Second))) + "s", "format": "pem", "private_key_format": "pkcs8",
	})
	if err != nil {
		return nil, err
	}
	client, err := c.client(cred.CA)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base()+"/v1/pki/issue/"+url.PathEscape(c.opts.Role), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Vault-Token", cred.Token)
	req.Header.Set("X-Vault-Request", "true") // the server's guard against forged requests
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("the answer broke off: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, c.refused(resp.StatusCode, data)
	}
	return read(data)
}

// client verifies the server by ca. Redirects, by which a standby server shows the way to the active one, are followed to
// the same protocol only.
func (c *Client) client(ca []byte) (*http.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http != nil && c.ca == string(ca) {
		return c.http, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(ca) > 0 {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("the key ca.crt of the token's Secret holds no PEM certificate; put the CA of Vault's server certificate there, or remove the key")
		}
	}
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
	c.ca = string(ca)
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext, TLSClientConfig: cfg, TLSHandshakeTimeout: dialTimeout,
			ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > 1 || req.URL.Scheme != c.opts.Protocol {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
	return c.http, nil
}

func (c *Client) unreachable(err error) error {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var dns *net.DNSError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("the server's certificate is signed by nobody known: put its CA into the key ca.crt of the Secret osm.vault.secret.name (%w)", err)
	case errors.As(err, &host):
		return fmt.Errorf("the server's certificate is for another name: set osm.vault.host to a name in it (%w)", err)
	case errors.As(err, &dns):
		return fmt.Errorf("the host %q is not known: correct osm.vault.host (%w)", c.opts.Host, err)
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Errorf("the server does not speak TLS: set osm.vault.protocol=http, or switch TLS on there (%w)", err)
	}
	return fmt.Errorf("the server cannot be reached; check osm.vault.host, osm.vault.port and osm.vault.protocol, and whether it runs (%w)", err)
}

// refused says what to do about a status other than 200. The token is in none of the texts.
func (c *Client) refused(status int, body []byte) error {
	var answer struct {
		Errors []string `json:"errors"`
	}
	_ = json.Unmarshal(body, &answer) // a proxy in between may answer with anything
	said := strings.Join(answer.Errors, "; ")
	if said == "" {
		said = http.StatusText(status)
	}
	said = strings.Join(strings.Fields(said), " ")
	switch {
	case status == http.StatusForbidden:
		return fmt.Errorf("the token is refused: give one that is valid and whose policy allows \"update\" on pki/issue/%s (%d: %s)", c.opts.Role, status, said)
	case status == http.StatusBadRequest && strings.Contains(said, "unknown role"):
		return fmt.Errorf("there is no such role: create pki/roles/%s, or correct osm.vault.role (%d: %s)", c.opts.Role, status, said)
	case status == http.StatusBadRequest && strings.Contains(said, "client sent an HTTP request to an HTTPS server"):
		return fmt.Errorf("the server speaks TLS only: set osm.vault.protocol=https (%d: %s)", status, said)
	case status == http.StatusNotFound:
		return fmt.Errorf("there is no PKI engine at the path pki: run \"vault secrets enable pki\" (%d: %s)", status, said)
	case status == http.StatusServiceUnavailable:
		return fmt.Errorf("the server is sealed or not set up: unseal it (%d: %s)", status, said)
	}
	return fmt.Errorf("the server answered %d: %s", status, said)
}

// read takes an issued certificate out of an answer.
func read(body []byte) (*signer.Leaf, error) {
	var answer struct {
		Data struct {
			Certificate string   `json:"certificate"`
			IssuingCA   string   `json:"issuing_ca"`
			CAChain     []string `json:"ca_chain"`
			PrivateKey  string   `json:"private_key"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("the answer is not what Vault says (%w); check osm.vault.host and osm.vault.port", err)
	}
	d := answer.Data
	key, err := parseKey(d.PrivateKey)
	if err != nil {
		return nil, err
	}
	return remote.Assemble(key, []byte(d.Certificate+"\n"+strings.Join(d.CAChain, "\n")), []byte(d.IssuingCA))
}

// parseKey never puts bytes of the key into an error.
func parseKey(text string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("the answer has no private key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if key, ok := parsed.(crypto.Signer); err == nil && ok {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	return nil, fmt.Errorf("the answer has a private key in an unknown form (%s)", block.Type)
}
