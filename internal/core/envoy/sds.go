package envoy

import (
	"cmp"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"openservicemesh.io/osm/internal/core/envoy/filters"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/names"
)

const nameTLS = "envoy.transport_sockets.tls"

// ServiceCert encodes a workload certificate. The version is the caller's: it names the root and the expiry, so that
// any controller can tell from a proxy's claim whether the certificate it holds is still good.
func ServiceCert(name, version string, chainPEM, keyPEM []byte) (*Resource, error) {
	r, err := NewResource(Secret, name, &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{
		TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: inline(chainPEM), PrivateKey: inline(keyPEM)}}})
	if err != nil {
		return nil, err
	}
	r.Version = version
	return r, nil
}

func (t *translator) trust(trust ir.Trust, roots Bundle) {
	from := struct {
		Trust ir.Trust
		Roots []byte
	}{trust, roots}
	t.once(from, func() (*Resource, error) {
		v := &tlsv3.CertificateValidationContext{TrustedCa: inline(roots), MatchTypedSubjectAltNames: exactNames(trust.Names)}
		return NewResource(Secret, trust.Secret, &tlsv3.Secret{Name: trust.Secret, Type: &tlsv3.Secret_ValidationContext{ValidationContext: v}})
	})
}

func exactNames(list []string) []*tlsv3.SubjectAltNameMatcher {
	var out []*tlsv3.SubjectAltNameMatcher
	for _, n := range list {
		out = append(out, &tlsv3.SubjectAltNameMatcher{
			SanType: tlsv3.SubjectAltNameMatcher_DNS,
			Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: n}}})
	}
	return out
}

// upstreamTLS puts the accepted names into the cluster: Envoy adds the root of the shared secret to them.
func upstreamTLS(c ir.Cluster, tls ir.TLS) *corev3.TransportSocket {
	common := commonTLS(c.CertSecret, c.TrustSecret, tls)
	common.ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{
		CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext:         &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: exactNames(c.Accepted)},
			ValidationContextSdsSecretConfig: common.GetValidationContextSdsSecretConfig(),
		}}
	common.AlpnProtocols = []string{cmp.Or(c.ALPN, names.ALPNMesh)}
	return tlsSocket(&tlsv3.UpstreamTlsContext{CommonTlsContext: common, Sni: c.ServerName})
}

func downstreamTLS(m ir.MTLS, alpn string, tls ir.TLS) *corev3.TransportSocket {
	common := commonTLS(m.CertSecret, m.TrustSecret, tls)
	common.AlpnProtocols = []string{alpn}
	return tlsSocket(&tlsv3.DownstreamTlsContext{
		CommonTlsContext:         common,
		RequireClientCertificate: wrapperspb.Bool(true),
	})
}

func commonTLS(cert, trust string, tls ir.TLS) *tlsv3.CommonTlsContext {
	return &tlsv3.CommonTlsContext{
		TlsParams: &tlsv3.TlsParameters{
			TlsMinimumProtocolVersion: tlsVersion(tls.MinVersion),
			TlsMaximumProtocolVersion: tlsVersion(tls.MaxVersion),
			CipherSuites:              tls.CipherSuites,
			EcdhCurves:                tls.Curves,
		},
		AlpnProtocols:                  []string{names.ALPNMesh},
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: cert, SdsConfig: filters.ADS()}},
		ValidationContextType: &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
			ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: trust, SdsConfig: filters.ADS()}},
	}
}

// tlsVersion reads MeshConfig's word; an unknown or empty one is Envoy's own default.
func tlsVersion(s string) tlsv3.TlsParameters_TlsProtocol {
	return tlsv3.TlsParameters_TlsProtocol(tlsv3.TlsParameters_TlsProtocol_value[s])
}

func tlsSocket(m proto.Message) *corev3.TransportSocket {
	return &corev3.TransportSocket{Name: nameTLS, ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: filters.Any(m)}}
}

func inline(b []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
}
