// Package config reads the exporter's configuration: a YAML file, the environment, or both.
//
// What wins over what:
//
//   - A value in the file wins over the environment, and the environment over the default. A field that is
//     null, or an environment variable that is empty, counts as not given.
//   - litellm.url wins over LITELLM_URL. Any credential in the litellm section (api_key, api_key_file,
//     authorization, basic_auth, oauth2, bearer_token, bearer_token_file) wins over LITELLM_API_KEY and
//     LITELLM_API_KEY_FILE; http_headers are sent besides either.
//   - redis is taken from one place as a whole: given in the file, the environment's REDIS_* do not count;
//     null in the file, there is no Redis; not in the file, the environment says.
//   - In the environment, the variables are those that LiteLLM reads, and win as they do there:
//     REDIS_CLUSTER_NODES, then REDIS_URL, then REDIS_SENTINEL_NODES with REDIS_SERVICE_NAME, then REDIS_HOST.
//     With REDIS_URL in use, all others are ignored. Each secret can be in a file named by its variable with _FILE.
//   - Two sources of one secret in the same place (both api_key and api_key_file, both REDIS_PASSWORD and
//     REDIS_PASSWORD_FILE) are an error, never a matter of precedence.
//
// Relative paths in the file are relative to the file's directory, those in the environment to the working
// directory. Secret files must be there and not be empty when the configuration is loaded. They are read again
// when they are used, so a secret can be replaced without a reload; REDIS_URL_FILE alone is read once.
//
// Every problem found is reported with its file, line and field, or its environment variable, and with what to
// do. No error contains a value that could be a secret.
package config
