# Shell functions of a recorded guest: the trace, the walker's module, and the workloads.
T=/sys/kernel/tracing
P=/sys/module/fhwalk/parameters

# --- the trace

trace_buffer() { # KiB per CPU, and whether to write the contexts of rows
  echo 0 > $T/tracing_on
  echo 0 > $T/options/overwrite # a full buffer drops new rows and counts them
  echo "${2:-0}" > $T/options/irq-info
  echo mono > $T/trace_clock
  echo "$1" > $T/buffer_size_kb
}
mark()      { echo "$*" > $T/trace_marker; }
statistics() { for cpu in $T/per_cpu/cpu*; do echo "### ${cpu##*/cpu}"; cat "$cpu/stats"; done; }
proc_files() {
  uname -a
  for file in version cmdline buddyinfo pagetypeinfo zoneinfo meminfo vmstat iomem; do
    echo "### /proc/$file"
    cat "/proc/$file"
  done
}
vm_files() { for file in vmstat meminfo buddyinfo; do echo "### /proc/$file"; cat "/proc/$file"; done; }
complaints() { dmesg | grep -E -m 1 "BUG:|Oops|WARNING:|Bad page${1:+|$1}"; }

# --- the walker

walk() { # KNOB=VALUE ...
  for knob; do echo "${knob#*=}" > "$P/${knob%%=*}" || return 1; done
  mark "fhw $*"
  echo 1 > $P/go || return 1
  while [ "$(cat $P/busy)" != 0 ]; do usleep 200000; done
}
knobs() { for file in "$P"/*; do case $file in */go) ;; *) echo "${file##*/}=$(cat "$file")" ;; esac; done; }

# --- workloads in steps

step() { # NUMBER WORDS; a load that the OOM killer ends is no failure
  number=$1
  shift
  mark "FH step $number begin $*"
  "wl_$@"
  status=$?
  mark "FH step $number end $* status $status"
  [ $status = 0 ] || [ $status = 137 ]
}
in_disk() { cd /mnt && "$@"; status=$?; cd /; return $status; }
wl_read() { in_disk cat "$@" > /dev/null; }
wl_copy() { in_disk cp "$1" "$2"; }
wl_write() { in_disk dd if=/dev/zero of="$1" bs=64k count=$(($2 * 16)) status=none; }
wl_rm() { in_disk rm "$@"; }
wl_sync() { sync; }
wl_drop_caches() { echo "$1" > /proc/sys/vm/drop_caches; }
wl_compact_memory() { echo 1 > /proc/sys/vm/compact_memory; }
wl_swapon() { swapon "$SWAP"; }
wl_sysctl() { echo "$2" > "/proc/sys/vm/$1"; }
wl_thp() { echo "$2" > "/sys/kernel/mm/transparent_hugepage/$1"; }
wl_release() { killall load; }
wl_load() {
  case $1 in
    dirty) timeout "$4" load dirty "$2" "$3" ;;
    churn) timeout "$4" load churn "$2" "$3" ;;
    *) load "$@" ;;
  esac
  status=$?
  [ $status = 143 ] || return $status # its time is over
}

# --- a workload beside the walker, in a group of its own

begin_background() { setsid sh -c ". /bin/lib.sh; $1" > /dev/null 2>&1 & BACKGROUND=$!; }
end_background() {
  # A workload that has ended may have left a process that holds memory: that one stays.
  kill -0 "$BACKGROUND" 2>/dev/null && kill -- "-$BACKGROUND"
  wait "$BACKGROUND"
  true
}

# --- workloads

# The MiB of a percentage of the memory that is available.
share() { awk -v percent="$1" '/^MemAvailable/ { printf "%d", $2 * percent / 102400 }' /proc/meminfo; }

wl_idle() { sleep "${1:-10}"; }

wl_fork() {
  round=0
  while [ $round -lt "${1:-25}" ]; do
    (for n in 1 2 3 4 5 6 7 8; do busybox true; busybox echo $n; done) | busybox sort | busybox md5sum
    busybox seq 1 $((2000 + round * 613 % 7000)) | busybox sort -r | busybox gzip | busybox wc -c
    busybox dd if=/dev/urandom of=/tmp/fork.$((round % 5)) bs=16k count=$((4 + round % 13))
    busybox find /proc/1 /sys/class -maxdepth 2
    round=$((round + 1))
  done > /dev/null 2>&1
  rm -f /tmp/fork.*
}

wl_frag() { load frag "$(share 60)" "${1:-60}" "${2:-1}"; }

wl_fill() {
  FILL_MIB=$(share "${1:-80}")
  load fill "$FILL_MIB"
}

wl_churn() { timeout "${1:-20}" load churn "$(share 35)" "${2:-24}"; true; }

wl_cache() {
  size=${2:-$(share 3)} round=0
  mkdir -p /tmp/cache
  while [ $round -lt "${1:-12}" ]; do
    for n in 1 2 3 4; do
      dd if=/dev/urandom of=/tmp/cache/$round.$n bs=64k count=$((size * 16 / n + 1))
    done
    cat /tmp/cache/*
    rm -f /tmp/cache/$((round - 1)).[13]
    if [ $((round % 3)) = 2 ]; then
      sync
      echo 1 > /proc/sys/vm/drop_caches
      rm -f /tmp/cache/*.[24]
    fi
    round=$((round + 1))
  done > /dev/null 2>&1
  echo 3 > /proc/sys/vm/drop_caches
  rm -rf /tmp/cache
}

wl_press() {
  timeout "${1:-20}" load dirty "$(share 80)" 40 &
  PRESSED=$!
  while kill -0 $PRESSED 2>/dev/null; do
    dd if=/dev/urandom of=/tmp/press bs=64k count=$(($(share 20) * 8))
    rm -f /tmp/press
    usleep 50000
  done > /dev/null 2>&1
  wait $PRESSED
  rm -f /tmp/press
}
