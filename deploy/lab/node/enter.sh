#!/bin/sh
# Becomes a program in a pod: cgroup, network, own mounts and host name, then capabilities and user.
# enter.sh CGROUP NETNS FILES MASK(0|1) WORKDIR -- SETPRIV-OPTION... -- COMMAND ARG...
set -eu
cgroup=$1 netns=$2 files=$3 mask=$4 workdir=$5
shift 6
# The container's PATH is for its program, not for the tools below.
program_path=${PATH-}
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
# First of all: a socket belongs for ever to the cgroup in which it was made.
echo 0 > "$cgroup/cgroup.procs"
exec nsenter --net="$netns" -- unshare --mount --uts --propagation private -- sh -euc '
files=$1 mask=$2 workdir=$3 program_path=$4
shift 4
for name in resolv.conf hosts nsswitch.conf; do
  [ ! -e "/etc/$name" ] || mount --bind "$files/$name" "/etc/$name"
done
read -r name < "$files/hostname"
hostname "$name"
# The host of a real pod is out of its sight: neither its cgroups nor the secrets of the lab.
if [ "$mask" = 1 ]; then
  for directory in /sys/fs/cgroup /sys/fs/bpf /run/netns /run/aquifer; do
    [ ! -d "$directory" ] || mount -t tmpfs -o ro,size=4k,mode=755 aquifer-lab "$directory"
  done
fi
cd "$workdir" || exit 126
unset OLDPWD
setpriv=$(command -v setpriv)
PATH=$program_path
exec "$setpriv" "$@"
' sh "$files" "$mask" "$workdir" "$program_path" "$@"
