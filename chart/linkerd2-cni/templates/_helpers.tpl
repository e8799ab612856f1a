{{- define "linkerd.cni.metadata" -}}
name: {{ .name | default "linkerd-cni" }}
{{- if ne .scope "cluster" }}
namespace: {{ .root.Release.Namespace }}
{{- end }}
annotations:
  {{- include "linkerd.cni.annotations" .root | nindent 2 }}
labels:
  {{- include "linkerd.cni.labels" .root | nindent 2 }}
{{- end }}

{{- define "linkerd.cni.annotations" -}}
linkerd.io/created-by: {{ .Values.cliVersion | default (printf "linkerd/helm %s" .Chart.AppVersion) }}
{{- end }}

{{/* By linkerd.io/cni-resource the injector's webhook knows that these pods are not for it. */}}
{{- define "linkerd.cni.labels" -}}
linkerd.io/cni-resource: "true"
app.kubernetes.io/part-of: Linkerd
helm.sh/chart: {{ .Chart.Name }}-{{ replace "+" "_" .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "linkerd.cni.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.name }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.name }}:{{ .Values.image.version | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The ports of the value of this name; a range that begins above its end, which a schema cannot see, is refused. */}}
{{- define "linkerd.cni.checked-ports" -}}
{{- $value := . -}}
{{- range splitList "," .ports -}}
{{- $range := trim . -}}
{{- $low := 0 -}}
{{- range splitList "-" $range -}}
{{- if lt (int .) $low }}{{ fail (printf "%s: the range %s begins above its end: expected the lower port first" $value.name $range) }}{{ end -}}
{{- $low = int . -}}
{{- end -}}
{{- end -}}
{{- .ports -}}
{{- end }}

{{/* A list as JSON of texts: "25,80-90" is ["25","80-90"]. */}}
{{- define "linkerd.cni.ports" -}}
{{- if .ports }}{{ include "linkerd.cni.checked-ports" . | splitList "," | toJson }}{{ else }}[]{{ end }}
{{- end }}

{{/* Where the controllers serve /live, /ready and /metrics. */}}
{{- define "linkerd.cni.admin" -}}
{{- if .Values.disableIPv6 }}0.0.0.0:9990{{ else }}[::]:9990{{ end }}
{{- end }}

{{/* The controllers need nothing of the node. */}}
{{- define "linkerd.cni.unprivileged" -}}
securityContext:
  allowPrivilegeEscalation: false
  capabilities:
    drop: [ALL]
  privileged: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: 65534
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "linkerd.cni.resources" -}}
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

{{/* The entry of the node's network; the installer puts its kubeconfig in. */}}
{{- define "linkerd.cni.entry" -}}
{{- $inbound := printf "%d,%d" (int .Values.proxyControlPort) (int .Values.proxyAdminPort) }}
{{- if .Values.ignoreInboundPorts }}{{ $inbound = printf "%s,%s" $inbound .Values.ignoreInboundPorts }}{{ end -}}
{
  "name": "linkerd-cni",
  "type": "linkerd-cni",
  "log_level": {{ .Values.logLevel | toJson }},
  "kubernetes": {"kubeconfig": "__KUBECONFIG_FILEPATH__"},
  "linkerd": {
    "incoming-proxy-port": {{ .Values.inboundProxyPort | int }},
    "outgoing-proxy-port": {{ .Values.outboundProxyPort | int }},
    "proxy-uid": {{ .Values.proxyUID | int }},
    "proxy-gid": {{ .Values.proxyGID | int }},
    "ports-to-redirect": {{ include "linkerd.cni.ports" (dict "name" "portsToRedirect" "ports" .Values.portsToRedirect) }},
    "inbound-ports-to-ignore": {{ include "linkerd.cni.ports" (dict "name" "ignoreInboundPorts" "ports" $inbound) }},
    "outbound-ports-to-ignore": {{ include "linkerd.cni.ports" (dict "name" "ignoreOutboundPorts" "ports" .Values.ignoreOutboundPorts) }},
    "simulate": false,
    "use-wait-flag": {{ .Values.useWaitFlag }},
    "iptables-mode": {{ .Values.iptablesMode | toJson }},
    "ipv6": {{ not .Values.disableIPv6 }}
  }
}
{{- end }}
