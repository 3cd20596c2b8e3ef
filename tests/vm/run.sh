#!/usr/bin/env bash
# The XFRM data path on Debian's own kernel, in a virtual machine without any hardware help (QEMU TCG), so that
# it runs anywhere: ksd, two sites with the kernel's IPsec and one with the user data path, in namespaces inside.
#   tests/vm/run.sh [SUITE...]   scripts of tests/vm/guest; default: branch.sh traps.sh, a machine for each
# Builds its own optimised binaries. The kernel package is fetched once into build/vm-kernel.
# QUORATE_VM_LOG=FILE keeps the console of the last one.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
suites=("$@")
[ $# -gt 0 ] || suites=(branch.sh traps.sh)
limit_s=300 # of wall time; a quiet machine needs about 90 for each
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
bash tests/vm/initramfs.sh "$cache/root" "$base" "$PWD/$build/bin/ksd" "$PWD/$build/bin/gm-agent" || fail "no initramfs"
passed=0
failed=0

boot() { # boot SUITE: adds to the counts
    local console=${QUORATE_VM_LOG:-$work/console} result
    rm -rf "$work/suite" && mkdir "$work/suite"
    cp deploy/netlab.sh tests/vm/guest/lib.sh "$work/suite/"
    cp "tests/vm/guest/$1" "$work/suite/run.sh" || return 1
    cp "$base" "$work/init.cpio"
    (cd "$work" && find suite | cpio -o -H newc --quiet >> init.cpio)
    # no_timer_check: on a busy host the guest would find its timer dead and panic.
    # -cx16: with cmpxchg16b QEMU 7.2 corrupts the flags now and then, and the guest's allocator panics.
    timeout -k 5 $limit_s nice qemu-system-x86_64 -accel tcg -cpu max,-cx16,la57=off -smp 1 -m 1024 -nodefaults \
        -no-user-config -display none -serial stdio -no-reboot -kernel "$cache"/root/boot/vmlinuz-* \
        -initrd "$work/init.cpio" \
        -append "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off random.trust_cpu=on no_timer_check" \
        < /dev/null 2>&1 | tr -d '\r' | tee "$console" | sed -E 's/^([0-9]+ passed, [0-9]+ failed)$/suite: \1/'
    result=$(grep -aE '^[0-9]+ passed, [0-9]+ failed$' "$console" | tail -n 1)
    [ -n "$result" ] || { echo "NOT OK - $1 did not come to its end"; return 1; }
    passed=$((passed + $(echo "$result" | awk '{ print $1 }')))
    failed=$((failed + $(echo "$result" | awk '{ print $3 }')))
}

for suite in "${suites[@]}"; do
    echo "== $suite"
    boot "$suite" || failed=$((failed + 1))
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
