{{/* The domain of identities. */}}
{{- define "linkerd.trust-domain" -}}
{{ .Values.identityTrustDomain | default .Values.clusterDomain }}
{{- end }}

{{/* name, version and registry of an image: a version that is a digest goes behind an @. */}}
{{- define "linkerd.image" -}}
{{- with .registry }}{{ trimSuffix "/" . }}/{{ splitList "/" $.name | last }}{{ else }}{{ .name }}{{ end -}}
{{- if hasPrefix "sha256:" .version }}@{{ else }}:{{ end }}{{ .version }}
{{- end }}

{{- define "linkerd.controller-image" -}}
{{ include "linkerd.image" (dict "registry" .Values.registry "name" .Values.controllerImage "version" (.Values.controllerImageVersion | default .Values.linkerdVersion)) }}
{{- end }}

{{/* On everything that is rendered. */}}
{{- define "linkerd.created-by" -}}
linkerd.io/created-by: {{ .Values.cliVersion | default (printf "linkerd/helm %s" .Values.linkerdVersion) }}
{{- end }}

{{- define "linkerd.common-labels" -}}
linkerd.io/control-plane-ns: {{ .Release.Namespace }}
app.kubernetes.io/part-of: Linkerd
helm.sh/chart: {{ .Chart.Name }}-{{ replace "+" "_" .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* metadata of an object, from `root` (the template's data), name, component; and kind "cluster" for those without a namespace. */}}
{{- define "linkerd.metadata" -}}
name: {{ .name }}
{{- if ne .scope "cluster" }}
namespace: {{ .root.Release.Namespace }}
{{- end }}
annotations:
  {{- include "linkerd.created-by" .root | nindent 2 }}
  {{- with .annotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
labels:
  {{- with .component }}
  linkerd.io/control-plane-component: {{ . }}
  {{- end }}
  {{- include "linkerd.common-labels" .root | nindent 2 }}
{{- end }}

{{/* Requests and limits from {cpu: {request, limit}, memory: ..., ephemeral-storage: ...}; empty ones are left out. */}}
{{- define "linkerd.resources" -}}
{{- $limits := dict }}
{{- $requests := dict }}
{{- range $name, $of := . }}
{{- if $of.limit }}{{ $limits = merge $limits (dict $name (toString $of.limit)) }}{{ end }}
{{- if $of.request }}{{ $requests = merge $requests (dict $name (toString $of.request)) }}{{ end }}
{{- end }}
{{- if or $limits $requests }}
resources:
  {{- with $limits }}
  limits:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $requests }}
  requests:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The security context of the control plane's own containers. */}}
{{- define "linkerd.controller-security-context" -}}
allowPrivilegeEscalation: false
capabilities:
  drop:
    - ALL
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: {{ .Values.controllerUID | int }}
{{- if ge (int .Values.controllerGID) 0 }}
runAsGroup: {{ .Values.controllerGID | int }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* What the pods of all deployments share: where they run. `root`, component. */}}
{{- define "linkerd.placement" -}}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if or .root.Values.nodeAffinity .root.Values.enablePodAntiAffinity }}
affinity:
  {{- with .root.Values.nodeAffinity }}
  nodeAffinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .root.Values.enablePodAntiAffinity }}
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchExpressions:
            - key: linkerd.io/control-plane-component
              operator: In
              values:
                - {{ .component }}
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: topology.kubernetes.io/zone
          labelSelector:
            matchExpressions:
              - key: linkerd.io/control-plane-component
                operator: In
                values:
                  - {{ .component }}
  {{- end }}
{{- end }}
{{- if .root.Values.enablePodAntiAffinity }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        linkerd.io/control-plane-component: {{ .component }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{/* metadata of a pod template: `root`, component, and podAnnotations of the component's own. */}}
{{- define "linkerd.pod-metadata" -}}
annotations:
  {{- include "linkerd.created-by" .root | nindent 2 }}
  linkerd.io/proxy-version: {{ .root.Values.proxy.image.version | default .root.Values.linkerdVersion | quote }}
  {{- /* No digest of the trust anchors, which would restart the control plane when they change: it learns them while it runs. */}}
  cluster-autoscaler.kubernetes.io/safe-to-evict: "true"
  config.linkerd.io/default-inbound-policy: "all-unauthenticated"
  {{- with .opaquePorts }}
  config.linkerd.io/opaque-ports: {{ . | quote }}
  {{- end }}
  {{- with merge dict (.podAnnotations | default dict) (.root.Values.podAnnotations | default dict) }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
labels:
  linkerd.io/control-plane-component: {{ .component }}
  linkerd.io/proxy-deployment: linkerd-{{ .component }}
  linkerd.io/workload-ns: {{ .root.Release.Namespace }}
  {{- include "linkerd.common-labels" .root | nindent 2 }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* spec of a deployment up to its pod template. Selectors cannot be changed later; these are Linkerd's. */}}
{{- define "linkerd.deployment" -}}
{{- $usual := dict "linkerd.io/control-plane-ns" .root.Release.Namespace "linkerd.io/proxy-deployment" (printf "linkerd-%s" .component) -}}
replicas: {{ .root.Values.controllerReplicas | int }}
revisionHistoryLimit: {{ .root.Values.revisionHistoryLimit | int }}
selector:
  matchLabels:
    linkerd.io/control-plane-component: {{ .component }}
    {{- with ternary .root.Values.proxyInjector.selectorLabels $usual (eq .component "proxy-injector") }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- with .root.Values.deploymentStrategy }}
strategy:
  {{- toYaml (merge (dict) . (dict "type" "RollingUpdate")) | nindent 2 }}
{{- end }}
{{- end }}

{{/* Probes of a controller container: port, paths, timeouts. */}}
{{- define "linkerd.probes" -}}
livenessProbe:
  httpGet:
    path: {{ .live }}
    port: {{ .port }}
  initialDelaySeconds: 10
  timeoutSeconds: {{ .liveness.timeoutSeconds | int }}
readinessProbe:
  httpGet:
    path: /ready
    port: {{ .port }}
  failureThreshold: 7
  timeoutSeconds: {{ .readiness.timeoutSeconds | int }}
{{- end }}

{{/* Values that a component adds to its environment, in both spellings. */}}
{{- define "linkerd.additional-env" -}}
{{- with .additionalEnv }}
{{ toYaml . }}
{{- end }}
{{- with .experimentalEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "linkerd.additional-args" -}}
{{- with .additionalArgs }}
{{ toYaml . }}
{{- end }}
{{- with .experimentalArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* `env`, when a component adds to its own. */}}
{{- define "linkerd.env" -}}
{{- if or .additionalEnv .experimentalEnv }}
env:
{{- include "linkerd.additional-env" . | indent 2 }}
{{- end }}
{{- end }}

{{/*
Where a webhook is served, and by whose certificate: `root`, kind of its configuration, name and the values of the webhook. What others write, a
component or cert-manager, is repeated as it stands in the cluster: applying a manifest without it would take away what an earlier one had, and
with it the webhook, until it is written anew.
*/}}
{{- define "linkerd.webhook-client" -}}
service:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  path: "/"
{{- $given := .of.caBundle | default (ternary "" .of.crtPEM .of.externalSecret) }}
{{- if $given }}
caBundle: {{ $given | trim | b64enc }}
{{- else }}
{{- $known := lookup "admissionregistration.k8s.io/v1" .kind "" (printf "%s-webhook-config" .name) }}
{{- $webhook := printf "%s.linkerd.io" .name }}
{{- range $known.webhooks }}
{{- if and (eq .name $webhook) .clientConfig.caBundle }}
caBundle: {{ .clientConfig.caBundle }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The annotations by which cert-manager writes the authority. */}}
{{- define "linkerd.webhook-annotations" -}}
{{- with .injectCaFrom }}
cert-manager.io/inject-ca-from: {{ . }}
{{- end }}
{{- with .injectCaFromSecret }}
cert-manager.io/inject-ca-from-secret: {{ . }}
{{- end }}
{{- end }}

{{/* The Secret of a webhook, when its certificate is given: `root`, name, component and the values of the webhook. */}}
{{- define "linkerd.webhook-secret" -}}
{{- if and (not .of.externalSecret) .of.crtPEM }}
kind: Secret
apiVersion: v1
metadata:
  {{- include "linkerd.metadata" (dict "root" .root "name" .name "component" .component) | nindent 2 }}
type: kubernetes.io/tls
data:
  tls.crt: {{ .of.crtPEM | trim | b64enc }}
  tls.key: {{ required (printf "the key of the certificate of %s is missing: keyPEM" .name) .of.keyPEM | trim | b64enc }}
---
{{- end }}
{{- end }}

{{/* "true" where nobody gives the certificate of a webhook (its values): its component makes it. */}}
{{- define "linkerd.webhook-is-ours" -}}
{{- if not (or .crtPEM .externalSecret .caBundle .injectCaFrom .injectCaFromSecret) }}true{{ end }}
{{- end }}

{{/* The rules by which a component keeps the certificates of webhooks itself: their Secrets, in a Role. */}}
{{- define "linkerd.webhook-secret-rules" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: {{ .names | toJson }}
  verbs: [get, update]
{{- end }}
