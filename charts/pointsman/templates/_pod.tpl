{{/*
What both programs' pods have in common: (list . .Values.agent). They come up before the pod network, before Services and before cluster
DNS do.
*/}}
{{- define "pointsman.pod" -}}
hostNetwork: true
dnsPolicy: Default
# The addresses of all Services in the environment would be of no use to them.
enableServiceLinks: false
{{- include "pointsman.placement" . }}
{{- end }}

{{/* Where a pod goes and what pulls its image, each on a new line: (list . .Values.agent). */}}
{{- define "pointsman.placement" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
{{- with $values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "pointsman.merged" (list $values.nodeSelector) }}
nodeSelector: {{- . | nindent 2 }}
{{- end }}
{{- with include "pointsman.merged" (list $values.affinity) }}
affinity: {{- . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The image, by digest if one is given. */}}
{{- define "pointsman.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
image: {{ printf "%s@%s" $image.repository $image.digest | quote }}
{{- else -}}
image: {{ printf "%s:%s" $image.repository ($image.tag | default .Chart.AppVersion) | quote }}
{{- end }}
imagePullPolicy: {{ $image.pullPolicy }}
{{- end }}

{{/* Flags that both programs have: (list . .Values.agent). */}}
{{- define "pointsman.flags" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
- "--health-address={{ $values.healthAddress }}"
- "--metrics-address={{ $values.metricsAddress }}"
- "--log-format={{ $root.Values.logFormat }}"
- "--log-level={{ $root.Values.logLevel }}"
{{- end }}

{{/* Where the API server answers, as kubelet's own variables say it, which these override. */}}
{{- define "pointsman.env" -}}
{{- $server := include "pointsman.apiserver" . | fromYaml -}}
{{- with $server.host -}}
- name: KUBERNETES_SERVICE_HOST
  value: {{ . | quote }}
- name: KUBERNETES_SERVICE_PORT
  value: {{ $server.port | quote }}
{{- end }}
{{- end }}

{{/* Host and port of the API server, as YAML; nothing without a host. */}}
{{- define "pointsman.apiserver" -}}
{{- if eq .Values.k8sServiceHost "auto" -}}
{{- $info := (lookup "v1" "ConfigMap" "kube-public" "cluster-info").data | default dict -}}
{{- $clusters := (get $info "kubeconfig" | fromYaml).clusters -}}
{{- if not $clusters -}}
{{- fail "k8sServiceHost=auto: no ConfigMap cluster-info was found in namespace kube-public. kubeadm writes it; `helm template` and most GitOps tools do not look into the cluster. Set k8sServiceHost and k8sServicePort to an address of the API server that is no Service." -}}
{{- end -}}
{{- $url := (first $clusters).cluster.server | urlParse -}}
host: {{ $url.hostname | quote }}
port: {{ regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default "443" | quote }}
{{- else if .Values.k8sServiceHost -}}
host: {{ .Values.k8sServiceHost | quote }}
port: {{ .Values.k8sServicePort | default "443" | toString | quote }}
{{- end -}}
{{- end }}

{{/* The ports of a pod, named, so that the scheduler keeps two of one kind from one node: .Values.agent. */}}
{{- define "pointsman.ports" -}}
- {name: health, containerPort: {{ regexFind "[0-9]+$" .healthAddress }}}
- {name: metrics, containerPort: {{ regexFind "[0-9]+$" .metricsAddress }}}
{{- end }}

{{/* An HTTP check of kubelet at an address such as 127.0.0.1:10256: (list "127.0.0.1:10256" "/livez"). */}}
{{- define "pointsman.check" -}}
{{- $address := index . 0 -}}
{{- $port := regexFind "[0-9]+$" $address -}}
{{- $host := include "pointsman.host" $address -}}
httpGet:
  {{- /* Never the pod's own address, which may be of the other family. */}}
  host: {{ get (dict "0.0.0.0" "127.0.0.1" "::" "::1") $host | default $host | quote }}
  port: {{ $port }}
  path: {{ index . 1 }}
{{- end }}
