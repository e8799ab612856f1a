{{/*
The proxy's container, for the control plane's pods, for the injector and for `inject --manual`: all three give

  root    Values, Release.Namespace and Release.Name of the installation
  proxy   the values `proxy`, with what the pod's annotations or the component change in them
  pod     component       "identity" or "destination" where the pod runs that service: it is then asked over loopback
          inboundPorts    the ports that its containers declare, with commas
          native          the container is an init container that stays
          await           the containers behind it wait until it is ready
          resources, capabilities   instead of those of proxy
          anchorsFromConfigMap   the trust anchors are read from the ConfigMap, as is possible in the control plane's namespace
*/}}
{{- define "linkerd.proxy" -}}
{{- $ns := .root.Release.Namespace -}}
{{- $values := .root.Values -}}
{{- $proxy := .proxy -}}
name: linkerd-proxy
image: {{ include "linkerd.image" (dict "registry" $values.registry "name" $proxy.image.name "version" ($proxy.image.version | default $values.linkerdVersion)) }}
imagePullPolicy: {{ $proxy.image.pullPolicy | default $values.imagePullPolicy }}
{{- if .pod.native }}
restartPolicy: Always
{{- end }}
ports:
  - containerPort: {{ $proxy.ports.inbound | int }}
    name: linkerd-proxy
  - containerPort: {{ $proxy.ports.admin | int }}
    name: linkerd-admin
env:
  {{- include "linkerd.proxy.environment" . | nindent 2 }}
livenessProbe:
  httpGet:
    path: /live
    port: {{ $proxy.ports.admin | int }}
  {{- with int $proxy.livenessProbe.initialDelaySeconds }}
  initialDelaySeconds: {{ . }}
  {{- end }}
  timeoutSeconds: {{ $proxy.livenessProbe.timeoutSeconds | int }}
readinessProbe:
  httpGet:
    path: /ready
    port: {{ $proxy.ports.admin | int }}
  {{- with int $proxy.readinessProbe.initialDelaySeconds }}
  initialDelaySeconds: {{ . }}
  {{- end }}
  timeoutSeconds: {{ $proxy.readinessProbe.timeoutSeconds | int }}
{{- if and .pod.native .pod.await }}
startupProbe:
  httpGet:
    path: /ready
    port: {{ $proxy.ports.admin | int }}
  {{- with int $proxy.startupProbe.initialDelaySeconds }}
  initialDelaySeconds: {{ . }}
  {{- end }}
  periodSeconds: {{ $proxy.startupProbe.periodSeconds | int }}
  failureThreshold: {{ $proxy.startupProbe.failureThreshold | int }}
{{- end }}
{{- include "linkerd.resources" (.pod.resources | default $proxy.resources) }}
securityContext:
  {{- include "linkerd.proxy.security-context" . | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
{{- if not .pod.native }}
{{- if or .pod.await (gt (int $proxy.waitBeforeExitSeconds) 0) }}
lifecycle:
  {{- if .pod.await }}
  postStart:
    exec:
      command:
        - /usr/lib/linkerd/linkerd-await
        - --timeout=2m
        - --port={{ $proxy.ports.admin | int }}
  {{- end }}
  {{- if gt (int $proxy.waitBeforeExitSeconds) 0 }}
  preStop:
    exec:
      command:
        - /bin/sleep
        - {{ $proxy.waitBeforeExitSeconds | int | quote }}
  {{- end }}
{{- end }}
{{- end }}
volumeMounts:
  - mountPath: /var/run/linkerd/identity/end-entity
    name: linkerd-identity-end-entity
  {{- if $values.identity.serviceAccountTokenProjection }}
  - mountPath: /var/run/secrets/tokens
    name: linkerd-identity-token
  {{- end }}
  {{- if $proxy.tracing.enabled }}
  - mountPath: /var/run/linkerd/podinfo
    name: linkerd-podinfo
  {{- end }}
  {{- with $proxy.saMountPath }}
  - mountPath: {{ .mountPath }}
    name: {{ .name | quote }}
    readOnly: {{ .readOnly }}
  {{- end }}
{{- end }}

{{- define "linkerd.proxy.security-context" -}}
{{- if .proxy.securityContext -}}
{{ toYaml .proxy.securityContext }}
{{- else -}}
allowPrivilegeEscalation: false
{{- with .pod.capabilities | default .proxy.capabilities }}
capabilities:
  {{- with .add }}
  add:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .drop }}
  drop:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: {{ .proxy.uid | int }}
{{- if ge (int .proxy.gid) 0 }}
runAsGroup: {{ .proxy.gid | int }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}
{{- end }}

{{/* The identity of a service account of the control plane. */}}
{{- define "linkerd.control-identity" -}}
{{ .account }}.{{ .root.Release.Namespace }}.serviceaccount.identity.{{ .root.Release.Namespace }}.{{ include "linkerd.trust-domain" .root }}
{{- end }}

{{- define "linkerd.proxy.environment" -}}
{{- $ns := .root.Release.Namespace -}}
{{- $values := .root.Values -}}
{{- $proxy := .proxy -}}
{{- $any := ternary "0.0.0.0" "[::]" $values.disableIPv6 -}}
{{- $workers := $proxy.runtime.workers -}}
- name: _pod_name
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: _pod_ns
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: _pod_uid
  valueFrom:
    fieldRef:
      fieldPath: metadata.uid
- name: _pod_ip
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: _pod_nodeName
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
- name: _pod_containerName
  value: linkerd-proxy
- name: _pod_sa
  valueFrom:
    fieldRef:
      fieldPath: spec.serviceAccountName
- name: LINKERD2_PROXY_CORES
  value: {{ $proxy.cores | default $workers.minimum | int | quote }}
- name: LINKERD2_PROXY_CORES_MIN
  value: {{ $proxy.cores | default $workers.minimum | int | quote }}
{{- with $workers.maximum }}
- name: LINKERD2_PROXY_CORES_MAX
  value: {{ . | int | quote }}
{{- end }}
{{- with $workers.maximumCPURatio }}
- name: LINKERD2_PROXY_CORES_MAX_RATIO
  value: {{ . | quote }}
{{- end }}
{{- if $proxy.requireIdentityOnInboundPorts }}
- name: LINKERD2_PROXY_INBOUND_PORTS_REQUIRE_IDENTITY
  value: {{ $proxy.requireIdentityOnInboundPorts | quote }}
{{- end }}
{{- if $proxy.requireTLSOnInboundPorts }}
- name: LINKERD2_PROXY_INBOUND_PORTS_REQUIRE_TLS
  value: {{ $proxy.requireTLSOnInboundPorts | quote }}
{{- end }}
- name: LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED
  value: {{ $proxy.enableShutdownEndpoint | quote }}
- name: LINKERD2_PROXY_LOG
  value: {{ printf "%s%s" $proxy.logLevel (ternary "" ",[{headers}]=off,[{request}]=off" (eq $proxy.logHTTPHeaders "insecure")) | quote }}
- name: LINKERD2_PROXY_LOG_FORMAT
  value: {{ $proxy.logFormat | quote }}
{{- with $proxy.accessLog }}
- name: LINKERD2_PROXY_ACCESS_LOG
  value: {{ . | quote }}
{{- end }}
- name: LINKERD2_PROXY_DESTINATION_SVC_ADDR
  value: {{ ternary "localhost.:8086" (printf "linkerd-dst-headless.%s.svc.%s.:8086" $ns $values.clusterDomain) (eq .pod.component "destination") }}
- name: LINKERD2_PROXY_DESTINATION_PROFILE_NETWORKS
  value: {{ $values.clusterNetworks | quote }}
- name: LINKERD2_PROXY_POLICY_SVC_ADDR
  value: {{ ternary "localhost.:8090" (printf "linkerd-policy.%s.svc.%s.:8090" $ns $values.clusterDomain) (eq .pod.component "destination") }}
- name: LINKERD2_PROXY_POLICY_WORKLOAD
  value: |
    {"ns":"$(_pod_ns)", "pod":"$(_pod_name)"}
- name: LINKERD2_PROXY_INBOUND_DEFAULT_POLICY
  value: {{ $proxy.defaultInboundPolicy }}
- name: LINKERD2_PROXY_POLICY_CLUSTER_NETWORKS
  value: {{ $values.clusterNetworks | quote }}
- name: LINKERD2_PROXY_CONTROL_STREAM_INITIAL_TIMEOUT
  value: {{ $proxy.control.streams.initialTimeout | quote }}
- name: LINKERD2_PROXY_CONTROL_STREAM_IDLE_TIMEOUT
  value: {{ $proxy.control.streams.idleTimeout | quote }}
- name: LINKERD2_PROXY_CONTROL_STREAM_LIFETIME
  value: {{ $proxy.control.streams.lifetime | quote }}
- name: LINKERD2_PROXY_INBOUND_CONNECT_TIMEOUT
  value: {{ $proxy.inboundConnectTimeout | quote }}
- name: LINKERD2_PROXY_OUTBOUND_CONNECT_TIMEOUT
  value: {{ $proxy.outboundConnectTimeout | quote }}
- name: LINKERD2_PROXY_OUTBOUND_DISCOVERY_IDLE_TIMEOUT
  value: {{ $proxy.outboundDiscoveryCacheUnusedTimeout | quote }}
- name: LINKERD2_PROXY_INBOUND_DISCOVERY_IDLE_TIMEOUT
  value: {{ $proxy.inboundDiscoveryCacheUnusedTimeout | quote }}
{{- if $proxy.disableOutboundProtocolDetectTimeout }}
- name: LINKERD2_PROXY_OUTBOUND_DETECT_TIMEOUT
  value: "365d"
{{- end }}
{{- if $proxy.disableInboundProtocolDetectTimeout }}
- name: LINKERD2_PROXY_INBOUND_DETECT_TIMEOUT
  value: "365d"
{{- end }}
- name: LINKERD2_PROXY_CONTROL_LISTEN_ADDR
  value: "{{ $any }}:{{ $proxy.ports.control | int }}"
- name: LINKERD2_PROXY_ADMIN_LISTEN_ADDR
  value: "{{ $any }}:{{ $proxy.ports.admin | int }}"
- name: LINKERD2_PROXY_OUTBOUND_LISTEN_ADDRS
  value: "127.0.0.1:{{ $proxy.ports.outbound | int }}{{ if not $values.disableIPv6 }},[::1]:{{ $proxy.ports.outbound | int }}{{ end }}"
- name: LINKERD2_PROXY_INBOUND_LISTEN_ADDR
  value: "{{ $any }}:{{ $proxy.ports.inbound | int }}"
- name: LINKERD2_PROXY_INBOUND_IPS
  valueFrom:
    fieldRef:
      fieldPath: status.podIPs
- name: LINKERD2_PROXY_INBOUND_PORTS
  value: {{ .pod.inboundPorts | default $proxy.podInboundPorts | default "" | quote }}
{{- if $proxy.isGateway }}
- name: LINKERD2_PROXY_INBOUND_GATEWAY_SUFFIXES
  value: {{ printf "svc.%s." $values.clusterDomain }}
{{- end }}
{{- if $proxy.isIngress }}
- name: LINKERD2_PROXY_INGRESS_MODE
  value: "true"
{{- end }}
- name: LINKERD2_PROXY_DESTINATION_PROFILE_SUFFIXES
  value: {{ ternary "." (printf "svc.%s." $values.clusterDomain) $proxy.enableExternalProfiles | quote }}
- name: LINKERD2_PROXY_INBOUND_ACCEPT_KEEPALIVE
  value: 10000ms
- name: LINKERD2_PROXY_OUTBOUND_CONNECT_KEEPALIVE
  value: 10000ms
- name: LINKERD2_PROXY_INBOUND_ACCEPT_USER_TIMEOUT
  value: 30s
- name: LINKERD2_PROXY_OUTBOUND_CONNECT_USER_TIMEOUT
  value: 30s
- name: LINKERD2_PROXY_INBOUND_SERVER_HTTP2_KEEP_ALIVE_INTERVAL
  value: {{ $proxy.inbound.server.http2.keepAliveInterval | quote }}
- name: LINKERD2_PROXY_INBOUND_SERVER_HTTP2_KEEP_ALIVE_TIMEOUT
  value: {{ $proxy.inbound.server.http2.keepAliveTimeout | quote }}
- name: LINKERD2_PROXY_OUTBOUND_SERVER_HTTP2_KEEP_ALIVE_INTERVAL
  value: {{ $proxy.outbound.server.http2.keepAliveInterval | quote }}
- name: LINKERD2_PROXY_OUTBOUND_SERVER_HTTP2_KEEP_ALIVE_TIMEOUT
  value: {{ $proxy.outbound.server.http2.keepAliveTimeout | quote }}
- name: LINKERD2_PROXY_INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION
  value: {{ $proxy.opaquePorts | quote }}
- name: LINKERD2_PROXY_DESTINATION_CONTEXT
  value: |
    {"ns":"$(_pod_ns)", "nodeName":"$(_pod_nodeName)", "pod":"$(_pod_name)"}
{{- if $proxy.metrics.hostnameLabels }}
- name: LINKERD2_PROXY_OUTBOUND_METRICS_HOSTNAME_LABELS
  value: "true"
{{- end }}
{{- with $proxy.shutdownGracePeriod }}
- name: LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD
  value: {{ . | quote }}
{{- end }}
{{- if and $proxy.tracing.enabled $proxy.tracing.collector.endpoint }}
{{- include "linkerd.proxy.tracing" . | nindent 0 }}
{{- end }}
- name: LINKERD2_PROXY_IDENTITY_DIR
  value: /var/run/linkerd/identity/end-entity
- name: LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS
{{- if or .pod.anchorsFromConfigMap $proxy.loadTrustBundleFromConfigMap }}
  valueFrom:
    configMapKeyRef:
      name: linkerd-identity-trust-roots
      key: ca-bundle.crt
{{- else }}
  value: {{ required "identityTrustAnchorsPEM is missing: the certificates that proxies trust" $values.identityTrustAnchorsPEM | trim | quote }}
{{- end }}
- name: LINKERD2_PROXY_IDENTITY_TOKEN_FILE
{{- if $values.identity.serviceAccountTokenProjection }}
  value: /var/run/secrets/tokens/linkerd-identity-token
{{- else }}
  value: /var/run/secrets/kubernetes.io/serviceaccount/token
{{- end }}
- name: LINKERD2_PROXY_IDENTITY_SVC_ADDR
  value: {{ ternary "localhost.:8080" (printf "linkerd-identity-headless.%s.svc.%s.:8080" $ns $values.clusterDomain) (eq .pod.component "identity") }}
- name: LINKERD2_PROXY_IDENTITY_LOCAL_NAME
  value: $(_pod_sa).$(_pod_ns).serviceaccount.identity.{{ $ns }}.{{ include "linkerd.trust-domain" .root }}
- name: LINKERD2_PROXY_IDENTITY_SVC_NAME
  value: {{ include "linkerd.control-identity" (dict "root" .root "account" "linkerd-identity") }}
- name: LINKERD2_PROXY_DESTINATION_SVC_NAME
  value: {{ include "linkerd.control-identity" (dict "root" .root "account" "linkerd-destination") }}
- name: LINKERD2_PROXY_POLICY_SVC_NAME
  value: {{ include "linkerd.control-identity" (dict "root" .root "account" "linkerd-destination") }}
{{- include "linkerd.additional-env" $proxy }}
{{- end }}

{{- define "linkerd.proxy.tracing" -}}
{{- $collector := .proxy.tracing.collector -}}
- name: LINKERD2_PROXY_TRACE_COLLECTOR_SVC_ADDR
  value: {{ $collector.endpoint | quote }}
{{- if $collector.meshIdentity.serviceAccountName }}
- name: LINKERD2_PROXY_TRACE_COLLECTOR_SVC_NAME
  value: {{ printf "%s.%s.serviceaccount.identity.%s.%s" $collector.meshIdentity.serviceAccountName $collector.meshIdentity.namespace .root.Release.Namespace (include "linkerd.trust-domain" .root) }}
{{- end }}
- name: LINKERD2_PROXY_TRACE_PROTOCOL
  value: {{ .proxy.tracing.protocol | default "opentelemetry" }}
- name: LINKERD2_PROXY_TRACE_SERVICE_NAME
  value: {{ .proxy.tracing.traceServiceName | quote }}
- name: LINKERD2_PROXY_TRACE_ATTRIBUTES_PATH
  value: /var/run/linkerd/podinfo/labels
- name: LINKERD2_PROXY_TRACE_ANNOTATIONS_PATH
  value: /var/run/linkerd/podinfo/annotations
- name: LINKERD2_PROXY_TRACE_EXTRA_ATTRIBUTES
  value: |
    {{- range $name, $value := .proxy.tracing.labels }}
    {{ $name }}={{ $value }}
    {{- end }}
{{- end }}

{{/* The volumes that the proxy's container mounts. */}}
{{- define "linkerd.proxy.volumes" -}}
- name: linkerd-identity-end-entity
  emptyDir:
    medium: Memory
{{- if .root.Values.identity.serviceAccountTokenProjection }}
- name: linkerd-identity-token
  projected:
    sources:
      - serviceAccountToken:
          path: linkerd-identity-token
          expirationSeconds: 86400
          audience: identity.l5d.io
{{- end }}
{{- if .proxy.tracing.enabled }}
- name: linkerd-podinfo
  downwardAPI:
    items:
      - path: labels
        fieldRef:
          apiVersion: v1
          fieldPath: metadata.labels
      - path: annotations
        fieldRef:
          apiVersion: v1
          fieldPath: metadata.annotations
{{- end }}
{{- end }}
