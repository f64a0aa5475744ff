package cli

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	k8stesting "k8s.io/client-go/testing"

	"openservicemesh.io/osm/internal/core/names"
)

const smiVersions = `{"HTTPRouteGroup":"specs.smi-spec.io/v1alpha4","TCPRoute":"specs.smi-spec.io/v1alpha4",
"TrafficSplit":"split.smi-spec.io/v1alpha2","TrafficTarget":"access.smi-spec.io/v1alpha3"}`

func TestMeshListEmpty(t *testing.T) {
	require.Equal(t, "No osm mesh control planes found\n", newWorld(t).succeeds("mesh", "list"))
}

func TestMeshList(t *testing.T) {
	w := newWorld(t, controller("osm", "osm-system"), controllerPod("osm-system"), controller("two", "two-system"),
		member("bookstore", "osm"), member("bookbuyer", "osm"))
	var asked []PodPort
	w.podGet = func(target PodPort, localPort uint16, path string) ([]byte, error) {
		asked = append(asked, target)
		require.Equal(t, "/smi/version", path)
		require.EqualValues(t, 9091, localPort)
		return []byte(smiVersions), nil
	}
	require.Equal(t, `
MESH NAME   MESH NAMESPACE   VERSION   ADDED NAMESPACES
osm         osm-system       v1.3.0    bookbuyer,bookstore
two         two-system       v1.3.0    

MESH NAME   MESH NAMESPACE   SMI SUPPORTED
osm         osm-system       HTTPRouteGroup:v1alpha4,TCPRoute:v1alpha4,TrafficSplit:v1alpha2,TrafficTarget:v1alpha3
two         two-system       Unknown

To list the OSM controller pods for a mesh, please run the following command passing in the mesh's namespace
	kubectl get pods -n <osm-mesh-namespace> -l app=osm-controller
`, w.succeeds("mesh", "list"))
	require.Equal(t, []PodPort{{Namespace: "osm-system", Pod: "osm-controller-1", Port: 9091}}, asked)
}

// A busy local port costs nothing but a second try on a free one.
func TestMeshListBusyPort(t *testing.T) {
	w := newWorld(t, controller("osm", "osm-system"), controllerPod("osm-system"))
	w.podGet = func(_ PodPort, localPort uint16, _ string) ([]byte, error) {
		if localPort != 0 {
			return nil, errors.New("address already in use")
		}
		return []byte(smiVersions), nil
	}
	require.Contains(t, w.succeeds("mesh", "list", "-p", "4321"), "TrafficSplit:v1alpha2")
}

func TestMeshListUnlabelledVersion(t *testing.T) {
	d := controller("osm", "osm-system")
	delete(d.Labels, names.LabelAppVersion)
	require.Contains(t, newWorld(t, d).succeeds("mesh", "list"), "osm         osm-system       Unknown   \n")
}

func TestMeshListFailure(t *testing.T) {
	w := newWorld(t)
	w.kube.PrependReactor("list", "deployments", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("no route to host")
	})
	require.Equal(t, "Error: Unable to list meshes within the cluster.\nCould not list deployments no route to host\n", w.fails("mesh", "list"))
}

func TestNoCluster(t *testing.T) {
	w := newWorld(t)
	w.connect = errors.New("Error fetching kubeconfig: no configuration")
	for _, args := range [][]string{
		{"mesh", "list"}, {"namespace", "list"}, {"namespace", "add", "x"}, {"namespace", "remove", "x"}, {"namespace", "ignore", "x"},
		{"install"}, {"mesh", "upgrade"}, {"uninstall", "mesh"}, {"proxy", "get", "ready", "p"}, {"version"},
	} {
		require.Equal(t, "Error: Error fetching kubeconfig: no configuration\n", w.fails(args...), args)
	}
}

func TestProxyGet(t *testing.T) {
	meshed := controllerPod("bookbuyer")
	meshed.Name, meshed.Labels = "buyer", map[string]string{names.LabelProxyUUID: "1"}
	pending := meshed.DeepCopy()
	pending.Name, pending.Status.Phase = "pending", corev1.PodPending
	plain := controllerPod("bookbuyer")
	plain.Name = "plain"
	w := newWorld(t, meshed, pending, plain)
	w.podGet = func(target PodPort, localPort uint16, path string) ([]byte, error) {
		require.Equal(t, PodPort{Namespace: "bookbuyer", Pod: "buyer", Port: 15000}, target)
		require.EqualValues(t, 15000, localPort)
		require.Equal(t, "config_dump?include_eds", path)
		return []byte("{no newline}"), nil
	}
	require.Equal(t, "{no newline}", w.succeeds("proxy", "get", "config_dump?include_eds", "buyer", "-n", "bookbuyer"))
	require.Equal(t, "Error: pod bookbuyer/plain is not a part of a mesh\n", w.fails("proxy", "get", "ready", "plain", "-n", "bookbuyer"))
	require.Equal(t, "Error: pod bookbuyer/pending is not running\n", w.fails("proxy", "get", "ready", "pending", "-n", "bookbuyer"))
	require.Equal(t, "Error: error getting pod default/buyer: pods \"buyer\" not found\n", w.fails("proxy", "get", "ready", "buyer"))
	w.podGet = func(PodPort, uint16, string) ([]byte, error) {
		return nil, &statusError{url: "u", status: "503 Service Unavailable", body: []byte("INITIALIZING\n")}
	}
	require.Equal(t, "INITIALIZING\n", w.succeeds("proxy", "get", "ready", "buyer", "-n", "bookbuyer"), "the answer is printed, whatever its status")
	w.podGet = nil
	require.Equal(t, "Error: Error retrieving proxy config for pod buyer in namespace bookbuyer: the pod does not answer\n",
		w.fails("proxy", "get", "ready", "buyer", "-n", "bookbuyer"))
}

func TestVersion(t *testing.T) {
	const client = `CLI Version: version.Info{Version:"v1.3.0-dev", GitCommit:"unknown", BuildDate:"unknown"}` + "\n"
	w := newWorld(t)
	require.Equal(t, client, w.succeeds("version", "--client-only"))
	require.Equal(t, client+"Unable to find OSM control plane in the cluster\n", w.succeeds("version"))

	w = newWorld(t, controller("osm", "osm-system"), controllerPod("osm-system"))
	w.kube.PrependProxyReactor("pods", func(action k8stesting.Action) (bool, rest.ResponseWrapper, error) {
		get := action.(k8stesting.ProxyGetAction)
		require.Equal(t, []string{"osm-controller-1", "9091", "/version"}, []string{get.GetName(), get.GetPort(), get.GetPath()})
		return true, answer(`{"version":"v1.3.0","git_commit":"abc","build_date":"2026-01-02"}`), nil
	})
	require.Equal(t, client+`
MESH NAME   MESH NAMESPACE   VERSION   GIT COMMIT   BUILD DATE
osm         osm-system       v1.3.0    abc          2026-01-02
`, w.succeeds("version", "--version-only"))

	w = newWorld(t, controller("osm", "osm-system"))
	require.Equal(t, "Error: Failed to get mesh version for mesh osm in namespace osm-system: no pod of osm-controller is running in namespace osm-system\n",
		w.fails("version"))
}
