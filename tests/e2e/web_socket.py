"""A WebSocket client of RFC 6455, as much of it as a reader of live events needs.

    with WebSocket(engine.url, "/api/v1/live?windows=per_minute") as live:
        message = live.message()
"""

import base64
import contextlib
import hashlib
import json
import os
import socket
import struct
import urllib.parse

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Closed(Exception):
    def __init__(self, code, reason):
        super().__init__(f"{code} {reason}")
        self.code, self.reason = code, reason


class WebSocket:
    def __init__(self, url, path, headers=None, seconds=30):
        address = urllib.parse.urlparse(url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=seconds)
        self.stream = self.socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: {address.netloc}", "Upgrade: websocket",
                 "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.status = int(self.stream.readline().split()[1])
        fields = {}
        while (line := self.stream.readline().strip()):
            name, value = line.decode().split(":", 1)
            fields[name.lower()] = value.strip()
        self.open = self.status == 101
        if self.open:
            magic = (key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()
            assert fields["sec-websocket-accept"] == base64.b64encode(
                hashlib.sha1(magic).digest()).decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def send(self, opcode, payload=b"", last=True):
        mask = os.urandom(4)
        size = len(payload)
        head = bytes([(0x80 if last else 0) | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 1 << 16:
            head += bytes([0x80 | 126]) + struct.pack(">H", size)
        else:
            head += bytes([0x80 | 127]) + struct.pack(">Q", size)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.socket.sendall(head + mask + masked)

    def frame(self):
        head = self.stream.read(2)
        if len(head) < 2:
            raise Closed(1006, "the connection ended without a close")
        size = head[1] & 0x7F
        if size == 126:
            size, = struct.unpack(">H", self.stream.read(2))
        elif size == 127:
            size, = struct.unpack(">Q", self.stream.read(8))
        return head[0] & 0x0F, bool(head[0] & 0x80), self.stream.read(size)

    def message(self):
        """The next message, parsed. Raises Closed."""
        text = b""
        while True:
            opcode, last, payload = self.frame()
            if opcode == PING:
                self.send(PONG, payload)
            elif opcode == CLOSE:
                with contextlib.suppress(OSError):  # After a mistake of ours nobody listens.
                    self.send(CLOSE, payload)
                code = struct.unpack(">H", payload[:2])[0] if payload else 1005
                raise Closed(code, payload[2:].decode())
            elif opcode != PONG:
                text += payload
                if last:
                    return json.loads(text)

    def next(self, event):
        """The next message of this kind."""
        while True:
            message = self.message()
            if message["event"] == event:
                return message
