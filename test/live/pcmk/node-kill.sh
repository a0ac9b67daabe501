#!/bin/bash
# Power off: SIGKILL to everything in one node's namespaces. Waits until they are gone. usage: node-kill.sh LABDIR ID NUMBER
# The network namespace is this cluster's alone, so a process found in it is one that this cluster started.
lab=$1 id=$2 i=$3
pid=$(cat "$lab/node$i/pid" 2>/dev/null)
inside() { [ -n "$1" ] && [ "$(stat -Lc %i "/proc/$1/ns/net" 2>/dev/null)" = "$(stat -Lc %i "/run/netns/fp$id-$i" 2>/dev/null)" ]; }
inside "$pid" && kill -9 "$pid" # PID 1 of a pid namespace: the kernel kills the rest
for _ in $(seq 200); do
  left=$(ip netns pids "fp$id-$i" 2>/dev/null)
  [ -z "$left" ] && break
  for p in $left; do kill -9 "$p" 2>/dev/null; done
  sleep 0.02
done
rm -f "$lab/node$i/pid"
[ -z "$left" ]
