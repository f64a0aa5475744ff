package fakeapi

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// answer is what a pod says to one request.
type answer struct {
	status int
	body   string
}

func podKey(method, namespace, pod, port, path string) string {
	return fmt.Sprintf("%s %s/%s:%s/%s", method, namespace, pod, port, strings.TrimPrefix(path, "/"))
}

// Answer makes a pod answer on one of its ports, through port-forwards and through the API server's proxy. Path holds the
// query too. What was not told is answered with 404, and with status 0 nothing is answered, ever.
func (s *Server) Answer(method, namespace, pod, port, path string, status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pods[podKey(method, namespace, pod, port, path)] = answer{status, body}
}

// Log sets what a container has logged.
func (s *Server) Log(namespace, pod, container, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs[namespace+"/"+pod+"/"+container] = text
}

// pod answers for the subresources of pods.
func (s *Server) pod(w http.ResponseWriter, r *http.Request, req request) {
	switch {
	case req.plural == "pods" && req.sub == "log":
		s.mu.Lock()
		text, ok := s.logs[req.namespace+"/"+req.name+"/"+r.URL.Query().Get("container")]
		s.mu.Unlock()
		if !ok || r.URL.Query().Get("previous") == "true" {
			fail(w, apierrors.NewBadRequest("no such container, or it has no log"))
			return
		}
		_, _ = io.WriteString(w, text)
	case req.plural == "pods" && req.sub == "proxy":
		name, port, _ := strings.Cut(req.name, ":")
		s.talk(w, r, req.namespace, name, port, strings.Join(req.rest, "/"))
	case req.plural == "pods" && req.sub == "portforward":
		s.forward(w, r, req)
	default:
		fail(w, apierrors.NewBadRequest("the fake server has no "+req.plural+"/"+req.sub))
	}
}

// talk lets a pod answer a request.
func (s *Server) talk(w http.ResponseWriter, r *http.Request, namespace, pod, port, path string) {
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	k := podKey(r.Method, namespace, pod, port, path)
	s.mu.Lock()
	a, ok := s.pods[k]
	if r.Method != http.MethodGet {
		s.writes = append(s.writes, k)
	}
	s.mu.Unlock()
	if !ok {
		a = answer{http.StatusNotFound, "the pod has no answer to " + k + "\n"}
	}
	if a.status == 0 {
		<-s.stop
		return
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

// forward is a port-forward over SPDY; clients that ask for WebSocket first are told no and fall back.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, req request) {
	s.mu.Lock()
	_, known := s.objects[req.key]
	s.mu.Unlock()
	if !known {
		fail(w, apierrors.NewNotFound(req.resource(), req.name))
		return
	}
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		http.Error(w, "no WebSocket here", http.StatusBadRequest)
		return
	}
	if _, err := httpstream.Handshake(r, w, []string{portforward.PortForwardProtocolV1Name}); err != nil {
		return
	}
	streams := make(chan httpstream.Stream, 8)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(stream httpstream.Stream, _ <-chan struct{}) error {
		streams <- stream
		return nil
	})
	if conn == nil {
		return
	}
	defer func() { _ = conn.Close() }()
	errorStreams := map[string]httpstream.Stream{}
	for {
		select {
		case <-s.stop:
			return
		case <-conn.CloseChan():
			return
		case stream := <-streams:
			id := stream.Headers().Get("requestID")
			if stream.Headers().Get("streamType") == "error" {
				errorStreams[id] = stream
				continue
			}
			go s.converse(stream, errorStreams[id], req)
		}
	}
}

// converse answers one HTTP request over a forwarded connection and ends it.
func (s *Server) converse(data, failures httpstream.Stream, req request) {
	defer func() {
		_ = data.Close()
		if failures != nil {
			_ = failures.Close()
		}
	}()
	asked, err := http.ReadRequest(bufio.NewReader(data))
	if err != nil {
		return
	}
	rec := httptest.NewRecorder()
	s.talk(rec, asked, req.namespace, req.name, data.Headers().Get("port"), asked.URL.Path)
	resp := rec.Result()
	resp.Close = true
	_ = resp.Write(data)
}

// watch streams changes until the client goes away. A client that wants the present state first gets it.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, req request) {
	q := r.URL.Query()
	changes := make(chan event, 1000)
	s.mu.Lock()
	items, err := s.list(req.kind, req.namespace, q.Get("labelSelector"), q.Get("fieldSelector"))
	s.watchers[changes] = true
	version := s.version
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.watchers, changes)
		s.mu.Unlock()
	}()
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	if q.Get("sendInitialEvents") == "true" {
		for _, o := range items {
			writeEvent(w, "ADDED", o)
		}
		mark := &unstructured.Unstructured{}
		mark.SetAPIVersion(req.gv.String())
		mark.SetKind(req.kind.name)
		mark.SetResourceVersion(fmt.Sprint(version))
		mark.SetAnnotations(map[string]string{"k8s.io/initial-events-end": "true"})
		writeEvent(w, "BOOKMARK", mark)
	}
	flush(w)
	end := time.After(time.Minute)
	for {
		select {
		case <-r.Context().Done():
			return
		case <-s.stop:
			return
		case <-end:
			return
		case e := <-changes:
			if e.kind == req.kind && (req.namespace == "" || e.object.GetNamespace() == req.namespace) && fits(e.object, q) {
				writeEvent(w, e.typ, e.object)
				flush(w)
			}
		}
	}
}

// fits tells whether an object fits the selectors of a request.
func fits(o *unstructured.Unstructured, q url.Values) bool {
	byLabel, err := labels.Parse(q.Get("labelSelector"))
	return err == nil && byLabel.Matches(labels.Set(o.GetLabels())) && fieldsFit(o, q.Get("fieldSelector"))
}

func flush(w http.ResponseWriter) {
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}

func writeEvent(w io.Writer, typ string, o *unstructured.Unstructured) {
	text, err := o.MarshalJSON()
	if err == nil {
		_, _ = fmt.Fprintf(w, "{\"type\":%q,\"object\":%s}\n", typ, strings.TrimSpace(string(text)))
	}
}

// publish tells those who watch; the lock is held. A watch that does not keep up misses changes, as nobody here does.
func (s *Server) publish(e event) {
	e.object = e.object.DeepCopy()
	for ch := range s.watchers {
		select {
		case ch <- e:
		default:
		}
	}
}
