#!/bin/sh
# Installs what the tests need and the machine lacks, where it can, and runs them all, with a floor under the coverage
# of src/. Arguments go to `bun test`; then there is no floor.
set -eu
cd "$(dirname "$0")/.."

coverage_floor=95

missing=""
[ -x "${CHROMIUM_PATH:-/usr/bin/chromium}" ] || missing="$missing chromium"
[ -x /usr/bin/redis-server ] || missing="$missing redis-server"
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing postgresql"
[ -x /usr/bin/prometheus ] || missing="$missing prometheus"
[ -x /usr/bin/prometheus-alertmanager ] || missing="$missing prometheus-alertmanager"
[ -x /usr/bin/systemd-analyze ] || missing="$missing systemd"
[ -x /usr/sbin/logrotate ] || missing="$missing logrotate"
[ -x /usr/sbin/nginx ] || missing="$missing nginx"
if [ -n "$missing" ]; then
  if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "Installing what the tests need:$missing."
    # Asks for no server of the system's own: the tests run theirs in temporary folders.
    { apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >/dev/null
  else
    echo "Some tests will fail without these packages: apt-get install$missing (or set CHROMIUM_PATH for the browser)." >&2
  fi
fi

log=$(mktemp)
trap 'rm -f "$log" "$log.status"' EXIT
# Much of a test is waiting: two files at a time take half as long.
[ $# -gt 0 ] || set -- --coverage --coverage-reporter=lcov --parallel=2
whole=$([ "$1" = --coverage ] && echo yes || echo no)
{ bun test "$@" 2>&1 && echo 0 >"$log.status" || echo $? >"$log.status"; } | tee "$log"
status=$(cat "$log.status")

if [ "$whole" = yes ] && [ -f coverage/lcov.info ]; then
  covered=$(awk -F: '/^SF:/ { ours = ($2 ~ /(^|\/)src\//) } ours && /^LF:/ { all += $2 } ours && /^LH:/ { hit += $2 } END { printf "%.2f", all ? 100 * hit / all : 0 }' coverage/lcov.info)
  echo "Lines of src/ covered: $covered % (floor $coverage_floor %)"
  if [ "${covered%.*}" -lt "$coverage_floor" ]; then status=1; fi
fi

passed=$(sed -n 's/^ *\([0-9][0-9]*\) pass$/\1/p' "$log" | tail -n 1)
failed=$(sed -n 's/^ *\([0-9][0-9]*\) fail$/\1/p' "$log" | tail -n 1)
echo "${passed:-0} passed, ${failed:-0} failed"
exit "$status"
