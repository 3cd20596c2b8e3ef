# debian_base.sh - an empty Debian for tests that install something: debian_base LOG makes a tar of a minimal bookworm, once for all
# scripts of a checkout. Sourced; needs root, debootstrap and $root. The mirror is that of this machine.
debian_mirror() {
    local url
    url=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2> /dev/null | head -n 1 | tr -d ' ')
    echo "${url:-http://deb.debian.org/debian}"
}
debian_base() { # LOG: prints nothing; the tar is $root/build/test-base.tar
    local tree=$root/build/test-base.$$ tar=$root/build/test-base.tar
    [ -s "$tar" ] && return
    mkdir -p "$root/build"
    debootstrap --variant=minbase bookworm "$tree" "$(debian_mirror)" > "$1" 2>&1 || { rm -rf "$tree"; return 1; }
    rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/usr/share/{doc,man,locale}/*
    tar -C "$tree" --numeric-owner -cf "$tar.$$" . && mv "$tar.$$" "$tar"
    rm -rf "$tree"
}
