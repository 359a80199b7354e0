"""A python-socketio server under uvicorn, for peers of the ring.

It prints JSON lines: first `{"listening": PORT}`, then what it saw of each request before Socket.IO did
(`{"seen": {...}}`), and who left (`{"left": {...}}`). It does what support/conversation.mjs asks for, as far as that
does not need the server's own side.
"""

import asyncio
import json
import socket

import socketio
import uvicorn

sio = socketio.AsyncServer(async_mode="asgi", max_http_buffer_size=2_000_000)


def tell(**line):
    print(json.dumps(line), flush=True)


@sio.event
async def disconnect(sid, reason):
    tell(left={"id": sid, "reason": reason})


@sio.event
async def echo(sid, value):
    return value


@sio.event
async def reverse(sid, value):
    return value[::-1] if isinstance(value, bytes) else "not binary"


@sio.event
async def transport(sid):
    return sio.transport(sid)


@sio.event
async def tell_me(sid, parts):
    await sio.emit("news", ("连上了/", 42), to=sid)
    await sio.emit("file", {"name": "π.bin", "parts": parts}, to=sid)


@sio.event
async def leave_me(sid):
    await sio.disconnect(sid)


socket_io = socketio.ASGIApp(sio)


async def watched(scope, receive, send):
    """The app, with a look at each request first."""
    if scope["type"] in ("http", "websocket"):
        tell(seen={
            "type": scope["type"],
            "method": scope.get("method"),
            "query": scope["query_string"].decode(),
            "headers": [[name.decode("latin1"), value.decode("latin1")] for name, value in scope["headers"]],
        })
    await socket_io(scope, receive, send)


async def main():
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(watched, http="h11", log_level="warning")
    tell(listening=listening.getsockname()[1])
    await uvicorn.Server(config).serve(sockets=[listening])


asyncio.run(main())
