package certmanager

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// labelMesh marks requests of the mesh, with the mesh's name.
const labelMesh = "openservicemesh.io/certificate-request"

// request is a CertificateRequest (cert-manager.io/v1) for the template and key.
func (c *Client) request(tmpl *x509.Certificate, key crypto.Signer) (*unstructured.Unstructured, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: tmpl.Subject, DNSNames: tmpl.DNSNames, URIs: tmpl.URIs,
	}, key)
	if err != nil {
		return nil, errcode.Errorf(errcode.CreatingCertReq, "cannot make a certificate signing request: %w", err)
	}
	csr := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	obj := &unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{
			"request":  base64.StdEncoding.EncodeToString(csr),
			"duration": tmpl.NotAfter.Sub(c.opts.Now()).Round(time.Minute).String(),
			"isCA":     false,
			"usages":   []any{"digital signature", "server auth", "client auth"},
			"issuerRef": map[string]any{
				"name": c.opts.Issuer.Name, "kind": c.opts.Issuer.Kind, "group": c.opts.Issuer.Group,
			},
		},
	}}
	obj.SetAPIVersion(Resource.GroupVersion().String())
	obj.SetKind(kind)
	obj.SetNamespace(c.opts.Namespace)
	obj.SetGenerateName("osm-")
	obj.SetLabels(map[string]string{names.LabelAppName: names.AppName, names.LabelAppInstance: c.opts.MeshName, labelMesh: c.opts.MeshName})
	return obj, nil
}

// answer is what a CertificateRequest's status says.
type answer struct {
	done bool
	// err is why there will be no certificate, pending why there is none yet.
	err, pending string
	// certificate and ca are PEM.
	certificate, ca []byte
}

func read(obj *unstructured.Unstructured) answer {
	var a answer
	conditions, _, _ := unstructured.NestedSlice(obj.Object, "status", "conditions")
	approved := false
	for _, raw := range conditions {
		m, _ := raw.(map[string]any)
		kind, state := text(m, "type"), text(m, "status")
		reason, message := text(m, "reason"), text(m, "message")
		switch {
		case kind == "Denied" && state == "True":
			a.err = "the request was denied by an approver: " + message
		case kind == "InvalidRequest" && state == "True":
			a.err = "the request was found invalid: " + message
		case kind == "Approved" && state == "True":
			approved = true
		case kind == "Ready" && state == "True":
			a.done = true
		case kind == "Ready" && reason == "Failed":
			a.err = message
		case kind == "Ready":
			a.pending = message
		}
	}
	if a.pending == "" && !a.done {
		a.pending = "nobody has answered the request; is cert-manager running, and does it serve this kind of issuer?"
		if !approved {
			a.pending = "nobody has approved the request; is cert-manager (or another approver) running?"
		}
	}
	if a.done {
		a.certificate, a.ca = bytesAt(obj, "certificate"), bytesAt(obj, "ca")
	}
	return a
}

func text(m map[string]any, key string) string { s, _ := m[key].(string); return s }

// bytesAt decodes a field of the status, which JSON holds as base64.
func bytesAt(obj *unstructured.Unstructured, field string) []byte {
	s, _, _ := unstructured.NestedString(obj.Object, "status", field)
	b, _ := base64.StdEncoding.DecodeString(s)
	return b
}
