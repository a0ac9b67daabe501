#!/bin/bash
# Holds one test cluster: makes its network, then waits until standard input closes (the test process ended, in
# whatever way) and removes everything that belongs to this cluster, and nothing else.
# usage: supervise.sh LABDIR ID COUNT
# The network is a bridge inside a namespace of its own, so two clusters may use the same addresses.
set -eu
lab=$1 id=$2 count=$3
here=$(cd "$(dirname "$0")" && pwd)

teardown() {
  trap '' EXIT INT TERM HUP
  set +e
  for i in $(seq "$count"); do "$here/node-kill.sh" "$lab" "$id" "$i"; ip netns del "fp$id-$i" 2>/dev/null; done
  ip netns del "fp$id-sw" 2>/dev/null
  rm -rf -- "$lab"
}
trap teardown EXIT
trap 'exit 1' INT TERM HUP

ip netns add "fp$id-sw"
ip -n "fp$id-sw" link add br0 type bridge
ip -n "fp$id-sw" link set br0 up
for i in $(seq "$count"); do
  ip netns add "fp$id-$i"
  ip -n "fp$id-sw" link add "v$i" type veth peer name eth0 netns "fp$id-$i"
  ip -n "fp$id-sw" link set "v$i" master br0 up
  ip -n "fp$id-$i" addr add "10.77.0.$i/24" dev eth0
  ip -n "fp$id-$i" link set eth0 up
  ip -n "fp$id-$i" link set lo up
done
echo ready
cat >/dev/null
