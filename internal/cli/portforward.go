package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// forwarder reaches ports of pods through the API server, as kubectl port-forward does.
type forwarder struct {
	config *rest.Config
	kube   kubernetes.Interface
}

// forwardTimeout bounds a whole fetch: the tunnel and the answer of a local admin endpoint.
const forwardTimeout = 30 * time.Second

// get opens a tunnel to the pod's port, fetches one path over it and closes the tunnel.
func (f *forwarder) get(ctx context.Context, target PodPort, localPort uint16, path string) ([]byte, error) {
	return f.ask(ctx, http.MethodGet, target, localPort, path)
}

// post is get with an empty POST.
func (f *forwarder) post(ctx context.Context, target PodPort, localPort uint16, path string) ([]byte, error) {
	return f.ask(ctx, http.MethodPost, target, localPort, path)
}

func (f *forwarder) ask(ctx context.Context, method string, target PodPort, localPort uint16, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, forwardTimeout)
	defer cancel()
	var body []byte
	var answered error
	err := f.forward(ctx, target, localPort, func(local uint16) {
		body, answered = fetch(ctx, method, fmt.Sprintf("http://localhost:%d/%s", local, strings.TrimPrefix(path, "/")))
		cancel()
	})
	if body != nil || answered != nil {
		return body, answered
	}
	return nil, err
}

// forward forwards a local port to the pod's until ctx ends, which is no error. ready is called once, when the port is open.
func (f *forwarder) forward(ctx context.Context, target PodPort, localPort uint16, ready func(local uint16)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dialer, err := f.dialer(target)
	if err != nil {
		return fmt.Errorf("Error setting up port forwarding: %w", err)
	}
	open, ended := make(chan struct{}), make(chan struct{})
	ports := []string{fmt.Sprintf("%d:%d", localPort, target.Port)}
	pf, err := portforward.NewOnAddressesForStreamingWithContext(ctx, dialer, []string{"localhost"}, ports, open, io.Discard, io.Discard)
	if err != nil {
		return fmt.Errorf("Error setting up port forwarding: %w", err)
	}
	var forwardErr error // read only after ended is closed
	go func() {
		defer close(ended)
		forwardErr = pf.ForwardPorts()
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		return ctx.Err()
	case <-open:
		forwarded, err := pf.GetPorts()
		if err != nil {
			cancel()
			<-ended
			return err
		}
		ready(forwarded[0].Local)
		<-ended
		if ctx.Err() != nil {
			return nil
		}
	}
	return fmt.Errorf("forward local port %d to port %d of pod %s/%s: %w", localPort, target.Port, target.Namespace, target.Pod, orClosed(forwardErr))
}

func orClosed(err error) error {
	if err == nil {
		return errors.New("the connection was closed")
	}
	return err
}

// dialer speaks WebSocket and falls back to SPDY, which older API servers and some proxies want.
func (f *forwarder) dialer(target PodPort) (httpstream.Dialer, error) {
	transport, upgrader, err := spdy.RoundTripperFor(f.config)
	if err != nil {
		return nil, err
	}
	url := f.kube.CoreV1().RESTClient().Post().Resource("pods").Namespace(target.Namespace).Name(target.Pod).SubResource("portforward").URL()
	plain := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	tunnel, err := portforward.NewSPDYOverWebsocketDialerForStreaming(url, f.config)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialerForStreaming(tunnel, plain, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// statusError is an answer with a status other than 2xx.
type statusError struct {
	url, status string
	body        []byte
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s answered %s: %s", e.url, e.status, strings.TrimSpace(string(e.body)))
}

// fetch returns the body of an answer, whatever its size; a status other than 2xx is a *statusError, which carries the body.
func fetch(ctx context.Context, method, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("Error fetching url %s: %w", url, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("Error rendering HTTP response: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, &statusError{url: url, status: resp.Status, body: body}
	}
	return body, nil
}
