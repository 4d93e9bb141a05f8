{{/* Names and labels. */}}

{{- define "dacorch.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The headless service, by which the replicas reach each other. */}}
{{- define "dacorch.podsService" -}}
{{ include "dacorch.fullname" . }}-pods
{{- end -}}

{{- define "dacorch.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (ternary (include "dacorch.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end -}}

{{- define "dacorch.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "dacorch.labels" -}}
{{ include "dacorch.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
app.kubernetes.io/component: orchestrator
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end -}}

{{- define "dacorch.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The namespace of the instances' pods. */}}
{{- define "dacorch.podNamespace" -}}
{{ dig "kubernetes" "namespace" .Release.Namespace .Values.config }}
{{- end -}}

{{- define "dacorch.scheme" -}}
{{ ternary "https" "http" (or (not (empty .Values.secrets.api.cert)) (ne (dig "api" "certFile" "" .Values.config) "")) }}
{{- end -}}

{{/* "yes" when extraEnv has one of the variables, or extraEnvFrom may have. */}}
{{- define "dacorch.inEnvironment" -}}
{{- $names := .names -}}
{{- if .root.Values.extraEnvFrom -}}yes{{- end -}}
{{- range .root.Values.extraEnv -}}{{- if has .name $names -}}yes{{- end -}}{{- end -}}
{{- end -}}
