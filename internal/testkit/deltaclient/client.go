package deltaclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"sync"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"openservicemesh.io/osm/internal/core/envoy"
)

// Dial connects to a server whose certificate is signed by roots for the given name; nothing is sent before the first
// call. It offers the key exchanges that Envoy offers; Go's own would come with a third, which costs both sides a tenth of a join.
func Dial(address, serverName string, roots *x509.CertPool, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	creds := credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: serverName, MinVersion: tls.VersionTLS12,
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}})
	return grpc.NewClient(address, append([]grpc.DialOption{grpc.WithTransportCredentials(creds)}, opts...)...)
}

// WithToken puts a token into the header that the server authenticates by.
func WithToken(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// Client is a Model over a stream.
type Client struct {
	// Delay is slept before each response is handled; set it before Run.
	Delay time.Duration
	// Bytes counts the encoded responses since the last Run.
	bytes int

	mu      sync.Mutex
	model   *Model
	changed chan struct{}
	system  string
}

// NewClient returns a client that holds nothing.
func NewClient() *Client { return &Client{model: NewModel(), changed: make(chan struct{})} }

// Run opens a stream and serves it until it ends; call it again to reconnect with what is held. It returns the
// stream's error or the Model's complaint about the server.
func (c *Client) Run(ctx context.Context, conn *grpc.ClientConn, token string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(WithToken(ctx, token))
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.bytes = 0
	reqs := c.model.Connect()
	c.mu.Unlock()
	for {
		for _, req := range reqs {
			if err := stream.Send(req); err != nil {
				break // Recv tells why
			}
		}
		resp, err := stream.Recv()
		if err != nil {
			return err
		}
		time.Sleep(c.Delay)
		c.mu.Lock()
		c.bytes += proto.Size(resp)
		c.system = resp.GetSystemVersionInfo()
		reqs, err = c.model.Handle(resp)
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// Refuse sets which resources the client refuses.
func (c *Client) Refuse(f func(t envoy.TypeURL, r *discovery.Resource) string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.model.Refuse = f
}

// Held returns name → what the client holds of one type.
func (c *Client) Held(t envoy.TypeURL) map[string]Held {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.model.Held[t])
}

// Traffic returns what came in since the last Run: responses, resources in them, and encoded bytes.
func (c *Client) Traffic() (responses, resources, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.model.Responses, c.model.Resources, c.bytes
}

// Wait waits until a condition on the model holds; it is asked after each response.
func (c *Client) Wait(ctx context.Context, condition func(*Model) bool) error {
	for {
		c.mu.Lock()
		ok, changed := condition(c.model), c.changed
		c.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the client's condition was not met: %w", ctx.Err())
		}
	}
}
