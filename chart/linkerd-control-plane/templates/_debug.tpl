{{/* A container with a packet capture, for pods that ask for it by annotation: root, with Values.debugContainer. */}}
{{- define "linkerd.debug" -}}
{{- $debug := .root.Values.debugContainer -}}
name: linkerd-debug
image: {{ include "linkerd.image" (dict "registry" .root.Values.registry "name" $debug.image.name "version" ($debug.image.version | default .root.Values.linkerdVersion)) }}
imagePullPolicy: {{ $debug.image.pullPolicy | default .root.Values.imagePullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
{{- end }}
