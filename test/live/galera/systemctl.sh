#!/bin/bash
# A stand-in for systemctl in a namespace without systemd: it starts and stops the real mariadbd, as mariadb.service does
# (user mysql, SIGTERM), and answers what `systemctl show` would. It is not systemd: no jobs, no time limits, no restarts.
# usage: systemctl show --property=LoadState,ActiveState mariadb
#        systemctl start|stop mariadb · systemctl enable|disable --now [--no-block] mariadb
set -u
run=/run/fake-systemd
mkdir -p $run
verb=$1 block=yes unit=
for word in "${@:2}"; do
  case $word in
    --no-block) block=no ;;
    --now | --property=*) ;;
    *) unit=${word%.service} ;;
  esac
done
[ "$unit" = mariadb ] || { echo "Unit $unit not found." >&2; exit 5; }

is_running() { [ -e $run/pid ] && kill -0 "$(cat $run/pid)" 2>/dev/null; }
answers() { mariadb --no-defaults --connect-timeout=2 -e 'do 1' >/dev/null 2>&1; }
state() {
  if is_running; then
    if [ -e $run/stopping ]; then echo deactivating; elif [ -e $run/ready ]; then echo active
    elif answers; then : >$run/ready; echo active; else echo activating; fi
  elif [ -e $run/pid ] && [ ! -e $run/stopping ]; then echo failed; else echo inactive; fi
}
start() {
  is_running && return 0
  rm -f $run/{pid,stopping,ready}
  # _WSREP_NEW_CLUSTER is what galera_new_cluster sets for the unit.
  setsid -f sh -c 'echo $$ >/run/fake-systemd/pid; exec "$@"' sh mariadbd --user=mysql ${_WSREP_NEW_CLUSTER:-} \
    </dev/null >>/var/log/mariadbd.log 2>&1
  until [ -s $run/pid ]; do sleep 0.02; done
  [ $block = no ] && return 0
  while is_running; do [ "$(state)" = active ] && return 0; sleep 0.1; done
  echo "Job for mariadb.service failed." >&2
  return 1
}
stop() {
  is_running || { : >$run/stopping; return 0; }
  : >$run/stopping
  kill -TERM "$(cat $run/pid)"
  [ $block = no ] && return 0
  while is_running; do sleep 0.05; done
}
case $verb in
  show) if [ -x /usr/sbin/mariadbd ]; then echo LoadState=loaded; else echo LoadState=not-found; fi; echo "ActiveState=$(state)" ;;
  start) start ;;
  stop) stop ;;
  enable) start ;; # at boot there is nothing here that would look at it
  disable) stop ;;
  *) echo "Unknown command verb $verb." >&2; exit 1 ;;
esac
