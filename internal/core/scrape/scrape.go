package scrape

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"openservicemesh.io/osm/internal/core/names"
)

// Keys are the annotations that Announce and Withdraw write or remove.
var Keys = append(slices.Clone(users), names.AnnotationOwnMetrics)

// users are the annotations by which Prometheus finds its way to a pod. A scheme is for the application's port alone: the
// sidecar's speaks plain HTTP.
var users = []string{names.AnnotationScrape, names.AnnotationScrapePort, names.AnnotationScrapePath, names.AnnotationScrapeScheme}

// defaultPath is Prometheus' own.
const defaultPath = "/metrics"

// maxPath bounds a path; more is a mistake.
const maxPath = 1024

// path is what may stand for a path in a request without being encoded, and encoded characters.
var path = regexp.MustCompile(`^/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*$`)

// Source is where an application shows its metrics, in its own pod, over HTTP.
type Source struct {
	Port uint16 `json:"port,omitempty"`
	Path string `json:"path,omitempty"`
}

// kept is the value of the mesh's annotation, as JSON.
type kept struct {
	// Source is zero when the application's metrics are not to be fetched.
	Source
	// Own are the annotations the user wrote, by key.
	Own map[string]string `json:"own"`
}

// Announce returns annotations that send Prometheus to the sidecar, and warns of what keeps the application's own metrics
// from being served there. Annotations that came from an earlier call are taken for what they were made of.
func Announce(annotations map[string]string, containers []corev1.Container) (out map[string]string, warnings []string) {
	out = Withdraw(annotations)
	k := kept{Own: map[string]string{}}
	for _, key := range users {
		if value, ok := out[key]; ok {
			k.Own[key] = value
		}
		delete(out, key)
	}
	if len(k.Own) > 0 {
		if scraped, _ := strconv.ParseBool(k.Own[names.AnnotationScrape]); scraped {
			var err error
			if k.Source, err = wanted(k.Own, containers); err != nil {
				warnings = append(warnings, err.Error()+": Prometheus gets the sidecar's metrics only, not the application's own")
			}
		}
		// Strings and numbers always have a JSON form.
		text, _ := json.Marshal(k)
		out[names.AnnotationOwnMetrics] = string(text)
	}
	out[names.AnnotationScrape] = "true"
	out[names.AnnotationScrapePort] = strconv.Itoa(names.PortEnvoyMetrics)
	out[names.AnnotationScrapePath] = names.PathPrometheusStats
	return out, warnings
}

// Withdraw returns annotations as the user wrote them. Some that do not lead to the sidecar are the user's already.
func Withdraw(annotations map[string]string) map[string]string {
	out := maps.Clone(annotations)
	if out == nil {
		out = map[string]string{}
	}
	delete(out, names.AnnotationOwnMetrics)
	if annotations[names.AnnotationScrapePort] != strconv.Itoa(names.PortEnvoyMetrics) {
		return out
	}
	for _, key := range users {
		delete(out, key)
	}
	k, _ := read(annotations)
	for _, key := range users {
		if value, ok := k.Own[key]; ok {
			out[key] = value
		}
	}
	return out
}

// Read returns where the sidecar of an annotated pod finds the application's metrics. An annotation that was tampered with
// names nothing.
func Read(annotations map[string]string) (Source, bool) {
	k, ok := read(annotations)
	if !ok || checkPort(k.Port) != "" || checkPath(k.Path) != "" {
		return Source{}, false
	}
	return k.Source, true
}

func read(annotations map[string]string) (k kept, ok bool) {
	text, ok := annotations[names.AnnotationOwnMetrics]
	if !ok {
		return kept{}, false
	}
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		return kept{}, false
	}
	return k, true
}

// wanted reads the user's annotations as Prometheus' usual configuration does.
func wanted(own map[string]string, containers []corev1.Container) (Source, error) {
	if scheme, ok := own[names.AnnotationScrapeScheme]; ok && scheme != "http" {
		return Source{}, fmt.Errorf("the annotation %s is %q, and the sidecar reads the application's metrics over http alone; let the application show them over http on a port that only its own pod reaches", names.AnnotationScrapeScheme, scheme)
	}
	port, err := wantedPort(own, containers)
	if err != nil {
		return Source{}, err
	}
	at := own[names.AnnotationScrapePath]
	if at == "" {
		at = defaultPath
	}
	if !strings.HasPrefix(at, "/") {
		at = "/" + at
	}
	if why := checkPath(at); why != "" {
		return Source{}, fmt.Errorf("the annotation %s is %q, which %s; correct it", names.AnnotationScrapePath, own[names.AnnotationScrapePath], why)
	}
	return Source{Port: port, Path: at}, nil
}

func wantedPort(own map[string]string, containers []corev1.Container) (uint16, error) {
	text, ok := own[names.AnnotationScrapePort]
	if !ok {
		return onlyPort(containers)
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("the annotation %s is %q, which is not a port number; write one from 1 to 65535", names.AnnotationScrapePort, text)
	}
	if why := checkPort(uint16(number)); why != "" {
		return 0, fmt.Errorf("the annotation %s is %q, which %s; write the port on which the application shows its metrics", names.AnnotationScrapePort, text, why)
	}
	return uint16(number), nil
}

// onlyPort is the port that containers declare, if it is one alone.
func onlyPort(containers []corev1.Container) (uint16, error) {
	var ports []uint16
	for _, c := range containers {
		if c.Name == names.ContainerEnvoy || c.Name == names.ContainerHealthcheck {
			continue
		}
		for _, p := range c.Ports {
			if (p.Protocol == "" || p.Protocol == corev1.ProtocolTCP) && checkPort(uint16(p.ContainerPort)) == "" {
				ports = append(ports, uint16(p.ContainerPort))
			}
		}
	}
	slices.Sort(ports)
	ports = slices.Compact(ports)
	if len(ports) != 1 {
		return 0, fmt.Errorf("the annotation %s is missing and the containers declare %d TCP ports; write the port on which the application shows its metrics", names.AnnotationScrapePort, len(ports))
	}
	return ports[0], nil
}

// checkPort says what is wrong with a port. The sidecar's own would lead to its admin interface, or around its rules.
func checkPort(port uint16) string {
	switch {
	case port == 0:
		return "is not a port"
	case names.IsSidecarPort(port):
		return "is a port of the sidecar"
	}
	return ""
}

func checkPath(at string) string {
	switch {
	case len(at) > maxPath:
		return fmt.Sprintf("is longer than %d characters", maxPath)
	case !path.MatchString(at):
		return "is not a path of a URL without a query"
	}
	return ""
}
