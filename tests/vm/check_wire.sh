#!/usr/bin/env bash
# check_wire.sh DIR: the WAN as an independent parser (tshark) sees it, packet by packet, with the keys that the kernels
# of the suite had. DIR holds what a suite left:
#   wire.pcap   the WAN, of any device ("any" captures hold each packet once as it enters: the suite sees to that)
#   keys        ip xfrm state, as seen again and again during the run
#   expect      lines KEY=NUMBER: packets (at least so many ESP packets), spis (at least so many keys),
#               sid_bits (0, or the length of the sender ids at the head of the IVs),
#               restarts (0: so many times at most numbers begin at 1 again under a key and without a sender id, as they do
#               when a site's SAs are made anew; IVs are then random and nobody looks at numbers)
# Each ESP packet must open with its key and a good ICV, the addresses outside must be those inside, and no IV may come
# twice under a key. With keys that differ in one digit none may open: that shows that the parser looks. Nothing that
# the group protects may be there in clear.
set -uo pipefail
dir=$1
passed=0
failed=0
check() {
    local text=$1
    shift
    if "$@"; then passed=$((passed + 1)); echo "ok - wire: $text"; else failed=$((failed + 1)); echo "NOT OK - wire: $text"; fi
}
expected() { sed -n "s/^$1=//p" "$dir/expect"; }

# One line for each SA: SPI, cipher key, integrity name and key. The kernel's own print is the source.
keys() {
    awk '
        /proto esp spi/ { spi = $4 }
        /auth-trunc/ { auth = $2; integrity = $3 }
        /enc / { print spi, "cbc", $3, auth, integrity }
        /aead / { print spi, "gcm", $3, "none", "" }' "$dir/keys" | sort -u
}
keys > "$dir/key-list"

# read_esp KEYS COUNT: one line for each ESP packet among the first COUNT packets (0: all).
fields=(-e ip.src -e ip.dst -e esp.spi -e esp.sequence -e esp.icv_good -e ip.flags.df -e ip.proto -e esp.iv -e ip.checksum.status -e frame.number)
read_esp() {
    local options=(-o esp.enable_encryption_decode:TRUE -o esp.enable_authentication_check:TRUE) spi cipher key auth integrity names
    while read -r spi cipher key auth integrity; do
        case "$cipher $auth" in
        'cbc hmac(sha256)') names='"AES-CBC [RFC3602]","'$key'","HMAC-SHA-256-128 [RFC4868]","'$integrity'"' ;;
        'gcm none') names='"AES-GCM with 16 octet ICV [RFC4106]","'$key'","NULL",""' ;;
        *) echo "$cipher $auth is not known here" >&2; return 1 ;;
        esac
        options+=(-o "uat:esp_sa:\"IPv4\",\"*\",\"*\",\"$spi\",$names")
    done < "$1"
    [ "$2" = 0 ] || options+=(-c "$2")
    tshark -n -r "$dir/wire.pcap" -o ip.check_checksum:TRUE "${options[@]}" -Y 'esp' -T fields -E separator='|' \
        -E occurrence=a -E aggregator=, "${fields[@]}"
}
read_esp "$dir/key-list" 0 > "$dir/esp" 2> "$dir/tshark.log" || { tail -n 3 "$dir/tshark.log"; echo "0 passed, 1 failed"; exit 1; }
# The last digit of the key that proves a packet.
awk '{ f = $2 == "cbc" ? 5 : 3; d = substr($f, length($f)); $f = substr($f, 1, length($f) - 1) (d == "0" ? "1" : "0"); print }' \
    "$dir/key-list" > "$dir/wrong-keys"
read_esp "$dir/wrong-keys" 2000 > "$dir/esp-wrong" 2>> "$dir/tshark.log"

# What is not as it must be, one word a packet; and sums.
awk -F'|' -v sid_bits="$(expected sid_bits)" '
    function bad(word) { wrong[word]++; if (!(word in first)) first[word] = $10 ": " $0 }
    { packets++; spis[$3] = 1
      n = split($1, src, ","); m = split($2, dst, ","); split($7, proto, ",")
      if (n < 2 || m < 2) { bad("not-opened"); next }
      if (src[1] != src[2] || dst[1] != dst[2]) bad("outer-and-inner-differ")
      if (proto[1] != 50) bad("outer-protocol")
      if ($5 != "1" && $5 != "True") bad("icv")
      split($9, sum, ","); if (sum[1] == 0 || sum[1] == "Bad") bad("header-checksum")
      site = src[1]; sub(/\.[0-9]+$/, "", site)
      iv = $8; gsub(/:/, "", iv)
      from = site substr(iv, 1, sid_bits / 4) # numbers begin anew with a new sender id
      if (((from, $3) in last) && $4 + 0 <= last[from, $3]) {
          if ($4 + 0 == 1 && sid_bits == 0) restarts++
          else bad("number-not-above-the-one-before")
      }
      last[from, $3] = $4 + 0
      if (($3, iv) in ivs) bad("iv-twice"); ivs[$3, iv] = 1
      if (sid_bits > 0) {
          id = substr(iv, 1, sid_bits / 4)
          if ((($3, id) in owner) && owner[$3, id] != site) bad("sender-id-of-two-sites")
          owner[$3, id] = site
          if (((site, $3) in sender) && sender[site, $3] != id) ids_changed++
          sender[site, $3] = id
      } }
    END { count = 0; for (s in spis) count++
          print "packets", packets + 0; print "spis", count; print "restarts", restarts + 0
          for (w in wrong) { print "wrong", w, wrong[w]; print "first", w, first[w] } }' "$dir/esp" > "$dir/verdict"
cat "$dir/verdict"
restarts=$(expected restarts)
sum() { awk -v what="$1" '$1 == what { print $2 }' "$dir/verdict"; }
check "at least $(expected packets) ESP packets were read" [ "$(sum packets)" -ge "$(expected packets)" ]
check "under at least $(expected spis) keys" [ "$(sum spis)" -ge "$(expected spis)" ]
check "numbers begin anew at most ${restarts:-0} times" [ "$(sum restarts)" -le "${restarts:-0}" ]
check "each opens with a good ICV, has the addresses inside that it has outside, and no number or IV twice" \
    [ "$(awk '$1 == "wrong"' "$dir/verdict" | wc -l)" = 0 ]
control() { [ -s "$dir/esp-wrong" ] && ! awk -F'|' '{ print $5 }' "$dir/esp-wrong" | grep -qE '^(1|True)'; }
check "none proves itself under a key that differs in one digit" control
# A fragment of ESP is none that tshark calls so.
in_clear() { tshark -n -r "$dir/wire.pcap" -Y 'ip.src == 192.168.0.0/16 && ip.dst == 192.168.0.0/16 && !esp && !(ip.proto == 50)' 2>> "$dir/tshark.log"; }
check "nothing of protected hosts is in clear" [ "$(in_clear | wc -l)" = 0 ]
echo "$passed passed, $failed failed"
