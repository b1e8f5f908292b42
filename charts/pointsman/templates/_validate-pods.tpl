{{/* What users give to pods beside the chart's own: flags, variables, volumes, tolerations, resources. */}}
{{- define "pointsman.validate.pods" -}}
{{- range $program := list "controller" "agent" "test" -}}
{{- $values := get $ $program -}}
{{- include "pointsman.validate.tolerations" (list $program $values.tolerations) -}}
{{- include "pointsman.validate.resources" (list $program $values.resources) -}}
{{- end -}}
{{- range $program := list "controller" "agent" -}}
{{- $values := get $ $program -}}
{{- include "pointsman.validate.args" (list $program $values.extraArgs) -}}
{{- include "pointsman.validate.env" (list $program $values.extraEnv) -}}
{{- include "pointsman.validate.volumes" (list $program $values $.agent.stateDir) -}}
{{- end -}}
{{- end }}

{{/*
The flags that the chart gives to a program, and what to do instead of giving them again: a program ends that gets a flag twice. Each has
a variable too, POINTSMAN_ and its name.
*/}}
{{- define "pointsman.ownFlags" -}}
health-address: set {{ . }}.healthAddress
metrics-address: set {{ . }}.metricsAddress
log-format: set logFormat
log-level: set logLevel
help: the program would do nothing else
version: the program would do nothing else
{{- if eq . "controller" }}
lease-name: the controller may use no Lease but the chart's
lease-namespace: the controller may use no Lease but the chart's
identity: each replica has the name of its pod, for by one name two would lead
endpoint-slices: set endpointSlices.mode
mode: set proxy.mode
ip-families: set proxy.ipFamilies
proxy-name: set proxy.proxyName
detect-local-mode: set proxy.detectLocal.mode
cluster-cidrs: set proxy.detectLocal.clusterCIDRs
pod-interface: set proxy.detectLocal.interface
masquerade-bit: set proxy.masquerade.bit
masquerade-all: set proxy.masquerade.all
node-port-addresses: set proxy.nodePortAddresses
min-sync-period: set proxy.sync.minPeriod
verify-period: set proxy.sync.verifyPeriod
drift: set proxy.sync.drift
table-owner: set proxy.nftables.tableOwner
allowed-external-ips: set externalIPs.allow
{{- else }}
node-name: each agent has the name of its pod's node
node: each agent has the name of its pod's node
state-dir: set agent.stateDir
take-over: set agent.takeOver
{{- end }}
{{- end }}

{{- define "pointsman.validate.args" -}}
{{- $name := printf "%s.extraArgs" (index . 0) -}}
{{- $own := include "pointsman.ownFlags" (index . 0) | fromYaml -}}
{{- $seen := dict -}}
{{- range index . 1 -}}
{{- if not (regexMatch "^--[a-z]" .) -}}
{{- fail (printf "%s: %s is no flag; write each flag as one word with its value, --flag=value" $name .) -}}
{{- end -}}
{{- $flag := splitList "=" . | first | trimPrefix "--" -}}
{{- if hasKey $own $flag -}}
{{- fail (printf "%s: --%s is the chart's own: %s" $name $flag (get $own $flag)) -}}
{{- else if hasKey $seen $flag -}}
{{- fail (printf "%s: --%s stands twice; leave one out" $name $flag) -}}
{{- end -}}
{{- $_ := set $seen $flag true -}}
{{- end -}}
{{- end }}

{{- define "pointsman.validate.env" -}}
{{- $name := printf "%s.extraEnv" (index . 0) -}}
{{- $own := dict "KUBERNETES_SERVICE_HOST" "set k8sServiceHost" "KUBERNETES_SERVICE_PORT" "set k8sServicePort" -}}
{{- if eq (index . 0) "agent" -}}
{{- $_ := set $own "NODE_NAME" "it is the name of the pod's node" -}}
{{- end -}}
{{- range $flag, $instead := include "pointsman.ownFlags" (index . 0) | fromYaml -}}
{{- $_ := set $own (printf "POINTSMAN_%s" ($flag | upper | replace "-" "_")) $instead -}}
{{- end -}}
{{- $seen := dict -}}
{{- range index . 1 -}}
{{- if not (regexMatch "^([A-Za-z_-]|\\.[0-9A-Za-z_-])[0-9A-Za-z_.-]*$" .name) -}}
{{- fail (printf "%s: %q is no variable's name; write letters, digits and the signs _ . -" $name .name) -}}
{{- else if hasKey $own .name -}}
{{- fail (printf "%s: %s is the chart's own: %s" $name .name (get $own .name)) -}}
{{- else if hasKey $seen .name -}}
{{- fail (printf "%s: %s stands twice; leave one out" $name .name) -}}
{{- else if and .value .valueFrom -}}
{{- fail (printf "%s: %s has both value and valueFrom; leave one out" $name .name) -}}
{{- end -}}
{{- $_ := set $seen .name true -}}
{{- end -}}
{{- end }}

{{/* Volumes, and where they are mounted; the agent has one itself. */}}
{{- define "pointsman.validate.volumes" -}}
{{- $name := index . 0 -}}
{{- $values := index . 1 -}}
{{- $volumes := dict -}}
{{- $paths := dict -}}
{{- if eq $name "agent" -}}
{{- $_ := set $volumes "state" false -}}
{{- $_ := set $paths (index . 2 | trimSuffix "/") true -}}
{{- end -}}
{{- range $values.extraVolumes -}}
{{- if not (regexMatch (printf "^%s$" (include "pointsman.dnsLabel" $)) .name) -}}
{{- fail (printf "%s.extraVolumes: %q is no volume's name; write small letters, digits and the sign -" $name .name) -}}
{{- else if hasKey $volumes .name -}}
{{- fail (printf "%s.extraVolumes: there is another volume %s; take another name" $name .name) -}}
{{- end -}}
{{- $_ := set $volumes .name true -}}
{{- end -}}
{{- range $values.extraVolumeMounts -}}
{{- include "pointsman.validate.form" (list (printf "%s.extraVolumeMounts.mountPath" $name) .mountPath (include "pointsman.path" $) (include "pointsman.pathSays" $)) -}}
{{- if not (get $volumes .name) -}}
{{- fail (printf "%s.extraVolumeMounts: %s is not in %s.extraVolumes; add it there" $name .name $name) -}}
{{- else if hasKey $paths (trimSuffix "/" .mountPath) -}}
{{- fail (printf "%s.extraVolumeMounts: something else is mounted at %s; take another path" $name .mountPath) -}}
{{- end -}}
{{- $_ := set $paths (trimSuffix "/" .mountPath) true -}}
{{- end -}}
{{- end }}

{{- define "pointsman.validate.tolerations" -}}
{{- $name := printf "%s.tolerations" (index . 0) -}}
{{- range index . 1 -}}
{{- $operator := .operator | default "Equal" -}}
{{- if and .value (eq $operator "Exists") -}}
{{- fail (printf "%s: operator Exists goes without a value; leave %q out, or write operator Equal" $name .value) -}}
{{- else if and (not .key) (ne $operator "Exists") -}}
{{- fail (printf "%s: without a key the operator is Exists, not %s; write operator Exists, or a key" $name $operator) -}}
{{- else if and (hasKey . "tolerationSeconds") (ne (.effect | default "") "NoExecute") -}}
{{- fail (printf "%s: tolerationSeconds goes with effect NoExecute only; write that effect, or leave the seconds out" $name) -}}
{{- end -}}
{{- if .key -}}
{{- include "pointsman.validate.key" (list $name .key) -}}
{{- end -}}
{{- include "pointsman.validate.form" (list (printf "%s.value" $name) (.value | default "") (include "pointsman.labelPattern" $) (include "pointsman.labelSays" $)) -}}
{{- end -}}
{{- end }}

{{- define "pointsman.validate.resources" -}}
{{- $name := printf "%s.resources" (index . 0) -}}
{{- $resources := index . 1 | default dict -}}
{{- range $kind := list "requests" "limits" -}}
{{- range $resource, $amount := include "pointsman.merged" (list (get $resources $kind)) | fromYaml -}}
{{- $full := printf "%s.%s.%s" $name $kind $resource -}}
{{- include "pointsman.validate.form" (list $full $amount "^([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$" "no amount; write a number with its unit, such as 100m or 128Mi") -}}
{{- end -}}
{{- end -}}
{{- end }}
