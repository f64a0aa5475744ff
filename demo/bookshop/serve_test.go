package bookshop

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func status(url string) int {
	resp, err := newClient(5 * time.Second).Get(url)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode
}

func TestServeDrainsAndFinishesWhatItBegan(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	base := "http://" + ln.Addr().String()
	began, finish, worked := make(chan struct{}), make(chan struct{}), make(chan struct{})
	app := App{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				close(began)
				<-finish
			}
			_, _ = io.WriteString(w, "done")
		}),
		Work: func(ctx context.Context) { <-ctx.Done(); close(worked) },
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, ln, app, 300*time.Millisecond) }()
	require.Eventually(t, func() bool { return status(base+"/readyz") == http.StatusOK }, 5*time.Second, time.Millisecond)

	slow := make(chan int, 1)
	go func() { slow <- status(base + "/slow") }()
	<-began
	stop()
	<-worked
	require.Eventually(t, func() bool { return status(base+"/readyz") == http.StatusServiceUnavailable }, time.Second, time.Millisecond,
		"stopping shows in readiness")
	require.Equal(t, http.StatusOK, status(base+"/healthz"), "but the process lives")
	require.Equal(t, http.StatusOK, status(base+"/"), "and late callers are served")
	require.Eventually(t, func() bool { return status(base+"/") == 0 }, 5*time.Second, 5*time.Millisecond, "then the port closes")
	select {
	case err := <-served:
		t.Fatalf("ended while a request was in flight: %v", err)
	default:
	}
	close(finish)
	require.Equal(t, http.StatusOK, <-slow)
	require.NoError(t, <-served)
}

func TestServeReportsABrokenListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	require.ErrorContains(t, Serve(context.Background(), ln, App{Handler: http.NotFoundHandler()}, time.Second), "serving on 127.0.0.1:")
}
