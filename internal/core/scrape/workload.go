package scrape

import (
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"openservicemesh.io/osm/internal/core/meshid"
)

// KindPod is the kind of the workload of a pod without a controller.
const KindPod = "Pod"

const (
	kindReplicaSet = "ReplicaSet"
	kindDeployment = "Deployment"
)

// kind is what the API server takes for the kind of a resource.
var kind = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,62}$`)

// WorkloadOf says what a pod belongs to: its controller, else itself, by a name that it may get only later. A ReplicaSet with a dash in its name is taken for a
// Deployment's, whose name stands before the last dash: dashboards have always had it so, and no further watch is needed.
//
// Whoever creates a pod may write any owner into it, and the API server does not look at the words. What is no name of
// an object could become anything in a label or in Envoy's formats, so it does not count.
func WorkloadOf(pod *corev1.Pod) meshid.Workload {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || !kind.MatchString(owner.Kind) || len(validation.IsDNS1123Subdomain(owner.Name)) > 0 {
		return meshid.Workload{Kind: KindPod, Name: pod.Name}
	}
	if at := strings.LastIndexByte(owner.Name, '-'); owner.Kind == kindReplicaSet && at > 0 {
		return meshid.Workload{Kind: kindDeployment, Name: owner.Name[:at]}
	}
	return meshid.Workload{Kind: owner.Kind, Name: owner.Name}
}
