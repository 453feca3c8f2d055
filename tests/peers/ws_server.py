"""A WebSocket server: ws_server.py PORT

/echo       sends back what it gets, in the kind that it came in
/count/N    sends N messages at once
/close/CODE closes with that code, after the first message
/refused    is answered 403, without a change of protocol
/told       like /echo, and its end is told to:
/codes      sends the code and the reason with which the next of the above is closed
"""

import asyncio
import http
import sys

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

CLOSED = asyncio.Queue()


async def talk(socket):
    path = socket.request.path.split("/")[1:]
    if path[0] == "codes":
        await socket.send("%s %s" % await CLOSED.get())
        return
    if path[0] == "count":
        for number in range(int(path[1])):
            await socket.send(str(number))
    if path[0] == "close":
        await socket.recv()
        await socket.close(int(path[1]), "it is said why")
        return
    try:
        async for message in socket:
            await socket.send(message)
    except ConnectionClosed:
        pass
    if path[0] == "told":
        await CLOSED.put((socket.close_code, socket.close_reason))


def guard(socket, request):
    if request.path == "/refused":
        return socket.respond(http.HTTPStatus.FORBIDDEN, "not for you\n")


async def main():
    choose = lambda socket, offered: "one" if "one" in offered else None
    more = {"max_size": None, "process_request": guard, "select_subprotocol": choose}
    async with serve(talk, "127.0.0.1", int(sys.argv[1]), **more) as server:
        await server.serve_forever()


asyncio.run(main())
