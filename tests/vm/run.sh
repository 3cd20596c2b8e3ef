#!/usr/bin/env bash
# The XFRM data path on Debian's own kernels, in virtual machines without any hardware help (QEMU TCG), so that
# it runs anywhere: ksd, sites with the kernel's IPsec and others with the user data path, in namespaces inside.
#   tests/vm/run.sh [SUITE[@KERNEL]...]   scripts of tests/vm/guest, a machine for each; KERNEL: 6.1 (default), 6.12
# Builds its own optimised binaries. A kernel's package is fetched once into build/vm-kernel; 6.12 is of
# bookworm-backports, for which deploy/install-deps has a source.
# What a suite lays into $NETLAB_DIR/out comes back on a disk and is checked here (check_wire.sh).
# QUORATE_VM_LOG=FILE keeps the console of the last one, QUORATE_VM_OUT=DIR what it left.
# QUORATE_LONG=1 runs more suites, and their long forms. bench.sh is run by its name alone.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
suites=("$@")
if [ $# = 0 ]; then
    suites=(branch.sh traps.sh policies.sh paths.sh gcm.sh branch.sh@6.12)
    [ "${QUORATE_LONG:-0}" != 1 ] || suites+=(rollover.sh rollover.sh@6.12 gcm.sh@6.12 uplinks.sh traps.sh@6.12)
fi
# Of wall time; a quiet machine needs about 60 for each suite, and for a long form up to 450.
limit_s=${QUORATE_VM_LIMIT_S:-$([ "${QUORATE_LONG:-0}" = 1 ] && echo 1500 || echo 600)}
build=build/vm
cache=build/vm-kernel
out_mb=192 # of the disk; sparse

fail() { echo "tests/vm: $*"; echo "0 passed, 1 failed"; exit 1; }

for tool in qemu-system-x86_64 busybox cpio depmod iperf3 nft tshark; do
    command -v "$tool" >/dev/null || fail "$tool is missing (deploy/install-deps)"
done

# The newest package of a series, as the metapackage names it.
package_of() {
    apt-cache show linux-image-cloud-amd64 | awk -v series="$1" '
        $1 == "Version:" { hit = index($2, series ".") == 1 }
        $1 == "Depends:" && hit { print $2; exit }'
}
fetch_kernel() { # SERIES
    [ -e "$cache/$1/ready" ] && return 0
    local package
    package=$(package_of "$1")
    [ -n "$package" ] || return 1
    rm -rf "${cache:?}/$1" && mkdir -p "$cache/$1"
    (cd "$cache/$1" && apt-get download -qq "$package" 2>/dev/null && dpkg -x "$package"_*.deb root && rm -f ./*.deb && touch ready)
}

mkdir -p build
exec 9> $build.lock
flock 9 # two that build at once spoil each other's libraries
cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Release -DQUORATE_TESTS=OFF > $build.log 2>&1 &&
    ninja -C $build -j2 ksd gm-agent ksctl >> $build.log 2>&1 || { tail -n 20 $build.log; fail "the build failed"; }
exec 9>&-

work=$(mktemp -d)
gcc -std=gnu11 -O1 -Wall -Werror tests/vm/mroute.c -o "$build/bin/mroute" || fail "mroute does not compile"
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

prepare() { # SERIES: its kernel and its initramfs, once
    [ ! -e "$work/$1.cpio" ] || return 0
    fetch_kernel "$1" || { echo "tests/vm: no kernel $1 can be fetched (deploy/install-deps adds backports)"; return 1; }
    bash tests/vm/initramfs.sh "$cache/$1/root" "$work/$1.cpio" "$PWD/$build/bin/ksd" "$PWD/$build/bin/gm-agent" \
        "$PWD/$build/bin/ksctl" "$PWD/$build/bin/mroute" || { echo "tests/vm: no initramfs for $1"; return 1; }
}

count() { # FILE: adds what its last line says
    local result
    result=$(grep -aE '^[0-9]+ passed, [0-9]+ failed$' "$1" | tail -n 1)
    [ -n "$result" ] || return 1
    passed=$((passed + $(echo "$result" | awk '{ print $1 }')))
    failed=$((failed + $(echo "$result" | awk '{ print $3 }')))
}

cpu_s() { awk '{ print int(($16 + $17) / 100) }' "/proc/$$/stat"; } # of what has ended: about what a quiet machine needs
boot() { # boot SUITE KERNEL: adds to the counts
    local console=${QUORATE_VM_LOG:-$work/console} out=${QUORATE_VM_OUT:-$work/out} began=$SECONDS cpu_began
    cpu_began=$(cpu_s)
    prepare "$2" || return 1
    rm -rf "$work/suite" && mkdir "$work/suite"
    cp deploy/netlab.sh tests/vm/guest/lib.sh "$work/suite/"
    cp "tests/vm/guest/$1" "$work/suite/run.sh" || return 1
    echo "QUORATE_LONG=${QUORATE_LONG:-0}" > "$work/suite/environment"
    cp "$work/$2.cpio" "$work/init.cpio"
    (cd "$work" && find suite | cpio -o -H newc --quiet >> init.cpio)
    rm -f "$work/disk" && truncate -s ${out_mb}M "$work/disk"
    # icount: the guest's clock goes by its instructions (2 ns each) and skips idle time, so a busy host makes
    # the machine slow but never late: what a suite measures does not depend on who else is at work here.
    # -cx16: with cmpxchg16b QEMU 7.2 corrupts the flags now and then, and the guest's allocator panics.
    timeout -k 5 "$limit_s" nice qemu-system-x86_64 -accel tcg ${QUORATE_VM_ICOUNT--icount shift=1,sleep=off} -rtc clock=vm \
        -cpu max,-cx16,la57=off -smp 1 -m 1024 \
        -nodefaults -no-user-config -display none -serial stdio -no-reboot -kernel "$cache/$2"/root/boot/vmlinuz-* \
        -drive "file=$work/disk,format=raw,if=virtio" -initrd "$work/init.cpio" \
        -append "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off random.trust_cpu=on no_timer_check" \
        < /dev/null 2>&1 | stdbuf -oL tr -d '\r' | tee "$console" | sed -uE 's/^([0-9]+ passed, [0-9]+ failed)$/suite: \1/'
    count "$console" || { echo "NOT OK - $1 did not come to its end"; return 1; }
    rm -rf "$out" && mkdir "$out"
    if tar -xf "$work/disk" -C "$out" 2>/dev/null && [ -e "$out/wire.pcap" ]; then
        bash tests/vm/check_wire.sh "$out" > "$work/wire"
        sed -E 's/^([0-9]+ passed, [0-9]+ failed)$/wire: \1/' "$work/wire"
        count "$work/wire" || return 1
    fi
    echo "took $((SECONDS - began)) s, $(($(cpu_s) - cpu_began)) s of a processor"
}

main() {
    for suite in "${suites[@]}"; do
        kernel=6.1
        [ "${suite%@*}" = "$suite" ] || kernel=${suite#*@}
        echo "== ${suite%@*} on $kernel"
        boot "${suite%@*}" "$kernel" || failed=$((failed + 1))
    done
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}
main; exit
