#!/usr/bin/env bash
# The packages: built from this tree, looked at by lintian, installed into an empty Debian, upgraded, removed, purged. In a chroot
# without a service manager, so that what is started was started by the package itself.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/tests/lib/check.sh"
. "$root/tests/lib/debian_base.sh"
[ "$(id -u)" = 0 ] || skip "needs root"
for tool in debootstrap dpkg-buildpackage dh lintian; do command -v $tool > /dev/null || skip "$tool is not installed"; done
dir=$(mktemp -d)
tree=$dir/tree
clean() {
    umount -l "$tree/proc" 2> /dev/null
    rm -rf --one-file-system "$dir"
}
trap clean EXIT
trap 'exit 1' INT TERM
finish() {
    [ "$failed" = 0 ] || tail -n 30 "$dir"/*.log
    check_end
}

inside() { chroot "$tree" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }
quiet() { "$@" >> "$dir/steps.log" 2>&1; }
absent() { [ ! -e "$tree$1" ]; }

build() { "$root/deploy/debian/build" "$dir/deb" > "$dir/build.log" 2>&1; }
lint() {
    lintian --fail-on error,warning "$dir"/deb/*.changes > "$dir/lintian.log" 2>&1
    local code=$?
    grep -E '^[EW]:' "$dir/lintian.log"
    return $code
}
require "the packages build" build
check "lintian has nothing to say" lint
for name in quorate-server quorate-gm-agent quorate-cli; do
    deb=$(ls "$dir"/deb/${name}_*.deb)
    echo "# $name: $(($(stat -c %s "$deb") / 1000)) kB, installed $(dpkg-deb -f "$deb" Installed-Size) kB, needs $(dpkg-deb -f "$deb" Depends)"
done
light() { [ "$(dpkg-deb -f "$dir"/deb/quorate-gm-agent_*.deb Installed-Size)" -le 1000 ] && ! dpkg-deb -f "$dir"/deb/quorate-gm-agent_*.deb Depends | grep -Eq 'raft|lmdb|microhttpd|curl|python|perl'; }
check "the member's package is light" light

require "an empty Debian" debian_base "$dir/base.log"
mkdir "$tree" && tar -C "$tree" -xf "$root/build/test-base.tar"
cp /etc/resolv.conf "$tree/etc/resolv.conf"
[ ! -s /etc/hosts ] || cp /etc/hosts "$tree/etc/hosts"
mount -t proc proc "$tree/proc"
mkdir "$tree/deb" && cp "$dir"/deb/quorate-{server,gm-agent,cli}_*.deb "$tree/deb/"
echo "deb $(debian_mirror) bookworm-backports main" > "$tree/etc/apt/sources.list.d/backports.list"
install_all() {
    quiet inside apt-get update && quiet inside apt-get install -y --no-install-recommends -t bookworm-backports libraft0 &&
        quiet inside sh -c 'apt-get install -y --no-install-recommends /deb/*.deb'
}
require "they install" install_all
check "nothing was started" bash -c "! ls -l /proc/[0-9]*/root 2> /dev/null | grep -F ' $tree'"
check "nothing is enabled" bash -c "! find $tree/etc/systemd -name 'ksd*' -o -name 'gm-agent*' | grep ."
check "there is no configuration yet" absent /etc/quorate/ksd.conf
for user in quorate quorate-gm; do check "user $user is there" grep -q "^$user:" "$tree/etc/passwd"; done
no_login() { ! grep -E '^quorate' "$tree/etc/passwd" | grep -v ':/usr/sbin/nologin$'; }
check "and cannot log in" no_login
conffiles() { [ "$(inside dpkg-query -W -f '${Conffiles}' "$1" | awk '{print $1}')" = "$2" ]; }
check "quorate-server's conffile" conffiles quorate-server /etc/default/ksd
check "quorate-gm-agent's conffile" conffiles quorate-gm-agent /etc/default/gm-agent
for page in man8/ksd.8 man5/ksd.conf.5 man8/gm-agent.8 man5/gm-agent.conf.5 man1/ksctl.1; do
    check "the page $(basename $page)" test -s "$tree/usr/share/man/$page.gz"
done
check "ksctl runs" quiet inside ksctl -V
check "without configuration ksd ends with 2" bash -c "chroot $tree /usr/sbin/ksd 2> /dev/null; [ \$? = 2 ]"

# Configured from the examples as the README says.
install -m 0640 "$tree/usr/share/doc/quorate-gm-agent/examples/gm-agent.conf" "$tree/etc/quorate/gm-agent.conf"
check "the member's example is a good configuration" quiet inside gm-agent -t -c /etc/quorate/gm-agent.conf
sed 's#{ peer = "10.1.14.0/24"; secret_file = "/etc/quorate/psk-14"; }#{ peer = "10.1.14.2"; secret = "another long random secret"; }#' \
    "$tree/usr/share/doc/quorate-server/examples/ksd.conf" > "$tree/etc/quorate/ksd.conf"
chmod 0640 "$tree/etc/quorate/ksd.conf"
check "the key server's, too" quiet inside ksd -t
check "a node key is made" quiet inside ksd --make-node-key /etc/quorate/node.key
key=$(cat "$tree/etc/quorate/node.key")
check "and left alone the second time" quiet inside ksd --make-node-key /etc/quorate/node.key
check "it is the same" [ "$(cat "$tree/etc/quorate/node.key")" = "$key" ]
mkdir -p "$tree/var/lib/quorate" && echo state > "$tree/var/lib/quorate/mark"
echo '# mine' >> "$tree/etc/default/ksd"

# The next version: the same packages with another number.
upgrade() {
    local name deb
    for name in quorate-server quorate-gm-agent quorate-cli; do
        deb=$(ls "$dir"/deb/${name}_*.deb)
        rm -rf "$dir/next" && dpkg-deb -R "$deb" "$dir/next" || return 1
        sed -i 's/^Version: .*/Version: 0.1.0+1/' "$dir/next/DEBIAN/control"
        dpkg-deb --root-owner-group -b "$dir/next" "$tree/deb/$name-next.deb" > /dev/null || return 1
    done
    quiet inside sh -c 'dpkg -i --force-confdef --force-confold /deb/*-next.deb'
}
check "an upgrade" upgrade
check "keeps the node key" [ "$(cat "$tree/etc/quorate/node.key" 2> /dev/null)" = "$key" ]
check "and the state" test -s "$tree/var/lib/quorate/mark"
check "and what was changed in a conffile" grep -q '^# mine' "$tree/etc/default/ksd"
check "and starts nothing" bash -c "! ls -l /proc/[0-9]*/root 2> /dev/null | grep -F ' $tree'"

check "removed" quiet inside apt-get remove -y quorate-server quorate-gm-agent quorate-cli
check "the programs are gone" absent /usr/sbin/ksd
check "the units, too" absent /lib/systemd/system/ksd.service
check "configuration and state stay" test -s "$tree/etc/quorate/ksd.conf" -a -s "$tree/var/lib/quorate/mark"
check "purged" quiet inside apt-get purge -y quorate-server quorate-gm-agent quorate-cli
for path in /etc/quorate /var/lib/quorate /etc/default/ksd /etc/default/gm-agent; do check "$path is gone" absent $path; done
left() { ! find "$tree/etc" "$tree/usr" "$tree/lib" "$tree/var" -name '*quorate*' -not -path '*/dpkg/*' -not -path '*/log/*' -not -path '*/apt/*' | grep .; }
check "nothing of ours is left" left
finish
