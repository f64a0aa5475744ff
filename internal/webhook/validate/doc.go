// Package validate is the validating webhook: it refuses policy objects that cannot mean what their author meant. Input:
// admission requests, and the policies of the newest snapshot for what one object alone does not show. Output: a verdict in
// the words that users and scripts know, warnings about kinds that have no effect yet, and the
// ValidatingWebhookConfiguration. The judging itself is in core/policy, one folder for each kind.
package validate
