#!/usr/bin/python3
"""Runs commands in turn (A B A B ...) and measures each: for the benchmarks, both sides the same way.

stdin:  {"rounds": 9, "warmup": 2, "commands": [{"argv": [...], "env": {...}, "stdin": "", "watch": DIR, "write": FILE}]}
stdout: for each command a list of {"exit", "wall_ms", "rss_kb", "mark_ms"}, warm-up left out.

wall_ms: from just before the start until the process has ended (and, with "write", a line is written there and synced).
mark_ms: until a file appeared in "watch" by rename and that directory is synced; null where none did.
rss_kb:  ru_maxrss of wait4(2). Python and not Bun, because that value begins with the size of the process that starts
         the other: 7 MB here, 60 MB there. Nothing but the standard library; fence-agents brings Python.
"""
import ctypes, json, os, select, struct, sys, time

libc = ctypes.CDLL(None, use_errno=True)
IN_MOVED_TO = 0x80


def watch_for(directory):
    fd = libc.inotify_init1(os.O_NONBLOCK)
    if fd < 0 or libc.inotify_add_watch(fd, directory.encode(), IN_MOVED_TO) < 0:
        raise OSError(ctypes.get_errno(), "inotify on " + directory)
    return fd


def run(command):
    read_end, write_end = os.pipe()
    os.write(write_end, command.get("stdin", "").encode())
    os.close(write_end)
    null = os.open("/dev/null", os.O_WRONLY)
    watch = command.get("watch")
    inotify = watch_for(watch) if watch else None
    directory = os.open(watch, os.O_RDONLY) if watch else None
    actions = [(os.POSIX_SPAWN_DUP2, read_end, 0), (os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, null, 2)]
    argv = command["argv"]
    begun = time.perf_counter()
    pid = os.posix_spawnp(argv[0], argv, command.get("env", {}), file_actions=actions, setpgroup=0)
    mark = None
    if inotify is not None:
        if select.select([inotify], [], [], 10)[0]:
            os.fsync(directory)
            mark = (time.perf_counter() - begun) * 1000
    _, status, usage = os.wait4(pid, 0)
    if command.get("write"):
        fd = os.open(command["write"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(fd, b"x" * 700 + b"\n")  # about as long as an event
        os.fdatasync(fd)
        os.close(fd)
    wall = (time.perf_counter() - begun) * 1000
    for fd in (read_end, null, inotify, directory):
        if fd is not None:
            os.close(fd)
    return {"exit": os.waitstatus_to_exitcode(status), "wall_ms": wall, "rss_kb": usage.ru_maxrss, "mark_ms": mark}


request = json.load(sys.stdin)
results = [[] for _ in request["commands"]]
for round_number in range(request["warmup"] + request["rounds"]):
    for index, command in enumerate(request["commands"]):
        result = run(command)
        time.sleep(command.get("pause", 0))
        if round_number >= request["warmup"]:
            results[index].append(result)
json.dump(results, sys.stdout)
