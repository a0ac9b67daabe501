#!/bin/bash
# PID 1 of a Redis lab, in network, mount, uts and pid namespaces of its own: one redis-server for each address.
# usage: init.sh LABDIR ADDRESS…
# Ends, and everything with it, when standard input closes.
set -eu
lab=$1
shift
hostname operator1
mount --make-rprivate /
mount -t proc proc /proc
ip link set lo up
mount -t tmpfs tmpfs /run
mkdir -p "$lab"/{state,log,data} /var/lib/fencepost
mount --bind "$lab/state" /var/lib/fencepost
mount --bind "$lab/log" /var/log
# Redis syncs nodes.conf at every slot that moves: on a busy disk of CI that would be most of the test's time.
mount -t tmpfs tmpfs "$lab/data"
for address in "$@"; do
  ip addr add "$address/32" dev lo
  mkdir "$lab/data/$address"
  # The address is announced because the kernel gives every connection the first one of lo.
  redis-server --dir "$lab/data/$address" --port 6379 --bind "$address" --cluster-announce-ip "$address" \
    --cluster-enabled yes --cluster-config-file nodes.conf --cluster-node-timeout 5000 --save "" --appendonly no \
    --requirepass "$(cat "$lab/password")" --masterauth "$(cat "$lab/password")" \
    --daemonize yes --logfile "$lab/data/$address/log" >/dev/null
done
echo ready
cat >/dev/null
