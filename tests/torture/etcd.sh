# etcd.sh - sourced: ETCD is etcd of Debian's package etcd-server, unpacked under build/ when it is not installed (an installed one
# would start a service).
if ! command -v etcd > /dev/null && [ ! -x build/etcd/usr/bin/etcd ]; then
    mkdir -p build/etcd
    (cd build/etcd && apt-get download -qq etcd-server 2> /dev/null && dpkg -x etcd-server_*.deb .)
fi
ETCD=$(command -v etcd || echo "$PWD/build/etcd/usr/bin/etcd")
export ETCD
