// Command record writes the AdmissionReviews that an API server sends when real controllers make pods, for bench/injection to
// replay. It serves a webhook on loopback that admits everything, so it has to stand where the API server runs:
//
//	bin/localcluster exec -- go run ./bench/injection/record -o bench/injection/testdata/reviews
//
// It makes the namespace "recorded" and a MutatingWebhookConfiguration, and deletes both.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/yaml"

	_ "embed"
)

//go:embed workloads.yaml
var workloads string

// pods is how many the workloads make.
const pods = 8

const webhook = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: recorder}
webhooks:
- name: recorder.openservicemesh.io
  clientConfig: {url: %q, caBundle: %q}
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: recorded}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  failurePolicy: Fail
  sideEffects: None
  admissionReviewVersions: [v1]
`

func main() {
	dir := flag.String("o", "", "folder to write to")
	flag.Parse()
	if *dir == "" {
		fmt.Fprintln(os.Stderr, "Error: -o is empty: name the folder to write to")
		os.Exit(2)
	}
	if err := record(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

// tape holds what was heard, by the name of the pod's workload.
type tape struct {
	mu     sync.Mutex
	heard  map[string][]byte
	failed error
}

func (t *tape) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var review admissionv1.AdmissionReview
	if err == nil {
		err = json.Unmarshal(body, &review)
	}
	if err == nil {
		err = t.keep(&review, body)
	}
	if err != nil {
		t.mu.Lock()
		t.failed = err
		t.mu.Unlock()
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	review.Request = nil
	_ = json.NewEncoder(w).Encode(review)
}

func (t *tape) keep(review *admissionv1.AdmissionReview, body []byte) error {
	var pod struct {
		Metadata struct{ Labels map[string]string }
	}
	if err := json.Unmarshal(review.Request.Object.Raw, &pod); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	name := pod.Metadata.Labels["app"]
	for i := 2; t.heard[name] != nil; i++ {
		name = fmt.Sprintf("%s-%d", pod.Metadata.Labels["app"], i)
	}
	t.heard[name] = body
	return nil
}

func (t *tape) complete() (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.heard) >= pods, t.failed
}

func record(dir string) error {
	t := &tape{heard: map[string][]byte{}}
	srv := httptest.NewTLSServer(t)
	defer srv.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	defer func() {
		_ = kubectl("", "delete", "mutatingwebhookconfiguration", "recorder", "--ignore-not-found")
		_ = kubectl("", "delete", "namespace", "recorded", "--ignore-not-found", "--wait=false")
	}()
	if err := kubectl(fmt.Sprintf(webhook, srv.URL, base64.StdEncoding.EncodeToString(ca)), "apply", "-f", "-"); err != nil {
		return err
	}
	if err := kubectl(workloads, "apply", "-f", "-"); err != nil {
		return err
	}
	for range 120 {
		if done, err := t.complete(); err != nil {
			return err
		} else if done {
			return t.write(dir)
		}
		time.Sleep(250 * time.Millisecond)
	}
	return fmt.Errorf("%d of %d pods were reviewed within 30 s", len(t.heard), pods)
}

func (t *tape) write(dir string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, body := range t.heard {
		text, err := yaml.JSONToYAML(body)
		if err != nil {
			return err
		}
		head := []byte("# Recorded from an API server by bench/injection/record.\n")
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), slices.Concat(head, text), 0o600); err != nil {
			return err
		}
		fmt.Printf("%s: %d bytes\n", name, len(body))
	}
	return nil
}

func kubectl(stdin string, args ...string) error {
	cmd := exec.Command("kubectl", args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
