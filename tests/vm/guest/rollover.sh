# rollover.sh - twenty rollovers under pings every 2 ms, with the clock set forward and back by an hour between, the
# agent of site 1 killed and that of site 2 replaced in order, all without a lost packet. Sites 1 and 2 use the kernel's
# IPsec, site 3 the user data path. What is on the WAN is kept, with the kernel's keys, for check_wire.sh.
. /suite/lib.sh
rollovers=20 pings=22500
[ "$QUORATE_LONG" != 1 ] || { rollovers=100 pings=90000; }

netlab_up 3 1
netlab_psk > /dev/null
ksd_conf "${TRANSFORM:-aes256-sha256}" 8 60
delays 1 2
for i in 1 2 3; do netlab_gm_conf $i 10.1.11.2; done
use_xfrm 1
use_xfrm 2
netlab_start ksd1 ks1 ksd -c "$NETLAB_DIR/ksd1.conf"
for i in 1 2 3; do start_gm $i; done
for i in 1 2 3; do check "site $i is registered" netlab_wait 40 netlab_registered $i; done
[ "$failed" = 0 ] || { suite_end; exit; }
check "every site reaches every other" bash -c '. /suite/lib.sh; for p in "1 2" "2 1" "1 3" "3 1" "2 3" "3 2"; do pings $p || exit 1; done'

wire_start
ping_start roll12 1 2 $pings 0.002
ping_start roll21 2 1 $pings 0.002
ping_start mixed31 3 1 $((pings / 5)) 0.01
check "five rollovers" rolls 5
date -s "@$(($(date +%s) + 3600))" > /dev/null
check "two more, the clock an hour later" rolls 2
netlab_stop gm1 KILL
start_gm 1
check "site 1's agent is killed, and registers again" netlab_wait 20 log_at_least gm1 GM_REGS_COMPL 2
check "it took over what was there" log_at_least gm1 'taken over' 1
check "five more rollovers" rolls 5
date -s "@$(($(date +%s) - 7200))" > /dev/null
check "two more, the clock two hours earlier" rolls 2
netlab_stop gm2 USR2
check "an agent that hands over leaves what is in force" bash -c "[ \$(ip netns exec q-gm2 ip xfrm policy | grep -c spi) -gt 0 ]"
start_gm 2
check "site 2's agent is replaced, and registers again" netlab_wait 20 log_at_least gm2 GM_REGS_COMPL 2
check "it took over what was there as well" log_at_least gm2 'taken over' 1
check "$rollovers rollovers in all" rolls $((rollovers - 14))
echo "rolled at $(cut -d' ' -f1 /proc/uptime) s; pings sent till then are those that count"
check "pings went on all the while" not ping_ended roll12
for name in roll12 roll21 mixed31; do check "$name ends" netlab_wait $((pings / 250)) ping_ended $name; done
echo "$(log_count gm1 SA_TEK_UPDATED) rollovers at site 1"
check "no packet lost from 1 to 2" ping_lost_none roll12
check "no packet lost from 2 to 1" ping_lost_none roll21
check "no packet lost from the user data path at 3 to 1" ping_lost_none mixed31
for name in roll12 roll21 mixed31; do grep transmitted "$NETLAB_DIR/$name.log"; done
check "nobody took its own changes for somebody else's" not grep -q 'somebody changed' "$NETLAB_DIR/gm1.log" "$NETLAB_DIR/gm2.log"
wire_stop $((pings * 4)) $rollovers 0 4
check "nothing protected was seen in clear on the WAN" [ "$(clear_packets wire)" = 0 ]
suite_end
