{{/* By these the pods of a workload are selected: (list . "agent"). They never change. */}}
{{- define "pointsman.selector" -}}
app.kubernetes.io/name: pointsman
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* The labels of everything in the release. */}}
{{- define "pointsman.labels" -}}
app.kubernetes.io/name: pointsman
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The metadata of an object without a namespace: (list . "name"). Labels stand last: a line of labels can follow. */}}
{{- define "pointsman.clusterMetadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 1 }}
{{- with $root.Values.commonAnnotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
labels: {{- include "pointsman.labels" $root | nindent 2 }}
{{- end }}

{{/* The metadata of an object in the release's namespace: (list . "name"). */}}
{{- define "pointsman.metadata" -}}
namespace: {{ (index . 0).Release.Namespace }}
{{ include "pointsman.clusterMetadata" . }}
{{- end }}

{{/* The metadata of a pod: (list . "agent" .Values.agent). Nothing in it changes with the chart's version alone, for then all pods would. */}}
{{- define "pointsman.podMetadata" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
labels:
  {{- include "pointsman.selector" . | nindent 2 }}
  app.kubernetes.io/instance: {{ $root.Release.Name }}
  {{- with merge (dict) $values.podLabels $root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $values.podAnnotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The user name of a service account of this release: (list . "pointsman-agent"). */}}
{{- define "pointsman.user" -}}
system:serviceaccount:{{ (index . 0).Release.Namespace }}:{{ index . 1 }}
{{- end }}
