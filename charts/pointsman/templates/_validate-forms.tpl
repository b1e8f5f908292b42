{{/* How names, labels and single values are written. */}}

{{/* A label of DNS (RFC 1123), and a name of several: patterns without anchors. */}}
{{- define "pointsman.dnsLabel" -}} [a-z0-9]([-a-z0-9]{0,61}[a-z0-9])? {{- end }}
{{- define "pointsman.dnsName" -}}
{{- $label := include "pointsman.dnsLabel" . -}}
{{- printf "%s(\\.%s)*" $label $label -}}
{{- end }}

{{/* A host's name, with a dot behind it or without. Its last part has a letter: else it would be an address with a slip. */}}
{{- define "pointsman.hostName" -}}
{{- printf "(?i)^(%s\\.)*([a-z0-9][-a-z0-9]{0,61})?[a-z]([-a-z0-9]{0,61}[a-z0-9])?\\.?$" (include "pointsman.dnsLabel" .) -}}
{{- end }}

{{/* Single values: name, value, pattern, sentence. */}}
{{- define "pointsman.validate.forms" -}}
{{- $level := "(?i:off|error|warn|info|debug|trace)" -}}
{{- $part := "[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*" -}}
{{- $object := printf "^(%s)?$" (include "pointsman.dnsName" .) -}}
{{- $objectSays := "no name that an object can have; write small letters, digits and the signs - and ." -}}
{{- range list
  (list "image.repository" .image.repository (printf "^([0-9A-Za-z]([0-9A-Za-z.-]*[0-9A-Za-z])?(:[0-9]{1,5})?/)?%s(/%s)*$" $part $part)
    "no image's name; write small letters and digits, in parts between /, such as registry.example.com:5000/network/pointsman")
  (list "image.tag" .image.tag "^([0-9A-Za-z_][0-9A-Za-z_.-]{0,127})?$" "no tag; write letters, digits and the signs _ . - such as 0.1.0")
  (list "image.digest" .image.digest "^(sha256:[0-9a-f]{64})?$" "no digest; write sha256: and 64 digits of 0-9a-f")
  (list "logLevel" .logLevel (printf "^([0-9A-Za-z_:.-]+=)?%s(,([0-9A-Za-z_:.-]+=)?%s)*$" $level $level)
    "write error, warn, info, debug or trace, or directives such as info,kube=debug")
  (list "agent.stateDir" .agent.stateDir (include "pointsman.path" .) (include "pointsman.pathSays" .))
  (list "agent.maxUnavailable" .agent.maxUnavailable (include "pointsman.some" .) (include "pointsman.someSays" .))
  (list "controller.podDisruptionBudget.maxUnavailable" .controller.podDisruptionBudget.maxUnavailable
    (include "pointsman.some" .) (include "pointsman.someSays" .))
  (list "controller.priorityClassName" (.controller.priorityClassName | default "") $object $objectSays)
  (list "agent.priorityClassName" (.agent.priorityClassName | default "") $object $objectSays)
  (list "test.priorityClassName" (.test.priorityClassName | default "") $object $objectSays)
  (list "proxy.proxyName" .proxy.proxyName (include "pointsman.labelPattern" .) (include "pointsman.labelSays" .))
  (list "proxy.detectLocal.interface" .proxy.detectLocal.interface "^[A-Za-z0-9_.:@-]{0,15}$"
    "no interface's name; write up to 15 letters, digits and the signs _ . : @ -")
  (list "monitoring.prometheusRule.runbookBaseURL" .monitoring.prometheusRule.runbookBaseURL "^(https?://[^\\s\"]+)?$"
    "no address of a web page; write it with https:// in front")
-}}
{{- include "pointsman.validate.form" . -}}
{{- end -}}
{{- range .imagePullSecrets -}}
{{- include "pointsman.validate.form" (list "imagePullSecrets" .name $object $objectSays) -}}
{{- end -}}
{{- end }}

{{/* Fails unless a value has its form: (list "name" .value "^pattern$" "sentence"). */}}
{{- define "pointsman.validate.form" -}}
{{- if not (index . 1 | toString | regexMatch (index . 2)) -}}
{{- fail (printf "%s=%v: %s" (index . 0) (index . 1) (index . 3)) -}}
{{- end -}}
{{- end }}

{{- define "pointsman.path" -}} ^(/[0-9A-Za-z_.-]*[0-9A-Za-z_-])+/?$ {{- end }}
{{- define "pointsman.pathSays" -}} a path from the root without .. such as /var/lib/pointsman; letters, digits and the signs _ . - {{- end }}
{{- define "pointsman.some" -}} ^([1-9][0-9]{0,5}|([1-9][0-9]?|100)%)$ {{- end }}
{{- define "pointsman.someSays" -}} write a number of at least 1, or a percentage from 1% to 100% {{- end }}
{{- define "pointsman.labelPattern" -}} ^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$ {{- end }}
{{- define "pointsman.labelSays" -}} no label's value; write up to 63 letters and digits, and between them the signs - _ . {{- end }}

{{/* Periods: name, value, the least and the most that is taken. Prometheus takes no fractions. */}}
{{- define "pointsman.validate.periods" -}}
{{- range list
  (list "proxy.sync.minPeriod" .proxy.sync.minPeriod "0s" "8760h" "^([0-9]{1,11}(\\.[0-9]{1,9})?(ms|s|m|h))+$")
  (list "proxy.sync.verifyPeriod" .proxy.sync.verifyPeriod "1s" "8760h" "^([0-9]{1,11}(\\.[0-9]{1,9})?(ms|s|m|h))+$")
  (list "monitoring.podMonitor.interval" .monitoring.podMonitor.interval "1s" "24h" "^([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?$")
-}}
{{- $says := printf "write a time from %s to %s in whole milliseconds, such as 30s or 1m30s" (index . 2) (index . 3) -}}
{{- include "pointsman.validate.form" (list (index . 0) (index . 1) (index . 4) $says) -}}
{{- $millis := include "pointsman.millis" (index . 1) | float64 -}}
{{- $least := include "pointsman.millis" (index . 2) | float64 -}}
{{- $most := include "pointsman.millis" (index . 3) | float64 -}}
{{- if or (lt $millis $least) (gt $millis $most) (ne $millis (floor $millis)) -}}
{{- fail (printf "%s=%s: %s" (index . 0) (index . 1) $says) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Names and values of labels. By the chart's own its objects are found again, and pods are selected. */}}
{{- define "pointsman.validate.labels" -}}
{{- $own := list "helm.sh/chart" -}}
{{- range list "name" "instance" "version" "managed-by" "component" -}}
{{- $own = printf "app.kubernetes.io/%s" . | append $own -}}
{{- end -}}
{{- $given := dict "commonLabels" .commonLabels -}}
{{- range $program := list "controller" "agent" "test" -}}
{{- range $field := list "podLabels" "nodeSelector" -}}
{{- $_ := set $given (printf "%s.%s" $program $field) (get (get $ $program) $field | default dict) -}}
{{- end -}}
{{- end -}}
{{- range $kind := list "podMonitor" "prometheusRule" "dashboard" -}}
{{- $_ := set $given (printf "monitoring.%s.labels" $kind) (get $.monitoring $kind).labels -}}
{{- end -}}
{{- range $name, $labels := $given -}}
{{- range $label, $value := $labels -}}
{{- include "pointsman.validate.key" (list $name $label) -}}
{{- include "pointsman.validate.form" (list (printf "%s.%s" $name $label) ($value | default "") (include "pointsman.labelPattern" $) (include "pointsman.labelSays" $)) -}}
{{- if and (has $label $own) (not (hasSuffix ".nodeSelector" $name)) -}}
{{- fail (printf "%s: the label %s is the chart's own; take another name" $name $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Names of annotations, whose prefix may have capitals. Their values are free. */}}
{{- define "pointsman.validate.annotations" -}}
{{- range $name, $given := dict "commonAnnotations" .commonAnnotations "controller.podAnnotations" .controller.podAnnotations "agent.podAnnotations" .agent.podAnnotations -}}
{{- range $annotation, $_ := $given -}}
{{- include "pointsman.validate.key" (list $name $annotation "(?i)") -}}
{{- if hasPrefix "helm.sh/" $annotation -}}
{{- fail (printf "%s: by the annotation %s helm would treat every object otherwise; leave it out" $name $annotation) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The name of a label or an annotation: (list "commonLabels" "example.com/team"), and a third that the pattern begins with. */}}
{{- define "pointsman.validate.key" -}}
{{- $start := gt (len .) 2 | ternary (last .) "" -}}
{{- $pattern := printf "%s^(%s/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$" $start (include "pointsman.dnsName" .) -}}
{{- if not (regexMatch $pattern (index . 1)) -}}
{{- fail (printf "%s: %q is no name of a label or an annotation; write letters and digits, and between them the signs - _ . such as example.com/team" (index . 0) (index . 1)) -}}
{{- end -}}
{{- end }}
