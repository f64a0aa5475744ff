#!/usr/bin/env bash
# Prints Contour's own example manifests, out of its Go module, for a cluster that pulls nothing, has no load balancer and
# waits for no connection to drain. Contour calls its upstreams with the certificate that the mesh issues for it.
# Run it in the root of the repository.
set -euo pipefail
dir=$(go -C tools/contour list -m -f '{{.Dir}}' github.com/projectcontour/contour)/examples/contour
envoy=${ENVOY_IMAGE:-envoyproxy/envoy-distroless:v1.40.0}
cat "$dir"/*-crds.yaml
for file in "$dir"/*.yaml; do
	[[ $file == *-crds.yaml ]] && continue
	echo ---
	sed -e 's|image: .*/contour:\(.*\)|image: projectcontour/contour:\1|' \
		-e "s|image: .*/envoy:.*|image: $envoy|" \
		-e '/hostPort:/d' -e '/externalTrafficPolicy:/d' \
		-e 's/replicas: 2/replicas: 1/' -e 's/type: LoadBalancer/type: ClusterIP/' \
		-e 's/terminationGracePeriodSeconds: 300/terminationGracePeriodSeconds: 1/' \
		-e 's/^      envoy-client-certificate:$/      envoy-client-certificate: {name: osm-contour-envoy-client-cert, namespace: osm-system}/' "$file"
done
