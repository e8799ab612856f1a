{{/* The ports of the value of this name; a range that begins above its end, which a schema cannot see, is refused. */}}
{{- define "linkerd.proxy-init.ports" -}}
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

{{/*
The init container that makes the redirect rules. As for linkerd.proxy: root and proxy, and pod with
  skipOutboundPorts   added to proxyInit.ignoreOutboundPorts (the control plane's own pods reach the API server past the proxy)
*/}}
{{- define "linkerd.proxy-init" -}}
{{- $init := .root.Values.proxyInit -}}
{{- $inbound := printf "%d,%d" (int .proxy.ports.control) (int .proxy.ports.admin) -}}
{{- $privileged := or $init.privileged (gt (int $init.closeWaitTimeoutSecs) 0) -}}
{{- $outbound := list -}}
{{- with .pod.skipOutboundPorts }}{{ $outbound = list (include "linkerd.proxy-init.ports" (dict "name" "proxyInit.kubeAPIServerPorts" "ports" .)) }}{{ end -}}
{{- with $init.ignoreOutboundPorts -}}
{{- $checked := include "linkerd.proxy-init.ports" (dict "name" "proxyInit.ignoreOutboundPorts" "ports" .) -}}
{{- $outbound = ternary (list (join "," $outbound) $checked) (list $checked) (gt (len $outbound) 0) -}}
{{- end -}}
name: linkerd-init
image: {{ include "linkerd.image" (dict "registry" .root.Values.registry "name" .proxy.image.name "version" (.proxy.image.version | default .root.Values.linkerdVersion)) }}
imagePullPolicy: {{ .proxy.image.pullPolicy | default .root.Values.imagePullPolicy }}
command:
  - /usr/lib/linkerd/linkerd2-proxy-init
args:
  {{- if eq $init.iptablesMode "nft" }}
  - --firewall-bin-path
  - iptables-nft
  - --firewall-save-bin-path
  - iptables-nft-save
  {{- end }}
  {{- if .root.Values.disableIPv6 }}
  - --ipv6=false
  {{- end }}
  - --incoming-proxy-port
  - {{ .proxy.ports.inbound | int | quote }}
  - --outgoing-proxy-port
  - {{ .proxy.ports.outbound | int | quote }}
  - --proxy-uid
  - {{ .proxy.uid | int | quote }}
  {{- if ge (int .proxy.gid) 0 }}
  - --proxy-gid
  - {{ .proxy.gid | int | quote }}
  {{- end }}
  - --inbound-ports-to-ignore
  - "{{ $inbound }}{{ with $init.ignoreInboundPorts }},{{ include "linkerd.proxy-init.ports" (dict "name" "proxyInit.ignoreInboundPorts" "ports" .) }}{{ end }}"
  {{- if $outbound }}
  - --outbound-ports-to-ignore
  - {{ join "," $outbound | quote }}
  {{- end }}
  {{- if gt (int $init.closeWaitTimeoutSecs) 0 }}
  - --timeout-close-wait-secs
  - {{ $init.closeWaitTimeoutSecs | int | quote }}
  {{- end }}
  {{- with $init.logFormat }}
  - --log-format
  - {{ . | quote }}
  {{- end }}
  {{- with $init.logLevel }}
  - --log-level
  - {{ . | quote }}
  {{- end }}
  {{- with $init.skipSubnets }}
  - --subnets-to-ignore
  - {{ . | quote }}
  {{- end }}
{{- include "linkerd.resources" (.pod.resources | default .proxy.resources) }}
securityContext:
  allowPrivilegeEscalation: {{ $privileged }}
  privileged: {{ $privileged }}
  capabilities:
    add:
      - NET_ADMIN
      - NET_RAW
      {{- with $init.capabilities }}
      {{- range .add }}
      {{- if and (ne . "NET_ADMIN") (ne . "NET_RAW") }}
      - {{ . | quote }}
      {{- end }}
      {{- end }}
      {{- end }}
    {{- with $init.capabilities }}
    {{- with .drop }}
    drop:
      {{- range . }}
      {{- if and (ne . "NET_ADMIN") (ne . "NET_RAW") }}
      - {{ . | quote }}
      {{- end }}
      {{- end }}
    {{- end }}
    {{- end }}
  readOnlyRootFilesystem: true
  {{- if $init.runAsRoot }}
  runAsNonRoot: false
  runAsUser: 0
  runAsGroup: 0
  {{- else }}
  runAsNonRoot: true
  runAsUser: {{ $init.runAsUser | int | default 65534 }}
  runAsGroup: {{ $init.runAsGroup | int | default 65534 }}
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
terminationMessagePolicy: FallbackToLogsOnError
volumeMounts:
  - mountPath: {{ $init.xtMountPath.mountPath }}
    name: {{ $init.xtMountPath.name }}
  {{- with $init.saMountPath }}
  - mountPath: {{ .mountPath }}
    name: {{ .name | quote }}
    readOnly: {{ .readOnly }}
  {{- end }}
{{- end }}

{{- define "linkerd.proxy-init.volumes" -}}
- name: {{ .root.Values.proxyInit.xtMountPath.name }}
  emptyDir: {}
{{- end }}
