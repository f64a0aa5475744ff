// Package controller is the program osm-controller: it wires a cluster's objects to the proxies that live by them.
//
// Input: flags, a cluster. Output: configuration for every proxy that connects, verdicts on policies, health, metrics.
// The stages, in the order of the data: source (objects → snapshot), pipeline (snapshot → view), hub (view → streams),
// beside them certificates, the validating webhook and the status writer; see program.start and program.run. It holds
// wiring only; what can be tested without a cluster lives in the packages it wires.
package controller
