# Steps of etl.yml that use an object store read this file: . pipeline/object_store_variables.sh
# The drivers of the object stores treat an empty variable as a value, so unset it.
if [ -n "$ARCHIVE_ENDPOINT" ]; then export AWS_ENDPOINT_URL="$ARCHIVE_ENDPOINT"; fi
if [ -n "$ARCHIVE_REGION" ]; then export AWS_DEFAULT_REGION="$ARCHIVE_REGION"; fi
if [ -z "$AWS_ACCESS_KEY_ID" ]; then unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; fi
if [ -n "$GOOGLE_CREDENTIALS" ]; then
  printf '%s' "$GOOGLE_CREDENTIALS" > "$RUNNER_TEMP/google.json"
  export GOOGLE_APPLICATION_CREDENTIALS="$RUNNER_TEMP/google.json"
fi
