package kubeapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Client talks to one API server.
type Client struct {
	url  string
	http *http.Client
}

// New makes a client from ca.crt, NAME.crt and NAME.key in the folder pki.
func New(url, pki, name string) (*Client, error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(pki, name+".crt"), filepath.Join(pki, name+".key"))
	if err != nil {
		return nil, fmt.Errorf("read the administrator's certificate: %w", err)
	}
	ca, err := os.ReadFile(filepath.Join(pki, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("read the cluster's authority: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &Client{url: url, http: &http.Client{
		Timeout: 10 * time.Second,
		// Never a proxy: the address is on loopback.
		Transport: &http.Transport{Proxy: nil, TLSClientConfig: &tls.Config{
			Certificates: []tls.Certificate{cert}, RootCAs: pool, MinVersion: tls.VersionTLS13,
		}},
	}}, nil
}

// Ready reports nil when the API server says that it is ready.
func (c *Client) Ready(ctx context.Context) error {
	return c.do(ctx, http.MethodGet, "/readyz", "", nil, nil)
}

// Apply creates or updates an object by server-side apply. path is the object's
// path in the API; object is YAML or JSON.
func (c *Client) Apply(ctx context.Context, path string, object []byte) error {
	return c.do(ctx, http.MethodPatch, path+"?fieldManager=localcluster&force=true", "application/apply-patch+yaml", object, nil)
}

// NodeReady reports whether the node has registered and is ready, else why not,
// and when the kubelet last said so.
func (c *Client) NodeReady(ctx context.Context, node string) (ready bool, why string, heartbeat time.Time, err error) {
	var n struct {
		Status struct {
			Conditions []struct {
				Type, Status, Message string
				LastHeartbeatTime     time.Time
			}
		}
	}
	if err := c.do(ctx, http.MethodGet, "/api/v1/nodes/"+node, "", nil, &n); err != nil {
		return false, "", time.Time{}, err
	}
	for _, cond := range n.Status.Conditions {
		if cond.Type == "Ready" {
			return cond.Status == "True", cond.Message, cond.LastHeartbeatTime, nil
		}
	}
	return false, "the kubelet has not told its state yet", time.Time{}, nil
}

// DeploymentReady reports whether all replicas of the newest revision are
// available; else how many are.
func (c *Client) DeploymentReady(ctx context.Context, namespace, name string) (bool, string, error) {
	var d struct {
		Metadata struct{ Generation int64 }
		Spec     struct{ Replicas int }
		Status   struct {
			ObservedGeneration                           int64
			Replicas, UpdatedReplicas, AvailableReplicas int
		}
	}
	if err := c.do(ctx, http.MethodGet, "/apis/apps/v1/namespaces/"+namespace+"/deployments/"+name, "", nil, &d); err != nil {
		return false, "", err
	}
	ok := d.Status.ObservedGeneration >= d.Metadata.Generation && d.Status.UpdatedReplicas == d.Spec.Replicas &&
		d.Status.AvailableReplicas == d.Spec.Replicas && d.Status.Replicas == d.Spec.Replicas
	return ok, fmt.Sprintf("%d of %d replicas available", d.Status.AvailableReplicas, d.Spec.Replicas), nil
}

// Pods returns how the pods of a namespace are, for an error message.
func (c *Client) Pods(ctx context.Context, namespace string) (string, error) {
	var l struct {
		Items []struct {
			Metadata struct{ Name string }
			Status   struct {
				Phase             string
				ContainerStatuses []struct {
					State struct {
						Waiting struct{ Reason, Message string }
					}
				}
			}
		}
	}
	if err := c.do(ctx, http.MethodGet, "/api/v1/namespaces/"+namespace+"/pods", "", nil, &l); err != nil {
		return "", err
	}
	var b bytes.Buffer
	for _, p := range l.Items {
		fmt.Fprintf(&b, "%s is %s", p.Metadata.Name, p.Status.Phase)
		for _, s := range p.Status.ContainerStatuses {
			if s.State.Waiting.Reason != "" {
				fmt.Fprintf(&b, " (%s %s)", s.State.Waiting.Reason, s.State.Waiting.Message)
			}
		}
		b.WriteString("; ")
	}
	return b.String(), nil
}

func (c *Client) do(ctx context.Context, method, path, contentType string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode >= 300 {
		var status struct{ Message string }
		if json.Unmarshal(b, &status) != nil || status.Message == "" {
			status.Message = string(b)
		}
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, status.Message)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(b, into)
}
