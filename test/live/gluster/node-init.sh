#!/bin/bash
# One GlusterFS node: PID 1 of its own mount, uts, ipc and pid namespaces, inside its network namespace.
# usage: node-init.sh NAME LABDIR
# Its root is an overlay over the machine's: nothing of the machine is touched. The bricks' disk is a tmpfs of its own, so
# that bricks lie in a sub-directory of a mounted filesystem as glusterd wants; what outlives a reboot is in LABDIR/NAME.
set -eu
name=$1 lab=$2
hostname "$name"
mount --make-rprivate /
layer=$lab/layer # an empty directory, covered by this namespace's own tmpfs
mount -t tmpfs tmpfs "$layer"
mkdir "$layer"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" "$layer/root"
cd "$layer/root"
mkdir -p var/lib/fencepost data/glusterfs mnt/gluster "$layer/root$lab" run/old
mount -t proc proc proc
mount --rbind /dev dev
mount --rbind /sys sys
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p run/{old,lock,gluster,sshd}
mkdir -p "$lab/$name"/disk/{glusterd,fencepost,log/glusterfs}
mount --bind "$lab" ".$lab"
mount --bind "$lab/$name/disk/glusterd" var/lib/glusterd
mount --bind "$lab/$name/disk/fencepost" var/lib/fencepost
mount --bind "$lab/$name/disk/log" var/log
mount -t tmpfs -o mode=700 tmpfs root
mkdir -m 700 root/.ssh
mount -t tmpfs -o size=512m tmpfs data/glusterfs
: >usr/bin/fencepost
mount --bind "$lab/executable" usr/bin/fencepost
pivot_root . run/old
umount -l /run/old
cd /
cp "$lab"/ssh/{id_ed25519,authorized_keys,known_hosts} /root/.ssh/
# A tenth of the time that the default's post-quantum exchange takes, which is most of what a lab's nodes would do.
echo "KexAlgorithms curve25519-sha256" >/root/.ssh/config
chmod 600 /root/.ssh/*
cp "$lab/ssh/host_key" /run/sshd/host_key
chmod 600 /run/sshd/host_key
chmod 700 /var/lib/fencepost
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
set +e
/usr/sbin/sshd -f /dev/null -h /run/sshd/host_key -o UsePAM=no -o PidFile=/run/sshd.pid -o PasswordAuthentication=no \
  -o StrictModes=no -o PermitRootLogin=yes -E /var/log/sshd.log
env -i PATH="$PATH" LANG=C.UTF-8 glusterd --log-level=INFO >"$lab/$name/glusterd.out" 2>&1
# bash reaps what is orphaned in this namespace, as an init must; `sleep` as PID 1 would leave zombies.
while :; do
  sleep 3600 &
  wait $!
done
