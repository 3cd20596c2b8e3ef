#!/usr/bin/env bash
# The container way of the README, from an empty base image on: images built, the project of deploy/container started, members
# registered, hosts answering each other, the README's curl lines; then one key server killed, another cut off and healed, a third
# replaced with an empty volume, while a ping through the group runs all the time. A Docker daemon of our own, in a network
# namespace of its own; nothing of the machine's is touched.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/tests/lib/check.sh"
[ "$(id -u)" = 0 ] || skip "needs root"
for tool in dockerd docker debootstrap; do command -v $tool > /dev/null || skip "$tool is not installed"; done
# COMPOSE: how compose is called; v1 as Debian 12 has it, or v2.
if [ -z "${COMPOSE:-}" ]; then
    if command -v docker-compose > /dev/null; then COMPOSE=docker-compose; else COMPOSE="docker compose"; fi
fi
$COMPOSE version > /dev/null 2>&1 || skip "compose is not installed"

dir=$(mktemp -d)
ns=qdk-$$
project=$dir/project/deploy/container
wait_for() { # SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.3
    done
}
stop() { # PIDFILE SECONDS: of something that this script started
    local pid end
    [ -s "$1" ] || return 0
    pid=$(cat "$1")
    kill "$pid" 2> /dev/null || return 0
    end=$((SECONDS + $2))
    while kill -0 "$pid" 2> /dev/null && [ $SECONDS -lt $end ]; do sleep 0.2; done
    kill -KILL "$pid" 2> /dev/null
    wait "$pid" 2> /dev/null
}
clean() {
    [ ! -f "$project/compose.yaml" ] || compose down -v -t 2 > "$dir/down.log" 2>&1
    stop "$dir/docker.pid" 30
    stop "$dir/port.pid" 2
    stop "$dir/proxy.pid" 2
    ip netns del $ns 2> /dev/null
    grep " $dir/" /proc/self/mounts | awk '{print $2}' | sort -r | xargs -r umount -l
    rm -rf "$dir"
}
trap clean EXIT
trap 'exit 1' INT TERM

compose() { (cd "$project" && $COMPOSE "$@"); }
# The container of a service; docker itself answers faster than compose, which matters where one asks often.
container_of() { docker ps -aq --filter "label=com.docker.compose.service=$1" --filter label=com.docker.compose.oneoff=False | head -n 1; }
inside() { # SERVICE COMMAND...
    local id
    id=$(container_of "$1")
    shift
    docker exec "$id" "$@"
}
finish() {
    if [ "$failed" != 0 ]; then
        tail -n 25 "$dir"/build.log "$dir"/up.log 2> /dev/null
        compose ps 2> /dev/null
        compose logs --tail 15 2> /dev/null
        tail -n 5 "$dir/docker.log"
    fi
    check_end
}

# The daemon. Its namespace has no way out; what apt fetches while images are built goes through tests/lib/apt_proxy.py.
ip netns add $ns && ip -n $ns link set lo up || skip "network namespaces cannot be made"
export DOCKER_HOST=unix://$dir/docker.sock HOME=$dir
nsenter --net=/run/netns/$ns dockerd --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/dockerd.pid" -H "$DOCKER_HOST" > "$dir/docker.log" 2>&1 &
echo $! > "$dir/docker.pid"
wait_for 40 docker info || { tail -n 5 "$dir/docker.log"; skip "a Docker daemon cannot run here"; }
python3 "$root/tests/lib/apt_proxy.py" serve "$dir/proxy.sock" > "$dir/proxy.log" 2>&1 &
echo $! > "$dir/proxy.pid"
ip netns exec $ns python3 "$root/tests/lib/apt_proxy.py" port "$dir/proxy.sock" > "$dir/port.log" 2>&1 &
echo $! > "$dir/port.pid"

# The base: what debian:bookworm-slim is to a user.
. "$root/tests/lib/debian_base.sh"
make_base() { debian_base "$dir/build.log" && docker import "$root/build/test-base.tar" quorate-base:1 > "$dir/build.log" 2>&1; }
image() { # TARGET
    docker build --network host --build-arg http_proxy=http://127.0.0.1:3128 --build-arg BASE=quorate-base:1 \
        -f "$dir/project/deploy/container/Dockerfile" --target "$1" -t "quorate/$1" "$dir/project" >> "$dir/build.log" 2>&1
}
# Megabytes that an image adds to its base.
added() { echo $((($(docker image inspect -f '{{.Size}}' "quorate/$1") - $(docker image inspect -f '{{.Size}}' quorate-base:1)) / 1000000)); }
mkdir "$dir/project"
(cd "$root" && tar -c .dockerignore CMakeLists.txt LICENSE README.md base proto storage cluster api server gm-agent docs \
    --exclude=deploy/container/run deploy) | tar -x -C "$dir/project"
require "a base image, by debootstrap and import" make_base
for target in ksd gm-agent host; do require "the image $target builds" image $target; done
echo "# over its base, ksd adds $(added ksd) MB, gm-agent $(added gm-agent) MB"
at_most() { [ "$(added "$1")" -le "$2" ]; }
check "ksd's image is small" at_most ksd 40
check "gm-agent's image is small" at_most gm-agent 40
check "ksd runs as a user of its own" [ "$(docker image inspect -f '{{.Config.User}}' quorate/ksd)" = quorate ]

# The two lines of the README. A machine that does not let us lift the limit of locked memory is told to go without.
(ulimit -l unlimited) 2> /dev/null || export QUORATE_MEMLOCK=8388608
require "prepare makes secrets and configurations" "$project/prepare"
up() { compose up -d > "$dir/up.log" 2>&1; }
require "the project comes up" up
ready() { inside "$1" ksctl show readyz; }
voters() { inside ks1 ksctl cluster status | grep -q "Voters *: $1"; }
registered() { inside "$1" gm-agent show crypto gdoi | grep -q 'Registration status *: Registered'; }
for n in 1 2 3; do require "ks$n is ready" wait_for 60 ready ks$n; done
check "by itself, the three are one cluster" wait_for 20 voters 3
for n in 1 2; do require "gm$n is registered" wait_for 40 registered gm$n; done
check "the hosts behind them answer each other" wait_for 10 inside h1 ping -q -c 3 -i 0.2 -W 1 192.168.14.10
encaps() { inside gm1 gm-agent show crypto ipsec sa | sed -n 's/.*#pkts encaps: \([0-9]*\).*/\1/p'; }
check "through the group" [ "$(encaps)" -ge 3 ]
first_is() { [ "$(inside "$1" cat /proc/1/comm)" = "$2" ]; }
check "the key server is its container's only process" first_is ks1 ksd
check "the member, too" first_is gm1 gm-agent
read_only() { ! inside "$1" sh -c 'touch /usr/x' 2> /dev/null; }
for name in ks1 gm1; do check "$name cannot write to its image" read_only $name; done
healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$(container_of "$1")")" = healthy ]; }
for name in ks1 ks2 ks3 gm1 gm2; do check "Docker calls $name healthy" wait_for 60 healthy $name; done

# The curl lines of the README as they stand there.
curl_lines() { sed -n 's/^\(docker compose exec ks1 curl .*\)$/\1/p' "$root/README.md"; }
run_line() { # LINE: JSON (or metrics) comes back
    local line=${1/docker compose exec/inside}
    eval "$line" > "$dir/curl.out" 2> "$dir/curl.err" && [ -s "$dir/curl.out" ] || { cat "$dir/curl.out" "$dir/curl.err"; return 1; }
    case $line in */metrics*) grep -q '^quorate_' "$dir/curl.out" ;; *) python3 -m json.tool < "$dir/curl.out" > "$dir/json.out" ;; esac
}
lines=0
while read -r line; do
    lines=$((lines + 1))
    check "README: $line" run_line "$line" < /dev/null
done < <(curl_lines)
check "the README has curl lines" [ $lines -ge 3 ]

# From here on hosts talk all the time; one packet lost is one too many.
inside h1 ping -i 0.2 -q -w 400 192.168.14.10 > "$dir/ping.out" 2>&1 &
ping=$!
wait_for 5 pgrep -P $ping
seq_of() { inside "$1" curl -s http://127.0.0.1:8480/v1/groups/G1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["seq"])'; }
primary_is() { inside "$1" ksctl json show readyz | grep -q '"primary": true'; }
rekey_at() { inside "$1" ksctl rekey G1; }

kill_ks1() { docker update --restart=no "$(container_of ks1)" > /dev/null && docker kill -s KILL "$(container_of ks1)" > /dev/null; }
check "the primary is killed" kill_ks1
check "ks2 becomes primary" wait_for 20 primary_is ks2
check "and makes new keys" wait_for 20 rekey_at ks2
start_ks1() { docker start "$(container_of ks1)" > /dev/null; }
check "the killed one is started again" start_ks1
check "and is ready" wait_for 60 ready ks1

network=$(docker network ls -q --filter name=_wan)
cut() { docker network disconnect "$network" "$(container_of "$1")"; }
heal() { docker network connect --ip "$2" "$network" "$(container_of "$1")"; }
before=$(seq_of ks3)
check "the network of the primary is cut" cut ks2
check "another one becomes primary" wait_for 20 primary_is ks1
no_rekey_at() { ! inside "$1" ksctl rekey G1 2> /dev/null; }
check "the one that is cut off makes no keys" no_rekey_at ks2
check "the majority does" wait_for 20 rekey_at ks1
beyond() { [ "$(seq_of "$1")" -gt "$before" ]; }
check "healed" heal ks2 10.48.0.12
check "and ready again" wait_for 60 ready ks2
check "with the keys of the majority" wait_for 20 beyond ks2

lose_ks3() { docker rm -f "$(container_of ks3)" > /dev/null && docker volume rm "$(docker volume ls -q --filter name=_ks3)" > /dev/null; }
check "the third is lost with its volume" lose_ks3
COMPOSE_WAY=$COMPOSE
check "one command replaces it" env COMPOSE="$COMPOSE_WAY" COMPOSE_PROJECT_NAME=container "$project/replace" 3
check "three voters again" wait_for 30 voters 3
check "the new one holds the keys" wait_for 20 beyond ks3

for n in 1 2; do check "gm$n is registered still" registered gm$n; done
lost_nothing() {
    docker exec "$(container_of h1)" sh -c 'for p in /proc/[0-9]*; do grep -qs "^ping" $p/cmdline && kill -INT ${p#/proc/}; done; true'
    wait $ping
    sed -n '/transmitted/p' "$dir/ping.out"
    grep -q ' 0% packet loss' "$dir/ping.out"
}
check "no packet was lost between the hosts in all this" lost_nothing
never_again() { ! compose logs gm1 gm2 2>&1 | grep -E 'GM_RE_REGISTER|SA_KEYS_LOST'; }
check "no member had to register again" never_again
echo "# $SECONDS s in all"
finish
