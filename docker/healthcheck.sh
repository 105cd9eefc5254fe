#!/bin/bash
# Whether the server of `run --listen` answers /healthz with 200. The image has no curl.
set -euo pipefail
port=${1:-8080}
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
IFS= read -r -t 3 status <&3
[[ $status == *" 200 "* ]]
