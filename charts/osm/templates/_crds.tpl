{{/* The custom resource definitions osm-bootstrap installs and keeps; the same names as in api/crds. */}}
{{- define "osm.crdNames" -}}
- egresses.policy.openservicemesh.io
- extensionservices.config.openservicemesh.io
- httproutegroups.specs.smi-spec.io
- ingressbackends.policy.openservicemesh.io
- meshconfigs.config.openservicemesh.io
- meshrootcertificates.config.openservicemesh.io
- retries.policy.openservicemesh.io
- serviceexports.multicluster.x-k8s.io
- serviceimports.multicluster.x-k8s.io
- tcproutes.specs.smi-spec.io
- telemetries.policy.openservicemesh.io
- trafficsplits.split.smi-spec.io
- traffictargets.access.smi-spec.io
- upstreamtrafficsettings.policy.openservicemesh.io
{{- end -}}

{{/* Metadata of an object that belongs to a hook: dict "root" $ "name" n "hook" h "weight" w "scoped" bool. Failed hooks
leave nothing behind but the job itself, whose log says why. */}}
{{- define "osm.hookMeta" -}}
name: {{ .root.Release.Name }}-{{ .name }}
{{- if .namespaced }}
namespace: {{ include "osm.namespace" .root }}
{{- end }}
labels:
  {{- include "osm.labels" .root | nindent 2 }}
annotations:
  helm.sh/hook: {{ .hook }}
  helm.sh/hook-weight: {{ .weight | quote }}
  helm.sh/hook-delete-policy: {{ .policy }}
{{- end -}}
