# shellcheck shell=bash
# A small virtual machine with a camera: the kernel's driver `vivid`, under qemu's software emulation, which needs no
# privilege of the host. It sees the host's files, and keeps what it writes to itself but for one folder.
# Sourced after setup.sh.
#
#   make_guest DIR        fetches the kernel and makes the machine's first file system there
#   run_guest DIR SECONDS COMMAND...    runs a command in it; the exit status is the command's

GUEST_MODULES=(virtio_pci 9pnet_virtio 9p overlay vivid)

setup_guest_programs() {
    local missing=()
    have qemu-system-x86_64 || missing+=(qemu-system-x86)
    have busybox && busybox true 2>/dev/null && [ -e /usr/share/doc/busybox-static ] || missing+=(busybox-static)
    have cpio || missing+=(cpio)
    have modprobe && have depmod || [ -x /sbin/modprobe ] || missing+=(kmod)
    [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}" || die "a machine with a camera needs ${missing[*]}:" \
        "$(install_line "${missing[@]}")"
}

# The kernel that Debian has for all machines: that for clouds lacks cameras.
fetch_kernel() {
    local dir=$1 package
    package=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
    [ -n "$package" ] || { quietly apt-get update && package=$(apt-cache depends linux-image-amd64 |
        sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1); }
    [ -n "$package" ] || die "apt knows no linux-image-amd64: a machine with a camera is made on Debian only"
    (cd "$dir" && quietly apt-get download "$package" && quietly dpkg-deb -x "$package"_*.deb kernel &&
        rm -f "$package"_*.deb) || die "could not fetch the kernel $package"
}

make_guest() {
    local dir=$1 version root module file
    [ -e "$dir/initrd" ] && return
    rm -rf "$dir"
    mkdir -p "$dir"
    fetch_kernel "$dir"
    version=$(basename "$dir"/kernel/lib/modules/*)
    cp "$dir/kernel/boot/vmlinuz-$version" "$dir/vmlinuz"
    PATH=$PATH:/sbin:/usr/sbin depmod -b "$dir/kernel" "$version"
    root=$dir/root
    mkdir -p "$root"/{bin,modules,proc,sys,dev,host,new}
    cp "$(type -P busybox)" "$root/bin/busybox"
    for module in "${GUEST_MODULES[@]}"; do
        PATH=$PATH:/sbin:/usr/sbin modprobe -d "$dir/kernel" -S "$version" --show-depends "$module"
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' >"$dir/modules"
    while IFS= read -r file; do
        cp "$file" "$root/modules/"
        basename "$file"
    done <"$dir/modules" >"$root/modules/order"
    guest_init >"$root/init"
    chmod +x "$root/init"
    (cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$dir/initrd.new"
    rm -rf "$dir/kernel" "$root"
    mv "$dir/initrd.new" "$dir/initrd"
}

# Node types of vivid: a device for output first (0x100), then one that captures (0x1).
guest_init() {
    cat <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do
    case $module in
    vivid.ko*) insmod "/modules/$module" n_devs=2 node_types=0x100,0x1 num_inputs=1,1 input_types=0,0 ;;
    *) insmod "/modules/$module" ;;
    esac
done </modules/order
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=524288,cache=loose host /host
mount -t tmpfs none /new
mkdir /new/upper /new/work /new/root
mount -t overlay overlay -o lowerdir=/host,upperdir=/new/upper,workdir=/new/work /new/root
mkdir -p /new/root/job
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=none job /new/root/job
for place in proc sys dev; do mount --bind "/$place" "/new/root/$place"; done
mkdir -p /new/root/dev/shm
mount -t tmpfs none /new/root/dev/shm
mount -t tmpfs none /new/root/run
mkdir -m 1777 /new/root/run/tmp
ip link set lo up
chroot /new/root /bin/sh /job/run </dev/null >/new/root/job/output 2>&1
echo $? >/new/root/job/status
sync
poweroff -f
INIT
}

run_guest() {
    local dir=$1 seconds=$2 job status
    shift 2
    job=$(mktemp -d)
    {
        printf 'export HOME=/run/tmp TMPDIR=/run/tmp PATH=%q LC_ALL=C.UTF-8\n' "$PATH"
        # shellcheck disable=SC2153 # setup.sh sets it
        printf 'cd %q || exit\n' "$ROOT"
        printf '%q ' "$@"
        echo
    } >"$job/run"
    timeout --signal=KILL "$seconds" qemu-system-x86_64 -accel tcg -cpu max -smp 1 -m 2048 \
        -nodefaults -nographic -no-reboot -net none -serial "file:$job/console" \
        -kernel "$dir/vmlinuz" -initrd "$dir/initrd" -append 'console=ttyS0 quiet panic=-1' \
        -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
        -virtfs "local,path=$job,mount_tag=job,security_model=none" </dev/null || true
    cat "$job/output" 2>/dev/null || true
    status=$(cat "$job/status" 2>/dev/null || echo 125)
    [ "$status" != 125 ] || tail -50 "$job/console" >&2
    rm -rf "$job"
    return "$status"
}
