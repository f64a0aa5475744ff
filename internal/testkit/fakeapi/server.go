package fakeapi

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// Server is a running server.
type Server struct {
	// URL is where it listens.
	URL   string
	http  *httptest.Server
	kinds []kind
	stop  chan struct{}

	mu       sync.Mutex
	objects  map[key]*unstructured.Unstructured
	order    []key
	version  int
	uids     int
	writes   []string
	refused  []refusal
	unready  bool
	pods     map[string]answer
	logs     map[string]string
	watchers map[chan event]bool
}

// refusal makes requests fail.
type refusal struct {
	verb, plural, message string
}

// New starts a server.
func New() *Server {
	s := &Server{
		kinds: kinds(), stop: make(chan struct{}), objects: map[key]*unstructured.Unstructured{}, pods: map[string]answer{}, logs: map[string]string{},
		watchers: map[chan event]bool{},
	}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = s.http.URL
	return s
}

// Close ends the server and every watch of it.
func (s *Server) Close() {
	close(s.stop)
	s.http.CloseClientConnections()
	s.http.Close()
}

// Refuse makes requests of one verb and resource fail with 403 and a message; either may be "*".
func (s *Server) Refuse(verb, plural, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = append(s.refused, refusal{verb, plural, message})
}

// Unready keeps deployments that are written from now on from becoming ready, or lets them again.
func (s *Server) Unready(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unready = on
}

// Writes returns, as "<verb> <plural> <namespace>/<name>", the requests that changed something, and forgets them.
func (s *Server) Writes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.writes
	s.writes = nil
	return out
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/version":
		reply(w, http.StatusOK, version.Info{Major: "1", Minor: "30", GitVersion: "v1.30.0"})
	case r.URL.Path == "/openapi/v2":
		// An empty document in protobuf: clients that validate find no schema for anything and let it pass.
		w.Header().Set("Content-Type", "application/com.github.proto-openapi.spec.v2.v1.0+protobuf")
		w.WriteHeader(http.StatusOK)
	case r.URL.Path == "/api":
		reply(w, http.StatusOK, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case r.URL.Path == "/apis":
		reply(w, http.StatusOK, apiGroups())
	case parts[0] == "api" && len(parts) >= 2:
		s.group(w, r, schema.GroupVersion{Version: parts[1]}, parts[2:])
	case parts[0] == "apis" && len(parts) >= 3:
		s.group(w, r, schema.GroupVersion{Group: parts[1], Version: parts[2]}, parts[3:])
	default:
		http.NotFound(w, r)
	}
}

// request is a request about a resource.
type request struct {
	key
	sub  string
	rest []string
	verb string
}

// group answers for what lies below one group and version.
func (s *Server) group(w http.ResponseWriter, r *http.Request, gv schema.GroupVersion, parts []string) {
	if len(parts) == 0 {
		if list := apiResources(gv); list != nil {
			reply(w, http.StatusOK, list)
			return
		}
		http.NotFound(w, r)
		return
	}
	var req request
	if parts[0] == "namespaces" && len(parts) > 2 && parts[2] != "status" && parts[2] != "finalize" {
		req.namespace, parts = parts[1], parts[2:]
	}
	at := slices.IndexFunc(s.kinds, func(k kind) bool { return k.gv == gv && k.plural == parts[0] })
	if at < 0 {
		fail(w, apierrors.NewNotFound(schema.GroupResource{Group: gv.Group, Resource: parts[0]}, ""))
		return
	}
	req.kind = s.kinds[at]
	if len(parts) > 1 {
		req.name = parts[1]
	}
	if len(parts) > 2 {
		req.sub, req.rest = parts[2], parts[3:]
	}
	req.verb = verb(r, req.name)
	if err := s.refusal(req); err != nil {
		fail(w, err)
		return
	}
	if req.sub != "" && req.sub != "status" {
		s.pod(w, r, req)
		return
	}
	s.object(w, r, req)
}

func verb(r *http.Request, name string) string {
	switch r.Method {
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		return "delete"
	}
	switch {
	case r.URL.Query().Get("watch") == "true" || r.URL.Query().Get("watch") == "1":
		return "watch"
	case name == "":
		return "list"
	}
	return "get"
}

func (s *Server) refusal(req request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.refused {
		if (r.verb == "*" || r.verb == req.verb) && (r.plural == "*" || r.plural == req.plural) {
			return apierrors.NewForbidden(req.resource(), req.name, fmt.Errorf("%s", r.message))
		}
	}
	return nil
}

func (s *Server) object(w http.ResponseWriter, r *http.Request, req request) {
	body, err := readBody(r)
	if err != nil {
		fail(w, err)
		return
	}
	if req.verb == "watch" {
		s.watch(w, r, req)
		return
	}
	s.mu.Lock()
	status, out, err := s.do(r, req, body)
	if err == nil && !slices.Contains([]string{"get", "list"}, req.verb) && req.plural != "selfsubjectaccessreviews" {
		name := req.name
		if o, ok := out.(*unstructured.Unstructured); ok && name == "" {
			name = o.GetName()
		}
		s.writes = append(s.writes, fmt.Sprintf("%s %s %s/%s", req.verb, req.plural, req.namespace, name))
	}
	s.mu.Unlock()
	if err != nil {
		fail(w, err)
		return
	}
	if list, ok := out.(*unstructured.UnstructuredList); ok && strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadataList") {
		out = metadataOf(list)
	}
	reply(w, status, out)
}

// metadataOf is a list for clients that do not want to see contents.
func metadataOf(list *unstructured.UnstructuredList) map[string]any {
	items := []any{}
	for _, o := range list.Items {
		items = append(items, map[string]any{"metadata": o.Object["metadata"]})
	}
	return map[string]any{"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "items": items}
}

// readBody returns a request's body as JSON or YAML, whatever the client speaks.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Content-Type") != runtime.ContentTypeProtobuf {
		return body, err
	}
	o, _, err := clientscheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return json.Marshal(o)
}

// do answers one request about objects; the lock is held.
func (s *Server) do(r *http.Request, req request, body []byte) (int, any, error) {
	q := r.URL.Query()
	old, known := s.objects[req.key]
	switch {
	case req.verb == "list":
		items, err := s.list(req.kind, req.namespace, q.Get("labelSelector"), q.Get("fieldSelector"))
		return http.StatusOK, s.listOf(req.kind, items), err
	case req.verb == "create":
		return s.create(req, body)
	case req.verb == "patch" && !known && strings.HasPrefix(r.Header.Get("Content-Type"), "application/apply-patch"):
		return s.create(req, body)
	case req.verb == "delete" && req.name == "":
		items, err := s.list(req.kind, req.namespace, q.Get("labelSelector"), q.Get("fieldSelector"))
		for _, o := range items {
			s.remove(key{req.kind, o.GetNamespace(), o.GetName()})
		}
		return http.StatusOK, s.listOf(req.kind, items), err
	case !known:
		return 0, nil, apierrors.NewNotFound(req.resource(), req.name)
	case req.verb == "get":
		return http.StatusOK, old, nil
	case req.verb == "delete":
		s.remove(req.key)
		return http.StatusOK, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess}, nil
	}
	next := &unstructured.Unstructured{}
	patch, err := yaml.YAMLToJSON(body)
	if err == nil && req.verb == "patch" {
		next, err = patched(old, r.Header.Get("Content-Type"), patch)
	} else if err == nil {
		err = next.UnmarshalJSON(patch)
	}
	if err != nil {
		return 0, nil, apierrors.NewBadRequest(err.Error())
	}
	if q.Get("dryRun") == "" {
		s.put(req.key, next)
	}
	return http.StatusOK, next, nil
}

func (s *Server) create(req request, body []byte) (int, any, error) {
	raw, err := yaml.YAMLToJSON(body)
	if err != nil {
		return 0, nil, apierrors.NewBadRequest(err.Error())
	}
	o := &unstructured.Unstructured{}
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		return 0, nil, apierrors.NewBadRequest(err.Error())
	}
	o.Object = object
	o.SetAPIVersion(req.gv.String())
	o.SetKind(req.kind.name)
	if req.plural == "selfsubjectaccessreviews" {
		_ = unstructured.SetNestedField(o.Object, true, "status", "allowed")
		return http.StatusCreated, o, nil
	}
	if o.GetName() == "" {
		o.SetName(fmt.Sprintf("%s%d", o.GetGenerateName(), s.uids+1))
	}
	if req.namespace != "" {
		o.SetNamespace(req.namespace)
	}
	k := key{req.kind, req.namespace, o.GetName()}
	if _, known := s.objects[k]; known {
		return 0, nil, apierrors.NewAlreadyExists(req.resource(), k.name)
	}
	// Whole numbers are int64 in unstructured objects and float64 after json.Unmarshal.
	if text, err := json.Marshal(o.Object); err == nil {
		_ = o.UnmarshalJSON(text)
	}
	s.put(k, o)
	return http.StatusCreated, o, nil
}

func (s *Server) listOf(k kind, items []*unstructured.Unstructured) *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{Object: map[string]any{}}
	list.SetAPIVersion(k.gv.String())
	list.SetKind(k.name + "List")
	list.SetResourceVersion(fmt.Sprint(s.version))
	for _, o := range items {
		list.Items = append(list.Items, *o)
	}
	return list
}

func reply(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// fail answers with the Status object that the API server sends for an error.
func fail(w http.ResponseWriter, err error) {
	var status metav1.Status
	if api, ok := err.(apierrors.APIStatus); ok { //nolint:errorlint // made here, never wrapped
		status = api.Status()
	} else {
		status = apierrors.NewInternalError(err).Status()
	}
	status.Kind, status.APIVersion = "Status", "v1"
	reply(w, int(status.Code), status)
}
