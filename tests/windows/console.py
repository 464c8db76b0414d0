"""Uses wsdump in a console of Wine, as a person does: types, corrects, and presses Ctrl-C. Presses
Ctrl-C in the example ctrl_c too.

Its arguments are the program of Wine, wsdump.exe and ctrl_c.exe. Wine draws the console on a
pseudo-terminal. Off Unix wsdump has no prompt, and the console edits the lines.
"""

import os
import pty
import select
import subprocess
import sys
import time

LIMIT = 30


class Console:
    def __init__(self, command):
        self.shown = b""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(command[0], command)

    def read(self, deadline):
        ready, _, _ = select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            sys.exit(f"the program shows nothing more for {LIMIT} s: {self.shown!r}")
        try:
            return os.read(self.terminal, 4096)
        except OSError:  # The console is gone.
            return b""

    def shows(self, text):
        """Waits until the console shows the text after what was awaited before."""
        deadline = time.monotonic() + LIMIT
        while text not in self.shown:
            more = self.read(deadline)
            if not more:
                sys.exit(f"the program ended, and did not show {text!r}: {self.shown!r}")
            self.shown += more
        self.shown = self.shown.split(text, 1)[1]

    def types(self, keys):
        os.write(self.terminal, keys)

    def ends(self):
        """Waits for the end, and returns the exit status."""
        deadline = time.monotonic() + LIMIT
        while self.read(deadline):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def main(wine, wsdump, ctrl_c):
    listen = [wine, wsdump, "--listen", "127.0.0.1:0"]
    server = subprocess.Popen(
        listen, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        url = server.stdout.readline().decode().strip()
        console = Console([wine, wsdump, "-v", url])
        console.shows(b"connected to " + url.encode())
        # The console shows what is typed, and then wsdump shows what comes back.
        console.types(b"first\r")
        console.shows(b"first")
        console.shows(b"first")
        console.types(b"secoX\x7fnd\r")
        console.shows(b"second\r")
        console.shows(b"second\r")
        console.types(b"\x03")
        console.shows(b"closed here, the peer answered: 1000")
        status = console.ends()
        if status != 130:
            sys.exit(f"the status after Ctrl-C is {status}, and not 130")

        console = Console([wine, wsdump, "-1", "-t", "once", url])
        console.shows(b"once")
        status = console.ends()
        if status != 0:
            sys.exit(f"the status after one message is {status}, and not 0")
    finally:
        server.kill()
    print("wsdump in a console: connects, echoes, edits a line, ends by Ctrl-C, and by itself")

    console = Console([wine, ctrl_c])
    console.shows(b"received ")
    console.types(b"\x03")
    console.shows(b"stopped by Ctrl-C")
    status = console.ends()
    if status != 0:
        sys.exit(f"the status of ctrl_c is {status}, and not 0")
    print("ctrl_c in a console: stops by Ctrl-C")


if __name__ == "__main__":
    main(*sys.argv[1:])
