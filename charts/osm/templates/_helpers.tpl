{{/* Namespace of every object. */}}
{{- define "osm.namespace" -}}
{{- .Values.osm.osmNamespace | default .Release.Namespace -}}
{{- end -}}

{{/* Labels of every object. */}}
{{- define "osm.labels" -}}
app.kubernetes.io/name: openservicemesh.io
app.kubernetes.io/instance: {{ .Values.osm.meshName | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | quote }}
{{- end -}}

{{/* A map of strings, whatever --set made of its values: --set key=true gives a boolean. */}}
{{- define "osm.stringMap" -}}
{{- range $k, $v := . }}
{{ $k | quote }}: {{ $v | toString | quote }}
{{- end }}
{{- end -}}

{{/* Image of one component: dict "root" $ "key" "osmController". A digest stands alone when no tag is asked for. */}}
{{- define "osm.image" -}}
{{- $image := .root.Values.osm.image -}}
{{- $digest := index $image.digest .key -}}
{{- $name := index $image.name .key -}}
{{- $ref := $name -}}
{{- if $image.registry -}}
{{- $ref = printf "%s/%s" (trimSuffix "/" $image.registry) $name -}}
{{- end -}}
{{- if $image.tag -}}
{{- $ref = printf "%s:%v" $ref $image.tag -}}
{{- else if not $digest -}}
{{- $ref = printf "%s:%s" $ref .root.Chart.AppVersion -}}
{{- end -}}
{{- if $digest -}}
{{- $ref = printf "%s@%s" $ref $digest -}}
{{- end -}}
{{- $ref -}}
{{- end -}}

{{- define "osm.tracingAddress" -}}
{{- .Values.osm.tracing.address | default (printf "jaeger.%s.svc.cluster.local" (include "osm.namespace" .)) -}}
{{- end -}}

{{- define "osm.validatorWebhookConfigName" -}}
{{- .Values.osm.validatorWebhook.webhookConfigurationName | default (printf "osm-validator-mesh-%s" .Values.osm.meshName) -}}
{{- end -}}

{{- define "osm.injectorWebhookConfigName" -}}
{{- printf "%s-%s" .Values.osm.webhookConfigNamePrefix .Values.osm.meshName -}}
{{- end -}}

{{/* Tolerations of one component, joined with those of the whole control plane: dict "root" $ "own" <list>. */}}
{{- define "osm.tolerations" -}}
{{- $all := concat (.root.Values.osm.controlPlaneTolerations | default list) (.own | default list) -}}
{{- if $all }}
tolerations:
  {{- toYaml $all | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Where a pod may run: dict "root" $ "own" <values of the component> "app" <label of its pods>. A constraint on their spread
without a selector is about these pods. */}}
{{- define "osm.placement" -}}
{{- with .own.nodeSelector }}
nodeSelector:
  {{- include "osm.stringMap" . | nindent 2 }}
{{- end }}
{{- with .own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- include "osm.tolerations" (dict "root" .root "own" .own.tolerations) }}
{{- $app := .app -}}
{{- with .own.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  {{- toYaml (list (merge (dict) . (dict "labelSelector" (dict "matchLabels" (dict "app" $app))))) | nindent 2 }}
  {{- end }}
{{- end }}
{{- with .root.Values.osm.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Security of a control plane pod. OpenShift assigns users and groups itself and refuses chosen ones. */}}
{{- define "osm.podSecurityContext" -}}
securityContext:
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
  {{- if not (.Capabilities.APIVersions.Has "security.openshift.io/v1") }}
  runAsUser: 1000
  runAsGroup: 3000
  fsGroup: 2000
  supplementalGroups: [5555]
  {{- end }}
{{- end -}}

{{- define "osm.containerSecurityContext" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* Probes on one path pair: dict "port" p "ready" "/health/ready" "alive" "/health/alive". Short periods, because a
mesh is installed as fast as its slowest probe. */}}
{{- define "osm.probes" -}}
readinessProbe:
  httpGet: {path: {{ .ready }}, port: {{ .port }}, scheme: HTTP}
  periodSeconds: 1
  timeoutSeconds: 5
livenessProbe:
  httpGet: {path: {{ .alive }}, port: {{ .port }}, scheme: HTTP}
  initialDelaySeconds: 10
  periodSeconds: 10
  timeoutSeconds: 5
{{- end -}}

{{/* Flags of the certificate provider. The token goes by name of its Secret where one is given. */}}
{{- define "osm.certificateFlags" -}}
{{- $o := .Values.osm -}}
- --certificate-manager={{ $o.certificateProvider.kind }}
- --ca-bundle-secret-name={{ $o.caBundleSecretName }}
- --trust-domain={{ $o.trustDomain }}
{{- if eq $o.certificateProvider.kind "vault" }}
{{- if regexMatch "[/ @?#]" $o.vault.host }}
{{- fail (printf "osm.vault.host %q: want the host name or address of the Vault server alone; osm.vault.protocol and osm.vault.port say the rest" $o.vault.host) }}
{{- end }}
- --vault-host={{ required "osm.vault.host is needed when osm.certificateProvider.kind is vault" $o.vault.host }}
- --vault-port={{ $o.vault.port }}
- --vault-protocol={{ $o.vault.protocol }}
- --vault-role={{ required "osm.vault.role is needed when osm.certificateProvider.kind is vault" $o.vault.role }}
{{- if $o.vault.secret.name }}
- --vault-token-secret-name={{ $o.vault.secret.name }}
- --vault-token-secret-key={{ required "osm.vault.secret.key is needed with osm.vault.secret.name" $o.vault.secret.key }}
{{- else }}
- --vault-token={{ required "osm.vault.token or osm.vault.secret.name is needed when osm.certificateProvider.kind is vault" $o.vault.token }}
{{- end }}
{{- else if eq $o.certificateProvider.kind "cert-manager" }}
{{- if and (eq $o.certmanager.issuerGroup "cert-manager.io") (not (has $o.certmanager.issuerKind (list "Issuer" "ClusterIssuer"))) }}
{{- fail (printf "osm.certmanager.issuerKind %q: want Issuer or ClusterIssuer, or set osm.certmanager.issuerGroup to that of an external issuer" $o.certmanager.issuerKind) }}
{{- end }}
- --cert-manager-issuer-name={{ required "osm.certmanager.issuerName is needed when osm.certificateProvider.kind is cert-manager" $o.certmanager.issuerName }}
- --cert-manager-issuer-kind={{ $o.certmanager.issuerKind }}
- --cert-manager-issuer-group={{ $o.certmanager.issuerGroup }}
{{- end }}
{{- end -}}

{{/* Flags that all three components take. */}}
{{- define "osm.commonFlags" -}}
- --verbosity={{ .Values.osm.controllerLogLevel }}
- --mesh-name={{ .Values.osm.meshName }}
- --osm-namespace={{ include "osm.namespace" . }}
- --osm-config-name=osm-mesh-config
- --osm-version={{ .Chart.AppVersion }}
{{ include "osm.certificateFlags" . }}
- --enable-reconciler={{ .Values.osm.enableReconciler }}
{{- end -}}
