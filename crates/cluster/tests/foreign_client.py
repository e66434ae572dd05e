"""A client that knows nothing of Backfence but what reflection tells it.

Usage: foreign_client.py HOST:PORT KEYFILE. Ends with 0 if all could be done.
"""

import base64
import hashlib
import hmac
import json
import sys
import time

import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

SERVICE = "backfence.v1.FrontEnd"


class FrontEnd:
    """Calls by name, with dictionaries as messages, in one session."""

    def __init__(self, address, key):
        self.key = key
        self.channel = grpc.insecure_channel(address)
        database = ProtoReflectionDescriptorDatabase(self.channel)
        assert SERVICE in database.get_services(), database.get_services()
        self.service = DescriptorPool(database).FindServiceByName(SERVICE)
        self.token = b""

    def operator(self):
        """What operator.proto says that shows who has the key."""
        now = str(int(time.time()))
        message = b"backfence operator token" + now.encode()
        code = hmac.new(self.key, message, hashlib.sha256).hexdigest()
        return (("authorization", f"Bearer bf1.{now}.{code}"),)

    def call(self, name, **fields):
        method = self.service.methods_by_name[name]
        request = message_factory.GetMessageClass(method.input_type)(**fields)
        if "session" in method.input_type.fields_by_name:
            request.session = self.token
        stub = self.channel.unary_unary(
            f"/{SERVICE}/{name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )
        reply = stub(request, timeout=10, metadata=self.operator())
        if "session" in method.output_type.fields_by_name:
            self.session = reply.session
            self.token = reply.session.token
        answer = json_format.MessageToDict(reply, preserving_proto_field_name=True)
        answer.pop("session", None)
        print(name, json.dumps(fields, default=str), "->", json.dumps(answer))
        return answer


def refused(front_end, name, **fields):
    """The code with which a call fails."""
    try:
        answer = front_end.call(name, **fields)
    except grpc.RpcError as error:
        return error.code()
    raise AssertionError(f"{name} {fields} was not refused: {answer}")


def main(address, keyfile):
    with open(keyfile, "rb") as file:
        front_end = FrontEnd(address, file.read())
    front_end.call("OpenSession")
    assert front_end.token
    movie = front_end.call("Find", title="toy story")["resolution"]["found"]
    assert (movie["title"], movie["year"]) == ("Toy Story", 1995), movie
    ambiguous = front_end.call("Find", title="emma (1996)")["resolution"]["ambiguous"]
    assert len(ambiguous["movies"]) == 2, ambiguous
    about = {"user_id": 1, "movie_id": movie["movie_id"]}
    assert front_end.call("View", **about)["rating"] == {"rating": 4.0}
    update = front_end.call("Rate", rating=2.5, **about)
    viewed = front_end.call("View", **about)["rating"]
    assert viewed == {"rating": 2.5, "update_id": update["update_id"]}, viewed
    # An update of its own, sent twice: its id is told to nobody, but shown by a digest.
    session = front_end.session
    own = {"session": session.id, "sequence": 1}
    own = {"update_id": own, "time_us": session.clock_us + 1, "rating": 2.5}
    front_end.call("Rate", **own, **about)
    front_end.call("Rate", **own, **about)
    viewed = front_end.call("View", **about)["rating"]["update_id"]
    shown = {"session": base64.b64encode(session.digest).decode(), "sequence": "1"}
    assert viewed == shown and session.digest != session.id, (viewed, shown)
    another = FrontEnd(address, front_end.key)
    another.call("OpenSession")
    code = refused(another, "Rate", **own, **about)
    assert code == grpc.StatusCode.INVALID_ARGUMENT, code
    average = front_end.call("Average", movie_id=movie["movie_id"])
    assert average == {"average": 3.0, "ratings": "2"}, average
    front_end.call("Delete", **about)
    assert "rating" not in front_end.call("View", **about)
    changed = front_end.call("ChangeStatus", server=1)
    assert changed["to"] == "SERVER_STATUS_OFFLINE", changed
    assert "rating" not in front_end.call("View", **about), "another server answers"
    changed = front_end.call("ChangeStatus", server=1)
    assert changed["to"] == "SERVER_STATUS_ONLINE", changed
    servers = front_end.call("Status")["servers"]
    assert [server["server"] for server in servers] == [1, 2, 3], servers
    code = refused(front_end, "Rate", user_id=1, movie_id=4_000_000, rating=3)
    assert code == grpc.StatusCode.NOT_FOUND, code
    code = refused(front_end, "Rate", rating=5.5, **about)
    assert code == grpc.StatusCode.INVALID_ARGUMENT, code


main(*sys.argv[1:])
