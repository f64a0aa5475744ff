package plan

import (
	"slices"

	"openservicemesh.io/osm/internal/core/ir"
)

// closeHandshake has the TLS handshake of a chain of bytes refuse whom the chain's rules do not admit. Envoy judges
// those rules at the first byte of the client, and by then the greeting of a server that speaks first would have passed.
func (b *builder) closeHandshake(chain *ir.Chain, secret string) {
	if chain.Access == nil {
		return
	}
	var admitted []string
	for _, r := range chain.Access.Rules {
		if len(r.Ports) == 0 || slices.Contains(r.Ports, chain.Match.Port) {
			admitted = append(admitted, r.Principals...)
		}
	}
	if len(admitted) == 0 {
		admitted = []string{NobodysName}
	}
	slices.Sort(admitted)
	b.trusts[secret] = ir.Trust{Secret: secret, About: chain.About, Names: slices.Compact(admitted)}
	chain.MTLS.TrustSecret = secret
}
