#!/usr/bin/env bash
# Debian's strongSwan (charon) completes main mode with a pre-shared key against ksd, for each kind of DH group.
set -u
INTEROP=qchr
. "$(dirname "$0")/../lib/interop.sh"
[ -x /usr/lib/ipsec/charon ] || { echo "strongSwan is not installed"; echo "0 passed, 1 failed"; exit 1; }

interop_net
interop_ksd aes256-sha256-ecp256 aes256-sha384-ecp384 aes256-sha512-ecp521 aes128-sha256-modp2048 aes256-sha256-modp3072 aes256-sha512-modp4096

charon_conf() { # PROPOSAL SECRET
    local d=$NETLAB_DIR
    cat > "$d/strongswan.conf" <<CONF
charon {
  load = aes sha1 sha2 hmac gmp openssl random nonce kdf stroke socket-default kernel-netlink pem pkcs1 x509 pubkey
  install_routes = no
  retransmit_tries = 2
  retransmit_timeout = 2
  plugins { stroke { secrets_file = $d/ipsec.secrets } }
  filelog { log {
    path = $d/charon.log
    default = 1
    flush_line = yes
  } }
}
CONF
    # charon leaves the non-ESP marker away only when one port is 500: it keeps its own port 500 here.
    cat > "$d/ipsec.conf" <<CONF
conn c
  keyexchange=ikev1
  authby=psk
  left=10.7.0.2
  right=10.7.0.1
  rightikeport=848
  ike=$1!
  esp=aes128-sha256!
  auto=start
CONF
    echo "10.7.0.2 10.7.0.1 : PSK \"$2\"" > "$d/ipsec.secrets"
    rm -f "$d/charon.log"
}

charon_start() {
    netlab_start starter client env STRONGSWAN_CONF="$NETLAB_DIR/strongswan.conf" unshare -m bash -c \
        "mount -t tmpfs tmpfs /run && exec /usr/lib/ipsec/starter --nofork --conf $NETLAB_DIR/ipsec.conf"
}

for proposal in aes256-sha256-ecp256 aes256-sha384-ecp384 aes256-sha512-ecp521 aes128-sha256-modp2048 \
                aes256-sha256-modp3072 aes256-sha512-modp4096 3des-sha1-modp1024,aes128-sha256-modp2048; do
    charon_conf "$proposal" interop-secret-long-enough
    charon_start
    check "charon completes main mode with $proposal" netlab_wait 20 interop_log_has charon 'IKE_SA c\[1\] established'
    netlab_stop starter
done
check "ksd reports the SA" interop_log_has ksd 'IKMP_SA_UP'

charon_conf 3des-sha1-modp1024 interop-secret-long-enough
charon_start
check "weak proposals are answered with NO_PROPOSAL_CHOSEN" netlab_wait 20 interop_log_has charon 'NO_PROP'
netlab_stop starter

charon_conf aes256-sha256-ecp256 a-wrong-secret-for-sure
charon_start
check "a wrong secret is reported by ksd" netlab_wait 20 interop_log_has ksd 'IKMP_(MODE_FAILURE|BAD_MESSAGE)'
check "and the SA does not come up" bash -c "! grep -q 'IKE_SA c.1. established' $NETLAB_DIR/charon.log"
netlab_stop starter

charon_conf aes256-sha256-ecp256 interop-secret-long-enough
sed -i 's/authby=psk/authby=psk\n  aggressive=yes/' "$NETLAB_DIR/ipsec.conf"
sed -i 's/^charon {/charon {\n  i_dont_care_about_security_and_use_aggressive_mode_psk = yes/' "$NETLAB_DIR/strongswan.conf"
charon_start
check "aggressive mode is refused" netlab_wait 20 interop_log_has ksd '[Aa]ggressive'
netlab_stop starter
interop_end
