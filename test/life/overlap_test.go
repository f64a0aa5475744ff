package life

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// What replicas of two versions share in the cluster besides definitions.
var webhookConfigurations = map[string]string{
	"mutatingwebhookconfiguration":   "osm-webhook-osm",
	"validatingwebhookconfiguration": "osm-validator-mesh-osm",
}

// lingering marks pods that outlive the version they are of.
const lingering = "life=lingering"

// linger starts another pod of each program of the control plane as it is now, which no Deployment owns: what is upgraded
// afterwards runs beside it, as it does for some seconds of every upgrade, for as long as the test wants. No Service leads there.
func linger(t *testing.T) {
	t.Helper()
	for _, app := range []string{"osm-bootstrap", "osm-injector", "osm-controller"} {
		var list struct {
			Items []struct{ Spec map[string]any }
		}
		out := kubectl(t, "get", "pods", "-n", meshNamespace, "-l", "app="+app, "--field-selector=status.phase=Running", "-o", "json")
		if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Items) == 0 {
			t.Fatalf("pods of %s: %v %s", app, err, out)
		}
		spec := list.Items[0].Spec
		delete(spec, "nodeName")
		for _, c := range spec["containers"].([]any) {
			delete(c.(map[string]any), "resources") // the node is small
		}
		key, value, _ := strings.Cut(lingering, "=")
		text, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Pod", "spec": spec, "metadata": map[string]any{
			"name": app + "-lingering", "namespace": meshNamespace, "labels": map[string]string{key: value},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := apply(t, string(text)); err != nil {
			t.Fatal(err)
		}
	}
	kubectl(t, "wait", "pods", "-n", meshNamespace, "-l", lingering, "--for=condition=Ready", "--timeout=60s")
}

// leave ends what lingers, and fails when a pod did not run all the time.
func leave(t *testing.T) {
	t.Helper()
	restarts := kubectl(t, "get", "pods", "-n", meshNamespace, "-l", lingering, "-o", "jsonpath={.items[*].status.containerStatuses[*].restartCount}")
	if restarts != "0 0 0" {
		t.Errorf("restarts of the lingering pods: %q", restarts)
	}
	kubectl(t, "delete", "pods", "-n", meshNamespace, "-l", lingering, "--wait=true")
}

// shared fails unless what both versions write is as one version writes it, and stays so for longer than either waits before
// it looks again.
func shared(t *testing.T, want string) {
	t.Helper()
	for kind, name := range webhookConfigurations {
		restored(t, kind, name, `{.metadata.labels.app\.kubernetes\.io/version}`, want)
	}
	seen := func() string {
		all := []string{kubectl(t, "get", "crd", changed, "-o", "jsonpath={.metadata.name} {.metadata.generation}")}
		for kind, name := range webhookConfigurations {
			all = append(all, kubectl(t, "get", kind, name, "-o", "jsonpath={.metadata.name} {.metadata.resourceVersion}"))
		}
		slices.Sort(all)
		return strings.Join(all, "; ")
	}
	before := seen()
	time.Sleep(12 * time.Second)
	if after := seen(); after != before {
		t.Errorf("two versions write in turn:\n%s\n%s", before, after)
	}
}

// definition looks at the definition in which the versions differ (see older), and at objects that either wrote.
func definition(t *testing.T, now bool) {
	t.Helper()
	const http = "{.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.connectionSettings.properties.http.properties."
	want := map[bool]string{false: "", true: "string"}
	restored(t, "crd", changed, http+"requestTimeout.type}", want[now])
	if err := apply(t, settings(fewRequests, now)); err != nil {
		t.Errorf("what both versions allow: %v", err)
	}
	// Of an object that is as it was, no rule is asked anew.
	another := fewRequests + 1 + settingsSeen
	eventually(t, 15*time.Second, func() error { // the API server takes a new definition into use in its own time
		err := apply(t, settings(another, now))
		switch {
		case now:
			return err
		case err == nil:
			return errors.New("the previous version's rule does not hold: more requests than it allows were accepted")
		case !strings.Contains(err.Error(), fmt.Sprint("should be less than or equal to ", fewRequests)):
			return err
		}
		return nil
	})
	// What one version stored the other one serves, without what it does not know.
	timeout := map[bool]string{false: "", true: "7s"}
	names := strings.Fields(kubectl(t, "get", "upstreamtrafficsettings", "-n", classic, "-o", "jsonpath={.items[*].metadata.name}"))
	for _, name := range names {
		if got := kubectl(t, "get", "upstreamtrafficsetting", name, "-n", classic, "-o", "jsonpath={.spec.connectionSettings.http.requestTimeout}"); got != timeout[now] {
			t.Errorf("requestTimeout of UpstreamTrafficSetting %s is %q, want %q", name, got, timeout[now])
		}
	}
	settingsSeen = max(settingsSeen, len(names))
	if len(names) != settingsSeen {
		t.Errorf("UpstreamTrafficSettings: %v, there were %d", names, settingsSeen)
	}
}

// settingsSeen is how many objects of the changed kind there were at most: none may go.
var settingsSeen int

// settings is an object of the changed kind; the previous version knows no requestTimeout.
func settings(requests int, now bool) string {
	var timeout string
	if now {
		timeout = ", requestTimeout: 7s"
	}
	return fmt.Sprintf(`apiVersion: policy.openservicemesh.io/v1alpha1
kind: UpstreamTrafficSetting
metadata: {name: requests-%d, namespace: %s}
spec: {host: requests-%[1]d.%[2]s.svc.cluster.local, connectionSettings: {http: {maxRequests: %[1]d%[3]s}}}
`, requests, classic, timeout)
}

func apply(t *testing.T, manifest string) error {
	t.Helper()
	cmd := mesh.Command(t.Context(), "kubectl", "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(manifest)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl apply: %w\n%s", err, out)
	}
	return nil
}
