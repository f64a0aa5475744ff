package bugreport

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// secret stands for what may not be left of a text.
const secret = "s3cr3tvalue"

const key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEI" + secret + "\n-----END EC PRIVATE KEY-----"

func TestTextRedacts(t *testing.T) {
	jwt := "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ" + secret + "In0.c2lnbmF0dXJl" + secret
	for what, in := range map[string]string{
		"a key":                    "before\n" + key + "\nafter",
		"a key that is cut off":    "before\n" + strings.TrimSuffix(key, "-----END EC PRIVATE KEY-----"),
		"a key in JSON":            `{"inline_string": "` + strings.ReplaceAll(key, "\n", `\n`) + `"}`,
		"a token":                  "presented " + jwt + " to the controller",
		"an authorization header":  "Authorization: Bearer " + secret,
		"basic authorization":      `{"authorization": "Basic ` + secret + `", "path": "/"}`,
		"proxy authorization":      "proxy-authorization=" + secret + ";",
		"a cookie":                 "cookie: theme=dark; session=" + secret + "; x=y",
		"set-cookie":               `"Set-Cookie": "session=` + secret + `; Path=/"`,
		"an API key":               "x-api-key: " + secret,
		"a bearer in prose":        "calling with bearer " + secret,
		"a password in a variable": "DB_PASSWORD=" + secret,
		"a password in YAML":       "mysql-password: " + secret,
		"a password in JSON":       `{"clientSecret": "` + secret + `"}`,
		"a Vault token":            "vault_token=" + secret,
		"a signature in a URL":     "GET /object?sig=" + secret + "&x=1",
		"a user in a URL":          "postgres://shop:" + secret + "@db:5432/books",
	} {
		out := string(Text([]byte(in)))
		require.NotContains(t, out, secret, what)
		require.Contains(t, out, Redacted, what)
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(key))
	require.Equal(t, `{"inline_bytes": "`+Redacted+`"}`, string(Text([]byte(`{"inline_bytes": "`+encoded+`"}`))))
}

// What helps is left: certificates, names, ports, ordinary logs.
func TestTextLeavesTheRest(t *testing.T) {
	for _, in := range []string{
		"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
		`{"name": "service-cert:bookbuyer/bookbuyer", "version_info": "12"}`,
		"[2026-01-02T03:04:05.678Z] \"GET /books HTTP/1.1\" 200 - bookstore/bookstore|14001",
		"error_code: E4016, the certificate authority is not valid",
		"automountServiceAccountToken: false\nkeys:\n- ca.crt\n",
		"http://bookstore.bookstore:14001/books?key_order=asc",
	} {
		require.Equal(t, in, string(Text([]byte(in))))
	}
}

func TestObjectRedacts(t *testing.T) {
	o := map[string]any{
		"metadata": map[string]any{"managedFields": []any{1}, "annotations": map[string]any{lastApplied: secret, "kept": "yes"}},
		"spec": map[string]any{"containers": []any{map[string]any{"env": []any{
			map[string]any{"name": "API_TOKEN", "value": secret},
			map[string]any{"name": "POD_NAMESPACE", "value": "bookbuyer"},
			map[string]any{"name": "DB_PASSWORD", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "db", "key": "password"}}},
		}}}},
	}
	object(o)
	require.Equal(t, map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{"kept": "yes"}},
		"spec": map[string]any{"containers": []any{map[string]any{"env": []any{
			map[string]any{"name": "API_TOKEN", "value": Redacted},
			map[string]any{"name": "POD_NAMESPACE", "value": "bookbuyer"},
			map[string]any{"name": "DB_PASSWORD", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "db", "key": "password"}}},
		}}}},
	}, o)
}

// No file is written outside of the staging folder, whatever an object is called.
func TestPutStaysInside(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "staging")
	c := &collector{dir: dir}
	require.Error(t, c.put("../outside", []byte("x")))
	require.NoError(t, c.put("pods/a/b", []byte("password="+secret)))
	text, err := os.ReadFile(filepath.Join(dir, "pods", "a", "b"))
	require.NoError(t, err)
	require.Equal(t, "password="+Redacted, string(text))
}

// An archive that cannot be written leaves nothing behind.
func TestArchiveWholeOrNot(t *testing.T) {
	out := t.TempDir()
	require.Error(t, archive(filepath.Join(out, "no-such-folder"), filepath.Join(out, "report.tar.gz")))
	left, err := os.ReadDir(out)
	require.NoError(t, err)
	require.Empty(t, left)
}
