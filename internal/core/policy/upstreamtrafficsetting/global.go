package upstreamtrafficsetting

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/re2"
)

const (
	// maxResponseHeaders is Envoy's own bound: one header more, and it refuses the whole configuration.
	maxResponseHeaders = 10
	// maxRegex bounds a header's expression, which every request pays for.
	maxRegex = 256
)

func (s *Setting) global(g *policyv1.GlobalRateLimitSpec) error {
	if g == nil {
		return nil
	}
	if t := g.TCP; t != nil {
		const field = "spec.rateLimit.global.tcp"
		q, err := s.quota(field, t.RateLimitService, t.Domain, t.Timeout, t.FailOpen)
		if err != nil {
			return err
		}
		list, err := tcpDescriptors(field, t.Descriptors)
		if err != nil {
			return err
		}
		s.ConnectionQuota = &ir.ConnectionQuota{Quota: q, Descriptors: list}
	}
	if h := g.HTTP; h != nil {
		const field = "spec.rateLimit.global.http"
		q, err := s.quota(field, h.RateLimitService, h.Domain, h.Timeout, h.FailOpen)
		if err != nil {
			return err
		}
		s.RequestQuota = &ir.RequestQuota{Quota: q, Status: uint32(h.ResponseStatusCode),
			XRateLimitHeaders: h.EnableXRateLimitHeaders != nil && *h.EnableXRateLimitHeaders}
		if s.Descriptors, err = descriptors(field, h.Descriptors); err != nil {
			return err
		}
	}
	return nil
}

func tcpDescriptors(field string, in []policyv1.TCPRateLimitDescriptor) ([]ir.Descriptor, error) {
	if len(in) == 0 {
		return nil, fmt.Errorf("%s.descriptors: is empty, so the service would be asked nothing; add a descriptor", field)
	}
	out := make([]ir.Descriptor, 0, len(in))
	for i, d := range in {
		var list []ir.DescriptorEntry
		for j, e := range d.Entries {
			if e.Key == "" || e.Value == "" {
				return nil, fmt.Errorf("%s.descriptors[%d].entries[%d]: key %q and value %q must both be set", field, i, j, e.Key, e.Value)
			}
			list = append(list, ir.DescriptorEntry{Kind: ir.GenericKey, Key: e.Key, Value: e.Value})
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("%s.descriptors[%d].entries: is empty; add an entry", field, i)
		}
		out = append(out, ir.Descriptor{Entries: list})
	}
	return out, nil
}

func descriptors(field string, in []policyv1.HTTPGlobalRateLimitDescriptor) ([]ir.Descriptor, error) {
	var out []ir.Descriptor
	for i, d := range in {
		var list []ir.DescriptorEntry
		for j, e := range d.Entries {
			at := fmt.Sprintf("%s.descriptors[%d].entries[%d]", field, i, j)
			entry, err := entry(at, e)
			if err != nil {
				return nil, err
			}
			list = append(list, entry)
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("%s.descriptors[%d].entries: is empty; add an entry", field, i)
		}
		out = append(out, ir.Descriptor{Entries: list})
	}
	return out, nil
}

func entry(field string, e policyv1.HTTPGlobalRateLimitDescriptorEntry) (ir.DescriptorEntry, error) {
	var found []ir.DescriptorEntry
	if g := e.GenericKey; g != nil {
		if g.Value == "" {
			return ir.DescriptorEntry{}, fmt.Errorf("%s.genericKey.value: is empty", field)
		}
		found = append(found, ir.DescriptorEntry{Kind: ir.GenericKey, Key: g.Key, Value: g.Value})
	}
	if e.RemoteAddress != nil {
		found = append(found, ir.DescriptorEntry{Kind: ir.RemoteAddress})
	}
	if h := e.RequestHeader; h != nil {
		if err := headerName(h.Name); err != nil {
			return ir.DescriptorEntry{}, fmt.Errorf("%s.requestHeader.name: %w", field, err)
		}
		if h.Key == "" {
			return ir.DescriptorEntry{}, fmt.Errorf("%s.requestHeader.key: is empty", field)
		}
		found = append(found, ir.DescriptorEntry{Kind: ir.RequestHeader, Key: h.Key, Header: strings.ToLower(h.Name)})
	}
	if m := e.HeaderValueMatch; m != nil {
		one, err := headerValueMatch(field+".headerValueMatch", m)
		if err != nil {
			return ir.DescriptorEntry{}, err
		}
		found = append(found, one)
	}
	if len(found) != 1 {
		return ir.DescriptorEntry{}, fmt.Errorf("%s: %d of genericKey, remoteAddress, requestHeader and headerValueMatch are set; set exactly one", field, len(found))
	}
	return found[0], nil
}

func headerValueMatch(field string, m *policyv1.HeaderValueMatchDescriptorEntry) (ir.DescriptorEntry, error) {
	out := ir.DescriptorEntry{Kind: ir.HeaderValueMatch, Key: m.Key, Value: m.Value, Not: m.ExpectMatch != nil && !*m.ExpectMatch}
	if m.Value == "" {
		return out, fmt.Errorf("%s.value: is empty", field)
	}
	if len(m.Headers) == 0 {
		return out, fmt.Errorf("%s.headers: is empty; add a condition", field)
	}
	for i, h := range m.Headers {
		c := ir.HeaderCondition{
			Name: strings.ToLower(h.Name), Exact: h.Exact, Prefix: h.Prefix, Suffix: h.Suffix, Regex: h.Regex, Contains: h.Contains, Present: h.Present,
		}
		if err := condition(c); err != nil {
			return out, fmt.Errorf("%s.headers[%d]: %w", field, i, err)
		}
		out.Headers = append(out.Headers, c)
	}
	return out, nil
}

func condition(c ir.HeaderCondition) error {
	if err := headerName(c.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	set := 0
	for _, s := range []string{c.Exact, c.Prefix, c.Suffix, c.Regex, c.Contains} {
		if s != "" {
			set++
		}
	}
	if c.Present != nil {
		set++
	}
	if set != 1 {
		return fmt.Errorf("%d of exact, prefix, suffix, regex, contains and present are set; set exactly one", set)
	}
	if len(c.Regex) > maxRegex {
		return fmt.Errorf("regex: %d characters are too many; use at most %d", len(c.Regex), maxRegex)
	}
	if err := re2.Check(c.Regex); err != nil {
		return fmt.Errorf("regex: %w", err)
	}
	return nil
}

func validHeader(name, value string) error {
	if err := headerName(name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if errs := strings.IndexFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }); errs >= 0 {
		return fmt.Errorf("value: %q holds control characters", value)
	}
	return nil
}

// headerName checks that a header can bear the name (RFC 9110, 5.6.2: a token). Pseudo-headers, and host, are not for adding
// or counting by.
func headerName(s string) error {
	token := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	}
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !token(r) }) {
		return fmt.Errorf("%q is not the name of a header", s)
	}
	if strings.EqualFold(s, "host") {
		return fmt.Errorf("%q is a header that the proxy does not let anybody touch; use another", s)
	}
	return nil
}

// validHost checks a host name or IP address.
func validHost(s string) error {
	if _, err := netip.ParseAddr(s); err == nil {
		return nil
	}
	if len(validation.IsDNS1123Subdomain(strings.ToLower(s))) > 0 {
		return errors.New("\"" + s + "\" is neither a host name nor an IP address")
	}
	return nil
}
