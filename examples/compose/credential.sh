#!/bin/sh
# Gives the exporter its key in LiteLLM, once: a user with the role proxy_admin_viewer and, for him, the key
# $EXPORTER_LITELLM_KEY, without a budget, for the routes that the exporter reads.
set -eu

call() { # path body
	curl --silent --show-error --max-time 30 --output /tmp/answer --write-out '%{http_code}' \
		--header "Authorization: Bearer $LITELLM_MASTER_KEY" --header 'Content-Type: application/json' \
		"$LITELLM_URL$1" ${2:+--data "$2"}
}

if [ "$(call "/key/info?key=$EXPORTER_LITELLM_KEY" '')" = 200 ]; then
	echo "the exporter has its key already"
	exit 0
fi

status=$(call /user/new '{"user_id": "budget-exporter", "user_role": "proxy_admin_viewer", "auto_create_key": false}')
if [ "$status" != 200 ] && [ "$status" != 409 ]; then # 409: the user is there already
	echo "LiteLLM answers $status to /user/new:" && cat /tmp/answer
	exit 1
fi >&2

status=$(call /key/generate '{"key": "'"$EXPORTER_LITELLM_KEY"'", "user_id": "budget-exporter", "key_alias": "budget-exporter",
	"allowed_routes": ["/key/list", "/key/info", "/v2/key/info", "/v2/team/list", "/budget/list", "/spend/logs/v2"]}')
if [ "$status" != 200 ]; then
	echo "LiteLLM answers $status to /key/generate:" && cat /tmp/answer
	exit 1
fi >&2
echo "the exporter has its key"
