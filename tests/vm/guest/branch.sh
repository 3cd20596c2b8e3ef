# branch.sh - three branches and a key server: sites 1 and 2 with the kernel's IPsec, site 3 with the user data path.
# What is on the WAN is kept, with the kernel's keys, for check_wire.sh.
. /suite/lib.sh

netlab_up 3 1
netlab_psk > /dev/null
ksd_conf aes256-sha256 12 60 # a new TEK every 6 s
for i in 1 2 3; do netlab_gm_conf $i 10.1.11.2; done
use_xfrm 1
use_xfrm 2
wire_start
netlab_start ksd1 ks1 ksd -c "$NETLAB_DIR/ksd1.conf"
for i in 1 2 3; do start_gm $i; done
for i in 1 2 3; do check "site $i is registered" netlab_wait 40 netlab_registered $i; done
[ "$failed" = 0 ] || { suite_end; exit; }

for pair in '1 2' '2 1' '1 3' '3 1' '2 3' '3 2'; do
    check "ping ${pair/ / to }" pings $pair
done
check "a site itself is reached from another" bash -c ". /suite/lib.sh; netlab_in h1 ping -q -c 2 -W 2 192.168.14.1 | grep -q ' 0% packet loss'"
check "a host reaches its own router in clear" bash -c ". /suite/lib.sh; netlab_in h1 ping -q -c 2 -W 2 192.168.13.1 | grep -q ' 0% packet loss'"
check "fragments of 3000 octets pass between kernels" pings 1 2 2 -s 3000
check "fragments of 3000 octets pass to the user data path" pings 1 3 2 -s 3000

ping_start roll12 1 2 1200 0.01
ping_start roll31 3 1 1200 0.01
date -s "@$(($(date +%s) + 3600))" > /dev/null # nothing of the data path goes by the wall clock
teks=$(log_count gm1 SA_TEK_UPDATED)
check "three more rollovers at site 1" netlab_wait 60 log_at_least gm1 SA_TEK_UPDATED $((teks + 3))
check "pings end" netlab_wait 40 ping_ended roll12
check "no packet lost from 1 to 2 over rollovers and a clock step of an hour" ping_lost_none roll12
netlab_wait 20 ping_ended roll31
check "no packet lost from 3 to 1 over rollovers" ping_lost_none roll31
check "the agent did not take its own changes for somebody else's" not log_at_least gm1 'somebody changed' 1

# Right after a takeover, so that the next key comes when the agent is back.
sends_on() { netlab_in gm1 ip xfrm policy list dir out | grep -o 'spi 0x[0-9a-f]*' | head -n 1; }
sends_on_another() { [ "$(sends_on)" != "$before" ]; }
before=$(sends_on)
check "the key that sends changes" netlab_wait 20 sends_on_another
ping_start kill12 1 2 400 0.02
netlab_stop gm1 KILL
start_gm 1
check "a killed agent registers again" netlab_wait 20 bash -c ". /suite/lib.sh; [ \$(grep -c GM_REGS_COMPL $NETLAB_DIR/gm1.log) -ge 2 ]"
check "it took over what was there" log_at_least gm1 'taken over' 1
netlab_wait 30 ping_ended kill12
check "no packet lost while the agent was killed" ping_lost_none kill12

# An upgrade: the old agent leaves what the kernel holds to the new one.
before=$(sends_on)
check "the key that sends changes again" netlab_wait 20 sends_on_another
ping_start hand12 1 2 400 0.02
netlab_stop gm1 USR2
check "after SIGUSR2 the keys are still in the kernel" test -n "$(sends_on)"
check "and that is said" log_at_least gm1 'left to the next agent' 1
start_gm 1
check "the new agent registers" netlab_wait 20 bash -c ". /suite/lib.sh; [ \$(grep -c GM_REGS_COMPL $NETLAB_DIR/gm1.log) -ge 3 ]"
check "it took over what was left" log_at_least gm1 'taken over' 2
netlab_wait 30 ping_ended hand12
check "no packet lost over the upgrade" ping_lost_none hand12

wire_stop 5000 6 0 4 # two agents after another make two SAs anew each
echo "ESP packets of 1 to 2: $(esp_packets wire 1 2), of 3 to 1: $(esp_packets wire 3 1); in clear: $(clear_packets wire)"
check "ESP carries the hosts' addresses" [ "$(esp_packets wire 1 2)" -gt 1000 ]
check "nothing protected was seen in clear on the WAN" [ "$(clear_packets wire)" = 0 ]
check "nothing was sent to the anchor" [ "$(netlab_count "$NETLAB_DIR/wire.pcap" 'host 100.127.0.1')" = 0 ]
check "encrypted packets are counted" counter_above 1 encaps 1000
check "decrypted packets are counted" counter_above 2 decaps 1000
suite_end
