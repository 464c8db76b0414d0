"""Runs one task of deflate_peers with Python's websockets, and prints the seconds.

usage: client.py URL receive|send COUNT FILE
"""

import sys
import time
from pathlib import Path

from websockets.sync.client import connect

url, task, count, file = sys.argv[1:]
count, message = int(count), Path(file).read_text()
with connect(url, max_size=None, max_queue=None) as ws:
    began = time.perf_counter()
    if task == "receive":
        ws.send("go")
        for _ in range(count):
            assert len(ws.recv()) == len(message)
    else:
        for _ in range(count):
            ws.send(message)
        ws.recv()
    print(time.perf_counter() - began)
