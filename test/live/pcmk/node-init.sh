#!/bin/bash
# One cluster node: PID 1 of its own mount, uts, ipc and pid namespaces, inside its network namespace.
# usage: node-init.sh NAME LABDIR
# Its root is an overlay over the machine's, so agents, stand-ins and configuration are put where a real node has them
# and the machine itself is not touched. What must outlive a power cut (logs, CIB, spool) is in LABDIR/NAME.
set -eu
name=$1 lab=$2
hostname "$name"
mount --make-rprivate /
layer=$lab/layer # an empty directory, covered by this namespace's own tmpfs
mount -t tmpfs tmpfs "$layer"
mkdir "$layer"/{upper,work,root}
cp -a "$lab/skeleton/." "$layer/upper/"
mount -t overlay overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" "$layer/root"
cd "$layer/root"
mkdir -p var/lib/fencepost etc/fencepost etc/corosync "$layer/root$lab" run/old
mount -t proc proc proc
mount --rbind /dev dev
mount --rbind /sys sys
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p run/{old,lock,crm,resource-agents}
mkdir -p "$lab/$name"/disk/{etc-corosync,etc-fencepost,lib-corosync,lib-fencepost,lib-pacemaker/{cib,cores,pengine,blackbox,stonith},log/{corosync,pacemaker,cluster,crmsh}}
mount --bind "$lab" ".$lab"
disk=$lab/$name/disk
mount --bind "$disk/etc-corosync" etc/corosync
mount --bind "$disk/etc-fencepost" etc/fencepost
mount --bind "$disk/lib-corosync" var/lib/corosync
mount --bind "$disk/lib-fencepost" var/lib/fencepost
mount --bind "$disk/lib-pacemaker" var/lib/pacemaker
mount --bind "$disk/log" var/log
[ -e "$lab/executable" ] && mount --bind "$lab/executable" usr/bin/fencepost
pivot_root . run/old
umount -l /run/old
cd /
cp "$lab/corosync.conf" /etc/corosync/
if [ ! -e /var/lib/pacemaker/cib/cib.xml ]; then cp "$lab/cib.xml" /var/lib/pacemaker/cib/cib.xml; fi
chmod 600 /var/lib/pacemaker/cib/cib.xml
chown hacluster:haclient /run/crm
chown -R hacluster:haclient /var/lib/pacemaker /var/log/pacemaker
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
if [ -e "$lab/package.deb" ]; then
  # At each boot, for the root is new each time; modes and owners are the package's. Only mandb has no work here.
  env -i PATH="$PATH" LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    dpkg --install --force-confold --no-triggers "$lab/package.deb" >"$lab/$name/dpkg.out" 2>&1 ||
    { cat "$lab/$name/dpkg.out"; exit 1; }
  systemd-tmpfiles --create fencepost.conf
else
  mkdir -p /var/log/gfs2-fencing
  chown root:haclient /var/log/gfs2-fencing
  chmod 750 /var/log/gfs2-fencing
  mkdir /run/fencepost
  chmod 700 /var/lib/fencepost /run/fencepost
fi
set +e
env -i PATH="$PATH" LANG=C.UTF-8 corosync -f >"$lab/$name/corosync.out" 2>&1 &
for _ in $(seq 200); do
  corosync-cfgtool -s >/dev/null 2>&1 && break
  sleep 0.05
done
# The environment systemd gives pacemaker.service, as far as it reaches agents.
{
  env -i PATH="$PATH" LANG=C.UTF-8 pacemakerd -f >"$lab/$name/pacemakerd.out" 2>&1
  echo $? >"$lab/$name/pacemakerd.exit"
} &
# bash reaps what is orphaned in this namespace, as an init must; `sleep` as PID 1 would leave zombies.
while :; do
  sleep 3600 &
  wait $!
done
