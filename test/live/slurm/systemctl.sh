#!/bin/bash
# A stand-in for systemctl in a namespace without systemd: starts and stops Slurm's own daemons, which are real.
# usage: systemctl start|stop|restart slurmctld|slurmd; systemctl show --property=LoadState slurmctld|slurmd
set -u
verb=$1 daemon=${!#}
pid_file=/run/$daemon.pid
stop() {
  pid=$(cat "$pid_file" 2>/dev/null) || return 0
  kill "$pid" 2>/dev/null
  for _ in $(seq 600); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.05
  done
  rm -f "$pid_file"
}
case $verb in
start) "$daemon" ;;
stop) stop ;;
restart)
  stop
  "$daemon"
  ;;
show) if [ -x "/usr/sbin/$daemon" ]; then echo LoadState=loaded; else echo LoadState=not-found; fi ;;
*) exit 1 ;;
esac
