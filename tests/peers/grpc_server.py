"""A gRPC server whose messages are plain bytes: grpc_server.py PORT [KEY CERT]

Upper  one message, in upper case; its metadata come back, at the start and at the end
Split  a message for each word
Join   the messages' words as one
Chat   an answer to each message as it comes
Fail   fails with the code and the words that the message says
Wait   answers nothing; ends when the caller gives up
Waited answers when a caller of Wait has given up
"""

import sys
import threading
from concurrent import futures

import grpc

GIVEN_UP = threading.Semaphore(0)


def upper(message, context):
    sent = [(k, v) for k, v in context.invocation_metadata() if k.startswith("x-test")]
    context.send_initial_metadata(sent)
    context.set_trailing_metadata([("x-after", "done"), ("x-after-bin", b"\x00\xff")])
    return message.upper()


def split(message, context):
    context.set_trailing_metadata([("x-after", "done")])
    yield from message.split()


def join(messages, context):
    return b" ".join(messages)


def chat(messages, context):
    for message in messages:
        yield b"got " + message


def fail(message, context):
    code, words = message.decode().split(" ", 1)
    context.set_trailing_metadata([("x-after", "failed")])
    context.abort(grpc.StatusCode[code], words)


def wait(message, context):
    ended = threading.Event()
    context.add_callback(ended.set)
    ended.wait()
    GIVEN_UP.release()


def waited(message, context):
    GIVEN_UP.acquire()
    return b"given up"


KINDS = {
    "Upper": grpc.unary_unary_rpc_method_handler(upper),
    "Split": grpc.unary_stream_rpc_method_handler(split),
    "Join": grpc.stream_unary_rpc_method_handler(join),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Wait": grpc.unary_unary_rpc_method_handler(wait),
    "Waited": grpc.unary_unary_rpc_method_handler(waited),
}

server = grpc.server(
    futures.ThreadPoolExecutor(64),
    options=[("grpc.max_receive_message_length", -1)],
)
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Echo", KINDS)])
at = f"127.0.0.1:{sys.argv[1]}"
if len(sys.argv) > 2:
    key, cert = (open(name, "rb").read() for name in sys.argv[2:])
    server.add_secure_port(at, grpc.ssl_server_credentials([(key, cert)]))
else:
    server.add_insecure_port(at)
server.start()
server.wait_for_termination()
