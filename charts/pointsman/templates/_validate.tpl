{{/*
What is wrong with the values, each in a sentence that says what to write instead. The schema knows names, types and the words that a value
may be; here stands what it could say only by a pattern, and what goes wrong together. See also _validate-forms.tpl and _validate-pods.tpl.
*/}}
{{- define "pointsman.validate" -}}
{{- include "pointsman.validate.image" .Values.image -}}
{{- include "pointsman.validate.apiserver" .Values -}}
{{- include "pointsman.validate.forms" .Values -}}
{{- include "pointsman.validate.periods" .Values -}}
{{- include "pointsman.validate.proxy" .Values.proxy -}}
{{- include "pointsman.validate.ranges" .Values -}}
{{- include "pointsman.validate.listeners" .Values -}}
{{- include "pointsman.validate.monitoring" .Values -}}
{{- include "pointsman.validate.labels" .Values -}}
{{- include "pointsman.validate.annotations" .Values -}}
{{- include "pointsman.validate.pods" .Values -}}
{{- end }}

{{- define "pointsman.validate.image" -}}
{{- if contains "@" .repository -}}
{{- fail (printf "image.repository=%s: the digest goes into image.digest" .repository) -}}
{{- else if contains ":" (splitList "/" .repository | last) -}}
{{- fail (printf "image.repository=%s: the tag goes into image.tag" .repository) -}}
{{- else if contains "@" .tag -}}
{{- fail (printf "image.tag=%s: the digest goes into image.digest" .tag) -}}
{{- end -}}
{{- end }}

{{- define "pointsman.validate.apiserver" -}}
{{- $given := printf "k8sServiceHost=%s" .k8sServiceHost -}}
{{- if contains "/" .k8sServiceHost -}}
{{- fail (printf "%s: the address alone, such as 192.0.2.1; the port goes into k8sServicePort" $given) -}}
{{- else if regexMatch "^[^:]*:[0-9]*$" .k8sServiceHost -}}
{{- fail (printf "%s: the address alone; the port goes into k8sServicePort" $given) -}}
{{- else if contains "[" .k8sServiceHost -}}
{{- fail (printf "%s: an IPv6 address has no brackets here, such as 2001:db8::1; the port goes into k8sServicePort" $given) -}}
{{- else if and .k8sServiceHost (not (include "pointsman.family" .k8sServiceHost)) (not (regexMatch (include "pointsman.hostName" .) .k8sServiceHost)) -}}
{{- fail (printf "%s: neither an address, such as 192.0.2.1 or 2001:db8::1, nor a host name, such as api.example.com" $given) -}}
{{- end -}}
{{- $port := toString .k8sServicePort -}}
{{- if and $port (eq .k8sServiceHost "auto") -}}
{{- fail "k8sServicePort: leave it empty with k8sServiceHost=auto, which takes both from cluster-info" -}}
{{- else if and $port (not .k8sServiceHost) -}}
{{- fail "k8sServicePort: it goes with k8sServiceHost only" -}}
{{- else if and $port (not (include "pointsman.isPort" $port)) -}}
{{- fail (printf "k8sServicePort=%s: a port is a number from 1 to 65535, such as 6443" $port) -}}
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
{{- range .nodePortAddresses -}}
{{- $word := get (dict "primary" "Primary" "all" "All") (lower .) -}}
{{- if and $word (ne . $word) -}}
{{- fail (printf "proxy.nodePortAddresses: %s: write %s" . $word) -}}
{{- end -}}
{{- end -}}
{{- if and (gt (len .nodePortAddresses) 1) (or (has "Primary" .nodePortAddresses) (has "All" .nodePortAddresses)) -}}
{{- fail "proxy.nodePortAddresses: Primary and All each stand alone; ranges may be several" -}}
{{- end -}}
{{- end }}

{{/* Ranges are ranges, and some of those that traffic is recognised by are of a family that is proxied. */}}
{{- define "pointsman.validate.ranges" -}}
{{- $ports := without .proxy.nodePortAddresses "Primary" "All" -}}
{{- $lists := dict "externalIPs.allow" .externalIPs.allow "proxy.nodePortAddresses" $ports "proxy.detectLocal.clusterCIDRs" .proxy.detectLocal.clusterCIDRs -}}
{{- range $name, $ranges := $lists -}}
{{- $families := list -}}
{{- range $ranges -}}
{{- $family := include "pointsman.rangeFamily" . -}}
{{- if not $family -}}
{{- fail (printf "%s: %s is no range; write an address and how many of its leading bits count, such as 192.0.2.0/24 or 2001:db8::/64" $name .) -}}
{{- end -}}
{{- $families = append $families $family -}}
{{- end -}}
{{- $proxied := $.proxy.ipFamilies -}}
{{- if and $ranges (ne $name "externalIPs.allow") (eq (len (without $families (first $proxied) (last $proxied))) (len $families)) -}}
{{- fail (printf "%s: no range in it is of a family in proxy.ipFamilies, %s" $name (join "," $proxied)) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Where programs listen; controller and agent may meet on one node's network. */}}
{{- define "pointsman.validate.listeners" -}}
{{- $taken := dict -}}
{{- range $program := list "controller" "agent" -}}
{{- range $field := list "healthAddress" "metricsAddress" -}}
{{- $name := printf "%s.%s" $program $field -}}
{{- $address := get (get $ $program) $field -}}
{{- if not (include "pointsman.host" $address) -}}
{{- fail (printf "%s=%s: write an address and a port from 1 to 65535, such as 127.0.0.1:10300 or [::1]:10300" $name $address) -}}
{{- end -}}
{{- $port := regexFind "[0-9]+$" $address -}}
{{- if hasKey $taken $port -}}
{{- fail (printf "%s: port %s is that of %s, and both may stand on one node" $name $port (get $taken $port)) -}}
{{- end -}}
{{- $_ := set $taken $port $name -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "pointsman.validate.monitoring" -}}
{{- if .monitoring.podMonitor.enabled -}}
{{- range $program := list "controller" "agent" -}}
{{- $address := (get $ $program).metricsAddress -}}
{{- if regexMatch "^(127\\..*|:*(0{1,4}:+)*0{0,3}1)$" (include "pointsman.host" $address) -}}
{{- fail (printf "%s.metricsAddress=%s: Prometheus does not reach loopback; with monitoring.podMonitor.enabled set an address that it reaches, such as 0.0.0.0:%s" $program $address (regexFind "[0-9]+$" $address)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
