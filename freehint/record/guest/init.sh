#!/bin/sh
# /init of a recorded guest.  It loads virtio and then runs each line of shell that the host sends
# through the port "ctl".  The answer is the output and a last line "::DONE <exit status>".
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tracefs tracefs /sys/kernel/tracing
mount -t tmpfs -o size=90% tmpfs /tmp
for name in $(cat /lib/modules/order); do insmod "/lib/modules/$name"; done

port() {
  for folder in /sys/class/virtio-ports/*; do
    [ "$(cat "$folder/name" 2>/dev/null)" = "$1" ] && echo "/dev/${folder##*/}"
  done
}
tries=0
while CTL=$(port ctl); DATA=$(port data); [ ! -e "$CTL" ] || [ ! -e "$DATA" ]; do
  tries=$((tries + 1))
  [ $tries = 100 ] && echo "the ports of virtio-serial do not appear" && reboot -f
  usleep 50000
done

. /bin/lib.sh
exec 3<>"$CTL"
echo ::READY >&3
while true; do
  if read -r line <&3; then
    eval "$line" >&3 2>&1
    echo "::DONE $?" >&3
  else
    usleep 100000 # the host has closed its end
  fi
done
