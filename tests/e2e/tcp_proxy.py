"""A TCP proxy that does to connections what networks do: stalls, slows down, cuts.

    with TcpProxy("127.0.0.1:9092") as proxy:
        connect(proxy.address)
        proxy.delay(0.2)        # Every piece comes later.
        proxy.stall()           # Bytes are taken and kept back, both ways.
        proxy.go_on()           # Neither late nor kept back any more.
        proxy.cut()             # All connections are reset; new ones are refused...
        proxy.mend()            # ...until here.

`target` may also be a function that is asked for the address with each connection. Two threads for each
connection; they end with the proxy.
"""

import socket
import struct
import threading
import time


class TcpProxy:
    PIECE = 64 * 1024

    def __init__(self, target, port=0):
        self.target = target
        self.changed = threading.Condition()
        self.delay_s = 0.0
        self.stalled = self.refusing = self.closed = False
        self.pairs = []
        self.bytes = 0  # That have gone through, both ways.
        self.listener = socket.create_server(("127.0.0.1", port))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.listener.close()
        self.reset_all()

    # On command

    def delay(self, seconds):
        self.set(delay_s=seconds)

    def stall(self):
        self.set(stalled=True)

    def go_on(self):
        self.set(stalled=False, delay_s=0.0)

    def cut(self):
        self.set(refusing=True)
        self.reset_all()

    def mend(self):
        self.set(refusing=False)

    def set(self, **values):
        with self.changed:
            for name, value in values.items():
                setattr(self, name, value)
            self.changed.notify_all()

    # Threads

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refusing:
                self.reset(client)
                continue
            try:
                target = self.target() if callable(self.target) else self.target
                host, port = target.rsplit(":", 1)
                server = socket.create_connection((host, int(port)), timeout=10)
                server.settimeout(None)
            except OSError:
                self.reset(client)
                continue
            with self.changed:
                self.pairs.append((client, server))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=(source, sink), daemon=True).start()

    def pump(self, source, sink):
        try:
            while piece := source.recv(self.PIECE):
                if self.delay_s:
                    time.sleep(self.delay_s)
                with self.changed:
                    self.changed.wait_for(lambda: not self.stalled or self.closed)
                    self.bytes += len(piece)
                sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def reset_all(self):
        with self.changed:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                self.reset(end)

    @staticmethod
    def reset(end):
        try:
            # No lingering: the other side is told at once, with RST.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        end.close()
