{{/* With CNI, instead of linkerd-init: a pod whose traffic is not redirected does not start. root and proxy as for linkerd.proxy. */}}
{{- define "linkerd.network-validator" -}}
{{- $validator := .root.Values.networkValidator -}}
{{- $connect := ternary "1.1.1.1:20001" "[fd00::1]:20001" .root.Values.disableIPv6 -}}
{{- $listen := printf "%s:%d" (ternary "0.0.0.0" "[::]" .root.Values.disableIPv6) (int .proxy.ports.outbound) -}}
name: linkerd-network-validator
image: {{ include "linkerd.image" (dict "registry" .root.Values.registry "name" .proxy.image.name "version" (.proxy.image.version | default .root.Values.linkerdVersion)) }}
imagePullPolicy: {{ .proxy.image.pullPolicy | default .root.Values.imagePullPolicy }}
command:
  - /usr/lib/linkerd/linkerd2-network-validator
args:
  - --log-format
  - {{ $validator.logFormat | quote }}
  - --log-level
  - {{ $validator.logLevel | quote }}
  - --connect-addr
  - {{ $validator.connectAddr | default $connect | quote }}
  - --listen-addr
  - {{ $validator.listenAddr | default $listen | quote }}
  - --timeout
  - {{ $validator.timeout | quote }}
{{- include "linkerd.resources" (.pod.resources | default .proxy.resources) }}
{{- if $validator.enableSecurityContext }}
securityContext:
  {{- toYaml $validator.securityContext | nindent 2 }}
{{- end }}
terminationMessagePolicy: FallbackToLogsOnError
{{- end }}

{{/* Whichever of the two a pod gets in front of its proxy. */}}
{{- define "linkerd.redirect" -}}
{{- if .root.Values.cniEnabled }}{{ include "linkerd.network-validator" . }}{{ else }}{{ include "linkerd.proxy-init" . }}{{ end }}
{{- end }}
