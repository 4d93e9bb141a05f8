{{/* dacorch.yaml: the values' config, and what the chart knows besides. */}}
{{- define "dacorch.config" -}}
{{- include "dacorch.checkConfig" . -}}
{{- $s := .Values.secrets -}}
{{- $known := dict
  "api" (dict "listen" ":8080")
  "kubernetes" (dict "namespace" (include "dacorch.podNamespace" .)) -}}
{{- $file := dict "root" $ -}}
{{- range $at := list
    (list "api" "tokens" "tokenFile") (list "api" "cert" "certFile") (list "api" "key" "keyFile") (list "api" "ca" "caFile")
    (list "zookeeper" "password" "passwordFile") (list "mqtt" "password" "passwordFile")
    (list "database" "password" "passwordFile") (list "database" "url" "urlFile") -}}
{{- $server := index $at 0 -}}
{{- if index $s $server (index $at 1) -}}
{{- $_ := set $known $server (merge (dict (index $at 2) (printf "/etc/dacorch/secrets/%s/%s" $server (index $at 1))) (get $known $server | default dict)) -}}
{{- end -}}
{{- end -}}
{{- if $s.kafka.password -}}
{{- $_ := set $known "kafka" (dict "sasl" (dict "passwordFile" "/etc/dacorch/secrets/kafka/password")) -}}
{{- end -}}
{{- range $server := list "zookeeper" "kafka" "mqtt" -}}
{{- $tls := dict -}}
{{- range $what := list "ca" "cert" "key" -}}
{{- if index $s $server $what -}}
{{- $_ := set $tls "enabled" true -}}
{{- $_ := set $tls (printf "%sFile" $what) (printf "/etc/dacorch/secrets/%s/%s" $server $what) -}}
{{- end -}}
{{- end -}}
{{- if $tls -}}
{{- $_ := set $known $server (merge (dict "tls" $tls) (get $known $server | default dict)) -}}
{{- end -}}
{{- end -}}
{{- if .Values.recordings.enabled -}}
{{- $_ := set $known "record" (dict "dir" "/var/lib/dacorch/recordings") -}}
{{- end -}}
{{- $config := merge (deepCopy .Values.config) $known -}}
{{- $url := dig "database" "url" "" $config -}}
{{- if and $s.database.ca $url (not (contains "sslrootcert=" $url)) -}}
{{- $_ := set $config.database "url" (printf "%s%ssslrootcert=/etc/dacorch/secrets/database/ca" $url (ternary "&" "?" (contains "?" $url))) -}}
{{- end -}}
{{ toYaml $config }}
{{- end -}}

{{/* What would not start, or would show a secret. The program checks the rest. */}}
{{- define "dacorch.checkConfig" -}}
{{- $c := .Values.config -}}
{{- range $section := list "api" "zookeeper" "kafka" "mqtt" "database" "kubernetes" "log" "record" -}}
{{- if and (hasKey $c $section) (not (kindIs "map" (get $c $section))) -}}
{{- fail (printf "config.%s: want fields, as docs/configuration.md has them, or leave it out" $section) -}}
{{- end -}}
{{- end -}}
{{- if and (hasKey $c "kinds") (not (kindIs "slice" $c.kinds)) -}}
{{- fail "config.kinds: want a list, such as [{kind: Thing}], or leave it out" -}}
{{- end -}}
{{- range $c.kinds -}}
{{- if not (kindIs "map" .) -}}
{{- fail "config.kinds: want a list of maps, such as [{kind: Thing}]" -}}
{{- end -}}
{{- end -}}
{{- range $path := list "api.token" "zookeeper.password" "kafka.sasl.password" "mqtt.password" "database.password" -}}
{{- $at := $c -}}
{{- range $key := splitList "." $path -}}
{{- $at = ternary (get (ternary $at dict (kindIs "map" $at)) $key) "" (kindIs "map" $at) -}}
{{- end -}}
{{- if $at -}}
{{- fail (printf "config.%s: a secret has no place in a ConfigMap: put it in a Secret, and name that below secrets" $path) -}}
{{- end -}}
{{- end -}}
{{- range $path := list "mqtt.url" "database.url" -}}
{{- $at := splitList "." $path -}}
{{- if regexMatch "//[^/?#]*:.*@|[?&](?i:password|sslpassword)=" (dig (index $at 0) (index $at 1) "" $c | toString) -}}
{{- fail (printf "config.%s: a password has no place in a ConfigMap: put it in a Secret, and name that below secrets" $path) -}}
{{- end -}}
{{- end -}}
{{- range $path := list "api.listen" "api.advertise" "mqtt.clientId" -}}
{{- $at := splitList "." $path -}}
{{- if dig (index $at 0) (index $at 1) "" $c -}}
{{- fail (printf "config.%s: the chart sets it, for each replica" $path) -}}
{{- end -}}
{{- end -}}
{{- if $c.name -}}
{{- fail "config.name: every replica needs one of its own: it is the pod's" -}}
{{- end -}}
{{- if not (or .Values.secrets.api.tokens (dig "api" "tokenFile" "" $c) (include "dacorch.inEnvironment" (dict "root" . "names" (list "DACORCH_API_TOKEN" "DACORCH_API_TOKEN_FILE" "IOTA_TOKEN")))) -}}
{{- fail "secrets.api.tokens: nobody could call: want {name: …, key: …} of a Secret with a line for each token: name, read or write, token" -}}
{{- end -}}
{{- if not (or .Values.secrets.database.url (dig "database" "url" "" $c) (dig "database" "urlFile" "" $c) (include "dacorch.inEnvironment" (dict "root" . "names" (list "DACORCH_DATABASE_URL" "DACORCH_DATABASE_URL_FILE" "IOTA_DB")))) -}}
{{- fail "config.database.url: there is none: want postgres://user@host:port/name there, or secrets.database.url" -}}
{{- end -}}
{{- range $server, $refs := .Values.secrets -}}
{{- if ne (empty $refs.cert) (empty $refs.key) -}}
{{- fail (printf "secrets.%s: cert and key belong together" $server) -}}
{{- end -}}
{{- end -}}
{{- if and (eq (include "dacorch.scheme" .) "https") (gt (int .Values.replicaCount) 1) (not (or .Values.secrets.api.ca (dig "api" "caFile" "" $c) (include "dacorch.inEnvironment" (dict "root" . "names" (list "DACORCH_API_CA_FILE" "SSL_CERT_FILE" "SSL_CERT_DIR"))))) -}}
{{- fail "secrets.api.ca: the replicas forward orders to one another over HTTPS, and the image knows no public authorities: want {name: …, key: …} of whoever signed the certificate" -}}
{{- end -}}
{{- if and .Values.secrets.database.url (or .Values.secrets.database.ca (dig "database" "url" "" $c)) -}}
{{- fail "secrets.database.url: it holds the whole URL: leave out config.database.url, and instead of secrets.database.ca write sslrootcert into it" -}}
{{- end -}}
{{- end -}}

{{/* The kinds, as a JSON list; without a list in the configuration the program has these two. */}}
{{- define "dacorch.kinds" -}}
{{- .Values.config.kinds | default (list (dict "kind" "Thing") (dict "kind" "Rule")) | toJson -}}
{{- end -}}

{{/* What a kind's pods are called. */}}
{{- define "dacorch.instanceName" -}}
{{- .instanceName | default (get (dict "Thing" "iota-dac" "Rule" "iota-rules-engine") .kind) -}}
{{- end -}}

{{/* The instanceNames whose templates the chart brings along, as a JSON list. */}}
{{- define "dacorch.templated" -}}
{{- $names := list -}}
{{- range include "dacorch.kinds" . | fromJsonArray -}}
{{- $name := include "dacorch.instanceName" . -}}
{{- if and (not .template) $name -}}{{- $names = append $names $name -}}{{- end -}}
{{- end -}}
{{- $names | uniq | toJson -}}
{{- end -}}

{{/* The template of the pods of that instanceName. */}}
{{- define "dacorch.podTemplate" -}}
{{- $given := get .root.Values.podTemplates .name -}}
{{- if and $given (kindIs "string" $given) -}}
{{ $given }}
{{- else if $given -}}
{{ toYaml $given }}
{{- else -}}
{{- $shipped := .root.Files.Get (printf "pod-templates/%s/pod-template.yml" .name) -}}
{{- if not $shipped -}}
{{- fail (printf "podTemplates.%s: there is none: want the template of its pods" .name) -}}
{{- end -}}
{{- $image := .root.Values.simulatedDAC.image | default (printf "dacorch-dac:%s" (.root.Values.image.tag | default .root.Chart.AppVersion)) -}}
{{ $shipped | replace "dacorch-dac:latest" $image }}
{{- end -}}
{{- end -}}

{{/* All templates that the chart brings along, by instanceName. */}}
{{- define "dacorch.podTemplates" -}}
{{- $names := include "dacorch.templated" . | fromJsonArray -}}
{{- range $name, $_ := .Values.podTemplates -}}
{{- if not (has $name $names) -}}
{{- fail (printf "podTemplates.%s: no kind takes its pods from there: want the instanceName of one, of %s" $name (join ", " $names)) -}}
{{- end -}}
{{- end -}}
{{- range include "dacorch.templated" . | fromJsonArray }}
{{ . | quote }}: |
  {{- include "dacorch.podTemplate" (dict "root" $ "name" .) | nindent 2 }}
{{- end }}
{{- end -}}

{{/* All files of /etc/dacorch, as sources of one projected volume. */}}
{{- define "dacorch.files" -}}
- configMap:
    name: {{ include "dacorch.fullname" . | quote }}
    items:
      - key: dacorch.yaml
        path: dacorch.yaml
{{- with include "dacorch.templated" . | fromJsonArray }}
- configMap:
    name: {{ printf "%s-templates" (include "dacorch.fullname" $) | quote }}
    items:
      {{- range . }}
      - key: {{ . | quote }}
        path: {{ printf "templates/%s/pod-template.yml" . | quote }}
      {{- end }}
{{- end }}
{{- range $server := list "api" "zookeeper" "kafka" "mqtt" "database" }}
{{- range $what, $ref := index $.Values.secrets $server }}
{{- if $ref }}
- {{ ternary "configMap" "secret" (hasKey $ref "configMap") }}:
    name: {{ $ref.configMap | default $ref.name | quote }}
    items:
      - key: {{ $ref.key | quote }}
        path: secrets/{{ $server }}/{{ $what }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
