#!/bin/bash
# A stand-in for systemctl in a namespace without systemd: starts and stops Slurm's own daemons, which are real.
# usage: systemctl start|stop|restart slurmctld|slurmd
set -u
verb=$1 daemon=$2
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
*) exit 1 ;;
esac
