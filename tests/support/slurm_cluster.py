"""A Slurm cluster on this machine: Debian's controller and two node daemons on 127.0.0.1, in a temporary folder."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from ports import free_ports
from waiting import HANG, wait_until

PROGRAMS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "srun", "sinfo", "scontrol", "scancel")
SYSTEM = "/usr/sbin:/usr/bin:/sbin:/bin"
NODES = ("n1", "n2")

# No accounting, no cgroups, one core each. Jobs are shown for an hour after their end, as only `squeue` is asked.
CONFIG = """
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=3600
KillWait=3
SchedulerParameters=bf_interval=1,sched_min_interval=0
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=64000
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=64000
PartitionName=test Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""
# The executor unsets SLURM_CONF for `srun`. What is submitted is kept, for the search for names. A job that has started
# waits while its number is above that of the gate, and its command has the word of the gate.
CLIENT = """#!/bin/sh
is_held() {{
    gate=$(cat "{folder}/gate" 2>/dev/null) && [ "${{SLURM_JOB_ID:-0}}" -gt "${{gate%% *}}" ] || return 1
    case "$*" in *"${{gate#* }}"*) return 0 ;; *) return 1 ;; esac
}}
while [ "$0" = "{folder}/bin/srun" ] && is_held "$@"; do sleep 0.1; done
[ "$0" = "{folder}/bin/sbatch" ] && printf '%s\\n' "$*" >> "{folder}/submitted"
SLURM_CONF={folder}/slurm.conf exec {program} "$@"
"""
# The executor asks for the states of all jobs less and less often. It gets its answer when a job has ended since the
# last one, or after some seconds.
SQUEUE = """#!/bin/sh
export SLURM_CONF={folder}/slurm.conf
case "$*" in *--states=all*) ;; *) exec {program} "$@" ;; esac
for turn in $(seq 80); do
    answer=$({program} "$@") || exit
    ended=$(echo "$answer" | grep -v -E "RUNNING|PENDING|COMPLETING|CONFIGURING" | sort)
    [ "$ended" = "$(cat {folder}/ended 2>/dev/null)" ] || break
    sleep 0.1
done
echo "$ended" > {folder}/ended
echo "$answer"
"""


@dataclass(frozen=True)
class SlurmJob:
    """A job as Slurm shows it; `what` is the comment of Snakemake's executor, `cores` what it asked for."""

    number: int
    state: str
    node: str
    cores: int
    memory: str
    what: str


class SlurmCluster:
    """A running cluster: see `running`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"PATH": f"{folder}/bin:{os.environ['PATH']}"}

    def _client(self, *command: str) -> str:
        path = str(self.folder / "bin" / command[0])
        return subprocess.run([path, *command[1:]], capture_output=True, text=True, check=True, timeout=HANG).stdout

    def jobs(self) -> list[SlurmJob]:
        """Return all jobs, in the order in which they were submitted."""
        listed = self._client("squeue", "--noheader", "--states", "all", "--format", "%i|%T|%N|%C|%m|%k")
        rows = [line.split("|") for line in listed.splitlines()]
        return sorted(
            (SlurmJob(int(row[0]), row[1], row[2], int(row[3]), row[4], row[5]) for row in rows),
            key=lambda job: job.number,
        )

    def wait(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds; fail with the jobs if it does not."""
        wait_until(condition, every=0.1, explain=self.jobs)

    @contextlib.contextmanager
    def held(self, word: str, after: int = 0) -> Iterator[None]:
        """Hold jobs after a number whose command has a word: they start, and go on after the block."""
        gate = self.folder / "gate"
        (self.folder / "next").write_text(f"{after} {word}")
        (self.folder / "next").rename(gate)
        try:
            yield
        finally:
            gate.unlink()

    def control(self, *arguments: str) -> None:
        """Run `scontrol`, as in `control("hold", "3")`."""
        self._client("scontrol", *arguments)

    def use(self, node: str, *, is_used: bool) -> None:
        """Let a node take new jobs, or none."""
        reason = [] if is_used else ["reason=test"]
        self.control("update", f"nodename={node}", f"state={'resume' if is_used else 'drain'}", *reason)

    def cancel(self, number: int) -> None:
        """Cancel a job."""
        self._client("scancel", str(number))

    def submitted(self) -> str:
        """Return the arguments of all calls of `sbatch`: options, commands and comments."""
        path = self.folder / "submitted"
        return path.read_text() if path.exists() else ""


def _write_scripts(folder: Path) -> None:
    (folder / "bin").mkdir()
    for name in (*CLIENTS, "squeue"):
        program = shutil.which(name, path=SYSTEM)
        path = folder / "bin" / name
        path.write_text((SQUEUE if name == "squeue" else CLIENT).format(folder=folder, program=program))
        path.chmod(0o755)


def _kill_all(folder: Path) -> None:
    """Kill every process with a path of this cluster in its environment: daemons, jobs, and orphans."""
    mark = os.fsencode(folder)
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in path.read_bytes() and int(path.parent.name) != os.getpid():
                os.kill(int(path.parent.name), signal.SIGKILL)


@contextlib.contextmanager
def running() -> Iterator[SlurmCluster]:
    """Start a cluster of two nodes, and end it with all of its jobs; skip the test where Slurm is not installed."""
    missing = [name for name in PROGRAMS if not shutil.which(name, path=SYSTEM)]
    if missing:
        pytest.skip(f"Slurm is not here ({', '.join(missing)}): apt install slurm-wlm munge")
    if os.geteuid() != 0:
        pytest.skip("the node daemons of Slurm need root")
    daemons: list[subprocess.Popen[bytes]] = []
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # short: the path of a socket has at most 107 characters
    try:
        for name in ("munge", "state", *NODES):
            (folder / name).mkdir(mode=0o755)
        folder.chmod(0o755)
        ports = free_ports(3)
        (folder / "slurm.conf").write_text(CONFIG.format(folder=folder, ports=ports, user=getpass.getuser()))
        (folder / "munge" / "key").write_bytes(os.urandom(1024))
        (folder / "munge" / "key").chmod(0o400)
        _write_scripts(folder)
        munge = folder / "munge"
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        options = [f"--{option}={munge}/{name}" for option, name in files.items()]
        daemons.append(_start(folder, "munged", "--foreground", "--force", *options))
        cluster = SlurmCluster(folder)
        cluster.wait((munge / "socket").exists)
        daemons.append(_start(folder, "slurmctld", "-D", "-i"))
        daemons += [_start(folder, "slurmd", "-D", "-N", node) for node in NODES]
        cluster.wait(lambda: _states(cluster) == ["idle", "idle"])
        yield cluster
    finally:
        _kill_all(folder)
        for daemon in daemons:
            daemon.kill()
            daemon.wait()
        _kill_all(folder)  # what a daemon started meanwhile
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, program: str, *arguments: str) -> subprocess.Popen[bytes]:
    path = shutil.which(program, path=SYSTEM)
    assert path
    environment = {"PATH": SYSTEM, "HOME": "/", "SLURM_CONF": str(folder / "slurm.conf")}
    with open(folder / f"{program}.out", "ab") as output:
        return subprocess.Popen(
            [path, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _states(cluster: SlurmCluster) -> Sequence[str]:
    try:
        return cluster._client("sinfo", "--noheader", "--Node", "--format", "%T").split()
    except subprocess.CalledProcessError:
        return []  # the controller does not answer yet
