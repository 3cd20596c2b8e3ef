#!/usr/bin/env bash
# initramfs.sh KERNEL_ROOT OUT PROGRAM...: an initramfs with busybox, the programs with their libraries, and the
# kernel modules of the data path. /init runs /suite/run.sh and switches the machine off.
set -euo pipefail
kernel_root=$1 out=$2
shift 2
version=$(basename "$kernel_root"/lib/modules/*)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

modules=(drbg jitterentropy_rng hmac sha256_generic sha512_generic aes_generic aesni_intel sha256-ssse3 sha512-ssse3
         esp4 esp4_offload xfrm_user xfrm4_tunnel authenc cbc echainiv seqiv gcm ctr ghash-generic
         veth dummy tun af_packet af_packet_diag ipip
         nf_tables nft_ct nft_nat nft_masq nft_chain_nat nft_xfrm nft_objref nft_counter nft_reject_inet nft_tproxy nf_conntrack
         virtio_pci virtio_blk vrf)

mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,proc,sys,dev,run,tmp,etc,root,suite,var/run}
cp "$(command -v busybox)" "$root/bin/busybox"
program() {
    local file lib
    file=$(readlink -f "$(command -v "$1")")
    cp "$file" "$root/usr/bin/$(basename "$1")"
    for lib in $(ldd "$file" 2>/dev/null | grep -o '/[^ ]*'); do
        [ -e "$root$lib" ] || { mkdir -p "$root$(dirname "$lib")"; cp -L "$lib" "$root$lib"; }
    done
}
for name in bash ip nft tcpdump ping kmod iperf3 "$@"; do program "$name"; done
for name in modprobe insmod lsmod; do ln -s kmod "$root/usr/bin/$name"; done
mkdir -p "$root/sbin" && ln -s /usr/bin/kmod "$root/sbin/modprobe" # what the kernel itself calls

target=$root/lib/modules/$version
mkdir -p "$target"
[ -e "$kernel_root/lib/modules/$version/modules.dep" ] || depmod -b "$kernel_root" "$version"
for module in "${modules[@]}"; do
    modprobe -d "$kernel_root" -S "$version" --show-depends "$module" 2>/dev/null | awk '$1 == "insmod" { print $2 }' || true # built in, or of another kernel
done | sort -u | while read -r file; do
    to=$target/${file#*/lib/modules/"$version"/}
    mkdir -p "$(dirname "$to")"
    cp "$file" "$to"
done
cp "$kernel_root/lib/modules/$version"/modules.{builtin,order} "$target/"
depmod -b "$root" "$version" 2>/dev/null

printf 'root:x:0:0:root:/root:/bin/sh\ntcpdump:x:0:0::/:/bin/sh\n' > "$root/etc/passwd"
printf 'root:x:0:\n' > "$root/etc/group"
cat > "$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /run /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
export PATH=/usr/bin:/usr/sbin:/sbin:/bin HOME=/root
mkdir -p /dev/pts /dev/net
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mkdir -p /run/netns
[ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
ip link set lo up
for module in drbg jitterentropy_rng hmac sha256_generic sha512_generic aes_generic authenc cbc echainiv seqiv gcm ctr \
    esp4 xfrm_user xfrm4_tunnel veth dummy tun ipip af_packet nf_tables nf_conntrack nft_ct nft_nat nft_masq nft_chain_nat \
    nft_xfrm nft_objref nft_counter nft_reject_inet virtio_pci virtio_blk vrf; do
    modprobe -q "$module"
done
echo "kernel $(uname -r), $(cut -d' ' -f1 /proc/uptime) s after power on"
bash /suite/run.sh
echo "the suite ends $(cut -d' ' -f1 /proc/uptime) s after power on"
echo o > /proc/sysrq-trigger
exec cat # until it is off
INIT
chmod 755 "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet) > "$out"
