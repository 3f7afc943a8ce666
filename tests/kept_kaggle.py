"""The real `kaggle` command as a fork of a process that has imported what it is made of, which takes most of its time.

`python kept_kaggle.py serve SOCKET` waits for calls until its standard input ends; `python kept_kaggle.py call SOCKET
ARGUMENT…` is one, with its own environment, folder and streams. The command's package itself is imported for each,
as it reads the environment then.
"""

import os
import sys

LONGEST = 1 << 20


def serve(path: str) -> None:
    """Fork for every call, until standard input ends."""
    import select
    import signal
    import socket

    ending = os.dup(0)  # what is imported may close the stream
    _import_all()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(path)
        listening.listen(8)
        print("ready", flush=True)
        while ending not in select.select([listening, ending], [], [])[0]:
            connection, _ = listening.accept()
            with connection:
                words, streams, _, _ = socket.recv_fds(connection, LONGEST, 3)
                if not os.fork():
                    listening.close()
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    _answer(connection, words, streams)
                for stream in streams:
                    os.close(stream)


def _import_all() -> None:
    """Import the command and all that it imports, and forget the command."""
    import contextlib
    import io
    import tempfile

    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            import kaggle.cli  # noqa: F401
    for name in [name for name in sys.modules if name.partition(".")[0] == "kaggle"]:
        del sys.modules[name]


def _answer(connection, words: bytes, streams: list[int]) -> None:  # type: ignore[no-untyped-def]
    """Be the command: never returns."""
    import json
    import threading
    import traceback

    def end_with_the_caller() -> None:
        connection.recv(1)
        os._exit(1)

    code = 1
    try:
        told = json.loads(words)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.chdir(told["folder"])
        os.environ.clear()
        os.environ.update(told["environment"])
        sys.stdout, sys.stderr = (os.fdopen(number, "w", 1, encoding="utf-8") for number in (1, 2))
        sys.argv = ["kaggle", *told["arguments"]]
        threading.Thread(target=end_with_the_caller, daemon=True).start()
        from kaggle.cli import main

        code = main() or 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.send(bytes([code]))
        os._exit(code)


def call(path: str, arguments: list[str]) -> int:
    """Have the command run, and return its exit code."""
    import json
    import socket

    folder = os.getcwd()  # noqa: PTH109  # pathlib would take longer than all the rest
    told = {"folder": folder, "environment": dict(os.environ), "arguments": arguments}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(path)
        socket.send_fds(connection, [json.dumps(told).encode()], [0, 1, 2])
        answer = connection.recv(1)
    return answer[0] if answer else 1


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        sys.exit(call(sys.argv[2], sys.argv[3:]))
