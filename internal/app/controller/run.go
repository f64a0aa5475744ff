package controller

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"openservicemesh.io/osm/internal/certs"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/internal/kube/gatewaycert"
	"openservicemesh.io/osm/internal/kube/kubeapi"
	"openservicemesh.io/osm/internal/kube/source"
	"openservicemesh.io/osm/internal/kube/status"
	"openservicemesh.io/osm/internal/kube/tokens"
	"openservicemesh.io/osm/internal/obs"
	"openservicemesh.io/osm/internal/obs/errcode"
	"openservicemesh.io/osm/internal/pipeline"
	"openservicemesh.io/osm/internal/webhook/server"
	"openservicemesh.io/osm/internal/webhook/validate"
	"openservicemesh.io/osm/internal/xds"
)

const (
	// lameDuck is how long streams and reviews are still taken after the end was announced: the time for kube-proxies
	// to stop sending new connections here.
	lameDuck = 2 * time.Second
	// drainPatience is how long streams have to end after that.
	drainPatience = 3 * time.Second
	// findingSettle is how long a finding has to last before it is logged and counted.
	findingSettle = time.Second
)

// addresses are where the program listens; tests choose others.
type addresses struct{ ads, http, debug, webhook, admin string }

func standardAddresses() addresses {
	at := func(port int) string { return ":" + strconv.Itoa(port) }
	return addresses{ads: at(names.PortADS), http: at(names.PortControllerHTTP), debug: at(names.PortControllerDebug), webhook: at(names.PortValidator),
		admin: fmt.Sprintf("127.0.0.1:%d", names.PortControllerAdmin)}
}

// Run works until ctx ends. Options have been checked.
func Run(ctx context.Context, o Options, logging *obs.Logging, metrics *obs.Metrics) error {
	tuneMemory(logging.Logger("osm-controller/memory"))
	kube, dyn, err := connect()
	if err != nil {
		return err
	}
	p := newProgram(o, kube, dyn, logging, metrics, standardAddresses())
	err = p.run(ctx)
	if err != nil {
		p.podEvents().Warn(ctx, certs.EventReason(err), err)
	}
	return err
}

// connect uses the pod's own account, or, outside a pod, the file that KUBECONFIG names.
func connect() (*kubeapi.Clients, dynamic.Interface, error) {
	rc, err := rest.InClusterConfig()
	if file := os.Getenv(clientcmd.RecommendedConfigPathEnvVar); file != "" {
		rc, err = clientcmd.BuildConfigFromFlags("", file)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reach the cluster: %w", err)
	}
	// Where tokens have to be reviewed, reviews come in bursts when proxies reconnect; the default of 5 requests a second
	// would hold them up.
	rc.QPS, rc.Burst = 200, 400
	rc.UserAgent = names.Controller
	dyn, err := dynamic.NewForConfig(rc)
	if err != nil {
		return nil, nil, fmt.Errorf("reach the cluster: %w", err)
	}
	kube, err := kubeapi.New(rc)
	if err != nil {
		return nil, nil, fmt.Errorf("reach the cluster: %w", err)
	}
	return kube, dyn, nil
}

// program is the running controller.
type program struct {
	o       Options
	at      addresses
	kube    *kubeapi.Clients
	dyn     dynamic.Interface
	logging *obs.Logging
	log     *slog.Logger
	metrics *obs.Metrics
	stages  *stages
	// lameDuck is shorter in tests.
	lameDuck time.Duration

	authority *certs.Authority
	issuer    *certs.Issuer
	source    *source.Source
	accounts  *tokens.Accounts
	pipeline  *pipeline.Pipeline
	hub       *xds.Hub
	ads       *grpc.Server
	status    *status.Writer
	gateway   *gatewaycert.Keeper
	debug     *debugServer
	observer  *observer

	// behind is whether the last snapshot could not be turned into a view.
	behind bool
	// views keeps what Apply returns and what the hub gets in one order.
	views sync.Mutex
	// view is the newest.
	view     atomic.Pointer[pipeline.View]
	settings settings
	findings findingLog
	rollout  *rolloutFollower

	started, leaving atomic.Bool
	// announcedRoots is the bundle that the webhook configuration has.
	announcedRoots atomic.Pointer[[]byte]
}

func newProgram(o Options, kube *kubeapi.Clients, dyn dynamic.Interface, l *obs.Logging, m *obs.Metrics, at addresses) *program {
	p := &program{
		o: o, at: at, kube: kube, dyn: dyn, logging: l, metrics: m, log: l.Logger("osm-controller/main"), lameDuck: lameDuck,
		accounts: tokens.NewAccounts(),
	}
	p.debug = newDebugServer(at.debug, p, l.Logger("debugger"))
	p.settings = settings{p: p, level: o.Verbosity}
	p.findings = findingLog{log: l.Logger("policy"), metrics: m, settle: findingSettle}
	p.rollout = newRolloutFollower(p)
	p.stages = newStages(m.Registry(), p.lag)
	p.observer = &observer{metrics: m, stages: p.stages, view: p.view.Load}
	p.status = status.New(status.Options{
		Kube: kube, Dynamic: dyn, MeshName: o.MeshName, Namespace: o.OSMNamespace, Replica: replica(), Log: l.Logger("status"),
		Leading: p.lead,
	})
	p.source = source.New(source.Options{
		Kube: kube, Dynamic: dyn, MeshName: o.MeshName, OSMNamespace: o.OSMNamespace, ConfigName: o.OSMConfigName,
		TrustDomain: meshid.TrustDomain(o.Provider.TrustDomain), Log: l.Logger("k8s"), OnEvent: m.K8sEvent,
	})
	m.CountQueued(p.source.Queued)
	return p
}

// lag is how many proxies are behind, and how many refuse something; before there are streams, none.
func (p *program) lag() (behind, refusing int) {
	if !p.started.Load() {
		return 0, 0
	}
	return p.hub.Lag()
}

// podEvents writes events on the program's own pod.
func (p *program) podEvents() *obs.PodEvents {
	ns := p.o.OSMNamespace
	clients := obs.PodClients{Pods: p.kube.Pods(ns), Events: p.kube.Events(ns)}
	return obs.NewPodEvents(clients, ns, obs.EnvControllerPodName, names.Controller, p.log)
}

// replica is this process's name among replicas.
func replica() string {
	if name := os.Getenv(obs.EnvControllerPodName); name != "" {
		return name
	}
	host, _ := os.Hostname()
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}

// run is the whole program, stage by stage, until ctx ends or a stage fails.
func (p *program) run(ctx context.Context) error {
	// serving outlives ctx by the time proxies and API servers need to turn to another replica.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return obs.Serve(serving, p.at.http, p.routes(), nil, p.log) })
	g.Go(func() error { p.debug.run(serving); return nil })
	g.Go(func() error { return p.serveAdmin(serving) })
	g.Go(func() error { giveBack(ctx); return nil })
	g.Go(func() error {
		webhookCert, adsCert, err := p.certificates(ctx)
		if err != nil {
			return err
		}
		p.pipeline = pipeline.New(p.authority.TrustBundle())
		p.hub = xds.NewHub(p.issuer, xds.Options{
			MaxConnections: p.settings.maxConnections, Observer: p.observer, Log: p.logging.Logger("envoy/ads"),
			Refusals: p.rollout.wake,
		})
		if err := p.serveADS(g, serving, adsCert); err != nil {
			return err
		}
		p.started.Store(true)
		g.Go(func() error { return p.authority.Run(ctx) })
		g.Go(func() error { p.followRoots(ctx); return nil })
		g.Go(func() error { p.acknowledgeRoots(ctx); return nil })
		g.Go(func() error { p.tellRoots(ctx); return nil })
		g.Go(func() error { p.source.Run(ctx, p.deliver); return nil })
		g.Go(func() error { p.accounts.Run(ctx, p.kube.ServiceAccounts("")); return nil })
		g.Go(func() error { p.status.Run(ctx); return nil })
		g.Go(func() error { p.rollout.run(ctx); return nil })
		g.Go(func() error { return p.serveWebhook(serving, webhookCert) })
		g.Go(func() error { p.announce(ctx); return nil })
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		p.leave(stopServing)
		return nil
	})
	return g.Wait()
}

// certificates opens the mesh's root and issues the program's own server certificates.
func (p *program) certificates(ctx context.Context) (webhook, ads *certs.ServerCert, err error) {
	td := meshid.TrustDomain(p.o.Provider.TrustDomain)
	secrets, log := p.kube.Secrets(p.o.OSMNamespace), p.logging.Logger("certs")
	signs := p.o.Provider.Signer(certs.Access{
		Secrets: secrets, Dynamic: p.dyn, Namespace: p.o.OSMNamespace, MeshName: p.o.MeshName, ServerName: pki.ADSName(td), Log: log,
	})
	err = certs.Patiently(ctx, p.log, func() (err error) {
		p.authority, err = certs.Open(ctx, certs.Config{
			Secrets: secrets, Namespace: p.o.OSMNamespace, SecretName: p.o.Provider.CABundleSecretName, MeshName: p.o.MeshName,
			Provider: signs, Log: log, Metrics: p.metrics, Events: p.podEvents(),
			Dynamic: p.dyn, ConfigName: p.o.OSMConfigName, TrustDomain: p.o.Provider.TrustDomain,
		})
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	p.issuer = certs.NewIssuer(p.authority, td)
	p.gateway = gatewaycert.New(gatewaycert.Options{
		Secrets:   func(ns string) gatewaycert.Secrets { return p.kube.Secrets(ns) },
		Authority: p.authority, MeshName: p.o.MeshName, Log: log,
	})
	err = certs.Patiently(ctx, p.log, func() error {
		if webhook, err = p.authority.ServerCert(ctx, pki.WebhookName(names.Validator, p.o.OSMNamespace)); err != nil {
			return err
		}
		ads, err = p.authority.ServerCert(ctx, pki.ADSName(td))
		return err
	})
	return webhook, ads, err
}

// serveADS answers proxies. Until the first view they wait in the hub.
func (p *program) serveADS(g *errgroup.Group, serving context.Context, cert *certs.ServerCert) error {
	srv, err := xds.NewServer(p.hub, p.authenticator(), &tls.Config{GetCertificate: cert.GetCertificate, MinVersion: tls.VersionTLS12})
	if err != nil {
		return errcode.Errorf(errcode.StartingADSServer, "make the ADS server: %w", err)
	}
	ln, err := (&net.ListenConfig{}).Listen(serving, "tcp", p.at.ads)
	if err != nil {
		return errcode.Errorf(errcode.StartingADSServer, "listen for proxies on %s: %w", p.at.ads, err)
	}
	p.ads = srv
	g.Go(func() error { p.hub.Run(serving); return nil })
	g.Go(func() error { return srv.Serve(ln) })
	return nil
}

// authenticator judges the tokens of proxies, by the cluster's published keys where it can.
func (p *program) authenticator() *tokens.Authenticator {
	return tokens.New(tokens.Options{
		Reviews: p.kube.TokenReviews, Audience: names.TokenAudience(p.o.MeshName, p.o.OSMNamespace),
		Keys: p.kube.Raw, Pod: p.identityOf, Account: p.accounts.UID, Judged: p.stages.judged, Log: p.logging.Logger("envoy/ads"),
	})
}

// leave ends the program so that nobody notices: first this replica says that it is not ready, so that no new
// connections come; then it asks proxies to go (GOAWAY) and ends their streams, and they turn to another replica.
func (p *program) leave(stopServing context.CancelFunc) {
	p.leaving.Store(true)
	p.log.Info("stopping")
	if !p.started.Load() {
		stopServing()
		return
	}
	time.Sleep(p.lameDuck)
	gone := make(chan struct{})
	go func() { p.ads.GracefulStop(); close(gone) }()
	stopServing()
	select {
	case <-gone:
	case <-time.After(drainPatience):
		p.ads.Stop()
		<-gone
	}
}

// serveWebhook serves one exact path; all else is 404.
func (p *program) serveWebhook(ctx context.Context, cert *certs.ServerCert) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.at.webhook)
	if err != nil {
		return errcode.Errorf(errcode.StartingValidationWebhook, "listen on %s: %w", p.at.webhook, err)
	}
	log := p.logging.Logger("validator")
	v := validate.Validator{Policies: p.policies, Service: p.hasService, Signs: p.signs}
	mux := http.NewServeMux()
	mux.Handle(names.ValidatorWebhookPath, p.metrics.Instrument(names.ValidatorWebhookPath, server.Review(log, reviews{p.metrics}, v.Review)))
	return server.Serve(ctx, ln, cert.GetCertificate, log, mux)
}
