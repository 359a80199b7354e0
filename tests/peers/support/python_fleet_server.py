"""What fleet_server.mjs is, with python-socketio under uvicorn: `python python_fleet_server.py SETTINGS`."""

import asyncio
import json
import socket
import sys

import socketio
import uvicorn

settings = json.loads(sys.argv[1])
sio = socketio.AsyncServer(async_mode="asgi", **settings.get("options", {}))
due = {}


def tell(**line):
    print(json.dumps(line), flush=True)


@sio.event
async def connect(sid, environ):
    due[sid] = 0
    tell(opened=sid)


@sio.event
async def disconnect(sid, reason):
    due.pop(sid, None)
    tell(closed=sid)


@sio.event
async def up(sid, number):
    if number != due[sid]:
        await sio.emit("disorder", number, to=sid)
    due[sid] = number + 1
    await sio.emit("down", (number, settings["name"]), to=sid)


socket_io = socketio.ASGIApp(sio)


async def watched(scope, receive, send):
    """The app; it tells of health checks first."""
    query = scope.get("query_string", b"").decode()
    if "sid=wsgate-check" in query:
        tell(checked=f"{scope['path']}?{query}")
    await socket_io(scope, receive, send)


async def main():
    listening = socket.create_server(("127.0.0.1", settings.get("port", 0)))
    config = uvicorn.Config(watched, http="h11", log_level="warning")
    tell(listening=listening.getsockname()[1])
    await uvicorn.Server(config).serve(sockets=[listening])


asyncio.run(main())
