package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// askAuthorizer has every sidecar ask the authorizer of the test, until the test ends.
func askAuthorizer(t *testing.T, failureModeAllow bool) {
	t.Helper()
	meshConfig(t, fmt.Sprintf(`{"spec":{"traffic":{"inboundExternalAuthorization":{"enable":true,"address":"authorizer.authz.svc.cluster.local",`+
		`"port":9191,"statPrefix":"allow-%[1]v","timeout":"1s","failureModeAllow":%[1]v}}}}`, failureModeAllow))
	configured(t, "authz", "server", fmt.Sprintf(`"stat_prefix": "allow-%v"`, failureModeAllow))
}

// A gRPC authorizer is asked about each request: what it allows arrives, what it refuses is answered in its words, and what
// becomes of a request when it does not answer is for the operator to say.
func TestExternalAuthorization(t *testing.T) {
	closedMesh(t)
	permissive(t, true)
	startPods(t, "external-authorization.yaml", "authz")
	client := pod{"authz", "client", "app"}
	get := func(headers ...string) []string {
		args := []string{"get", "-timeout", "8s"}
		for _, h := range headers {
			args = append(args, "-H", h)
		}
		return append(args, "http://server.authz:14001/x")
	}
	client.want(t, 0, "200 OK", get()...)
	said := func() string { return kubectl(t, "logs", "authorizer", "-n", "authz") }

	t.Run("asked", func(t *testing.T) {
		askAuthorizer(t, true)
		client.want(t, 0, "X-Authz-Allowed", get()...) // the application shows the header that the authorizer added
		if !strings.Contains(said(), "allow GET /x") {
			t.Errorf("the authorizer was not asked:\n%s", said())
		}
		client.want(t, 0, "403 Forbidden", get("x-authz-deny: yes")...)
		for _, want := range []string{"401 Unauthorized", "X-Authz: denied", "the authorizer says no"} {
			client.want(t, 0, want, get("x-authz-deny: 401")...)
		}
		client.want(t, 0, "200 OK", get("x-authz-delay: 3s")...) // too late to refuse
	})
	t.Run("no answer means no", func(t *testing.T) {
		askAuthorizer(t, false)
		client.want(t, 0, "200 OK", get()...)
		client.want(t, 0, "403 Forbidden", get("x-authz-delay: 3s")...)
	})
	t.Run("authorizer gone", func(t *testing.T) {
		kubectl(t, "delete", "pod", "authorizer", "-n", "authz")
		askAuthorizer(t, false)
		client.want(t, 0, "403 Forbidden", get()...)
		askAuthorizer(t, true)
		client.want(t, 0, "200 OK", get()...)
	})
	t.Run("switched off", func(t *testing.T) {
		askAuthorizer(t, false)
		client.want(t, 0, "403 Forbidden", get()...)
		meshConfig(t, `{"spec":{"traffic":{"inboundExternalAuthorization":{"enable":false}}}}`)
		client.want(t, 0, "200 OK", get()...)
	})
}
