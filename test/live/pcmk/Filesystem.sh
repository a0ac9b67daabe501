#!/bin/sh
# Stand-in for ocf:heartbeat:Filesystem on the nodes of a test cluster: nothing can mount GFS2 here. It starts, stops
# and monitors a flag file per filesystem and node, so everything Pacemaker says about it is real.
gfs2=LABDIR/gfs2
flag=$gfs2/${OCF_RESKEY_directory##*/}/$(hostname)
case $1 in
  start) mkdir -p "${flag%/*}" && : >"$flag" ;;
  stop) rm -f "$flag" ;;
  monitor | status) [ -e "$flag" ] || exit 7 ;;
  validate-all) exit 0 ;;
  meta-data)
    cat <<'XML'
<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name="Filesystem" version="1.0">
<version>1.0</version>
<longdesc lang="en">Stand-in of the test bench.</longdesc>
<shortdesc lang="en">Stand-in of the test bench</shortdesc>
<parameters>
<parameter name="device" required="1"><longdesc lang="en">device</longdesc><shortdesc lang="en">device</shortdesc><content type="string"/></parameter>
<parameter name="directory" required="1"><longdesc lang="en">mount point</longdesc><shortdesc lang="en">mount point</shortdesc><content type="string"/></parameter>
<parameter name="fstype" required="1"><longdesc lang="en">type</longdesc><shortdesc lang="en">type</shortdesc><content type="string"/></parameter>
<parameter name="options"><longdesc lang="en">options</longdesc><shortdesc lang="en">options</shortdesc><content type="string"/></parameter>
</parameters>
<actions>
<action name="start" timeout="20s"/><action name="stop" timeout="20s"/><action name="monitor" timeout="20s" interval="60s"/>
<action name="meta-data" timeout="5s"/><action name="validate-all" timeout="5s"/>
</actions>
</resource-agent>
XML
    ;;
  *) exit 3 ;;
esac
