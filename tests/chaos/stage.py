"""Where schedules are carried out, one at a time."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos import elsewhere, orchestrator, recovery
from tests.chaos.admin import Admin
from tests.chaos.attended import HANGS_AFTER, AttendedProcess, put_an_end_to
from tests.chaos.catalogue import FAULTS, SECRET
from tests.chaos.desk import Desk
from tests.chaos.emulated import Address
from tests.chaos.home import Home
from tests.chaos.rules.facts import CODE_FAILED
from tests.chaos.schedule import PlannedFault, Schedule
from tests.chaos.shared_clock import SharedClock
from tests.chaos.shells import Shells
from tests.chaos.trial import JobRecord, Moment, Recovery, Trial

#: Seconds of the machine that a job may take to end which was asked to.
JOBS_END_WITHIN = 20.0

#: Seconds of the machine in which the watcher of a job has ended it, which asks every second, and in which one that
#: must not has had its chances.
WATCHER_ENDS_WITHIN, WATCHER_LOOKS_FOR = 60.0, 8.0

#: Seconds of the machine between two looks at the desk.
_LOOK = 0.02


class Stage:
    """A ZenML, an emulator, and what lies between them.

    Args:
        folder: For outputs.
        home: The ZenML.
        address: Where the emulator is.
        clock: The time.
    """

    def __init__(self, folder: Path, home: Home, address: Address, clock: SharedClock) -> None:
        self._folder = folder
        self._address = address
        self._home = home
        self._admin = Admin(address)
        self._clock = clock
        self._desk = Desk(folder)
        self._shells = Shells(folder, home.enter, self._report_ends)
        self._mutate: Callable[[], None] = lambda: None
        self._to_release = False

    def carry_out(self, schedule: Schedule, mutate: Callable[[], None] = lambda: None) -> Trial:
        """Carry a schedule out.

        Args:
            schedule: What is planned.
            mutate: Breaks the operator in the orchestrator's process.
        """
        began, trial, self._mutate = time.monotonic(), Trial(schedule), mutate
        self._begin(schedule)
        output = self._folder / "output.txt"
        output.unlink(missing_ok=True)
        self._orchestrate(trial, output)
        if trial.exit_code == -signal.SIGKILL and _is_restarted(trial):
            self._orchestrate(trial, output, restarted=True)
        self._note_fired(trial, recovery_too=False)
        trial.output = output.read_text(errors="replace")
        trial.jobs = self._jobs_at_rest()
        trial.run = self._home.record(schedule.run_name)
        trial.secrets = tuple(self._admin.secrets()) if schedule.via_vault else ()
        trial.inputs = self._admin.inputs() if schedule.with_data else {}
        trial.told_secret = SECRET in self._admin.definitions() or self._home.holds(SECRET)
        if "killed and" in str([event.event for event in schedule.events]):
            self._watch_jobs(trial)
        self._shells.take_in(trial.by_itself or trial.jobs)
        if trial.exit_code == -signal.SIGKILL or any(not job.ended for job in trial.jobs) or trial.secrets:
            trial.recovery = self._recover(trial)
            self._shells.take_in(trial.recovery.jobs)
        trial.shells = self._shells.records()
        trial.written = self._desk.written()
        trial.seconds = time.monotonic() - began
        return trial

    def _begin(self, schedule: Schedule) -> None:
        shells = {"CHAOS_SSH_KEY": self._shells.public_key}
        os.environ.update(self._address.variables(), CHAOS_DESK=str(self._desk.folder), **shells)
        self._shells.clear()
        self._admin.reset()
        self._desk.clear()
        self._to_release = False
        self._home.begin(self._folder)
        if schedule.via_vault:
            self._admin.open_vault()
        if schedule.with_data:
            self._admin.add_version()
        if schedule.waits_in_vain:
            self._admin.let_wait()
        for planned in schedule.faults:
            self._admin.arm(planned)

    def _orchestrate(self, trial: Trial, output: Path, *, restarted: bool = False) -> None:
        mine, its = socket.socketpair()

        def work() -> None:
            mine.close()
            self._home.enter()
            orchestrator.run(trial.schedule, its, self._clock, self._mutate, restarted=restarted)

        with mine:
            process = AttendedProcess(orchestrator.fork(output, work), mine, self._clock)
            its.close()
            trial.exit_code = self._attend(process, trial)

    def _attend(self, process: AttendedProcess, trial: Trial) -> int:
        """Do what a process, and the jobs meanwhile, ask for, until it is gone; its exit code."""
        buffer, gone = b"", False
        self._clock.attach()
        while not gone:
            readable, _, _ = select.select([process.socket], [], [], _LOOK)
            self._report_ends()
            if process.take_in(self._home.go_on(self._clock)) and self._to_release:
                self._desk.release()
            if not readable:
                if process.hangs():
                    trial.hung = True
                    put_an_end_to(process.id)
                    break
                continue
            try:
                data = process.socket.recv(4096)
            except ConnectionResetError:  # it was gone before it had read our last answer
                data = b""
            gone = not data
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                self._take_in(trial, line.decode(), process)
        _, status, used = os.wait4(process.id, 0)
        self._clock.attach(False)
        trial.let_go = process.let_go(used.ru_utime + used.ru_stime)
        self._home.come_back()  # the process may have ended before it was time
        return os.waitstatus_to_exitcode(status)

    def _take_in(self, trial: Trial, line: str, process: AttendedProcess) -> None:
        kind, _, number = line.partition(" ")
        if kind == "fault":
            trial.fired[int(number)] += 1
        elif kind == "released":
            self._desk.release()
        else:
            index = int(number)
            trial.moments[index] = self._let_happen(trial, index)
            if trial.schedule.stops_for(trial.schedule.events[index].event):
                process.note_interruption()
            elif len(trial.moments) == len(trial.schedule.events) and not _is_tried_again(trial):
                self._to_release = True  # once the server is there again
            try:
                process.socket.send(bytes([index]))
            except OSError:  # it is gone by now
                return

    def _let_happen(self, trial: Trial, index: int) -> Moment:
        """Record how things stand, and do what comes from elsewhere."""
        planned, schedule = trial.schedule.events[index], trial.schedule
        moment = Moment(self._clock.monotonic(), self._home.record(schedule.run_name), self._jobs())
        hit: tuple[str, ...] = ()
        if self._home.let_happen(planned.event, self._clock):
            pass
        elif planned.event in ("runs stop", "forced runs stop"):
            run_id = self._home.run_id(schedule.run_name)
            self._elsewhere(lambda: elsewhere.stop_run(run_id, graceful=planned.event == "runs stop"))
        elif planned.event == "ended on the server":
            run_id = self._home.run_id(schedule.run_name)
            self._elsewhere(lambda: elsewhere.end_run(run_id))
        elif planned.event == "evicted":
            hit = self._admin.strike_all_jobs("preempted")
        elif planned.event == "limit reached":
            for phase in ("job GET", "job listing"):
                self._admin.arm(PlannedFault(phase, "503", times=3))
            hit = self._admin.strike_all_jobs("timeout")
        elif planned.event == "new version":
            self._admin.add_version()
        elif planned.event == "rank killed":
            hit = self._admin.kill_rank(planned.rank)
            trial.killed_ranks = dict.fromkeys(hit, planned.rank)
        elif planned.event == "cancelled in Studio":
            hit = self._admin.cancel_all_jobs()
        elif planned.event == "shell opened":
            hit = self._shells.open(self._admin.running_jobs(meanwhile=self._report_ends), self._mutate)
        elif planned.event == "shell left":
            hit = self._shells.leave()
        elif planned.event in ("released", "hold over"):
            hit = self._end_holds(moment, by_user=planned.event == "released")
        return Moment(moment.seconds, moment.run, moment.jobs, hit)

    def _end_holds(self, moment: Moment, *, by_user: bool) -> tuple[str, ...]:
        """End the jobs that are held open: by the user's command, or because their time is over; their names."""
        failed = {step.id for step in moment.run.steps if CODE_FAILED in step.cause} if moment.run else set()
        held = tuple(job.name for job in moment.jobs if job.step_run_id in failed and not job.ended)
        if by_user and held:
            self._elsewhere(lambda: orchestrator.recover(("jobs", "release", *held), self._clock, self._mutate))
        else:
            for name in held:
                self._desk.end_hold(name)
        return held

    def _elsewhere(self, work: Callable[[], None]) -> tuple[str, int]:
        """Do something in another process; what it printed, and its exit code. Meanwhile jobs report their ends."""
        output = self._folder / "elsewhere.txt"
        output.unlink(missing_ok=True)

        def inside() -> None:
            self._home.enter()
            work()

        process = orchestrator.fork(output, inside)
        deadline, hung = time.monotonic() + HANGS_AFTER[0], False
        while (ended := os.waitpid(process, os.WNOHANG))[0] == 0:
            self._report_ends()
            if time.monotonic() > deadline and not hung:
                hung = True
                put_an_end_to(process)
            time.sleep(_LOOK / 4)
        text = output.read_text(errors="replace") if output.exists() else ""
        return text, os.waitstatus_to_exitcode(ended[1])

    def _report_ends(self) -> None:
        """Report the ends of function steps, as their own code does in real jobs."""
        for step_run_id, exit_code, held in list(self._desk.reports()):
            output = self._folder / "report.txt"

            def work(step_run_id: str = step_run_id, exit_code: int = exit_code, held: bool = held) -> None:
                elsewhere.report_end(step_run_id, exit_code, held=held)

            os.waitpid(orchestrator.fork(output, work), 0)
            self._desk.reported(step_run_id)

    def _note_fired(self, trial: Trial, *, recovery_too: bool) -> None:
        """Take in which of the armed faults have met a request."""
        armed = [index for index, p in enumerate(trial.schedule.faults) if not FAULTS[p.fault].on_client]
        # Events may have armed more since.
        for index, fired in zip(armed, self._admin.fired()[: len(armed)], strict=True):
            if trial.schedule.faults[index].recovery is recovery_too:
                trial.fired[index] += fired

    def _jobs(self) -> tuple[JobRecord, ...]:
        return tuple(self._admin.jobs())

    def _jobs_at_rest(self) -> tuple[JobRecord, ...]:
        """The jobs, once those have ended that are about to."""
        deadline = time.monotonic() + JOBS_END_WITHIN
        while True:
            jobs = self._jobs()
            ending = [job for job in jobs if job.status in ("CancelRequested", "Finalizing")]
            if not ending or time.monotonic() > deadline:
                return jobs
            self._report_ends()
            time.sleep(0.005)

    def _watch_jobs(self, trial: Trial) -> None:
        """See what jobs do whose orchestrator is gone, and that look at the server."""
        stopped = any(event.event == "killed and stopped" for event in trial.schedule.events)
        if stopped:
            run_id = self._home.run_id(trial.schedule.run_name)
            self._elsewhere(lambda: elsewhere.stop_run(run_id, graceful=True))
        deadline = time.monotonic() + (WATCHER_ENDS_WITHIN if stopped else WATCHER_LOOKS_FOR)
        while time.monotonic() < deadline and any(not job.ended for job in self._jobs()):
            time.sleep(0.1)
        trial.by_itself = self._jobs_at_rest()

    def _recover(self, trial: Trial) -> Recovery:
        """Do what docs/jobs.md says about a process that was killed."""
        unfinished = [job.name for job in trial.jobs if not job.ended]
        commands = recovery.commands(trial.schedule, unfinished)
        released = len(commands) > 1
        if released:
            self._desk.release()
        done = [
            self._elsewhere(lambda command=command: orchestrator.recover(command, self._clock, self._mutate))  # type: ignore[misc]
            for command in commands
        ]
        self._note_fired(trial, recovery_too=True)
        return Recovery(
            "".join(output for output, _ in done),
            tuple(code for _, code in done),
            self._jobs_at_rest(),
            self._home.record(trial.schedule.run_name),
            tuple(self._admin.secrets()) if trial.schedule.via_vault else (),
            released,
        )


def _is_tried_again(trial: Trial) -> bool:
    return any(trial.schedule.tries_again_after(trial.schedule.events[index].event) for index in trial.moments)


def _is_restarted(trial: Trial) -> bool:
    return any(trial.schedule.events[index].event == "restarted" for index in trial.moments)
