{{/*
Values that are each right and together wrong. The schema refuses what is wrong by itself; here stands what it could not say in a
sentence.
*/}}
{{- define "pointsman.validate" -}}
{{- include "pointsman.validate.apiserver" . -}}
{{- include "pointsman.validate.proxy" .Values.proxy -}}
{{- include "pointsman.validate.ports" .Values -}}
{{- include "pointsman.validate.labels" .Values -}}
{{- include "pointsman.validate.lease" .Values.controller -}}
{{- include "pointsman.validate.monitoring" .Values -}}
{{- end }}

{{- define "pointsman.validate.apiserver" -}}
{{- if regexMatch "^[^:]*:[0-9]*$" .Values.k8sServiceHost -}}
{{- fail (printf "k8sServiceHost=%s: the address alone; the port goes into k8sServicePort" .Values.k8sServiceHost) -}}
{{- end -}}
{{- if and .Values.k8sServicePort (eq .Values.k8sServiceHost "auto") -}}
{{- fail "k8sServicePort: leave it empty with k8sServiceHost=auto, which takes both from cluster-info" -}}
{{- else if and .Values.k8sServicePort (not .Values.k8sServiceHost) -}}
{{- fail "k8sServicePort: it goes with k8sServiceHost only" -}}
{{- end -}}
{{- end }}

{{- define "pointsman.validate.proxy" -}}
{{- if ne .mode "nftables" -}}
{{- fail (printf "proxy.mode=%s: the agents of this version program nftables only; nodes would serve no Services" .mode) -}}
{{- end -}}
{{- with .detectLocal -}}
{{- $byInterface := has .mode (list "BridgeInterface" "InterfaceNamePrefix") -}}
{{- if and (eq .mode "ClusterCIDR") (not .clusterCIDRs) -}}
{{- fail "proxy.detectLocal.clusterCIDRs: mode ClusterCIDR needs the ranges that pods' addresses come from" -}}
{{- else if and (ne .mode "ClusterCIDR") .clusterCIDRs -}}
{{- fail (printf "proxy.detectLocal.clusterCIDRs: it goes with mode ClusterCIDR only, not with %s" .mode) -}}
{{- else if and $byInterface (not .interface) -}}
{{- fail (printf "proxy.detectLocal.interface: mode %s needs it" .mode) -}}
{{- else if and (not $byInterface) .interface -}}
{{- fail (printf "proxy.detectLocal.interface: it goes with modes BridgeInterface and InterfaceNamePrefix only, not with %s" .mode) -}}
{{- end -}}
{{- end -}}
{{- if and (gt (len .nodePortAddresses) 1) (or (has "Primary" .nodePortAddresses) (has "All" .nodePortAddresses)) -}}
{{- fail "proxy.nodePortAddresses: Primary and All each stand alone; ranges may be several" -}}
{{- end -}}
{{- end }}

{{/* Controller and agent may meet on one node's network. */}}
{{- define "pointsman.validate.ports" -}}
{{- $taken := dict -}}
{{- range $program := list "controller" "agent" -}}
{{- range $field := list "healthAddress" "metricsAddress" -}}
{{- $name := printf "%s.%s" $program $field -}}
{{- $port := regexFind "[0-9]+$" (get (get $ $program) $field) -}}
{{- if hasKey $taken $port -}}
{{- fail (printf "%s: port %s is that of %s, and both may stand on one node" $name $port (get $taken $port)) -}}
{{- end -}}
{{- $_ := set $taken $port $name -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* By the chart's own labels its objects are found again, and pods are selected. */}}
{{- define "pointsman.validate.labels" -}}
{{- $given := dict "commonLabels" .commonLabels "controller.podLabels" .controller.podLabels "agent.podLabels" .agent.podLabels -}}
{{- range $kind := list "podMonitor" "prometheusRule" "dashboard" -}}
{{- $_ := set $given (printf "monitoring.%s.labels" $kind) (get $.monitoring $kind).labels -}}
{{- end -}}
{{- range $name, $labels := $given -}}
{{- range $label, $_ := $labels -}}
{{- if or (hasPrefix "app.kubernetes.io/" $label) (eq $label "helm.sh/chart") -}}
{{- fail (printf "%s: the label %s is the chart's own" $name $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The controller's right to its Lease is a right to one name in one namespace. */}}
{{- define "pointsman.validate.lease" -}}
{{- range .extraArgs -}}
{{- if hasPrefix "--lease-" . -}}
{{- fail (printf "controller.extraArgs: %s: the controller may use no Lease but the chart's" .) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "pointsman.validate.monitoring" -}}
{{- if .monitoring.podMonitor.enabled -}}
{{- range $program := list "controller" "agent" -}}
{{- $address := (get $ $program).metricsAddress -}}
{{- if or (hasPrefix "127." $address) (hasPrefix "[::1]" $address) -}}
{{- fail (printf "%s.metricsAddress=%s: Prometheus does not reach loopback; with monitoring.podMonitor.enabled set an address that it reaches, such as 0.0.0.0:%s" $program $address (regexFind "[0-9]+$" $address)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
