"""A real Kafka broker (KRaft, one JVM) on loopback, and kcat as the outside client.

    with Broker() as broker:
        broker.create("events", partitions=4)
        broker.produce("events", [b'{"n":1}', ...], partition=0)

The jars come from Maven Central through tests/kafka/pom.xml, once, into build/kafka/jars.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from harness import ROOT

POM = ROOT / "tests/kafka/pom.xml"
JARS = ROOT / "build/kafka/jars"
CLUSTER = "c3RyZWFtb2JzLXRlc3RzMA"


def fetch_jars():
    stamp = JARS / "complete"
    if stamp.exists() and stamp.read_text() == POM.read_text():
        return
    shutil.rmtree(JARS, ignore_errors=True)
    done = subprocess.run(["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies",
                           f"-DoutputDirectory={JARS}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    stamp.write_text(POM.read_text())


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def java(main, *arguments):
    # Quick to start: these JVMs live for seconds.
    return ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{POM.parent}:{JARS}/*", main,
            *map(str, arguments)]


def pairs(values, between):
    return ",".join(f"{name}{between}{value}" for name, value in values.items())


class Broker:
    def __init__(self, settings=None, proxy=None, certificate=None):
        """`proxy`: a TcpProxy; who comes through it is led through it to every partition.
        `certificate`: a PEM file with key and certificate, for a port that speaks TLS."""
        self.settings = settings or {}
        self.proxy, self.certificate = proxy, certificate
        self.process = None

    def __enter__(self):
        fetch_jars()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="streamobs-kafka-"))
        port, sasl_port, controller, proxied, tls_port = free_ports(5)
        self.address = f"127.0.0.1:{port}"
        self.sasl_address = f"127.0.0.1:{sasl_port}"  # For obs, whose password is "open sesame".
        listeners = {"PLAINTEXT": self.address, "SASL": self.sasl_address}
        protocols = {"PLAINTEXT": "PLAINTEXT", "SASL": "SASL_PLAINTEXT"}
        if self.proxy:
            listeners["PROXIED"], protocols["PROXIED"] = f"127.0.0.1:{proxied}", "PLAINTEXT"
            self.proxy.target = listeners["PROXIED"]
        if self.certificate:
            listeners["TLS"], protocols["TLS"] = f"127.0.0.1:{tls_port}", "SSL"
            self.tls_address = listeners["TLS"]
        advertised = {**listeners, **({"PROXIED": self.proxy.address} if self.proxy else {})}
        properties = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": pairs(listeners, "://") + f",CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": pairs(advertised, "://"),
            "listener.security.protocol.map": pairs(protocols, ":") + ",CONTROLLER:PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl.plain.sasl.jaas.config":
                "org.apache.kafka.common.security.plain.PlainLoginModule required "
                'user_obs="open sesame";',
            "controller.listener.names": "CONTROLLER",
            **({"listener.name.tls.ssl.keystore.type": "PEM",
                "listener.name.tls.ssl.keystore.location": self.certificate}
               if self.certificate else {}),
            "log.dirs": self.directory / "logs",
            "auto.create.topics.enable": "false",
            "broker.session.timeout.ms": 2000,  # A killed one may register again after that.
            "broker.heartbeat.interval.ms": 250,
            "initial.broker.registration.timeout.ms": 60000,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            **self.settings,
        }
        self.config = self.directory / "server.properties"
        self.config.write_text("".join(f"{k}={v}\n" for k, v in properties.items()))
        done = subprocess.run(java("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c",
                                   self.config), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, seconds=90):
        self.log = open(self.directory / "broker.log", "ab")
        self.process = subprocess.Popen(java("kafka.Kafka", self.config), stdout=self.log,
                                        stderr=subprocess.STDOUT, cwd=self.directory)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.messages()
            if self.kcat("-L", "-m", "2", check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError("the broker does not come up\n" + self.messages())

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.log.close()

    def messages(self):
        return (self.directory / "broker.log").read_text(errors="replace")[-3000:]

    def kcat(self, *arguments, check=True, **options):
        done = subprocess.run(["kcat", "-b", self.address, *map(str, arguments)],
                              capture_output=True, timeout=300, **options)
        if check:
            assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done

    def tool(self, main, *arguments):
        done = subprocess.run(java(main, "--bootstrap-server", self.address, *arguments),
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def create(self, topic, partitions=1, **config):
        settings = [a for k, v in config.items() for a in ("--config", f"{k.replace('_', '.')}={v}")]
        self.tool("org.apache.kafka.tools.TopicCommand", "--create", "--topic", topic,
                  "--partitions", partitions, "--replication-factor", 1, *settings)

    def add_partitions(self, topic, partitions):
        self.tool("org.apache.kafka.tools.TopicCommand", "--alter", "--topic", topic,
                  "--partitions", partitions)

    def delete_before(self, topic, partition, offset):
        """What retention does, at once."""
        request = self.directory / "delete.json"
        request.write_text(f'{{"version":1,"partitions":[{{"topic":"{topic}",'
                           f'"partition":{partition},"offset":{offset}}}]}}')
        self.tool("org.apache.kafka.tools.DeleteRecordsCommand", "--offset-json-file", request)

    def produce(self, topic, messages, partition=None):
        """Each message as it is; none of them has the separator in it."""
        where = [] if partition is None else ["-p", partition]
        self.kcat("-P", "-t", topic, "-D", "\x1e", *where, input=b"\x1e".join(messages))

    def produce_in_background(self, topic, messages, partition):
        """Goes on also while the broker is away."""
        path = self.directory / f"{topic}-{partition}-{time.monotonic_ns()}"
        path.write_bytes(b"\n".join(messages) + b"\n")
        return subprocess.Popen(["kcat", "-b", self.address, "-P", "-t", topic, "-p",
                                 str(partition), "-E", "-X", "enable.idempotence=true", "-X",
                                 "message.timeout.ms=300000", "-l", str(path)],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def produce_tombstone(self, topic, key, partition):
        self.kcat("-P", "-t", topic, "-p", partition, "-Z", "-K", ":", input=f"{key}:".encode())
