#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# launchers_test.sh PROGRAM MANIFEST_CHECK ROOT: tries what launchers/ holds as
# far as one machine allows. Every command line in it is run, with `minimal`, on
# addresses of 127.0.0.0/8 that stand for machines.
set -uo pipefail
# shellcheck source=tests/support/complain.sh
source "$(dirname "${BASH_SOURCE[0]}")/../support/complain.sh"

program=$(readlink -f "$1")
manifest_check=$(readlink -f "$2")
launchers=$3/launchers
config=$3/apps/minimal/minimal.yaml
# Only processes of this test have it.
export TROUPE_LAUNCHERS_TEST=$work
# Slurm of a machine that has one has no say here.
unset "${!SLURM@}"
cd "$work" || exit 1
children=()
# A node that has no processor for a while is not lost.
patient=(--set runtime.pulse_timeout_ms=10000)

# Called by trap.
# shellcheck disable=SC2317
clean_up() {
  end_children
  rm -rf "$work"
}
trap clean_up EXIT

# show FILE...: what was said, when something failed
show() { sed 's/^/| /' "$@" 2>/dev/null; }

# Ends nodes as their supervisors do; the status is that of the last one.
end_children() {
  local status=0 child
  ((${#children[@]} == 0)) || kill -TERM "${children[@]}" 2>/dev/null
  for child in "${children[@]}"; do
    wait "$child"
    status=$?
  done
  children=()
  return $status
}

listens() { (exec 3<>"/dev/tcp/$1/$2"); }

# A port that nobody has, on the addresses of both machines.
free_port() {
  local port
  while true; do
    port=$((20000 + RANDOM % 12000))
    listens 127.0.0.2 $port 2>/dev/null ||
      listens 127.0.0.3 $port 2>/dev/null || break
  done
  echo $port
}

# finished NAME: the run has said so
finished() { grep -q '"exit_reason": *"finished"' "runs/$1/summary.json"; }

"$program" certs certs >/dev/null || complain "certs"

# -- systemd -------------------------------------------------------------------

unit=$launchers/troupe-node.service
sed "s|/usr/local/bin/troupe|$program|" "$unit" >troupe-node.service
if command -v systemd-analyze >/dev/null; then
  if ! systemd-analyze verify ./troupe-node.service >verify 2>&1 ||
    [[ -s verify ]]; then
    complain "systemd-analyze verify has something to say"
    show verify
  fi
else
  echo 'not run: systemd-analyze (there is none)'
fi

# Its command, in one line, with this machine's places and values.
command=$(sed -e :a -e '/\\$/N; s/\\\n//; ta' troupe-node.service |
  sed -n 's/^ExecStart=//p')
command=${command//\/etc\/troupe/$work}
command=${command//\/var\/log\/troupe/$work\/systemd}
address=127.0.0.2:$(free_port)
command=${command//'${TROUPE_LISTEN}'/$address}
command=${command//'${TROUPE_DEVICES}'/cpu:2}
[[ $command != *'$'* ]] || complain "the unit has a variable without a value"
read -ra words <<<"$command"
"${words[@]}" >unit.out 2>&1 &
children=($!)
if ! eventually 20 grep -q 'waiting for a job' unit.out ||
  ! timeout 60 "$program" run "$config" --nodes "$address" --certs certs \
    --plain --name unit "${patient[@]}" >run.out 2>&1 || ! finished unit; then
  complain "no run on the unit's node"
  show unit.out run.out
fi
end_children || complain "the unit's node ended with $?"

# -- Slurm ---------------------------------------------------------------------

bash -n "$launchers/troupe.sbatch" || complain "troupe.sbatch is no bash"
mkdir stubs
cat >stubs/scontrol <<'END'
#!/usr/bin/env bash
[[ "$*" == "show hostnames stub[2-3]" ]] || exit 1
printf '%s\n' 127.0.0.2 127.0.0.3
END
# Starts the command once a machine, hands SIGTERM on, waits for all.
cat >stubs/srun <<'END'
#!/usr/bin/env bash
count=0
while [[ $1 == --* ]]; do
  case $1 in
    --nodes=*) count=${1#*=} ;;
    --ntasks-per-node=1 | --kill-on-bad-exit=0 | --label) ;;
    *) echo "srun: unrecognized option '$1'" && exit 1 ;;
  esac
  shift
done
tasks=()
for ((i = 0; i < count; ++i)); do
  SLURM_PROCID=$i SLURMD_NODENAME=127.0.0.$((i + 2)) "$@" &
  tasks+=($!)
done
trap 'kill -TERM "${tasks[@]}"' TERM
for x in "${tasks[@]}"; do
  wait "$x"
  while kill -0 "$x" 2>/dev/null; do wait "$x"; done
done
END
chmod +x stubs/*

# sbatch ID OPTION...: what Slurm would do
sbatch() {
  local id=$1
  shift
  PATH=$work/stubs:$PATH SLURM_JOB_ID=$id SLURM_JOB_NAME=job \
    SLURM_JOB_NODELIST='stub[2-3]' SLURM_CPUS_PER_TASK=1 \
    TROUPE_PROGRAM=$program TROUPE_PORT=$slurm_port \
    timeout -k 5 90 bash "$launchers/troupe.sbatch" "$config" \
    "${patient[@]}" "$@"
}

slurm_port=$(free_port)
sbatch 1 >one.out 2>&1
code=$?
if [[ $code != 0 ]] || ! finished job-1; then
  complain "the Slurm script ends with $code"
  show one.out slurm-1/nodes-0.out
fi
[[ -n $(find slurm-1/logs/127.0.0.3 -name 'host-0.log' 2>/dev/null) ]] ||
  complain "no host has run on the second machine of the Slurm job"

# Told that its time is over, then started again for what is left.
many=(--set runtime.save_episode_interval=1 --set runtime.num_episode=1000000)
has_checkpoint() { compgen -G 'runs/job-2/checkpoints/*/MANIFEST' >/dev/null; }
slurm_port=$(free_port)
child_of() { tr -d ' ' <"/proc/$1/task/$1/children"; }
sbatch 2 "${many[@]}" >two.out 2>&1 &
job=$!
eventually 40 has_checkpoint || complain "the second Slurm job saves nothing"
# To the script alone: `timeout` would tell all of its group.
kill -TERM "$(child_of "$(child_of $job)")"
wait $job
code=$?
[[ $code == 130 ]] || complain "told to end, the Slurm script ends with $code"
episodes() { grep -c . runs/job-2/metrics.jsonl; }
all=$(($(episodes) + 20))
if ! SLURM_RESTART_COUNT=1 sbatch 2 --set "runtime.num_episode=$all" \
  >again.out 2>&1 || ! finished job-2 || [[ $(episodes) != "$all" ]]; then
  complain "started again, the Slurm script does not finish the run"
  show two.out again.out
fi

printf '#!/usr/bin/env bash\necho no machine is up\nexit 1\n' >stubs/srun
sbatch 3 >three.out 2>&1
[[ $? == 1 ]] && grep -q 'no machine is up' three.out ||
  complain "without nodes the Slurm script does not say why"

# -- Kubernetes ----------------------------------------------------------------

mkdir secret job logs
cp certs/ca.pem certs/node.pem certs/node.key secret/
"$manifest_check" "$launchers/troupe.yaml" job >containers ||
  complain "the manifest's objects do not fit each other"
port=$(free_port)

# container OBJECT NAME COPIES WORD...: runs it as a pod would, with folders and
# addresses of this machine. Nodes stay and wait, everything else is waited for.
container() {
  local object=$1 name=$2 copies=$3 i word
  shift 3
  for ((i = 0; i < copies; ++i)); do
    local words=() pod=$work/$object-$i
    mkdir -p "$pod/certs"
    for word in "$@"; do
      [[ $word != my-app ]] || word=$program
      [[ $word != /certs ]] || word=$pod/certs
      [[ $word != /logs ]] || word=$pod/logs
      [[ $word != /runs ]] || word=$work/runs
      [[ $word != /job/* && $word != /secret/* ]] || word=$work$word
      word=${word//'$(POD_IP)'/127.0.0.$((i + 2))}
      word=${word//troupe-node-0.troupe-node/127.0.0.2}
      word=${word//troupe-node-1.troupe-node/127.0.0.3}
      words+=("${word//:4100/:$port}")
    done
    [[ $name != driver ]] || words+=("${patient[@]}")
    if [[ $name == node ]]; then
      "${words[@]}" >"$pod/out" 2>&1 &
      children+=($!)
    else
      timeout 60 "${words[@]}" >"$pod/$name.out" 2>&1 || {
        complain "container $name of $object ended with $?"
        show "$pod/$name.out"
      }
    fi
  done
  [[ $name == node ]] || return 0
  for ((i = 0; i < copies; ++i)); do
    eventually 20 grep -q 'waiting for a job' "$work/$object-$i/out" || {
      complain "node $i of $object does not wait for a job"
      show "$work/$object-$i/out"
    }
  done
}
# shellcheck disable=SC1091 # made above
source ./containers
finished first || complain "the manifest's driver has not finished"
end_children || complain "the manifest's nodes do not end with 0"

# -- nothing is left -----------------------------------------------------------

left() {
  local entry
  for entry in /proc/[0-9]*/environ; do
    [[ $(readlink "${entry%environ}exe" 2>/dev/null) == "$program" ]] &&
      grep -qszF "TROUPE_LAUNCHERS_TEST=$work" "$entry" 2>/dev/null && return
  done
  return 1
}
nothing_left() { ! left; }
eventually 20 nothing_left || complain "a process is left"

((failures == 0)) && echo 'all launchers work here'
exit $((failures > 0))
