#!/usr/bin/env bash
# Debian's libreswan (pluto) completes main mode with a pre-shared key against ksd. Its package conflicts with strongSwan's, so
# it is unpacked beside, and its helper's fixed path is made in a mount namespace.
set -u
INTEROP=qplt
. "$(dirname "$0")/../lib/interop.sh"

( cd "$NETLAB_DIR" && { apt-get download libreswan >/dev/null 2>&1 || { apt-get update -qq; apt-get download libreswan >/dev/null 2>&1; }; } &&
  dpkg -x libreswan_*.deb libreswan && rm libreswan_*.deb ) || { echo "libreswan cannot be fetched"; echo "0 passed, 1 failed"; exit 1; }

interop_net
interop_ksd aes256-sha256-ecp256 aes128-sha256-modp2048 aes256-sha512-modp4096

d=$NETLAB_DIR
mkdir -p "$d/nss" "$d/run" "$d/ipsec.d"
certutil -N -d "sql:$d/nss" --empty-password
printf 'config setup\n  ikev1-policy=accept\n' > "$d/ipsec.conf"
echo '10.7.0.2 10.7.0.1 : PSK "interop-secret-long-enough"' > "$d/secrets"
chmod 600 "$d/secrets"
netlab_start pluto client unshare -m bash -c "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /usr/libexec &&
    mkdir /usr/libexec/ipsec && cp -r $d/libreswan/usr/libexec/ipsec/. /usr/libexec/ipsec/ &&
    exec /usr/libexec/ipsec/pluto --config $d/ipsec.conf --nofork --stderrlog --no-dnssec --rundir $d/run \
         --secretsfile $d/secrets --nssdir $d/nss --ipsecdir $d/ipsec.d"
whack() { netlab_in client timeout 15 "$d/libreswan/usr/libexec/ipsec/whack" --rundir "$d/run" "$@" >> "$d/whack.log" 2>&1; }
netlab_wait 20 test -S "$d/run/pluto.ctl"
netlab_wait 10 whack --listen

n=0
for ike in aes128-sha2_256-modp2048 aes256-sha2_512-modp4096 aes256-sha2_256-dh19; do
    n=$((n + 1))
    whack --name "p$n" --psk --encrypt --ikev1 --ike "$ike" --esp aes128-sha2_256 \
          --host 10.7.0.2 --ikeport 500 --to --host 10.7.0.1 --ikeport 848
    whack --initiate --name "p$n" --asynchronous
    check "pluto completes main mode with $ike" netlab_wait 20 interop_log_has pluto "\"p$n\" #[0-9]+: IKE SA established"
    whack --delete --name "p$n"
done
check "ksd reports the SA" interop_log_has ksd 'IKMP_SA_UP'
interop_end
