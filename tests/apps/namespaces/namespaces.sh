#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Jobs over several machines, which are network namespaces joined by a bridge:
#
#     driver (m0)    node (m1)    node (m2)    node (m3)
#        '--------------+---- bridge ---+-----------'
#
# namespaces.sh FAULTY_APP TROUPE ADDITION_YAML [CASE...]
# Ends with 77 and the reason where namespaces are not permitted.

set -uo pipefail

small=$1 troupe=$2 addition=$3
shift 3
tag=t$$
net=10.213.$((RANDOM % 200)).
folder=$(mktemp -d)
failed=0

skip() {
  echo "skipped: $1"
  rm -rf "$folder"
  exit 77
}

command -v ip > /dev/null || skip "the program 'ip' (iproute2) is not installed"
[[ $(id -u) == 0 ]] || skip "network namespaces need root"

in_machine() {
  local i=$1
  shift
  ip netns exec "$tag-$i" "$@"
}

clean_up() {
  local i
  for i in 0 1 2 3; do
    ip netns pids "$tag-$i" 2> /dev/null | xargs -r kill -9 2> /dev/null
    ip netns del "$tag-$i" 2> /dev/null
  done
  ip link del "$tag" 2> /dev/null
  rm -rf "$folder"
}
trap clean_up EXIT

ip netns add "$tag-0" 2> /dev/null ||
  skip "network namespaces are not permitted here"
# It mounts, which not every root of a file system lets it.
in_machine 0 true 2> /dev/null ||
  skip "'ip netns exec' does not work here"
ip link add "$tag" type bridge 2> /dev/null ||
  skip "bridges are not permitted here"
ip link set "$tag" up
for i in 0 1 2 3; do
  ((i == 0)) || ip netns add "$tag-$i"
  ip link add "$tag-$i" type veth peer name eth0 netns "$tag-$i" ||
    skip "veth pairs are not permitted here"
  ip link set "$tag-$i" master "$tag" up
  ip -n "$tag-$i" addr add "$net$((i + 1))/24" dev eth0
  ip -n "$tag-$i" link set eth0 up
  ip -n "$tag-$i" link set lo up
done

# -- jobs ----------------------------------------------------------------------

cd "$folder" || exit 1
cat > job.yaml <<'END'
app: faulty
models:
  trainer:
    num_gpu: 3
  policy:
    num_gpu: 3
  reward:
    num_cpu: 1
runtime:
  colocation: [[trainer, policy]]
  sample_per_episode: 63
  driver_grace_ms: 2000
END
"$small" certs certs > /dev/null

# Of runs in which nobody is silent: who has no processor for a while, or whose
# packets are lost in a row, is not gone.
patient=(--set runtime.pulse_timeout_ms=10000
  --set runtime.driver_grace_ms=30000)

addresses=${net}2:4100,${net}3:4100,${net}4:4100

# start_nodes PROGRAM
start_nodes() {
  local i
  for i in 1 2 3; do
    in_machine "$i" "$1" node --listen "$net$((i + 1)):4100" --devices cpu:1 \
      --certs certs --log-dir "logs-$i" > "node-$i" 2>&1 &
  done
  for i in 1 2 3; do
    wait_for 100 grep -q "waiting for a job" "node-$i"
  done
}

stop_nodes() {
  local i
  for i in 1 2 3; do
    ip netns pids "$tag-$i" | xargs -r kill -CONT 2> /dev/null
    ip netns pids "$tag-$i" | xargs -r kill -TERM 2> /dev/null
  done
  for i in 1 2 3; do wait_for 100 no_process "$i"; done
}

# start_run NAME OPTION...: a driver that runs until something happens
start_run() {
  local name=$1
  shift
  in_machine 0 "$small" run job.yaml --nodes "$addresses" --certs certs \
    --plain --name "$name" "$@" > "$name.out" 2>&1 &
  driver=$!
}

# wait_for TENTHS COMMAND...
wait_for() {
  local -i left=$1
  shift
  until "$@"; do
    ((left-- > 0)) || return 1
    # tidy: allow sleeps: nobody tells this program
    read -rt 0.1 <> <(:) || true
  done
}

no_process() { [[ -z $(ip netns pids "$tag-$1") ]]; }
no_hosts() { ! pgrep -f "__host .*$folder/logs-$1/" > /dev/null; }
has_episode() { grep -q '"episode":'"$2" "runs/$1/metrics.jsonl" 2> /dev/null; }

# ended CODE SECONDS: the driver ends with this code in that time
ended() {
  local -i since=$SECONDS
  wait_for $(($2 * 10)) eval '! kill -0 $driver 2> /dev/null' || return 1
  wait "$driver"
  local -i code=$?
  took=$((SECONDS - since))
  [[ $code == "$1" ]] || {
    echo "  the driver ended with $code, not $1"
    return 1
  }
}

says() { tr -s ' \n' ' ' < "$1" | grep -qF "$2"; }

metrics() {
  sed -E 's;"(tokens_per_second|sync_ms|[a-z]+_seconds|seconds/[^"]+)":[^,}]*;;g' \
    "runs/$1/metrics.jsonl"
}

# -- cases ---------------------------------------------------------------------

a_grpo_job_over_three_machines_learns_and_agrees_bit_for_bit() {
  start_nodes "$troupe"
  in_machine 0 "$troupe" run "$addition" --nodes "$addresses" --certs certs \
    --plain --seed 1 --name grpo --set runtime.num_episode=20 "${patient[@]}" \
    > grpo.out 2>&1 &
  driver=$!
  ended 0 240 && says grpo.out "every replica equals its source bit for bit"
}

latency_and_loss_change_nothing_but_the_time() {
  start_nodes "$small"
  start_run plain --set runtime.num_episode=20 "${patient[@]}"
  ended 0 60 || return 1
  for i in 0 1 2 3; do
    ip netns exec "$tag-$i" tc qdisc add dev eth0 root netem delay 10ms 3ms \
      loss 1% 2> /dev/null || {
      echo "  (not run: this kernel has no netem)"
      return 0
    }
  done
  start_run lossy --set runtime.num_episode=20 "${patient[@]}"
  ended 0 120
  local code=$?
  for i in 0 1 2 3; do
    ip netns exec "$tag-$i" tc qdisc del dev eth0 root
  done
  ((code == 0)) && diff <(metrics plain) <(metrics lossy) &&
    cmp runs/plain/ledger.jsonl runs/lossy/ledger.jsonl
}

a_partitioned_machine_is_named_and_cleans_up_after_its_grace() {
  start_nodes "$small"
  start_run cut --set runtime.num_episode=1000000
  wait_for 200 has_episode cut 5 || return 1
  ip -n "$tag-2" link set eth0 down
  ended 1 10 && says cut.out "node 1 (${net}3:4100" &&
    says cut.out "no sign of life" && wait_for 60 no_hosts 2 &&
    wait_for 20 no_hosts 1 && wait_for 20 no_hosts 3
  local code=$?
  ip -n "$tag-2" link set eth0 up
  return $code
}

a_killed_machine_is_named_and_the_others_are_clean_in_two_seconds() {
  start_nodes "$small"
  start_run dead --set runtime.num_episode=1000000
  wait_for 200 has_episode dead 5 || return 1
  ip netns pids "$tag-3" | xargs kill -9
  ended 1 10 && says dead.out "node 2 (${net}4:4100" &&
    wait_for 20 no_hosts 1 && wait_for 20 no_hosts 2
}

a_frozen_machine_is_named_and_cleans_up_when_it_wakes() {
  start_nodes "$small"
  start_run cold --set runtime.num_episode=1000000
  wait_for 200 has_episode cold 5 || return 1
  ip netns pids "$tag-2" | xargs kill -STOP
  ended 1 10 && says cold.out "node 1 (${net}3:4100" || return 1
  ip netns pids "$tag-2" | xargs kill -CONT
  wait_for 60 no_hosts 2
}

a_run_goes_on_when_a_lost_machine_comes_back_with_the_same_result() {
  start_nodes "$small"
  start_run whole --set runtime.num_episode=60 "${patient[@]}"
  ended 0 60 || return 1
  # A rank on that machine stands still, only once, until it is lost.
  local stands_still=() x held
  for x in phase=training action=hold rank=1 nth=6 "once=$folder/once" \
    "fifo=$folder/held"; do
    stands_still+=(--set "models.trainer.fault_$x")
  done
  mkfifo held
  exec {held}<> held
  start_run again --set runtime.num_episode=60 --set runtime.on_failure=restart \
    --set runtime.save_episode_interval=1 --set runtime.restart_backoff_ms=10 \
    "${patient[@]}" "${stands_still[@]}"
  read -rt 20 _ <&"$held" || return 1
  ip netns pids "$tag-2" | xargs kill -9
  wait_for 100 no_process 2 || return 1
  # Somebody starts the node again.
  in_machine 2 "$small" node --listen "${net}3:4100" --devices cpu:1 \
    --certs certs --log-dir logs-2 > node-2 2>&1 &
  ended 0 60 && diff <(metrics whole) <(metrics again) &&
    cmp runs/whole/ledger.jsonl runs/again/ledger.jsonl
}

a_run_waits_for_a_machine_that_is_lost_for_long() {
  start_nodes "$small"
  start_run far --set runtime.num_episode=1000000 \
    --set runtime.on_failure=restart --set runtime.save_episode_interval=1
  wait_for 200 has_episode far 5 || return 1
  # Nothing answers there, not even with a refusal.
  ip -n "$tag-2" link set eth0 down
  wait_for 100 says far.out "Waiting for node 1 (${net}3:4100" || return 1
  wait_for 60 no_hosts 2 || return 1
  ip -n "$tag-2" link set eth0 up
  wait_for 150 says far.out "Goes on after episode" || return 1
  ip netns pids "$tag-0" | xargs kill -INT
  ended 130 10
}

cases=("$@")
((${#cases[@]})) || mapfile -t cases < <(declare -F | awk '{print $3}' |
  grep -E '^(a_|latency_)')
for case in "${cases[@]}"; do
  begin=$SECONDS
  rm -rf runs
  if "$case"; then
    echo "ok      $case ($((SECONDS - begin)) s)"
  else
    echo "FAILED  $case ($((SECONDS - begin)) s)"
    [[ -n ${KEEP:-} ]] && cp -r "$folder" "$KEEP"
    tail -n 15 ./*.out node-* 2> /dev/null
    failed=1
  fi
  stop_nodes
done
exit "$failed"
