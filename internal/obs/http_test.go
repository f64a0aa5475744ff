package obs

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"openservicemesh.io/osm/internal/obs/errcode"
)

func TestServeFinishesRequestsAndStops(t *testing.T) {
	log := NewLogging(io.Discard, false, nil).Logger("x")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	inside := make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(inside)
		time.Sleep(100 * time.Millisecond)
		_, _ = w.Write([]byte("done"))
	})
	go func() { stopped <- ServeOn(ctx, ln, h, nil, log) }()
	answer := make(chan string, 1)
	go func() {
		res, err := http.Get("http://" + ln.Addr().String())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		answer <- string(b)
	}()
	<-inside
	cancel()
	require.Equal(t, "done", <-answer)
	require.NoError(t, <-stopped)
	_, err = net.Dial("tcp", ln.Addr().String())
	require.Error(t, err)
}

func TestServeNamesABusyAddress(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	err = Serve(t.Context(), ln.Addr().String(), http.NotFoundHandler(), nil, NewLogging(io.Discard, false, nil).Logger("x"))
	require.ErrorContains(t, err, ln.Addr().String())
}

func podClients(c *fake.Clientset, namespace string) PodClients {
	return PodClients{Pods: c.CoreV1().Pods(namespace), Events: c.CoreV1().Events(namespace)}
}

func TestPodEvents(t *testing.T) {
	t.Setenv(EnvBootstrapPodName, "osm-bootstrap-1")
	client := fake.NewClientset(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "osm-system", Name: "osm-bootstrap-1", UID: "u"}})
	var b bytes.Buffer
	log := NewLogging(&b, false, nil).Logger("osm-bootstrap/main")
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // a process that is told to stop must still say why it failed
	NewPodEvents(podClients(client, "osm-system"), "osm-system", EnvBootstrapPodName, "osm-bootstrap", log).
		Warn(ctx, ReasonInvalidCLIParameters, errcode.Errorf(errcode.InvalidCLIArgument, "--mesh-name is empty"))
	list, err := client.CoreV1().Events("osm-system").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, list.Items, 1)
	e := list.Items[0]
	require.Equal(t, corev1.EventTypeWarning, e.Type)
	require.Equal(t, "FatalInvalidCLIParameters", e.Reason)
	require.Equal(t, "--mesh-name is empty", e.Message)
	require.Equal(t, "osm-bootstrap", e.Source.Component)
	require.Equal(t, corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "osm-system", Name: "osm-bootstrap-1", UID: "u"}, e.InvolvedObject)
	require.Contains(t, b.String(), `"error_code":"E1000"`)
}

func TestPodEventsOutsideACluster(t *testing.T) {
	t.Setenv(EnvInjectorPodName, "")
	client := fake.NewClientset()
	log := NewLogging(io.Discard, false, nil).Logger("x")
	NewPodEvents(podClients(client, "ns"), "ns", EnvInjectorPodName, "osm-injector", log).Warn(t.Context(), ReasonInitializationError, io.EOF)
	require.Empty(t, client.Actions())
}

func TestCutKeepsUTF8(t *testing.T) {
	require.Equal(t, "short", cut("short", 10))
	require.Equal(t, "ab...", cut("abé12345", 6))
	require.Equal(t, "é...", cut("é1234567", 5))
}
