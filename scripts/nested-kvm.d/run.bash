# Sourced by nested-kvm: packs the command for the emulated machine and runs that.
# shellcheck shell=bash

# Variables of the caller that the command sees as well; secrets stay outside.
readonly passed_env='^(PATH|HOME|USER|LOGNAME|LANG|LC_.*|CI|NO_COLOR|(CARGO|RUST|NEXTEST|PAGELAB).*)$'
readonly secret_env='TOKEN|SECRET|PASSWORD'

# QEMU's machine. (Not its microvm, which starts 0.3 s faster: there Linux hangs now and then,
# waiting for a timer that no interrupt controller passes on, when a busy host spoils the
# first measurement of the TSC.)
readonly machine=(-nodefaults -no-user-config -no-reboot -display none -M pc -cpu 'EPYC,+svm,+npt')
# Notifications handled at once, not by another thread at a time that chance decides.
readonly prompt='ioeventfd=off'
# reboot=t ends the machine at once, together with -no-reboot.
readonly kernel_options='console=ttyS0 rdinit=/.nested-kvm/init mitigations=off panic=-1 reboot=t
  tsc=reliable nokaslr audit=0 cryptomgr.notests'

# Quotes $1 for a POSIX shell; bash's own %q is for bash.
quote() {
  printf "'%s'" "${1//\'/\'\\\'\'}"
}

# Quotes $1 as a value within an option of QEMU.
quote_option() {
  printf '%s' "${1//,/,,}"
}

# Sets `executable` to the file that $1 stands for, or exits as a shell would.
find_command() {
  if [[ $1 == */* ]]; then
    executable=$1
  else
    executable=$(type -P -- "$1") || executable=''
  fi
  if [[ -z $executable || ! -e $executable ]]; then
    echo "nested-kvm: $1: not found" >&2
    exit 127
  elif [[ ! -f $executable || ! -x $executable ]]; then
    echo "nested-kvm: $1: not an executable file" >&2
    exit 126
  fi
}

# Prints the shell script that runs the command inside.
write_command() {
  local name entry word words='' now=':'
  for name in $(compgen -e); do
    if [[ $name =~ $passed_env && ! $name =~ $secret_env ]]; then
      echo "export $name=$(quote "${!name}")"
    fi
  done
  for entry in "${extra_env[@]}"; do
    name=${entry%%=*}
    if [[ $entry == *=* ]]; then
      echo "export $name=$(quote "${entry#*=}")"
    elif [[ -v $name ]]; then
      echo "export $name=$(quote "${!name}")"
    fi
  done
  for word; do
    words+=" $(quote "$word")"
  done
  # The clock in nanoseconds, without starting a program for it.
  # shellcheck disable=SC2016
  [[ -z $timed ]] ||
    now='while read -r a b c _; do [ "$a $b" != "now at" ] || now=$c; done </proc/timer_list'
  cat <<SCRIPT
cd $(quote "$PWD") || exit
$now; start=\$now
$words 3>&-
status=\$?
$now
echo "exit \$status \$((now - start))" >&3
SCRIPT
}

# Copies file or directory $1, and what it needs to run, below $stage.
stage_file() {
  local path library
  path=$(cd -- "$(dirname -- "$1")" && pwd)/$(basename -- "$1") || refuse "cannot read $1"
  [[ -r $path ]] || refuse "cannot read $1"
  (cd / && cp -rL --parents -- ".$path" "$stage") || refuse "cannot copy $1"
  [[ -f $path && -x $path ]] || return 0
  if [[ $(head -c 2 -- "$path" | tr -d '\0') == '#!' ]]; then
    read -r _ library _ < <(head -n 1 -- "$path" | sed 's/^#! */x /')
    [[ -e $stage$library ]] || stage_file "$library"
    return
  fi
  while read -r library; do
    (cd / && cp -L --parents -- ".$library" "$stage")
  done < <(ldd "$path" 2>/dev/null | grep -o '/[^ ]*' | grep -v ':$')
}

# Packs the part of the initial file system that is for this run into $1.
pack_run() {
  local own=$stage/.nested-kvm copy
  mkdir -p "$own"
  cp -- "$parts/init" "$own/init"
  echo "sealed=$sealed merged=$merged" >"$own/settings"
  printf '%s\n' "${shares[@]}" >"$own/writable"
  write_command "${@:2}" >"$own/command"
  if [[ -n $sealed ]]; then
    mkdir -p "$stage$PWD"
    for copy in "$executable" "${copies[@]}"; do
      stage_file "$copy"
    done
  fi
  pack_directory "$stage" >"$work/run.cpio"
  cat -- "$cache/base.cpio" "$work/run.cpio" >"$1"
}

# Fills `shares` (tag and directory) and `devices` (QEMU's options for them).
share_files() {
  local directory number=0
  devices+=(-fsdev 'local,id=root,path=/,security_model=none,readonly=on,multidevs=remap'
    -device 'virtio-9p-pci,fsdev=root,mount_tag=root')
  for directory in "$PWD" "${writable[@]}"; do
    directory=$(cd -- "$directory" && pwd -P) || refuse "--writable: no directory '$directory'"
    # Not the whole file system, for a command merely started there.
    [[ $directory != / ]] || continue
    number=$((number + 1))
    shares+=("w$number $directory")
    devices+=(
      -fsdev "local,id=w$number,path=$(quote_option "$directory"),security_model=none,multidevs=remap"
      -device "virtio-9p-pci,fsdev=w$number,mount_tag=w$number")
  done
}

# Reports that the machine ended without a status of the command.
report_failure() {
  if grep -q 'Kernel panic' "$work/log"; then
    echo 'nested-kvm: the kernel of the emulated machine panicked; its log:' >&2
  else
    echo 'nested-kvm: the emulated machine failed; its log:' >&2
  fi
  tail -n 60 "$work/log" | tr -d '\r' >&2
  # QEMU always names the features of the CPU that it does not emulate.
  grep -v "TCG doesn't support requested feature" "$work/qemu" >&2 || true
}

# Ends what was started and removes what was made, however the script ends.
clean_up() {
  # Only children of this shell, by their number.
  if [[ -n $machine_pid ]]; then
    kill "$machine_pid" 2>/dev/null || true
  fi
  if [[ -n $timer_pid ]]; then
    kill "$timer_pid" 2>/dev/null || true
  fi
  rm -rf -- "$work"
}

# Starts QEMU, passes its output on as it comes, and waits for its end.
run_machine() {
  local options="$kernel_options"
  # One thread for all processors: with one each, QEMU 7.2 now and then goes on executing an
  # instruction that another processor has rewritten. Linux rewrites its scheduler whenever the
  # first VM starts or the last one ends (preempt_notifier_key), and then loops there for ever.
  local clock=(-accel 'tcg,thread=single')
  if [[ -n $icount ]]; then
    clock=(-accel tcg -icount 'shift=0,sleep=off' -seed 1 -rtc 'base=2026-01-01,clock=vm')
    options+=' norandmaps tsc_early_khz=1000000'
  fi
  [[ -n $verbose ]] || options+=' quiet loglevel=3'
  touch "$work/out" "$work/err" "$work/status" "$work/log"
  # Should this shell be killed, what it started ends, too.
  local tied=(setpriv --pdeathsig KILL)
  "${tied[@]}" qemu-system-x86_64 "${machine[@]}" "${clock[@]}" \
    -smp "$cpus" -m "$memory" \
    -kernel "$cache/kernel" -initrd "$work/initrd" -append "${options//$'\n'/ }" \
    -serial "file:$work/log" \
    -device "virtio-serial-pci,$prompt" \
    -chardev "file,id=out,path=$work/out" -device virtserialport,nr=1,chardev=out \
    -chardev "file,id=err,path=$work/err" -device virtserialport,nr=2,chardev=err \
    -chardev "file,id=status,path=$work/status" -device virtserialport,nr=3,chardev=status \
    "${devices[@]}" </dev/null >"$work/qemu" 2>&1 &
  machine_pid=$!
  # Files, not pipes: a slow reader must not lose the last lines, nor slow the machine down.
  local follow=("${tied[@]}" tail -q -c +1 -s 0.05 --pid "$machine_pid" -f)
  local followers=()
  "${follow[@]}" "$work/out" 2>/dev/null &
  followers+=($!)
  "${follow[@]}" "$work/err" >&2 2>/dev/null &
  followers+=($!)
  if [[ -n $verbose ]]; then
    "${follow[@]}" "$work/log" 2>/dev/null | tr -d '\r' >&2 &
    followers+=($!)
  fi
  local waited_for=("$machine_pid")
  if [[ -n $timeout ]]; then
    "${tied[@]}" sleep "$timeout" &
    timer_pid=$!
    waited_for+=("$timer_pid")
  fi
  wait -n "${waited_for[@]}" || true
  if [[ -n $timer_pid ]] && kill -0 "$machine_pid" 2>/dev/null; then
    timed_out=1
    kill -KILL "$machine_pid"
  fi
  wait "$machine_pid" 2>/dev/null || true
  machine_pid=''
  wait "${followers[@]}" || true
}

# Runs the command given in the emulated machine and exits with its status.
run_command() {
  require_prerequisites
  cd -P . || exit
  local executable merged='' timed_out='' work stage machine_pid='' timer_pid=''
  local shares=() devices=()
  find_command "$1"
  work=$(mktemp -d -- "${TMPDIR:-/tmp}/nested-kvm.XXXXXX")
  stage=$work/stage
  trap clean_up EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  # One stream for both keeps the order of the lines, where the caller has one for both.
  if [[ /proc/self/fd/1 -ef /proc/self/fd/2 ]]; then
    merged=1
  fi
  [[ -n $sealed ]] || share_files
  pack_run "$work/initrd" "$executable" "${@:2}"
  run_machine

  local word status spent
  if [[ -n $timed_out ]]; then
    echo "nested-kvm: ended after $timeout seconds (--timeout)" >&2
    exit 124
  elif read -r word status spent <"$work/status" && [[ $word == exit ]]; then
    [[ -z $timed ]] || echo "nested-kvm: $spent ns" >&2
    exit "$status"
  fi
  report_failure
  exit 125
}

# Shows that a VM can be started inside, and that --icount repeats exactly.
self_test() {
  require_prerequisites
  find_program cc >/dev/null || refuse 'the self-test needs a C compiler' \
    'remedy: as root, apt-get install gcc libc6-dev'
  local directory first second
  directory=$(mktemp -d -- "${TMPDIR:-/tmp}/nested-kvm-test.XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf -- $(quote "$directory")" EXIT
  cc -O1 -static -o "$directory/self-test" "$parts/self-test.c"
  "$0" "$directory/self-test" vm
  first=$("$0" --icount --time "$directory/self-test" clock 2>&1)
  second=$("$0" --icount --time "$directory/self-test" clock 2>&1)
  if [[ $first != "$second" ]]; then
    printf 'nested-kvm: --icount does not repeat:\n%s\n%s\n' "$first" "$second" >&2
    exit 1
  fi
  printf '%s\nself-test: ok, twice the same\n' "$first"
}
