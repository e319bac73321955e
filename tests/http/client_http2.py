# SPDX-License-Identifier: Apache-2.0
"""
An HTTP/2 client over cleartext, by prior knowledge, that can take back a stream or lose its connection.

Frames go out as a test says; what comes in is read when the test asks for an answer.
"""
import h2.config
import h2.connection
import h2.events

from client import Connection


class Answer:
    def __init__(self):
        self.headers, self.body, self.ended, self.was_reset = [], b"", False, False

    def __getitem__(self, name):
        return next((value for field, value in self.headers if field == name.lower()), None)

    @property
    def status(self):
        return int(self[":status"])

    @property
    def replayed(self):
        return self["idempotent-replayed"] == "true"

    @property
    def problem(self):
        return self.status, self["idempotency-error"]

    @property
    def recorded(self):
        own = {"date", "server", "content-length", "idempotent-replayed"}
        return sorted(field for field in self.headers if field[0] not in own), self.body

    def __repr__(self):
        return f"<{self.headers} {self.body[:200]}{'' if self.ended else ' (not ended)'}>"


class Http2(Connection):
    def __init__(self, address, host):
        super().__init__(address)
        self.host, self.answers, self.pongs = host, {}, 0
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.send(self.h2.data_to_send())

    def start(self, path, key, body=b"", length=None, declared=True, headers=()):
        """Sends a POST on a stream of its own and returns the stream's number. If length is more than body, it is to go
        on.
        """
        stream = self.h2.get_next_available_stream_id()
        fields = [(":method", "POST"), (":scheme", "http"), (":authority", self.host), (":path", path)]
        if key is not None:
            fields += [("idempotency-key", f'"{key}"')]
        if declared:
            fields += [("content-length", str(length or len(body)))]
        fields += headers
        self.h2.send_headers(stream, fields)
        self.answers[stream] = Answer()
        frame = self.h2.max_outbound_frame_size
        for begin in range(0, len(body), frame):
            self.h2.send_data(stream, body[begin:begin + frame])
        if length in (None, len(body)):
            self.h2.end_stream(stream)
        self.flush()
        return stream

    def reset_stream(self, stream):
        """Returns when the server has dealt with it: frames are answered in order, a ping's answer comes behind it."""
        self.h2.reset_stream(stream, error_code=8)
        self.ping()

    def ping(self):
        wanted = self.pongs + 1
        self.h2.ping(b"12345678")
        self.flush()
        while self.pongs < wanted:
            self.take()

    def take(self):
        data = self.sock.recv(65536)
        assert data, "the server has closed the connection"
        for event in self.h2.receive_data(data):
            answer = self.answers.get(getattr(event, "stream_id", None))
            if isinstance(event, h2.events.ResponseReceived):
                answer.headers = event.headers
            elif isinstance(event, h2.events.DataReceived):
                answer.body += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                answer.ended = True
            elif isinstance(event, h2.events.StreamReset):
                answer.was_reset = True
            elif isinstance(event, h2.events.PingAckReceived):
                self.pongs += 1
        self.flush()

    def result(self, stream):
        answer = self.answers[stream]
        while not answer.ended and not answer.was_reset:
            self.take()
        return answer
