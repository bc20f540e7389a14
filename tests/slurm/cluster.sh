#!/usr/bin/env bash
# A SLURM cluster of two nodes on this machine, for tests: `cluster.sh start DIR`, `cluster.sh stop DIR`.
# Root on Debian or Ubuntu. Exits 77 with a word where it cannot run; never touches a cluster that is not its own.
set -euo pipefail
DIR=${2:?give a folder}
MARK="# written by tests/slurm/cluster.sh"
cannot() { echo "no SLURM cluster here: $*"; exit 77; }

alive() { [ -f "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }

if [ "$1" = stop ]; then
	scancel -u root 2>/dev/null || true
	for pid in "$DIR"/run/slurmd-*.pid "$DIR/run/slurmctld.pid" "$DIR/run/munged.pid"; do
		if alive "$pid"; then kill "$(cat "$pid")" || true; fi
	done
	sleep 1
	pkill -9 -f "slurmstepd: \[" 2>/dev/null || true
	if [ -f /etc/slurm/slurm.conf ] && grep -qF "$MARK" /etc/slurm/slurm.conf; then rm -f /etc/slurm/slurm.conf; fi
	sed -i '/# pixfound-slurm$/d' /etc/hosts 2>/dev/null || true
	exit 0
fi

[ "$(id -u)" = 0 ] || cannot "it takes root"
command -v apt-get >/dev/null || command -v slurmctld >/dev/null || cannot "it takes apt-get, or SLURM"
if ! command -v slurmctld >/dev/null || ! command -v slurmd >/dev/null || ! command -v munged >/dev/null; then
	(apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge) \
		>"${TMPDIR:-/tmp}/pixfound-slurm-apt.log" 2>&1 || cannot "its packages cannot be installed"
fi
if [ -f /etc/slurm/slurm.conf ] && ! grep -qF "$MARK" /etc/slurm/slurm.conf; then cannot "/etc/slurm/slurm.conf is another's"; fi

mkdir -p "$DIR"/{run,log,state,bin} /etc/slurm
chmod 755 "$DIR"
{
	echo "$MARK"
	cat <<CONF
ClusterName=pixfound
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=16917
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire=10
CredType=cred/munge
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/%n
SlurmctldPidFile=$DIR/run/slurmctld.pid
SlurmdPidFile=$DIR/run/slurmd-%n.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/slurmd-%n.log
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
ReturnToService=2
SlurmdTimeout=10
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
JobRequeue=1
KillWait=3
MinJobAge=3600
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
PartitionName=low Nodes=node[1-2] Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=5
PartitionName=high Nodes=node[1-2] MaxTime=INFINITE State=UP PriorityTier=100 PreemptMode=OFF
CONF
	for i in 1 2; do
		echo "NodeName=node$i NodeHostname=node$i NodeAddr=127.0.0.1$i Port=1700$i CPUs=4 Boards=1 SocketsPerBoard=1" \
			"CoresPerSocket=4 ThreadsPerCore=1 RealMemory=4000 State=UNKNOWN"
	done
} >/etc/slurm/slurm.conf
sed -i '/# pixfound-slurm$/d' /etc/hosts && printf '127.0.0.1%s node%s # pixfound-slurm\n' 1 1 2 2 >>/etc/hosts ||
	cannot "/etc/hosts cannot be written"

# submitit asks sacct, which needs a data base; squeue knows the same of recent jobs.
cat >"$DIR/bin/sacct" <<'SACCT'
#!/usr/bin/env bash
jobs=(); while [ $# -gt 0 ]; do case $1 in -j) jobs+=("$2"); shift ;; esac; shift; done
echo "JobID|State|NodeList"
for job in "${jobs[@]}"; do
	squeue -h -t all -j "$job" -o '%F %K %T %N' 2>/dev/null | while read -r id task state nodes; do
		if [ "$task" = N/A ]; then echo "$id|$state|$nodes"; else echo "${id}_$task|$state|$nodes"; fi
	done
done
SACCT
chmod +x "$DIR/bin/sacct"

if ! munge -n </dev/null 2>/dev/null | unmunge >/dev/null 2>&1; then
	[ -s /etc/munge/munge.key ] || dd if=/dev/urandom of=/etc/munge/munge.key bs=128 count=1 status=none
	chown munge:munge /etc/munge/munge.key && chmod 400 /etc/munge/munge.key
	install -d -o munge -g munge -m 755 /run/munge
	install -d -o munge -g munge -m 700 /var/log/munge /var/lib/munge
	setpriv --reuid munge --regid munge --init-groups munged --force >"$DIR/log/munged.log" 2>&1 || cannot "munged does not start"
	for _ in $(seq 50); do munge -n </dev/null 2>/dev/null | unmunge >/dev/null 2>&1 && break; sleep 0.1; done
	cp /run/munge/munged.pid "$DIR/run/munged.pid"
fi
alive "$DIR/run/slurmctld.pid" || slurmctld || cannot "slurmctld does not start"
unshare --uts true 2>/dev/null || cannot "unshare --uts is not allowed, so both nodes would have one name"
for i in 1 2; do
	mkdir -p "$DIR/node$i"
	alive "$DIR/run/slurmd-node$i.pid" ||
		unshare --uts sh -c "hostname node$i; exec slurmd -N node$i" || cannot "slurmd does not start"
done
for _ in $(seq 300); do
	[ "$(sinfo -h -N -p low -o '%t' 2>/dev/null | grep -cE '^(idle|mix|alloc)')" = 2 ] && exit 0
	scontrol update nodename=node[1-2] state=resume 2>/dev/null || true
	sleep 0.2
done
tail -n 20 "$DIR"/log/*.log
cannot "its nodes do not come up"
