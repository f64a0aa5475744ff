package obs

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of the Warning events that a component puts on its own pod.
const (
	ReasonInvalidCLIParameters       = "FatalInvalidCLIParameters"
	ReasonInitializationError        = "FatalInitializationError"
	ReasonInvalidCertificateManager  = "FatalInvalidCertificateManager"
	ReasonCertificateIssuanceFailure = "FatalCertificateIssuanceFailure"
	ReasonCertificateIssuanceRefused = "CertificateIssuanceFailure"
	ReasonCertificateRotationFailure = "CertificateRotationFailure"
)

// Environment variables in which a component finds the name of its own pod.
const (
	EnvControllerPodName = "CONTROLLER_POD_NAME"
	EnvInjectorPodName   = "INJECTOR_POD_NAME"
	EnvBootstrapPodName  = "BOOTSTRAP_POD_NAME"
)

// maxEventMessage is the API server's limit on an event's message, in bytes.
const maxEventMessage = 1024

// eventTimeout keeps a process that is about to exit from waiting for an API server that does not answer.
const eventTimeout = 5 * time.Second

// PodClients are the clients that PodEvents needs, of the own pod's namespace. The interfaces are narrow so that a program
// need not link a whole clientset for an event; the generated clients implement them.
type PodClients struct {
	Pods interface {
		Get(ctx context.Context, name string, opts metav1.GetOptions) (*corev1.Pod, error)
	}
	Events interface {
		Create(ctx context.Context, e *corev1.Event, opts metav1.CreateOptions) (*corev1.Event, error)
	}
}

// PodEvents writes Warning events about one's own pod, so that `kubectl describe pod` tells why it does not start.
type PodEvents struct {
	clients                   PodClients
	namespace, pod, component string
	log                       *slog.Logger
}

// NewPodEvents takes the pod's name from the environment variable env. Without that variable, outside a cluster,
// or with zero PodClients, they go to the log only.
func NewPodEvents(clients PodClients, namespace, env, component string, log *slog.Logger) *PodEvents {
	return &PodEvents{clients: clients, namespace: namespace, pod: os.Getenv(env), component: component, log: log}
}

// Warn writes one event and waits until it is stored. It logs err in any case, at level error; a failure to write the
// event is logged too and nothing more.
func (e *PodEvents) Warn(ctx context.Context, reason string, err error) {
	e.log.Error(reason, "error", err)
	if e.pod == "" || e.clients.Pods == nil || e.clients.Events == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), eventTimeout)
	defer cancel()
	ref := corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: e.namespace, Name: e.pod}
	if pod, getErr := e.clients.Pods.Get(ctx, e.pod, metav1.GetOptions{}); getErr == nil {
		ref.UID, ref.ResourceVersion = pod.UID, pod.ResourceVersion
	}
	now := metav1.Now()
	_, err = e.clients.Events.Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: e.namespace, Name: fmt.Sprintf("%s.%x", e.pod, now.UnixNano())},
		InvolvedObject: ref,
		Type:           corev1.EventTypeWarning,
		Reason:         reason,
		Message:        cut(err.Error(), maxEventMessage),
		Source:         corev1.EventSource{Component: e.component},
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
		ReportingController: e.component, ReportingInstance: e.pod,
	}, metav1.CreateOptions{})
	if err != nil {
		e.log.Warn("cannot write an event on the own pod", "pod", e.namespace+"/"+e.pod, "reason", reason, "error", err)
	}
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "..."
}
