#!/bin/sh
# Starts, stops and shows the instances that `swarmgate numa install` planned, on a machine without systemd. Each runs on
# the processors and the memory of its node: by numactl, else by taskset (processors only), else unbound, with a warning.
# A process is only ever signalled if it is the one that was started here: the file with its number holds its start time.
# usage: launch.sh start|stop|show|status
# environment: SWARMGATE_CONFIGURATION (/etc/swarmgate), SWARMGATE_RUN (/run/swarmgate), SWARMGATE_LOGS (/var/log/swarmgate)
set -eu

here=$(dirname "$(readlink -f "$0")")
# The same way up from a checkout and from an installation.
program=$here/../../dist/program/swarmgate.js
configuration=${SWARMGATE_CONFIGURATION:-/etc/swarmgate}
run=${SWARMGATE_RUN:-/run/swarmgate}
logs=${SWARMGATE_LOGS:-/var/log/swarmgate}
table=$configuration/instances
ready_seconds=30
stop_seconds=20

fail() { echo "launch.sh: $1" >&2; exit 1; }
warn() { echo "launch.sh: warning: $1" >&2; }

node=$(command -v node) || fail "node is not in the PATH"
[ -e "$program" ] || fail "$program is not there; run make build first"
swarmgate() { "$node" "$program" "$@"; }

# The lines "name processors memory" of the table; anything else is passed over.
instances() {
  [ -r "$table" ] || fail "$table cannot be read; make it with: swarmgate numa install"
  grep -E '^[a-z0-9][a-z0-9_-]{0,14} [0-9,-]+ ([0-9,-]+|-)$' "$table" || fail "$table names no instance"
}

# When a process began, in ticks since the start of the machine; empty if there is none. Its name, in brackets before,
# may hold spaces.
began() {
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  # shellcheck disable=SC2086 # the fields are wanted one by one
  set -- ${stat##*) }
  # Ended, and nobody has asked how.
  [ "$1" != Z ] || return 0
  echo "${20}"
}

pid_file() { echo "$run/$1.launched"; }

# The process of an instance that was started here; empty if it has ended.
process_of() {
  file=$(pid_file "$1")
  [ -r "$file" ] || return 0
  read -r pid start <"$file" || return 0
  case $pid in '' | *[!0-9]*) return 0 ;; esac
  [ -n "$start" ] || return 0
  if [ "$(began "$pid")" = "$start" ]; then echo "$pid"; fi
}

# Sets $binding to the words that bind a command to processors and memory.
bind_to() {
  binding=
  memory=
  [ "$2" = - ] || memory=--membind=$2
  # shellcheck disable=SC2086 # no word where there is no memory to bind
  if numactl --physcpubind="$1" $memory -- true 2>/dev/null; then
    binding="numactl --physcpubind=$1 $memory --"
  elif taskset -c "$1" true 2>/dev/null; then
    binding="taskset -c $1"
    [ -z "$memory" ] || warn "$3: processors are bound by taskset, memory is not (numactl is missing or refused)"
  else
    warn "$3: not bound to processors $1: neither numactl nor taskset can"
  fi
}

# What an instance that was killed left in the kernel.
clean() {
  [ ! -e "$(pid_file "$1")" ] || swarmgate firewall remove --instance "$1" > /dev/null || warn "$1: its rules may be left"
  rm -f "$(pid_file "$1")"
}

# The word that makes an instance say that it is ready, where its configuration has it quieter.
loud_enough() {
  loud=
  settings=$(swarmgate check --print --config "$configuration/$1.yaml" --instance "$1") || return 1
  case $(echo "$settings" | sed -n '/^log:/,/^[^ l]/s/^  level: //p') in warn | error) loud=--log-level=info ;; esac
}

start_one() {
  pid=$(process_of "$1")
  if [ -n "$pid" ]; then echo "$1: runs already, process $pid"; return 0; fi
  loud_enough "$1" || { warn "$1: not started: its configuration is wrong"; return 1; }
  bind_to "$2" "$3" "$1"
  log=$logs/$1.log
  true >>"$log" || return 1
  size=$(wc -c <"$log")
  session=$(command -v setsid || true)
  # A session of its own: it outlives the terminal. Neither setsid (in the background) nor numactl nor taskset makes a
  # process of its own, so $! is the instance.
  # shellcheck disable=SC2086 # words, none of them with a space: the table is checked
  $session $binding "$node" "$program" run --config "$configuration/$1.yaml" --instance "$1" $loud </dev/null >>"$log" 2>&1 9>&- &
  pid=$!
  # Without its number nobody could stop it.
  echo "$pid $(began "$pid")" >"$(pid_file "$1")" || { kill "$pid"; return 1; }
  tenths=0
  while [ -n "$(process_of "$1")" ]; do
    if tail -c "+$((size + 1))" "$log" | grep -q 'info: ready'; then echo "$1: started, process $pid, log $log"; return 0; fi
    [ $tenths -lt $((ready_seconds * 10)) ] || { warn "$1: process $pid is not ready after $ready_seconds s; see $log"; return 1; }
    sleep 0.1
    tenths=$((tenths + 1))
  done
  # Started by somebody else, such as systemd: the rules in the kernel are that one's.
  if tail -c "+$((size + 1))" "$log" | grep -q '\[instance-busy\]'; then rm -f "$(pid_file "$1")"; else clean "$1"; fi
  warn "$1: ended at its start; $log says why:"
  tail -c "+$((size + 1))" "$log" | tail -n 3 >&2
  return 1
}

stop_one() {
  pid=$(process_of "$1")
  if [ -z "$pid" ]; then
    echo "$1: does not run"
    clean "$1"
    return 0
  fi
  kill -TERM "$pid" || return 1
  tenths=0
  while [ -n "$(process_of "$1")" ]; do
    [ $tenths -lt $((stop_seconds * 10)) ] || { warn "$1: process $pid has not ended after $stop_seconds s"; return 1; }
    sleep 0.1
    tenths=$((tenths + 1))
  done
  rm -f "$(pid_file "$1")"
  echo "$1: stopped"
}

show_one() {
  pid=$(process_of "$1")
  memory="memory of node $3"
  [ "$3" != - ] || memory="memory not bound"
  state="not running"
  # What the kernel says of the process, not what was asked for.
  [ -z "$pid" ] || state="process $pid on processors $(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$pid/status")"
  if [ "$2" = - ]; then echo "$1: $state; no longer planned"; return 0; fi
  echo "$1: $state; planned: processors $2, $memory, $configuration/$1.yaml"
}

# "name - -" for what was started here and is not in the list: the plan may have changed since, or was removed.
unplanned() {
  for file in "$run"/*.launched; do
    name=${file##*/}
    name=${name%.launched}
    if [ -e "$file" ] && ! echo "$1" | grep -q "^$name "; then echo "$name - -"; fi
  done | grep -E '^[a-z0-9][a-z0-9_-]{0,14} - -$' || true
}

# Every instance that is planned, also when one of them fails.
each() {
  list=$(instances)
  for_all "$1"
}

# The same for those that run and are no longer planned.
each_known() {
  list=
  [ ! -e "$table" ] || list=$(instances)
  rest=$(unplanned "$list")
  list=$list${list:+${rest:+
}}$rest
  [ -n "$list" ] || instances
  for_all "$1"
}

for_all() {
  failed=0
  while read -r name processors memory_nodes; do
    "$1" "$name" "$processors" "$memory_nodes" || failed=1
  done <<END
$list
END
  return $failed
}

# One at a time: two that start the same instance would each believe that its process is theirs.
alone() {
  [ -d "$run" ] && command -v flock >/dev/null || return 0
  exec 9>"$run/launch.lock"
  flock -w 60 9 || fail "another launch.sh is at work; try again when it has ended"
}

case ${1:-} in
  start)
    [ "$(id -u)" = 0 ] || fail "needs root"
    mkdir -p "$run" "$logs"
    alone
    each start_one
    ;;
  stop)
    alone
    each_known stop_one
    ;;
  show) each_known show_one ;;
  status) swarmgate status --all --folder "$run" ;;
  *)
    echo "usage: launch.sh start|stop|show|status" >&2
    exit 2
    ;;
esac
