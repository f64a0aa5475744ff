#!/bin/sh
# Generates the deep copies and CRDs below api/ (see tools/crdgen). With
# --check nothing is written and a file out of date is an error.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root/tools/crdgen"
exec go run . -root "$root" ${1+"-check"}
