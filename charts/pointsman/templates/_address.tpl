{{/* The family of an address, IPv4 or IPv6, or nothing if it is none. IPv6 with an IPv4 address at its end is not taken. */}}
{{- define "pointsman.family" -}}
{{- $octet := "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])" -}}
{{- if regexMatch (printf "^(%s\\.){3}%s$" $octet $octet) . -}}
IPv4
{{- else -}}
{{- $halves := splitList "::" . -}}
{{- $groups := list -}}
{{- range $halves -}}
{{- $groups = . | empty | ternary list (splitList ":" .) | concat $groups -}}
{{- end -}}
{{- $few := eq (len $halves) 1 | ternary (eq (len $groups) 8) (and (eq (len $halves) 2) (lt (len $groups) 8)) -}}
{{- if and $few (regexMatch "^([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4})*)?$" (join ":" $groups)) -}}
IPv6
{{- end -}}
{{- end -}}
{{- end }}

{{/* The family of a range such as 192.0.2.0/24, or nothing if it is none. */}}
{{- define "pointsman.rangeFamily" -}}
{{- $parts := splitList "/" . -}}
{{- $family := include "pointsman.family" (first $parts) -}}
{{- $longest := get (dict "IPv4" 32 "IPv6" 128) $family -}}
{{- if and $family (eq (len $parts) 2) (regexMatch "^(0|[1-9][0-9]{0,2})$" (last $parts)) -}}
{{- le (int (last $parts)) $longest | ternary $family "" -}}
{{- end -}}
{{- end }}

{{/* The host of an address with a port, without brackets; nothing if it is no such address: 0.0.0.0:10256, [::1]:10249. */}}
{{- define "pointsman.host" -}}
{{- $port := regexFind "[0-9]+$" . -}}
{{- $host := trimSuffix (printf ":%s" $port) . -}}
{{- $bare := $host | trimPrefix "[" | trimSuffix "]" -}}
{{- $written := get (dict "IPv4" $bare "IPv6" (printf "[%s]" $bare)) (include "pointsman.family" $bare) -}}
{{- if and (include "pointsman.isPort" $port) $written (eq . (printf "%s:%s" $written $port)) -}}
{{- $bare -}}
{{- end -}}
{{- end }}

{{/* "true" if a text is a number from 1 to 65535, else nothing. */}}
{{- define "pointsman.isPort" -}}
{{- if regexMatch "^[1-9][0-9]{0,4}$" . -}}
{{- le (int .) 65535 | ternary "true" "" -}}
{{- end -}}
{{- end }}

{{/* A duration such as 1m30s as a number of milliseconds. */}}
{{- define "pointsman.millis" -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9.]+[a-z]+" . -1 -}}
{{- $number := regexFind "^[0-9.]+" . -}}
{{- $unit := get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000) (trimPrefix $number .) -}}
{{- $sum = addf $sum (mulf (float64 $number) $unit) -}}
{{- end -}}
{{- $sum -}}
{{- end }}
