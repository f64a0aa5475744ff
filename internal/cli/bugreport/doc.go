// Package bugreport collects the state of a mesh in one archive that may be shown to others: the engine of `osm support
// bug-report`. Input: a cluster and which pods to look at. Output: a .tar.gz with the control plane's state and logs, the chosen
// sidecars' state and logs, events, policies, and a folder that `osm x render -f` can replay. Keys, tokens, cookies and the
// contents of Secrets are never in it: Secrets are asked for by name only, and everything else is redacted before it is
// written. It imports no other part of the command.
package bugreport
