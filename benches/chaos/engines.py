"""The engines: processes of statefold that are killed, stopped and continued at random moments."""

import os
import signal
import subprocess
import time


class Engine:
    """One process."""

    def __init__(self, program, folder, uri, database, words, number):
        self.words, self.blow = words, None
        self.log_path = os.path.join(folder, f"{number:05}-{words[0]}.log")
        environment = dict(os.environ, MONGODB_URI=uri, STATEFOLD_DATABASE=database)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [program, *words], env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        self.continue_at = None

    def memory(self):
        """Most memory it has had, in bytes, and its open files; (0, 0) once it has ended."""
        try:
            with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as status:
                kib = [line.split()[1] for line in status if line.startswith("VmHWM:")]
            return int(kib[0]) << 10 if kib else 0, len(os.listdir(f"/proc/{self.pid}/fd"))
        except (OSError, IndexError):
            return 0, 0

    @property
    def pid(self):
        return self.process.pid

    def runs(self):
        return self.process.poll() is None

    def code(self):
        return self.process.poll()

    def send(self, number):
        if self.runs():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def kill(self):
        self.blow = "kill"
        self.send(signal.SIGKILL)

    def terminate(self):
        self.blow = "terminate"
        self.send(signal.SIGTERM)

    def stop_for(self, seconds):
        self.blow = self.blow or "stop"
        self.send(signal.SIGSTOP)
        self.continue_at = time.monotonic() + seconds

    def continue_when_due(self, now=False):
        if self.continue_at is not None and (now or time.monotonic() >= self.continue_at):
            self.send(signal.SIGCONT)
            self.continue_at = None

    def log(self):
        with open(self.log_path, encoding="utf8", errors="replace") as log:
            return log.read()


def run(program, folder, uri, database, *words, within=120):
    """Runs a verb to its end; returns exit code and output."""
    environment = dict(os.environ, MONGODB_URI=uri, STATEFOLD_DATABASE=database)
    try:
        done = subprocess.run(
            [program, *words], env=environment, cwd=folder, capture_output=True, timeout=within, check=False)
        return done.returncode, done.stdout.decode("utf8", "replace") + done.stderr.decode("utf8", "replace")
    except subprocess.TimeoutExpired as late:
        return None, (late.stdout or b"").decode() + (late.stderr or b"").decode()
