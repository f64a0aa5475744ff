package injector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"openservicemesh.io/osm/internal/app/process"
	"openservicemesh.io/osm/internal/certs"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/internal/core/podpatch"
	"openservicemesh.io/osm/internal/core/rootplan"
	"openservicemesh.io/osm/internal/kube/kubeapi/clientset"
	"openservicemesh.io/osm/internal/kube/rollout"
	"openservicemesh.io/osm/internal/obs"
	"openservicemesh.io/osm/internal/obs/errcode"
	"openservicemesh.io/osm/internal/webhook/announce"
	"openservicemesh.io/osm/internal/webhook/inject"
	"openservicemesh.io/osm/internal/webhook/server"
)

const (
	// lameDuck is how long requests are still taken after the end was announced: the time for every API server to hear
	// that this replica is leaving.
	lameDuck = 5 * time.Second
)

// Run serves until ctx ends. Options have been checked.
func Run(ctx context.Context, o Options, logging *obs.Logging, metrics *obs.Metrics) error {
	log := logging.Logger("osm-injector/main")
	rc, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return fmt.Errorf("reach the cluster: %w", err)
	}
	kube, dyn, err := clients(rc)
	if err != nil {
		return err
	}
	p := &program{
		o: o, kube: kube, dyn: dyn, logging: logging, log: log, metrics: metrics, lameDuck: lameDuck,
		webhookAddr: ":" + strconv.Itoa(names.PortInjectorWebhook), healthAddr: ":" + strconv.Itoa(names.PortControllerHTTP),
	}
	err = p.run(ctx)
	if err != nil {
		p.podEvents().Warn(ctx, certs.EventReason(err), err)
	}
	return err
}

func clients(rc *rest.Config) (kubernetes.Interface, dynamic.Interface, error) {
	kube, err := kubernetes.NewForConfig(rc)
	if err != nil {
		return nil, nil, fmt.Errorf("reach the cluster: %w", err)
	}
	dyn, err := dynamic.NewForConfig(rc)
	if err != nil {
		return nil, nil, fmt.Errorf("reach the cluster: %w", err)
	}
	return kube, dyn, nil
}

// program is the running injector.
type program struct {
	o       Options
	kube    kubernetes.Interface
	dyn     dynamic.Interface
	logging *obs.Logging
	log     *slog.Logger
	metrics *obs.Metrics

	webhookAddr, healthAddr string
	lameDuck                time.Duration

	authority                   *certs.Authority
	cert                        *certs.ServerCert
	cluster                     *inject.Cluster
	webhook                     inject.Configuration
	started, announced, leaving atomic.Bool
	// announcedRoots is the bundle that the webhook configuration has.
	announcedRoots atomic.Pointer[[]byte]
}

// podEvents writes events on the program's own pod.
func (p *program) podEvents() *obs.PodEvents {
	ns := p.o.OSMNamespace
	own := obs.PodClients{Pods: p.kube.CoreV1().Pods(ns), Events: p.kube.CoreV1().Events(ns)}
	return obs.NewPodEvents(own, ns, obs.EnvInjectorPodName, names.Injector, p.log)
}

// start prepares all that can fail for good.
func (p *program) start(ctx context.Context) error {
	var native, sleep bool
	err := certs.Patiently(ctx, p.log, func() (err error) {
		if native, err = nativeSidecars(p.o.SidecarMode, p.kube.Discovery()); err != nil || native {
			return err
		}
		sleep, err = preStopSleep(p.kube.Discovery())
		return err
	})
	if err != nil {
		return err
	}
	name, certLog := pki.WebhookName(names.Injector, p.o.OSMNamespace), p.logging.Logger("certs")
	secrets := clientset.Of(p.kube).Secrets(p.o.OSMNamespace)
	signs := p.o.Provider.Signer(certs.Access{
		Secrets: secrets, Dynamic: p.dyn, Namespace: p.o.OSMNamespace, MeshName: p.o.MeshName, ServerName: name, Log: certLog,
	})
	err = certs.Patiently(ctx, p.log, func() (err error) {
		p.authority, err = certs.Open(ctx, certs.Config{
			Secrets: secrets, Namespace: p.o.OSMNamespace, SecretName: p.o.Provider.CABundleSecretName, MeshName: p.o.MeshName,
			Provider: signs, Log: certLog, Metrics: p.metrics, Events: p.podEvents(),
			Dynamic: p.dyn, ConfigName: p.o.OSMConfigName, TrustDomain: p.o.Provider.TrustDomain,
		})
		return err
	})
	if err != nil {
		return err
	}
	err = certs.Patiently(ctx, p.log, func() (err error) {
		p.cert, err = p.authority.ServerCert(ctx, name)
		return err
	})
	if err != nil {
		return err
	}
	mesh := podpatch.Mesh{Name: p.o.MeshName, Namespace: p.o.OSMNamespace}
	p.webhook = inject.Configuration{
		Name: p.o.WebhookConfigName, Mesh: mesh, Version: p.o.OSMVersion, TimeoutSeconds: p.o.WebhookTimeout, Reconcile: p.o.EnableReconciler,
	}
	p.cluster, err = inject.NewCluster(inject.ClusterConfig{
		Kube: p.kube, Dynamic: p.dyn, MeshConfigName: p.o.OSMConfigName, Log: p.logging.Logger("injector/cluster"),
		RootPEM: p.authority.TrustBundle, RootChanged: p.authority.Changed, OnSettings: p.setLevel,
		Defaults: inject.Defaults{
			Mesh: mesh, Images: p.o.Images, PullPolicy: corev1.PullPolicy(p.o.PullPolicy), NativeSidecar: native, PreStopSleep: sleep, DualStack: p.o.DualStack,
			Verbosity: p.o.Verbosity, ADSName: pki.ADSName(meshid.TrustDomain(p.o.Provider.TrustDomain)),
		},
	})
	return err
}

// run is the whole program until ctx ends or a part of it fails. Probes are answered from the begin.
func (p *program) run(ctx context.Context) error {
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return obs.Serve(serving, p.healthAddr, p.metrics.Mux(map[string]http.Handler{
			"GET " + obs.PathHealthz: obs.Health(p.health),
		}), nil, p.log)
	})
	g.Go(func() error {
		if err := p.start(ctx); err != nil {
			return err
		}
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.webhookAddr)
		if err != nil {
			return errcode.Errorf(errcode.StartingInjectionWebhook, "listen on %s: %w", p.webhookAddr, err)
		}
		p.started.Store(true)
		g.Go(func() error { return p.authority.Run(ctx) })
		g.Go(func() error { p.acknowledgeRoots(ctx); return nil })
		g.Go(func() error { return p.cluster.Run(ctx) })
		g.Go(func() error { return p.announce(ctx) })
		g.Go(func() error {
			return server.Serve(serving, ln, p.cert.GetCertificate, p.logging.Logger("injector/webhook"), p.routes())
		})
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		p.leaving.Store(true)
		if p.started.Load() {
			time.Sleep(p.lameDuck)
		}
		stopServing()
		return nil
	})
	return g.Wait()
}

// routes serves one exact path; all else is 404.
func (p *program) routes() http.Handler {
	i := &inject.Injector{State: p.cluster, Log: p.logging.Logger("injector/webhook")}
	review := server.Review(p.logging.Logger("injector/webhook"), observer{p.metrics}, i.Review)
	mux := http.NewServeMux()
	mux.Handle(names.InjectorWebhookPath, p.metrics.Instrument(names.InjectorWebhookPath, p.onceSynced(review)))
	return mux
}

// onceSynced refuses to judge before the cluster is known; a request can arrive early when another replica has announced
// the webhook.
func (p *program) onceSynced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.cluster.Synced() {
			http.Error(w, "osm-injector has just started and does not know the mesh's namespaces yet; try again", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// health is both probes' answer: ready to inject, and the API server knows it.
func (p *program) health() error {
	switch {
	case p.leaving.Load():
		return errors.New("stopping")
	case !p.started.Load():
		return errors.New("waiting for the mesh's root certificate")
	case !p.cluster.Synced():
		return errors.New("waiting for the mesh's namespaces and MeshConfig")
	case !p.announced.Load():
		return errors.New("waiting for the MutatingWebhookConfiguration to be written")
	}
	return nil
}

// announce keeps the webhook configuration from when the cluster is known.
func (p *program) announce(ctx context.Context) error {
	for !p.cluster.Synced() {
		if !process.Pause(ctx, 20*time.Millisecond, nil) {
			return nil
		}
	}
	me := rollout.Replica{Dynamic: p.dyn, Namespace: p.o.OSMNamespace, Deployment: names.Injector, Version: p.o.OSMVersion}
	keeper := p.webhook.Keeper(p.kube.AdmissionregistrationV1().MutatingWebhookConfigurations(), me.Stays)
	root := &announce.Remembered{Root: p.authority}
	keeper.Keep(ctx, root, p.log, func(first, wrote bool) {
		bundle := root.Bundle
		p.announcedRoots.Store(&bundle)
		p.announced.Store(true)
		switch {
		case first:
			p.log.Info("ready to inject sidecars", "webhook", p.webhook.Name)
		case wrote:
			p.log.Warn("wrote the webhook configuration again", "webhook", p.webhook.Name)
			p.metrics.Reconciled("MutatingWebhookConfiguration")
		}
	})
	return nil
}

// acknowledgeRoots writes how far this replica has come with each root. Its webhook's certificate is renewed by the next
// handshake, and new sidecars are given the present bundle.
func (p *program) acknowledgeRoots(ctx context.Context) {
	pod := os.Getenv(obs.EnvInjectorPodName)
	if pod == "" {
		pod, _ = os.Hostname()
	}
	p.authority.Acknowledge(ctx, certs.Told{
		Component: rootplan.ComponentInjector, Pod: pod,
		Trusting: func(context.Context) bool {
			announced := p.announcedRoots.Load()
			return announced != nil && bytes.Equal(*announced, p.authority.TrustBundle())
		},
		Holding: func(context.Context, string) (int, bool) { return 0, true },
	})
}

func (p *program) setLevel(s podpatch.Settings) {
	if err := p.logging.SetLevel(s.Verbosity); err != nil {
		p.log.Error("MeshConfig spec.observability.osmLogLevel", "error", err)
	}
}

// observer counts reviews.
type observer struct{ m *obs.Metrics }

// AdmissionResponse implements server.Observer.
func (o observer) AdmissionResponse(kind string, allowed bool, _ time.Duration) {
	if kind != "Pod" {
		kind = "other" // the request's word must not make new series
	}
	o.m.Admission(kind, allowed)
}

// Failure implements server.Observer.
func (o observer) Failure(c errcode.Code) { o.m.ErrorCode(c) }
