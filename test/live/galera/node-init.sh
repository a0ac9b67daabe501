#!/bin/bash
# One MariaDB node: PID 1 of its own mount, uts, ipc and pid namespaces, inside its network namespace.
# usage: node-init.sh NAME LABDIR
# Its root is an overlay over the machine's: nothing of the machine is touched. MariaDB's files are in LABDIR/NAME, because
# InnoDB's are not tmpfs's. No MariaDB runs yet; `systemctl` is a stand-in (systemctl.sh) that starts and stops the real one.
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
mkdir -p var/lib/fencepost var/lib/mysql "$layer/root$lab" run/old
mount -t proc proc proc
mount --rbind /dev dev
mount --rbind /sys sys
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p run/{old,lock,sshd,mysqld}
chown mysql:mysql run/mysqld
chmod 755 "$lab" # mysql looks for its way through it, and each node's own directory is in it
mkdir -p "$lab/$name"/disk/{mysql,fencepost,log}
chown mysql:mysql "$lab/$name/disk/mysql"
mount --bind "$lab" ".$lab"
mount --bind "$lab/$name/disk/mysql" var/lib/mysql
mount --bind "$lab/$name/disk/fencepost" var/lib/fencepost
mount --bind "$lab/$name/disk/log" var/log
mount -t tmpfs -o mode=700 tmpfs root
mkdir -m 700 root/.ssh
: >usr/bin/fencepost
mount --bind "$lab/executable" usr/bin/fencepost
install -m 755 "$here/systemctl.sh" usr/local/bin/systemctl
# Small, because three of them run on one machine beside other tests; nothing in it is of the cluster.
cat >etc/mysql/mariadb.conf.d/51-lab.cnf <<C
[mysqld]
innodb_buffer_pool_size=24M
innodb_log_file_size=8M
innodb_flush_log_at_trx_commit=0
performance_schema=OFF
skip_name_resolve=ON
C
pivot_root . run/old
umount -l /run/old
cd /
cp "$lab"/ssh/{id_ed25519,authorized_keys,known_hosts} /root/.ssh/
# ssh's default key exchange, with sntrup761, costs 0.15 s of CPU for each of the hundreds of connections.
echo "KexAlgorithms curve25519-sha256" >/root/.ssh/config
chmod 600 /root/.ssh/*
cp "$lab/ssh/host_key" /run/sshd/host_key
chmod 600 /run/sshd/host_key
chmod 700 /var/lib/fencepost
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
set +e
/usr/sbin/sshd -f /dev/null -h /run/sshd/host_key -o UsePAM=no -o PidFile=/run/sshd.pid -o PasswordAuthentication=no \
  -o StrictModes=no -o PermitRootLogin=yes -E /var/log/sshd.log
# bash reaps what is orphaned in this namespace, as an init must; `sleep` as PID 1 would leave zombies.
while :; do
  sleep 3600 &
  wait $!
done
