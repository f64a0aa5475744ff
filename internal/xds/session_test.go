package xds

import (
	"fmt"
	"strings"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/testkit/xdstest"
)

// script drives a session by hand and records what it says, one line a response: "CDS +a +b -c".
type script struct {
	t   *testing.T
	s   *Session
	now time.Time
	eps map[string]*envoy.Resource
	// unanswered is the nonce of the last response by type.
	unanswered map[envoy.TypeURL]string
}

func newScript(t *testing.T, list ...*envoy.Resource) *script {
	x := &script{t: t, s: NewSession(ownCert), now: time.Unix(1000, 0), eps: map[string]*envoy.Resource{}, unanswered: map[envoy.TypeURL]string{}}
	x.want(list...)
	return x
}

func (x *script) want(list ...*envoy.Resource) {
	x.s.SetDesired(Desired{Generation: x.s.Generation() + 1, Config: envoy.NewResources(list), Endpoints: func(c string) *envoy.Resource { return x.eps[c] }})
}

var kinds = map[envoy.TypeURL]string{envoy.Secret: "SDS", envoy.Cluster: "CDS", envoy.Endpoint: "EDS", envoy.Listener: "LDS", envoy.Route: "RDS"}

// says checks the responses that are due now.
func (x *script) says(want ...string) {
	x.t.Helper()
	var got []string
	for _, resp := range x.s.Says(x.now) {
		t := envoy.TypeURL(resp.GetTypeUrl())
		line := kinds[t]
		for _, r := range resp.GetResources() {
			line += " +" + r.GetName()
		}
		for _, n := range resp.GetRemovedResources() {
			line += " -" + n
		}
		x.unanswered[t] = resp.GetNonce()
		got = append(got, line)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		x.t.Fatalf("responses (-want +got):\n%s", diff)
	}
}

func (x *script) hears(req *discovery.DeltaDiscoveryRequest) *Outcome {
	x.t.Helper()
	out, err := x.s.Hears(x.now, req)
	require.NoError(x.t, err)
	return out
}

func (x *script) subscribe(t envoy.TypeURL, names ...string) {
	x.t.Helper()
	x.hears(&discovery.DeltaDiscoveryRequest{TypeUrl: string(t), ResourceNamesSubscribe: names})
}

func (x *script) ack(t envoy.TypeURL) {
	x.t.Helper()
	require.NotNil(x.t, x.hears(&discovery.DeltaDiscoveryRequest{TypeUrl: string(t), ResponseNonce: x.unanswered[t]}))
}

func (x *script) nack(t envoy.TypeURL, message string) {
	x.t.Helper()
	out := x.hears(&discovery.DeltaDiscoveryRequest{TypeUrl: string(t), ResponseNonce: x.unanswered[t], ErrorDetail: &rpcstatus.Status{Code: 13, Message: message}})
	require.Equal(x.t, message, out.Refused)
}

func TestTheFirstAnswerComesEvenWhenThereIsNothing(t *testing.T) {
	for name, first := range map[string][]string{"by asterisk": {"*"}, "by the older, empty form": nil} {
		t.Run(name, func(t *testing.T) {
			x := newScript(t)
			x.subscribe(envoy.Cluster, first...)
			x.subscribe(envoy.Listener, first...)
			x.says("CDS", "LDS")
			x.ack(envoy.Cluster)
			x.ack(envoy.Listener)
			x.says()
			require.True(t, x.s.Settled())
		})
	}
}

func TestNothingIsSaidBeforeThereIsAConfiguration(t *testing.T) {
	x := &script{t: t, s: NewSession(ownCert), now: time.Unix(1000, 0), unanswered: map[envoy.TypeURL]string{}}
	x.subscribe(envoy.Cluster, "*")
	x.says()
}

func TestMakeBeforeBreak(t *testing.T) {
	x := newScript(t, xdstest.Cluster("a", 1), xdstest.Route("r", 1, "a"), xdstest.Listener("l", 0, 1, []string{"r"}, nil))
	x.subscribe(envoy.Cluster, "*")
	x.subscribe(envoy.Listener, "*")
	x.says("CDS +a", "LDS +l") // the listener names no cluster itself
	x.ack(envoy.Cluster)
	x.ack(envoy.Listener)
	x.subscribe(envoy.Route, "r")
	x.says() // the cluster is not warm
	x.subscribe(envoy.Endpoint, "a")
	x.says("EDS +a")
	x.ack(envoy.Endpoint)
	x.says("RDS +r")
	x.ack(envoy.Route)
	x.says()
	require.True(t, x.s.Settled())

	// The route moves from a to b: b comes, is warmed, the route moves, a goes.
	x.want(xdstest.Cluster("b", 1), xdstest.Route("r", 1, "b"), xdstest.Listener("l", 0, 1, []string{"r"}, nil))
	x.says("CDS +b")
	x.ack(envoy.Cluster)
	x.says()
	x.subscribe(envoy.Endpoint, "b")
	x.says("EDS +b")
	x.ack(envoy.Endpoint)
	x.says("RDS +r")
	require.False(t, x.s.Settled())
	x.ack(envoy.Route)
	x.says("CDS -a")
	x.ack(envoy.Cluster)
	x.hears(&discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Endpoint), ResourceNamesUnsubscribe: []string{"a"}})
	x.says()
	require.True(t, x.s.Settled())
}

func TestAClientThatNeverSubscribesEndpointsIsWaitedForATime(t *testing.T) {
	x := newScript(t, xdstest.Cluster("a", 1), xdstest.Listener("l", 0, 1, nil, []string{"a"}))
	x.subscribe(envoy.Cluster, "*")
	x.subscribe(envoy.Listener, "*")
	x.says("CDS +a")
	x.ack(envoy.Cluster)
	x.says()
	require.Equal(t, x.now.Add(warmLimit), x.s.Deadline())
	x.now = x.now.Add(warmLimit)
	x.says("LDS +l")
}

func TestAChangedClusterGetsItsEndpointsOnceMore(t *testing.T) {
	x := newScript(t, xdstest.Cluster("a", 1))
	x.eps["a"] = xdstest.Endpoints("a", 1, 80)
	x.subscribe(envoy.Cluster, "*")
	x.says("CDS +a")
	x.subscribe(envoy.Endpoint, "a")
	x.says("EDS +a")
	x.ack(envoy.Cluster)
	x.ack(envoy.Endpoint)
	x.says()
	x.want(xdstest.Cluster("a", 2))
	x.says("CDS +a", "EDS +a")
	x.ack(envoy.Cluster)
	x.ack(envoy.Endpoint)
	x.says()
}

func TestAReconnectThatLostTheEndpointsOfAChangedClusterGetsThem(t *testing.T) {
	one, two, eps := xdstest.Cluster("a", 1), xdstest.Cluster("a", 2), xdstest.Endpoints("a", 1, 80)
	for name, tc := range map[string]struct {
		cluster, with string
		want          []string
	}{
		"all is as it was":                       {two.Version, two.Version, []string{"CDS"}},
		"the cluster came, its endpoints not":    {two.Version, one.Version, []string{"CDS", "EDS +a"}},
		"neither came":                           {one.Version, one.Version, []string{"CDS +a", "EDS +a"}},
		"endpoints of a server without clusters": {two.Version, "", []string{"CDS", "EDS +a"}},
	} {
		t.Run(name, func(t *testing.T) {
			x := newScript(t, two)
			x.eps["a"] = eps
			x.hears(&discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Cluster), InitialResourceVersions: map[string]string{"a": tc.cluster}})
			x.hears(&discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Endpoint), ResourceNamesSubscribe: []string{"a"}, InitialResourceVersions: map[string]string{"a": wire(eps, tc.with)}})
			x.says(tc.want...)
		})
	}
}

func TestAReconnectTellsWhatIsGone(t *testing.T) {
	x := newScript(t, xdstest.Listener("new", 0, 1, nil, nil))
	old := map[string]string{"old": "v1"}
	x.hears(&discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Cluster), ResourceNamesSubscribe: []string{"*"}, InitialResourceVersions: old})
	x.says() // listeners and routes that the client has yet to tell of may need the old cluster
	x.hears(&discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Listener), ResourceNamesSubscribe: []string{"*"}, InitialResourceVersions: old})
	x.says("LDS +new")
	x.ack(envoy.Listener)
	x.says("LDS -old")
	x.ack(envoy.Listener)
	x.says("CDS -old")
}

func TestAReconnectIsCompleteOnceAllIsClaimed(t *testing.T) {
	a, eps := xdstest.Cluster("a", 1), xdstest.Endpoints("a", 1, 80)
	x := newScript(t, a, xdstest.Route("r", 2, "a"))
	x.eps["a"] = eps
	claim := func(typ envoy.TypeURL, name, version string) {
		subscribe := []string{name}
		if typ == envoy.Cluster {
			subscribe = []string{"*"}
		}
		x.hears(&discovery.DeltaDiscoveryRequest{TypeUrl: string(typ), ResourceNamesSubscribe: subscribe, InitialResourceVersions: map[string]string{name: version}})
	}
	claim(envoy.Cluster, "a", a.Version)
	x.says("CDS")
	x.ack(envoy.Cluster)
	x.subscribe(envoy.Listener, "*")
	x.says("LDS")
	x.ack(envoy.Listener)
	claim(envoy.Route, "r", xdstest.Route("r", 1, "a").Version)
	x.says() // the cluster may be cold
	require.False(t, x.s.Settled())
	claim(envoy.Endpoint, "a", wire(eps, a.Version))
	x.says("RDS +r") // it is not, and nothing waits for a limit to pass
	x.ack(envoy.Route)
	x.says()
	require.True(t, x.s.Settled())
}

func TestARefusedResponseIsHalved(t *testing.T) {
	for bad := range 4 {
		t.Run(fmt.Sprint("bad ", bad), func(t *testing.T) {
			var list []*envoy.Resource
			for i := range 4 {
				list = append(list, xdstest.Cluster(fmt.Sprint("c", i), 1))
			}
			x := newScript(t, list...)
			x.subscribe(envoy.Cluster, "*")
			name, responses := fmt.Sprint("c", bad), 0
			for range 20 {
				out := x.s.Says(x.now)
				if len(out) == 0 {
					break
				}
				responses++
				x.unanswered[envoy.Cluster] = out[0].GetNonce()
				found := false
				for _, r := range out[0].GetResources() {
					found = found || r.GetName() == name
				}
				if found {
					x.nack(envoy.Cluster, "no")
				} else {
					x.ack(envoy.Cluster)
				}
			}
			require.LessOrEqual(t, responses, 5) // four; two and two; one and one
			require.Len(t, x.s.Held(envoy.Cluster), 3)
			require.Equal(t, []Rejection{{Type: envoy.Cluster, Name: name, Version: list[bad].Version, Message: "no"}}, x.s.Rejections())
		})
	}
}

func TestARefusedRouteKeepsWhatItsPredecessorNeeds(t *testing.T) {
	x := newScript(t, xdstest.Cluster("a", 1), xdstest.Route("r", 1, "a"), xdstest.Listener("l", 0, 1, []string{"r"}, nil))
	for _, typ := range []envoy.TypeURL{envoy.Cluster, envoy.Listener} {
		x.subscribe(typ, "*")
	}
	x.says("CDS +a", "LDS +l")
	x.subscribe(envoy.Endpoint, "a")
	x.subscribe(envoy.Route, "r")
	x.ack(envoy.Cluster)
	x.ack(envoy.Listener)
	x.says("EDS +a")
	x.ack(envoy.Endpoint)
	x.says("RDS +r")
	x.ack(envoy.Route)
	x.says()

	x.want(xdstest.Cluster("b", 1), xdstest.Route("r", xdstest.Bad, "b"), xdstest.Listener("l", 0, 1, []string{"r"}, nil))
	x.says("CDS +b")
	x.subscribe(envoy.Endpoint, "b")
	x.ack(envoy.Cluster)
	x.says("EDS +b")
	x.ack(envoy.Endpoint)
	x.says("RDS +r")
	x.nack(envoy.Route, "bad")
	x.says() // a stays
	require.True(t, x.s.Settled(), "what was refused holds nothing up")
	x.want(xdstest.Cluster("b", 1), xdstest.Route("r", 2, "b"), xdstest.Listener("l", 0, 1, []string{"r"}, nil))
	x.says("RDS +r")
	x.ack(envoy.Route)
	x.says("CDS -a")
	require.Empty(t, x.s.Rejections())
}

func TestOnlyOneOwedPush(t *testing.T) {
	x := newScript(t, xdstest.Cluster("a", 1))
	x.subscribe(envoy.Cluster, "*")
	x.says("CDS +a")
	for rev := 2; rev < 10; rev++ { // while the first is unanswered
		x.want(xdstest.Cluster("a", rev))
		x.says()
	}
	x.ack(envoy.Cluster)
	x.says("CDS +a")
	x.ack(envoy.Cluster)
	x.says()
	require.Equal(t, map[string]string{"a": xdstest.Cluster("a", 9).Version}, x.s.Held(envoy.Cluster))
}

func TestStaleAndRepeatedNoncesMeanNothing(t *testing.T) {
	x := newScript(t, xdstest.Cluster("a", 1))
	x.subscribe(envoy.Cluster, "*")
	x.says("CDS +a")
	for _, nonce := range []string{"", "0", "17", "x"} {
		require.Nil(t, x.hears(&discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Cluster), ResponseNonce: nonce}))
	}
	require.False(t, x.s.Settled())
	x.ack(envoy.Cluster)
	require.Nil(t, x.hears(&discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Cluster), ResponseNonce: x.unanswered[envoy.Cluster]}))
}

func TestNamesThatAreNotThisProxysAreToldNotToExist(t *testing.T) {
	x := newScript(t, xdstest.Cluster("mine", 1), xdstest.Secret("root-mine", 1))
	x.eps["theirs"] = xdstest.Endpoints("theirs", 1, 80)
	x.subscribe(envoy.Cluster, "*")
	x.says("CDS +mine")
	x.ack(envoy.Cluster)
	x.subscribe(envoy.Endpoint, "mine", "theirs")
	x.says("EDS +mine") // the endpoints are known to be none: an empty assignment
	x.ack(envoy.Endpoint)
	x.says("EDS -theirs")
	x.subscribe(envoy.Secret, "root-mine", "service-cert:other/sa")
	x.says("SDS +root-mine")
	x.ack(envoy.Secret)
	x.says("SDS -service-cert:other/sa")
}

func TestASubscribedNameIsSentAgainWhenItIsSubscribedAgain(t *testing.T) {
	x := newScript(t, xdstest.Secret("root", 1))
	x.subscribe(envoy.Secret, "root")
	x.says("SDS +root")
	x.ack(envoy.Secret)
	x.says()
	x.subscribe(envoy.Secret, "root")
	x.says("SDS +root")
}

func TestTheCertificateIsWaitedForAndNeverAnothers(t *testing.T) {
	x := newScript(t)
	_, needed := x.s.CertificateNeeded()
	require.False(t, needed)
	x.subscribe(envoy.Secret, ownCert)
	held, needed := x.s.CertificateNeeded()
	require.True(t, needed)
	require.Empty(t, held)
	x.says() // neither sent nor said not to exist
	x.s.SetCertificate(xdstest.Secret(ownCert, 1))
	x.says("SDS +" + ownCert)
	x.ack(envoy.Secret)

	y := newScript(t)
	y.hears(&discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Secret), ResourceNamesSubscribe: []string{ownCert}, InitialResourceVersions: map[string]string{ownCert: "root.1234"}})
	held, needed = y.s.CertificateNeeded()
	require.True(t, needed)
	require.Equal(t, "root.1234", held)
	y.s.AcceptCertificate()
	y.says()
	_, needed = y.s.CertificateNeeded()
	require.False(t, needed)
	y.subscribe(envoy.Secret, ownCert) // it has forgotten it
	held, needed = y.s.CertificateNeeded()
	require.True(t, needed)
	require.Empty(t, held)
}

func TestLimitsOfASession(t *testing.T) {
	x := newScript(t)
	_, err := x.s.Hears(x.now, &discovery.DeltaDiscoveryRequest{TypeUrl: "type.googleapis.com/envoy.service.runtime.v3.Runtime"})
	require.ErrorIs(t, err, ErrUnknownType)
	_, err = x.s.Hears(x.now, &discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Endpoint), ResourceNamesSubscribe: []string{strings.Repeat("x", maxNameLen+1)}})
	require.ErrorIs(t, err, ErrTooMany)

	var list []*envoy.Resource
	for i := range batchCount + 1 {
		list = append(list, xdstest.Secret(fmt.Sprint("s", i), 1))
	}
	y := newScript(t, list...)
	var all []string
	for _, r := range list {
		all = append(all, r.Name)
	}
	y.subscribe(envoy.Secret, all...)
	require.Len(t, y.s.Says(y.now)[0].GetResources(), batchCount)
}

func TestAClusterOnDemandComesWhenItIsAskedFor(t *testing.T) {
	a, b := xdstest.OnDemand(xdstest.Cluster("a", 1), true), xdstest.OnDemand(xdstest.Cluster("b", 1), true)
	rest := []*envoy.Resource{xdstest.Cluster("eager", 1), xdstest.Route("r", 1, "a", "b"), xdstest.Listener("l", 0, 1, []string{"r"}, []string{"a"})}
	x := newScript(t, append(rest, a, b)...)
	x.subscribe(envoy.Cluster, "*")
	x.subscribe(envoy.Listener, "*")
	x.says("CDS +eager", "LDS +l") // though the listener names a
	x.ack(envoy.Cluster)
	x.ack(envoy.Listener)
	x.subscribe(envoy.Endpoint, "eager")
	x.subscribe(envoy.Route, "r")
	x.says("EDS +eager", "RDS +r")
	x.ack(envoy.Endpoint)
	x.ack(envoy.Route)
	x.says()
	require.True(t, x.s.Settled(), "what nobody asked for is not owed")

	x.subscribe(envoy.Cluster, "a")
	x.says("CDS +a")
	x.subscribe(envoy.Endpoint, "a")
	x.ack(envoy.Cluster)
	x.says("EDS +a")
	x.ack(envoy.Endpoint)
	x.says()
	require.True(t, x.s.Settled())

	x.want(append(rest, xdstest.OnDemand(xdstest.Cluster("a", 2), true), xdstest.OnDemand(xdstest.Cluster("b", 2), true))...)
	x.says("CDS +a", "EDS +a") // what it has is kept up to date
	x.ack(envoy.Cluster)
	x.ack(envoy.Endpoint)
	x.says()
	x.want(rest[0])
	x.says("LDS -l")
	x.ack(envoy.Listener)
	x.says("RDS -r")
	x.ack(envoy.Route)
	x.says("CDS -a")
	x.ack(envoy.Cluster)
	x.says("EDS -a")
	x.ack(envoy.Endpoint)
	x.want(rest[0], a)
	x.says("CDS +a", "EDS +a") // it stays subscribed by name
}

func TestWhatIsOnDemandChanges(t *testing.T) {
	eager := func(name string) *envoy.Resource { return xdstest.Cluster(name, 1) }
	later := func(name string) *envoy.Resource { return xdstest.OnDemand(xdstest.Cluster(name, 1), true) }
	x := newScript(t, eager("a"), later("b"))
	x.subscribe(envoy.Cluster, "*")
	x.says("CDS +a")
	x.ack(envoy.Cluster)
	x.want(later("a"), later("b"))
	x.says() // what it has stays and is not sent again
	require.Contains(t, x.s.Held(envoy.Cluster), "a")
	x.want(eager("a"), eager("b"))
	x.says("CDS +b")
	x.ack(envoy.Cluster)
	x.says()
}

func TestAReconnectKeepsClustersOnDemand(t *testing.T) {
	a, b := xdstest.OnDemand(xdstest.Cluster("a", 1), true), xdstest.OnDemand(xdstest.Cluster("b", 1), true)
	x := newScript(t, a, b, xdstest.OnDemand(xdstest.Cluster("c", 1), true), xdstest.OnDemand(xdstest.Cluster("d", 2), true))
	x.hears(&discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Cluster), ResourceNamesSubscribe: []string{"*", "a", "c"},
		InitialResourceVersions: map[string]string{"a": a.Version, "b": b.Version, "d": xdstest.Cluster("d", 1).Version}})
	x.says("CDS +c +d") // a was asked for and b came unasked; d was and is changed; c was asked for while nobody answered
}

func TestAClusterThatIsNotThereIsToldNotToExist(t *testing.T) {
	x := newScript(t, xdstest.Cluster("a", 1))
	x.subscribe(envoy.Cluster, "*")
	x.says("CDS +a")
	x.ack(envoy.Cluster)
	x.subscribe(envoy.Cluster, "b")
	x.says("CDS -b")
	x.ack(envoy.Cluster)
	x.says()
	x.want(xdstest.Cluster("a", 1), xdstest.OnDemand(xdstest.Cluster("b", 1), true))
	x.says("CDS +b")
}

// A name that is asked for while the response that holds it is under way takes no part in the answer, and the others are
// not judged by that.
func TestARefusalWithoutANameAskedForMeanwhile(t *testing.T) {
	x := newScript(t, xdstest.Cluster("bad", 1), xdstest.Cluster("good", 1))
	x.subscribe(envoy.Cluster, "*")
	x.says("CDS +bad +good")
	x.subscribe(envoy.Cluster, "bad")
	x.nack(envoy.Cluster, "no")
	x.says("CDS +good")
	x.ack(envoy.Cluster)
	x.says("CDS +bad")
	x.nack(envoy.Cluster, "no")
	require.Equal(t, "bad", x.s.Rejections()[0].Name)
	require.Contains(t, x.s.Held(envoy.Cluster), "good")
}
