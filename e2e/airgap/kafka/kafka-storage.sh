#!/bin/sh
# The published image's command of this name. KAFKA_HEAP_OPTS sizes the heap.
set -eu
# KAFKA_HEAP_OPTS is a list of flags.
# shellcheck disable=SC2086
exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 ${KAFKA_HEAP_OPTS:-} \
	-Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp '/opt/kafka/libs/*' kafka.tools.StorageTool "$@"
