#!/bin/bash
# Stands in for the original Python recorder where its speed is compared with ours: the three commands it asks, one
# after another, each with its limit of 5 s (fixed words; the answer is searched for names, as there), then one line in
# the log. Without the start of a Python interpreter and without its shell pipelines, so rather faster than it was.
# usage: fence_original.sh -o ACTION -n NODE; environment: LOG_DIR, KUBECTL_CMD
action=reboot node=''
while [ $# -gt 0 ]; do
  case $1 in
    -o) action=$2; shift ;;
    -n) node=$2; shift ;;
  esac
  shift
done
log=${LOG_DIR:-/var/log/gfs2-fencing}
ask() { timeout -s KILL 5 "$@" 2>/dev/null; }
names=$(ask "${KUBECTL_CMD:-kubectl}" get nnfstorage -A -o json | grep -o '"gfs2[^"]*"' | tr -d '"')
[ -n "$names" ] || names=$(ask pcs status resources | grep -E "(dlm|gfs2).*$node" | grep -o 'gfs2[-A-Za-z0-9_]*')
[ -n "$names" ] || names=$(ask pcs config | grep -E '(gfs2|dlm)' | grep -o 'gfs2[-A-Za-z0-9_]*')
list=$(printf '%s\n' ${names:-none-detected} | sort -u | sed 's/.*/"&"/' | paste -sd,)
printf '{"timestamp": "%s", "action": "%s", "target_node": "%s", "gfs2_filesystems": [%s], "status": "initiated", "details": "Fence action %s initiated by Pacemaker", "recorder_node": "%s", "pacemaker_action": "%s"}\n' \
  "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$action" "$node" "$list" "$action" "$(hostname)" "$action" >>"$log/fence-events-detailed.jsonl"
