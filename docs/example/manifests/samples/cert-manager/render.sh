#!/usr/bin/env bash
# Prints cert-manager's own custom resource definitions, out of its Go module, and its controller, for a cluster that pulls nothing.
# On a cluster that does, install cert-manager as its makers say. Run it in the root of the repository.
set -euo pipefail
dir=$(go -C tools/certmanager list -m -f '{{.Dir}}' github.com/cert-manager/cert-manager)/deploy/crds
for file in "$dir"/*.yaml; do
	echo ---
	cat "$file"
done
echo ---
cat "$(dirname "$0")/controller.yaml"
