{{- define "pratique.selector" -}}
app.kubernetes.io/name: pratique
{{- if ne .Release.Name "pratique" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- end }}
{{- define "pratique.labels" -}}
{{ include "pratique.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "pratique.name" -}}
{{- if eq .Release.Name "pratique" }}pratique{{ else }}{{ printf "%s-pratique" .Release.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}
{{- define "pratique.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}
