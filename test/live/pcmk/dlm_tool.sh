#!/bin/sh
# Stand-in for dlm_tool(8) on the nodes of a test cluster: this kernel has neither dlm.ko nor gfs2.ko, so there are no
# lockspaces to ask about. What it prints has the exact shape of what dlm_tool 4.2.0 printed on a real GFS2 cluster
# (test/fixtures/gfs2-cluster, a-healthy and b-failed-before-fencing), computed from two real facts of this cluster:
# which nodes the Filesystem resources were started on, and which nodes Corosync still sees. A node that is started
# there but gone from the membership is in the window: still in `members`, missing from `new members`, waiting for
# fencing. Here the window ends when the node boots again, not, as in real life, when it has been fenced.
# usage: dlm_tool ls [-n] | dlm_tool status
gfs2=LABDIR/gfs2
PATH=/usr/sbin:/usr/bin
read -r me </proc/sys/kernel/hostname
# One command and no subshells: the real tool answers in milliseconds, and benchmarks run over this one.
members_map=$(corosync-cmapctl runtime.members. 2>/dev/null)
alive=' '
while read -r key _ _ value; do
  case $key in runtime.members.*.status) [ "$value" = joined ] && id=${key#runtime.members.} && alive="$alive${id%.status} " ;; esac
done <<END
$members_map
END
[ "$alive" = ' ' ] && { echo "dlm_tool: cannot connect to dlm_controld" >&2; exit 1; }

lockspaces() {
  number=911102948 # 0x364e53e4, an id as the fixture has it
  echo "dlm lockspaces"
  for directory in "$gfs2"/*; do
    [ -e "$directory/$me" ] || continue
    members='' left='' lost=''
    for flag in "$directory"/*; do
      id=${flag##*/node}
      members="$members$id "
      case $alive in *" $id "*) left="$left$id " ;; *) lost="$lost$id " ;; esac
    done
    set -- $members
    joined=$#
    flags='0x00000000 ' started=1
    [ -n "$lost" ] && flags='0x00000004 kern_stop' started=0
    printf 'name          %s\nid            0x%08x\nflags         %s\n' "${directory##*/}" "$((number += 1))" "$flags"
    printf 'change        member %d joined 1 remove 0 failed 0 seq 1,1\nmembers       %s\n' "$joined" "$members"
    if [ -n "$lost" ]; then
      set -- $lost; gone=$#
      printf 'new change    member %d joined 0 remove %d failed %d seq 2,2\nnew status    wait fencing\nnew members   %s\n' "$((joined - gone))" "$gone" "$gone" "$left"
    fi
    if [ "$all_nodes" = 1 ]; then
      echo "all nodes"
      for id in $members; do
        case $alive in
          *" $id "*) echo "nodeid $id member 1 failed 0 start $started seq_add 1 seq_rem 0 check none" ;;
          *) echo "nodeid $id member 0 failed 3 start 0 seq_add 1 seq_rem 2 check fence 747" ;;
        esac
      done
    fi
    echo
  done
}

case $1 in
  ls) all_nodes=0; [ "$2" = -n ] && all_nodes=1; lockspaces ;;
  status)
    echo "cluster nodeid ${me#node} quorate 1 ring seq 13 13"
    echo "daemon now 613 fence_pid 0 "
    ;;
  *) echo "dlm_tool stand-in: only ls, ls -n and status" >&2; exit 1 ;;
esac
