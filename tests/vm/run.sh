#!/usr/bin/env bash
# The XFRM data path on Debian's own kernel, in a virtual machine without any hardware help (QEMU TCG), so that
# it runs anywhere: ksd, two sites with the kernel's IPsec and one with the user data path, in namespaces inside.
#   tests/vm/run.sh [SUITE]     SUITE: a script of tests/vm/guest, default branch.sh
# Builds its own optimised binaries. The kernel package is fetched once into build/vm-kernel.
# QUORATE_VM_LOG=FILE keeps the console.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
suite=${1:-branch.sh}
limit_s=300 # of wall time; a quiet machine needs about 90
build=build/vm
cache=build/vm-kernel

fail() { echo "tests/vm: $*"; echo "0 passed, 1 failed"; exit 1; }

for tool in qemu-system-x86_64 busybox cpio depmod iperf3 nft; do
    command -v "$tool" >/dev/null || fail "$tool is missing (deploy/install-deps)"
done

fetch_kernel() {
    [ -e "$cache/ready" ] && return 0
    local package
    package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
    [ -n "$package" ] || return 1
    rm -rf "$cache" && mkdir -p "$cache"
    (cd "$cache" && apt-get download -qq "$package" 2>/dev/null && dpkg -x "$package"_*.deb root && rm -f ./*.deb && touch ready)
}
fetch_kernel || fail "the kernel package cannot be fetched"

cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Release -DQUORATE_TESTS=OFF > $build.log 2>&1 &&
    ninja -C $build -j2 ksd gm-agent >> $build.log 2>&1 || { tail -n 20 $build.log; fail "the build failed"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
base=$build/initramfs.cpio
tests/vm/initramfs.sh "$cache/root" "$base" "$PWD/$build/bin/ksd" "$PWD/$build/bin/gm-agent" || fail "no initramfs"
mkdir "$work/suite"
cp deploy/netlab.sh tests/vm/guest/lib.sh "$work/suite/"
cp "tests/vm/guest/$suite" "$work/suite/run.sh" || fail "no suite $suite"
(cd "$work" && cp -L "$OLDPWD/$base" init.cpio && find suite | cpio -o -H newc --quiet >> init.cpio)

# With cmpxchg16b QEMU 7.2 corrupts the flags now and then and the guest's allocator panics.
console=${QUORATE_VM_LOG:-$work/console}
timeout -k 5 $limit_s nice qemu-system-x86_64 -accel tcg -cpu max,-cx16,la57=off -smp 1 -m 1024 -nodefaults \
    -no-user-config -display none -serial stdio -no-reboot -kernel "$cache"/root/boot/vmlinuz-* \
    -initrd "$work/init.cpio" \
    -append "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off random.trust_cpu=on" \
    < /dev/null 2>&1 | tr -d '\r' | tee "$console"
result=$(grep -aE '^[0-9]+ passed, [0-9]+ failed$' "$console" | tail -n 1)
[ -n "$result" ] || fail "the suite did not come to its end"
echo "$result"
[[ $result == *" 0 failed" ]]
