package certmanager

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"openservicemesh.io/osm/internal/certs/remote"
	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/obs/errcode"
)

const (
	kind = "CertificateRequest"
	// cleanUp bounds the deletion of a request, which goes on when its caller has given up.
	cleanUp = 5 * time.Second
	// leftOver is the age at which a request of the mesh is one that a program which ended in between has left.
	leftOver = 10 * time.Minute
	// rewatch is the pause before a watch that ended is begun again.
	rewatch = time.Second
	// sweepEvery is the time between two looks for them, in seconds, sweepTime bounds one.
	sweepEvery = 3600
	sweepTime  = time.Minute
)

// Resource is where CertificateRequests are.
var Resource = schema.GroupVersionResource{Group: "cert-manager.io", Version: "v1", Resource: "certificaterequests"}

// Issuer names an issuer, in the control plane's namespace unless its kind is one of the cluster.
type Issuer struct{ Name, Kind, Group string }

// String is for logs and errors.
func (i Issuer) String() string { return fmt.Sprintf("%s.%s %q", i.Kind, i.Group, i.Name) }

// Options configure a Client. All are needed but Now.
type Options struct {
	Dynamic             dynamic.Interface
	Namespace, MeshName string
	Issuer              Issuer
	Log                 *slog.Logger
	// Now defaults to time.Now.
	Now func() time.Time
}

// Client is a remote.Asker.
type Client struct {
	opts     Options
	requests dynamic.ResourceInterface
	// swept is when left-over requests were last looked for, in Unix seconds.
	swept atomic.Int64
}

// New returns a client.
func New(o Options) *Client {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Client{opts: o, requests: o.Dynamic.Resource(Resource).Namespace(o.Namespace)}
}

// String implements remote.Asker.
func (c *Client) String() string { return "cert-manager's " + c.opts.Issuer.String() }

// Ask implements remote.Asker. The private key never leaves the process.
func (c *Client) Ask(ctx context.Context, tmpl *x509.Certificate) (*signer.Leaf, error) {
	if last, now := c.swept.Load(), c.opts.Now().Unix(); now-last > sweepEvery && c.swept.CompareAndSwap(last, now) {
		go c.sweep(context.WithoutCancel(ctx))
	}
	key, err := signer.NewKey()
	if err != nil {
		return nil, err
	}
	want, err := c.request(tmpl, key)
	if err != nil {
		return nil, err
	}
	made, err := c.requests.Create(ctx, want, metav1.CreateOptions{})
	if err != nil {
		return nil, c.explain(err)
	}
	defer c.drop(ctx, made.GetName())
	done, err := c.wait(ctx, made)
	if err != nil {
		return nil, err
	}
	return remote.Assemble(key, done.certificate, done.ca)
}

// explain says what to do about a request that the API server did not take.
func (c *Client) explain(err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("the cluster has no %s.%s: install cert-manager (%w)", kind, Resource.Group, err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("the control plane may not create a %s in namespace %s: install or upgrade the mesh with osm.certificateProvider.kind=cert-manager, "+
			"which grants it (%w)", kind, c.opts.Namespace, err)
	}
	return errcode.Errorf(errcode.CreatingCertReq, "cannot create a %s in namespace %s: %w", kind, c.opts.Namespace, err)
}

// wait returns what the request was answered with. The error tells the last known reason when ctx ends first.
func (c *Client) wait(ctx context.Context, obj *unstructured.Unstructured) (answer, error) {
	var last answer
	judge := func(obj *unstructured.Unstructured) (bool, error) {
		last = read(obj)
		if last.err != "" {
			return true, errors.New(last.err)
		}
		return last.done, nil
	}
	for {
		if done, err := judge(obj); done {
			return last, err
		}
		next, err := c.follow(ctx, obj, judge)
		switch {
		case err != nil:
			return last, err
		case last.done:
			return last, nil
		case ctx.Err() != nil:
			return last, fmt.Errorf("%s (%w)", last.pending, context.Cause(ctx))
		}
		obj = next
	}
}

// follow watches the request until judge is done with it, the watch breaks, or ctx ends; it returns its newest state.
func (c *Client) follow(ctx context.Context, obj *unstructured.Unstructured, judge func(*unstructured.Unstructured) (bool, error)) (*unstructured.Unstructured, error) {
	name := obj.GetName()
	w, err := c.requests.Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name).String(), ResourceVersion: obj.GetResourceVersion(),
	})
	for err == nil {
		var event watch.Event
		select {
		case event = <-w.ResultChan():
		case <-ctx.Done():
			w.Stop()
			return obj, nil
		}
		got, ok := event.Object.(*unstructured.Unstructured)
		if !ok || got.GetName() != name { // the watch has ended, or cannot go on from this version
			w.Stop()
			break
		}
		obj = got
		done, judged := judge(obj)
		if event.Type == watch.Deleted && !done {
			judged = fmt.Errorf("the %s %s/%s was deleted before it was answered", kind, c.opts.Namespace, name)
		}
		if done || judged != nil {
			w.Stop()
			return obj, judged
		}
	}
	select {
	case <-ctx.Done():
		return obj, nil
	case <-time.After(rewatch):
	}
	fresh, err := c.requests.Get(ctx, name, metav1.GetOptions{})
	select {
	case <-ctx.Done(): // wait says why there was no answer
		return obj, nil
	default:
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the %s %s/%s: %w", kind, c.opts.Namespace, name, err)
	}
	return fresh, nil
}

func (c *Client) drop(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	if err := c.requests.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		c.opts.Log.Warn("cannot delete an answered CertificateRequest", "name", c.opts.Namespace+"/"+name, "error", err)
	}
}

// sweep deletes requests of the mesh that were left by programs which ended before an answer.
func (c *Client) sweep(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	list, err := c.requests.List(ctx, metav1.ListOptions{LabelSelector: labelMesh + "=" + c.opts.MeshName})
	if err != nil {
		c.opts.Log.Warn("cannot look for left-over CertificateRequests", "error", err)
		return
	}
	for i := range list.Items {
		if c.opts.Now().Sub(list.Items[i].GetCreationTimestamp().Time) > leftOver {
			c.drop(ctx, list.Items[i].GetName())
		}
	}
}
