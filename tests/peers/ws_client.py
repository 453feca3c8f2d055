"""Speaks with ws_server.py through a proxy: ws_client.py URL CHECK [AUTHORITY]

Ends with 0 when all is as it should be. With the file of a certificate authority the URL is
one of TLS.
"""

import asyncio
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus


def equal(got, wanted):
    if got != wanted:
        sys.exit(f"got {str(got)[:1000]} instead of {str(wanted)[:1000]}")


async def messages(open):
    async with open("/echo") as socket:
        for message in ["text", "schön", "", b"\x00\xff", b"", "x" * 70_000, b"y" * 3_000_000]:
            await socket.send(message)
            equal(await socket.recv(), message)
        await socket.send(["in ", "three ", "parts"])
        equal(await socket.recv(), "in three parts")
        await (await socket.ping())
        # Neither waits for the other.
        for number in range(1000):
            await socket.send(str(number))
        equal([await socket.recv() for _ in range(1000)], [str(n) for n in range(1000)])


async def unasked(open):
    async with open("/count/100") as socket:
        equal([await socket.recv() for _ in range(100)], [str(n) for n in range(100)])


async def protocols(open):
    async with open("/echo", subprotocols=["one"]) as socket:
        equal(socket.subprotocol, "one")
        equal([e.name for e in socket.protocol.extensions], ["permessage-deflate"])
    async with open("/echo", compression=None) as socket:
        equal((socket.subprotocol, socket.protocol.extensions), (None, []))


async def last_words(open, wanted):
    async with open("/codes") as socket:
        equal(await socket.recv(), wanted)


async def closing(open):
    for code in [1000, 1001, 1008, 3000, 4999]:
        async with open("/told") as socket:
            await socket.close(code, "enough")
        await last_words(open, f"{code} enough")
        async with open(f"/close/{code}") as socket:
            await socket.send("")
            try:
                sys.exit(f"got {await socket.recv()}")
            except ConnectionClosed as closed:
                equal((closed.rcvd.code, closed.rcvd.reason), (code, "it is said why"))
    # Without a word.
    async with open("/told") as socket:
        await socket.send("x")
        await socket.recv()
        socket.transport.abort()
    await last_words(open, "1006 ")


async def refusals(open):
    for path, status in [("/refused", 403), ("/../nobody", 400)]:
        try:
            async with open(path):
                sys.exit(f"{path} was let in")
        except InvalidStatus as refused:
            equal(refused.response.status_code, status)


async def many(open):
    async def one(number):
        async with open("/echo") as socket:
            for _ in range(10):
                await socket.send(str(number))
                equal(await socket.recv(), str(number))

    await asyncio.gather(*(one(number) for number in range(100)))


async def abandoned(open):
    """Says when it is there, and waits for the connection to be broken off."""
    async with open("/echo") as socket:
        await socket.send("x")
        print(await socket.recv(), flush=True)
        try:
            sys.exit(f"got {await socket.recv()}")
        except ConnectionClosed as closed:
            equal(closed.rcvd, None)


def main(url, check, authority=None):
    more = {"proxy": None, "max_size": None, "open_timeout": 60, "close_timeout": 60}
    if authority:
        more["ssl"] = ssl.create_default_context(cafile=authority)
    asyncio.run(globals()[check](lambda path, **also: connect(url + path, **more, **also)))


main(*sys.argv[1:])
