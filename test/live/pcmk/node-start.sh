#!/bin/bash
# Starts one node of a test cluster and prints, on one line, the host's process id of its PID 1.
# usage: node-start.sh LABDIR ID NUMBER [INIT]
set -eu
lab=$1 id=$2 i=$3
here=$(cd "$(dirname "$0")" && pwd)
node=$lab/node$i
init=${4:-$here/node-init.sh}
setsid ip netns exec "fp$id-$i" unshare --mount --uts --ipc --pid --fork --kill-child \
  "$init" "node$i" "$lab" </dev/null >"$node/init.out" 2>&1 &
outer=$!
for _ in $(seq 500); do
  # ip and unshare exec in place: the one child of that process is the node's PID 1.
  inner=$(cat "/proc/$outer/task/$outer/children" 2>/dev/null || true)
  inner=${inner%% *}
  if [ -n "$inner" ] && [ "$(readlink "/proc/$inner/ns/pid")" != "$(readlink /proc/self/ns/pid)" ]; then
    echo "$inner" >"$node/pid"
    echo "$inner"
    exit 0
  fi
  kill -0 "$outer" 2>/dev/null || break
  sleep 0.01
done
echo "node$i did not start: $(tail -3 "$node/init.out")" >&2
exit 1
