"""A Slurm cluster of this machine alone, for the length of a test; nothing of it is left afterwards."""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
"""Of Debian's packages munge, slurmctld, slurmd, slurm-client and slurm-wlm-basic-plugins."""
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])

CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=1
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=100000 State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which Slurm's commands reach a cluster of one node with two CPUs."""
    folder.chmod(0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    settings = CONF.format(host=_host(), user=getpass.getuser(), ports=[_free_port(), _free_port()], folder=folder)
    (folder / "slurm.conf").write_text(settings)
    environment = {"PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf")}
    places = [
        f"--{name}={folder}/munge.{name.partition('-')[0]}"
        for name in ("key-file", "socket", "pid-file", "log-file", "seed-file")
    ]
    daemons = [
        ["munged", "--foreground", "--force", *places],
        ["slurmctld", "-D", "-c"],
        ["slurmd", "-D", "-N", _host()],
    ]
    with ExitStack() as stack:
        for daemon in daemons:
            stack.enter_context(_running(daemon, folder, environment))
        stack.callback(_until, "squeue -h", "", environment)
        stack.callback(ask, "scancel --signal=KILL --partition=test", environment)
        _until("sinfo -h -o %T", "idle", environment)
        yield environment


def pending(job: str, environment: dict[str, str]) -> bool:
    """Whether a job waits to be started."""
    return ask(f"squeue -h -j {job} -o %T", environment) == "PENDING"


def ask(command: str, environment: dict[str, str]) -> str:
    """What one of Slurm's commands prints."""
    done = subprocess.run(
        command.split(), env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _until(command: str, answer: str, environment: dict[str, str]) -> None:
    deadline = time.monotonic() + 120
    while True:
        with suppress(subprocess.CalledProcessError):  # nobody listens yet
            if ask(command, environment) == answer:
                return
        assert time.monotonic() < deadline, f"{command} does not answer {answer!r}"


@contextmanager
def _running(daemon: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    with (folder / f"{daemon[0]}.out").open("w") as log:
        process = subprocess.Popen(daemon, env={**os.environ, **environment}, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            process.kill()
            process.wait()


def _host() -> str:
    return socket.gethostname().partition(".")[0]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
