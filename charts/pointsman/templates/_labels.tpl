{{/* The labels of everything in the release. */}}
{{- define "pointsman.labels" -}}
app.kubernetes.io/name: pointsman
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* The user name of a service account of this release: (list . "pointsman-agent"). */}}
{{- define "pointsman.user" -}}
system:serviceaccount:{{ (index . 0).Release.Namespace }}:{{ index . 1 }}
{{- end }}

{{/* What both programs' pods have in common: they come up before the pod network, before Services and before cluster DNS do. */}}
{{- define "pointsman.pod" -}}
hostNetwork: true
dnsPolicy: Default
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "pointsman.image" -}}
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{/* Where the API server answers, in kubelet's own words, which these override. */}}
{{- define "pointsman.env" -}}
{{- with .Values.k8sServiceHost }}
- name: KUBERNETES_SERVICE_HOST
  value: {{ . | quote }}
{{- end }}
{{- with .Values.k8sServicePort }}
- name: KUBERNETES_SERVICE_PORT
  value: {{ . | quote }}
{{- end }}
{{- end }}

{{/* An HTTP check of kubelet at an address such as 127.0.0.1:10256: (list "127.0.0.1:10256" "/livez"). */}}
{{- define "pointsman.check" -}}
{{- $address := index . 0 -}}
{{- $port := regexFind "[0-9]+$" $address -}}
{{- $host := trimSuffix (printf ":%s" $port) $address | trimPrefix "[" | trimSuffix "]" -}}
httpGet:
  {{- if not (has $host (list "0.0.0.0" "::" "")) }}
  host: {{ $host | quote }}
  {{- end }}
  port: {{ $port }}
  path: {{ index . 1 }}
{{- end }}
