package transcript

import (
	"context"
	"fmt"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	config "openservicemesh.io/osm/api/config/v1alpha2"
)

// roots writes the statuses of MeshRootCertificates from now on, as a control plane does whose proxies are quick.
func roots(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 0, "roots")
	client, err := dynamic.NewForConfig(&rest.Config{Host: server(ts).URL, QPS: 1000, Burst: 1000})
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	ts.Defer(func() { stop(); <-done })
	objects := client.Resource(config.MeshRootCertificates).Namespace("osm-system")
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if list, err := objects.List(ctx, metav1.ListOptions{}); err == nil {
				for i := range list.Items {
					o := &list.Items[i]
					role, _, _ := unstructured.NestedString(o.Object, "spec", "role")
					state, _, _ := unstructured.NestedString(o.Object, "status", "state")
					if state != role {
						_, _ = objects.Patch(ctx, o.GetName(), types.MergePatchType, fmt.Appendf(nil, `{"status":{"state":%q}}`, role), metav1.PatchOptions{})
					}
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
}
