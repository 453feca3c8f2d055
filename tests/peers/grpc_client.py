"""Calls grpc_server.py through a proxy: grpc_client.py PROXY CHECK SERVICE [AUTHORITY]

Ends with 0 when all is as it should be. CHECK is the name of a function below; the service is
named by the authority, that is the name of the host. With the file of a certificate authority
the proxy is spoken to under TLS.
"""

import queue
import sys

import grpc

PATIENCE = 60
Code = grpc.StatusCode


def open_channel(proxy, service, authority):
    options = [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)]
    if authority:
        trust = grpc.ssl_channel_credentials(open(authority, "rb").read())
        options.append(("grpc.ssl_target_name_override", service))
        return grpc.secure_channel(proxy, trust, options)
    return grpc.insecure_channel(proxy, options + [("grpc.default_authority", service)])


def equal(got, wanted):
    if got != wanted:
        sys.exit(f"got {str(got)[:1000]} instead of {str(wanted)[:1000]}")


def failure(call):
    try:
        return sys.exit(f"no failure but {call()}")
    except grpc.RpcError as error:
        return error


def unary(channel):
    method = channel.unary_unary("/test.Echo/Upper")
    sent = [("x-test", "1"), ("x-test", "2"), ("x-test-bin", b"\x00\x01\xff")]
    answer, call = method.with_call(b"hello", metadata=sent, timeout=PATIENCE)
    equal(answer, b"HELLO")
    equal([tuple(pair) for pair in call.initial_metadata() if pair[0].startswith("x-test")], sent)
    after = dict(call.trailing_metadata())
    equal((after["x-after"], after["x-after-bin"]), ("done", b"\x00\xff"))
    equal(method(b"", timeout=PATIENCE), b"")


def streams(channel):
    call = channel.unary_stream("/test.Echo/Split")(b"a b c", timeout=PATIENCE)
    equal(list(call), [b"a", b"b", b"c"])
    equal(dict(call.trailing_metadata())["x-after"], "done")
    equal(list(channel.unary_stream("/test.Echo/Split")(b"", timeout=PATIENCE)), [])
    join = channel.stream_unary("/test.Echo/Join")
    equal(join(iter([b"a", b"b"]), timeout=PATIENCE), b"a b")
    equal(join(iter([]), timeout=PATIENCE), b"")
    # Each message is sent when the answer to the one before has come.
    messages = queue.Queue()
    answers = channel.stream_stream("/test.Echo/Chat")(iter(messages.get, None), timeout=PATIENCE)
    for message in [b"1", b"two", b"3" * 100_000]:
        messages.put(message)
        equal(next(answers), b"got " + message)
    messages.put(None)
    equal(list(answers), [])


def large(channel):
    message = bytes(range(97, 123)) * 800_000
    equal(channel.unary_unary("/test.Echo/Upper")(message, timeout=PATIENCE), message.upper())
    half = [message[:5_000_000]] * 4
    answers = channel.stream_stream("/test.Echo/Chat")(iter(half), timeout=PATIENCE)
    equal([len(answer) for answer in answers], [5_000_004] * 4)


def many(channel):
    method = channel.unary_unary("/test.Echo/Upper")
    calls = [method.future(b"n%d" % n, timeout=PATIENCE) for n in range(500)]
    equal([call.result() for call in calls], [b"N%d" % n for n in range(500)])


def failures(channel):
    fail = channel.unary_unary("/test.Echo/Fail")
    for code in [c for c in Code if c != Code.OK]:
        words = f"{code.name}: 100 % schön\nand so on"
        error = failure(lambda: fail(f"{code.name} {words}".encode(), timeout=PATIENCE))
        equal((error.code(), error.details()), (code, words))
        equal(dict(error.trailing_metadata())["x-after"], "failed")
    error = failure(lambda: channel.unary_unary("/test.Echo/Missing")(b"", timeout=PATIENCE))
    equal(error.code(), Code.UNIMPLEMENTED)


def deadlines(channel):
    wait = channel.unary_unary("/test.Echo/Wait")
    waited = channel.unary_unary("/test.Echo/Waited")
    error = failure(lambda: wait(b"", timeout=0.5))
    equal(error.code(), Code.DEADLINE_EXCEEDED)
    equal(waited(b"", timeout=PATIENCE), b"given up")
    call = wait.future(b"", timeout=PATIENCE)
    call.cancel()
    # One that was cancelled before it was sent is not noticed over there: one more that was.
    messages = queue.Queue()
    chat = channel.stream_stream("/test.Echo/Chat")(iter(messages.get, None), timeout=PATIENCE)
    messages.put(b"1")
    equal(next(chat), b"got 1")
    chat.cancel()
    messages.put(None)
    equal(failure(lambda: next(chat)).code(), Code.CANCELLED)


def fails_with(name):
    def check(channel):
        for method in [channel.unary_unary, channel.unary_stream]:
            call = lambda: method("/test.Echo/Upper")(b"", timeout=PATIENCE)
            error = failure(lambda: list(call()))
            equal(error.code(), Code[name])
            print(error.details())

    return check


def main(proxy, check, service, authority=None):
    with open_channel(proxy, service, authority) as channel:
        (globals().get(check) or fails_with(check))(channel)


main(*sys.argv[1:])
