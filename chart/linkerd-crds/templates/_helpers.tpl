{{/* Who made the object. */}}
{{- define "linkerd.crds.annotations" -}}
linkerd.io/created-by: {{ .Values.cliVersion | default (printf "linkerd/helm %s" .Chart.AppVersion) }}
{{- end }}

{{- define "linkerd.crds.labels" -}}
linkerd.io/control-plane-ns: {{ .Release.Namespace }}
app.kubernetes.io/part-of: Linkerd
helm.sh/chart: {{ .Chart.Name }}-{{ replace "+" "_" .Chart.Version }}
{{- end }}

{{/* Text when a definition of the Gateway API is wanted: its own value, else installGatewayAPI. */}}
{{- define "linkerd.crds.gateway" -}}
{{- if eq .own nil }}{{ if .all }}true{{ end }}{{ else if .own }}true{{ end }}
{{- end }}
