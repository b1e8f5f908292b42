{{/* By these the pods of a workload are selected: (list . "agent"). They never change. */}}
{{- define "pointsman.selector" -}}
app.kubernetes.io/name: pointsman
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/*
Maps in one, as YAML that has each key once: (list $those $these). What stands in a later one is taken, be it empty; what is null, as a
second values file writes it to take an entry of the first away, is left out. Nothing is printed if nothing is left.
*/}}
{{- define "pointsman.merged" -}}
{{- $all := dict -}}
{{- range $map := . -}}
{{- range $name, $value := $map | default dict -}}
{{- if kindIs "map" $value -}}
{{- $value = include "pointsman.merged" (list $value) | fromYaml -}}
{{- end -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $all $name $value -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $all -}}
{{- toYaml . -}}
{{- end -}}
{{- end }}

{{/* The labels of everything in the release, with more of one object's own: (list . (dict "a" "b")). */}}
{{- define "pointsman.labels" -}}
{{- $root := index . 0 -}}
{{- $own := dict "app.kubernetes.io/name" "pointsman"
  "app.kubernetes.io/instance" $root.Release.Name
  "app.kubernetes.io/version" (include "pointsman.labelValue" $root.Chart.AppVersion)
  "app.kubernetes.io/managed-by" $root.Release.Service
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | include "pointsman.labelValue") -}}
{{- include "pointsman.merged" (list $root.Values.commonLabels (index . 1) $own) -}}
{{- end }}

{{/* A version as a label can have it: what builds it from a revision (0.1.0+3f2c1d) writes a sign that labels do not take. */}}
{{- define "pointsman.labelValue" -}}
{{- . | replace "+" "_" | trunc 63 | trimSuffix "-" | trimSuffix "_" | trimSuffix "." -}}
{{- end }}

{{/*
The metadata of an object without a namespace: (list . "name"), and a third that has labels and annotations of its own if it has any:
(list . "name" (dict "labels" (dict "a" "b") "annotations" (dict "c" "d"))).
*/}}
{{- define "pointsman.clusterMetadata" -}}
{{- $root := index . 0 -}}
{{- $more := gt (len .) 2 | ternary (last .) nil | default dict -}}
name: {{ index . 1 }}
{{- with include "pointsman.merged" (list $root.Values.commonAnnotations $more.annotations) }}
annotations: {{- . | nindent 2 }}
{{- end }}
labels: {{- include "pointsman.labels" (list $root $more.labels) | nindent 2 }}
{{- end }}

{{/* The metadata of an object in the release's namespace, told as above. */}}
{{- define "pointsman.metadata" -}}
namespace: {{ (index . 0).Release.Namespace | quote }}
{{ include "pointsman.clusterMetadata" . }}
{{- end }}

{{/* The metadata of a pod: (list . "agent" .Values.agent). Nothing in it changes with the chart's version alone, for then all pods would. */}}
{{- define "pointsman.podMetadata" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
{{- $own := include "pointsman.selector" . | fromYaml | merge (dict "app.kubernetes.io/instance" $root.Release.Name) -}}
labels: {{- include "pointsman.merged" (list $root.Values.commonLabels $values.podLabels $own) | nindent 2 }}
{{- with include "pointsman.merged" (list $values.podAnnotations) }}
annotations: {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The user name of a service account of this release: (list . "pointsman-agent"). */}}
{{- define "pointsman.user" -}}
system:serviceaccount:{{ (index . 0).Release.Namespace }}:{{ index . 1 }}
{{- end }}
