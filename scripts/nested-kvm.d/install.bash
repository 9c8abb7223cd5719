# Sourced by nested-kvm: what the emulated machine needs, and how it gets here.
# shellcheck shell=bash

# Debian's general kernel: the smaller cloud kernel has no 9p, which shares files.
readonly kernel_package=linux-image-amd64
# Modules to load; those they depend on come along.
readonly base_modules=(kvm-amd virtio_pci virtio_console)
readonly share_modules=(9p 9pnet_virtio overlay)
# program:package for running; and what --install needs on top.
readonly run_programs=(qemu-system-x86_64:qemu-system-x86 cpio:cpio)
readonly install_programs=(busybox:busybox-static depmod:kmod modprobe:kmod xz:xz-utils zstd:zstd)

# The version of this layout; a new one leaves old caches unused.
cache=${PAGELAB_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/pagelab}/nested-kvm/v1
readonly cache

# Programs of the system administrator are not in everybody's PATH.
find_program() {
  PATH="$PATH:/usr/sbin:/sbin" type -P "$1"
}

busybox_is_static() {
  local path
  path=$(find_program busybox) && ! ldd "$path" >/dev/null 2>&1
}

kernel_is_there() {
  [[ -s $cache/kernel && -s $cache/base.cpio && -s $cache/release ]]
}

# Prints the Debian packages that are missing for the program:package pairs given.
missing_packages() {
  local pair
  for pair; do
    if [[ $pair == busybox:* ]]; then
      busybox_is_static || echo "${pair#*:}"
    else
      find_program "${pair%%:*}" >/dev/null || echo "${pair#*:}"
    fi
  done | sort -u
}

# Refuses to go on while something needed for a run is missing.
require_prerequisites() {
  local packages
  packages=$(missing_packages "${run_programs[@]}")
  if [[ -n $packages ]]; then
    refuse "missing: ${packages//$'\n'/ }" "remedy: as root, run $0 --install"
  elif ! kernel_is_there; then
    refuse "no kernel in $cache" "remedy: $0 --install"
  fi
}

check_prerequisites() {
  local pair program status=0
  local apt='apt-get install --no-install-recommends'
  for pair in "${run_programs[@]}" "${install_programs[@]}"; do
    program=${pair%%:*}
    if [[ -z $(missing_packages "$pair") ]]; then
      printf 'ok       %s\n' "$program"
    elif [[ " ${run_programs[*]} " != *" $pair "* ]] && kernel_is_there; then
      printf 'not needed any more  %s\n' "$program"
    else
      printf 'missing  %s: as root, %s %s\n' "$program" "$apt" "${pair#*:}"
      status=2
    fi
  done
  if kernel_is_there; then
    printf 'ok       kernel %s in %s\n' "$(<"$cache/release")" "$cache"
  else
    printf 'missing  kernel in %s: %s --install\n' "$cache" "$0"
    status=2
  fi
  return $status
}

install_prerequisites() {
  local needed=("${run_programs[@]}")
  kernel_is_there || needed+=("${install_programs[@]}")
  local packages=()
  mapfile -t packages < <(missing_packages "${needed[@]}")
  if ((${#packages[@]})); then
    ((EUID == 0)) || refuse "missing Debian packages: ${packages[*]}" \
      "remedy: sudo apt-get install --no-install-recommends ${packages[*]}"
    echo "nested-kvm: installing ${packages[*]}"
    update_package_lists
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
      "${packages[@]}" </dev/null >/dev/null
    packages=()
    mapfile -t packages < <(missing_packages "${needed[@]}")
    ((${#packages[@]} == 0)) || refuse "still missing after apt-get: ${packages[*]}"
  fi
  if ! kernel_is_there; then
    unpack_kernel
  fi
  echo "nested-kvm: ready, with kernel $(<"$cache/release") in $cache"
}

# One unreachable archive must not stop us while the others have what we need.
update_package_lists() {
  apt-get update -qq </dev/null || echo 'nested-kvm: apt-get update failed; trying without' >&2
}

# Prints the package that $kernel_package stands for, such as linux-image-6.1.0-50-amd64.
kernel_package_name() {
  apt-cache show "$kernel_package" 2>/dev/null |
    sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p' | head -n 1
}

# Downloads the kernel package and puts into the cache what a run needs of it.
unpack_kernel() (
  name=$(kernel_package_name)
  if [[ -z $name ]] && ((EUID == 0)); then
    update_package_lists
    name=$(kernel_package_name)
  fi
  [[ -n $name ]] || refuse "apt-cache knows no package $kernel_package" \
    'remedy: on Debian, run apt-get update as root; elsewhere, add a Debian archive to apt'
  mkdir -p -- "${cache%/*}"
  work=$(mktemp -d -- "${cache%/*}/install.XXXXXX")
  trap 'rm -rf -- "$work"' EXIT
  cd -- "$work" || exit

  echo "nested-kvm: fetching $name"
  # The unprivileged user of apt cannot write to a private directory.
  as_caller=(-o "APT::Sandbox::User=$(id -un)")
  if ! apt-get download -qq "${as_caller[@]}" "$name" </dev/null; then
    # Lists that are old name a version that the archive has dropped.
    ((EUID == 0)) || refuse "cannot download $name" 'remedy: run apt-get update as root'
    update_package_lists
    name=$(kernel_package_name)
    apt-get download -qq "${as_caller[@]}" "$name" </dev/null ||
      refuse "cannot download $name" 'remedy: see the message of apt-get above'
  fi
  mkdir root result
  dpkg-deb -x ./*.deb root
  # Where Debian keeps modules since /bin and /lib have become links; depmod wants /lib.
  [[ -d root/lib ]] || ln -s usr/lib root/lib
  images=(root/boot/vmlinuz-*)
  release=${images[0]#root/boot/vmlinuz-}
  extract_vmlinux "${images[0]}" result/kernel
  pack_base "$release"
  echo "$release" >result/release
  # Another installation may have been quicker; its result is as good.
  mv -T -- result "$cache" 2>/dev/null || kernel_is_there ||
    refuse "$cache is in the way and incomplete" "remedy: rm -r $cache"
)

# Unpacks the ELF kernel within the boot image $1 to $2: QEMU starts it through its PVH
# entry, which saves the seconds that decompressing in software takes at every boot. An
# image compressed in another way is used as it is.
extract_vmlinux() {
  local magic unpack offset
  while read -r magic unpack; do
    while read -r offset; do
      # What follows the compressed kernel is not part of it: the unpacker's complaint
      # about that, and its status, do not matter if an ELF file came out.
      tail -c +"$((offset + 1))" "$1" | $unpack 2>/dev/null >"$2" || true
      if [[ $(head -c 4 "$2" | tr -d '\0') == $'\x7fELF' ]]; then
        return
      fi
    done < <(LC_ALL=C grep -aboF -e "$(printf '%b' "$magic")" "$1" | cut -d: -f1)
  done <<'FORMATS'
\xfd7zXZ xz -dc
\x28\xb5\x2f\xfd zstd -dc
FORMATS
  cp -- "$1" "$2"
}

# Packs the part of the initial file system that is the same for every run: busybox, the
# modules of kernel release $1, and in which order to load them.
pack_base() {
  local own=base/.nested-kvm
  mkdir -p "$own/modules" base/dev
  cp -L -- "$(find_program busybox)" "$own/busybox"
  "$(find_program depmod)" -b root "$1"
  list_modules "$1" "${base_modules[@]}" >"$own/base-modules"
  list_modules "$1" "${share_modules[@]}" |
    grep -vxFf "$own/base-modules" >"$own/share-modules"
  pack_directory base >result/base.cpio
}

# Prints directory $1 as an archive that the kernel can unpack. Equal files make an equal
# archive: the kernel's work on other dates and inode numbers would show in --icount.
pack_directory() (
  cd -- "$1"
  find . -exec touch -h -d '2026-01-01 UTC' {} +
  find . | LC_ALL=C sort | cpio --quiet --reproducible -R 0:0 -o -H newc
)

# Copies the given modules of kernel release $1, with those they need, to base/ and prints
# their file names in the order in which to load them.
list_modules() {
  local release=$1 module path file
  shift
  for module; do
    "$(find_program modprobe)" -d "$PWD/root" -S "$release" --show-depends "$module" ||
      refuse "kernel $release has no module $module" >&2
  done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r path; do
    file=${path##*/}
    case $file in
      *.xz) xz -dc -- "$path" >"base/.nested-kvm/modules/${file%.xz}" ;;
      *.zst) zstd -qdc -- "$path" >"base/.nested-kvm/modules/${file%.zst}" ;;
      *) cp -- "$path" base/.nested-kvm/modules/ ;;
    esac
    echo "${file%.ko*}.ko"
  done
}
