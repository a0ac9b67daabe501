#!/bin/bash
# One Slurm host: PID 1 of its own mount, uts, ipc and pid namespaces, inside its network namespace.
# usage: node-init.sh NAME LABDIR
# Its root is an overlay over the machine's: nothing of the machine is touched. munged, sshd, and slurmctld (node1) or
# slurmd (node2) are started; node3 has everything but slurm.conf. `systemctl` is a stand-in, as there is no systemd.
set -eu
name=$1 lab=$2
here=$(cd "$(dirname "$0")" && pwd)
hostname "$name"
mount --make-rprivate /
layer=$lab/layer # an empty directory, covered by this namespace's own tmpfs
mount -t tmpfs tmpfs "$layer"
mkdir "$layer"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" "$layer/root"
cd "$layer/root"
mkdir -p var/lib/fencepost var/lib/slurm/{state,spool} etc/slurm "$layer/root$lab" run/old
cp "$here/systemctl.sh" usr/bin/systemctl
cp "$lab/hosts" etc/hosts
mount -t proc proc proc
mount --rbind /dev dev
mount --rbind /sys sys
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p run/{old,lock,sshd,munge}
mkdir -p "$lab/$name"/disk/{fencepost,log/munge}
mount --bind "$lab" ".$lab"
mount --bind "$lab/$name/disk/fencepost" var/lib/fencepost
mount --bind "$lab/$name/disk/log" var/log
# The controllers' shared directory; node2 has one of its own.
if [ "$name" != node2 ]; then mount --bind "$lab/state" var/lib/slurm/state; fi
mount -t tmpfs -o mode=700 tmpfs root
mkdir -m 700 root/.ssh
: >usr/bin/fencepost
mount --bind "$lab/executable" usr/bin/fencepost
rm -f etc/slurm/slurm.conf
# Nothing in this lab uses cgroups, but the plugin that Slurm would detect wants them mounted.
echo CgroupPlugin=cgroup/v1 >etc/slurm/cgroup.conf
pivot_root . run/old
umount -l /run/old
cd /
cp "$lab"/ssh/{id_ed25519,authorized_keys,known_hosts} /root/.ssh/
chmod 600 /root/.ssh/*
cp "$lab/ssh/host_key" /run/sshd/host_key
chmod 600 /run/sshd/host_key
chmod 700 /var/lib/fencepost
cp "$lab/munge.key" /etc/munge/munge.key
chown munge:munge /run/munge /var/log/munge /etc/munge/munge.key
chmod 400 /etc/munge/munge.key
chmod 755 /run/munge
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
set +e
/usr/sbin/sshd -f /dev/null -h /run/sshd/host_key -o UsePAM=no -o PidFile=/run/sshd.pid -o PasswordAuthentication=no \
  -o StrictModes=no -o PermitRootLogin=yes -o "Subsystem=sftp internal-sftp" -E /var/log/sshd.log
setpriv --reuid munge --regid munge --clear-groups munged
if [ "$name" != node3 ]; then install -m 644 "$lab/slurm.conf" /etc/slurm/slurm.conf; fi
if [ "$name" = node1 ]; then systemctl start slurmctld; fi
if [ "$name" = node2 ]; then systemctl start slurmd; fi
# bash reaps what is orphaned in this namespace, as an init must; `sleep` as PID 1 would leave zombies.
while :; do
  sleep 3600 &
  wait $!
done
