"""Clients of python-socketio that talk in turns: `python python_fleet.py SETTINGS`.

SETTINGS is a JSON object: the `url`, the `count` of clients, their `transports`, how many `rounds` each has, and `kept`: whether a
client keeps its connections. Prints a JSON list of what came of each: `{"server": NAME, "faults": [...]}`, where no fault means that
all was well. What support/fleet.mjs says of a client holds for these too.
"""

import asyncio
import json
import os
import sys

import aiohttp
import socketio

settings = json.loads(sys.argv[1])
transports = settings["transports"]


async def member():
    faults = []
    servers = []
    done = asyncio.get_running_loop().create_future()
    connector = aiohttp.TCPConnector(force_close=not settings["kept"])
    # By itself a jar takes no cookie from an address.
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar) as http:
        client = socketio.AsyncClient(reconnection=False, http_session=http, handle_sigint=False)

        def over():
            if not done.done():
                done.set_result(None)

        def fault(what):
            faults.append(what)
            over()

        @client.event
        async def disconnect(reason):
            if not done.done():
                fault(f"disconnect: {reason}")

        @client.event
        async def disorder(number):
            fault(f"the server heard {number} out of its turn")

        @client.event
        async def down(number, server):
            if number != len(servers):
                return fault(f"heard {number} instead of {len(servers)}")
            servers.append(server)
            if server != servers[0]:
                return fault(f"went from {servers[0]} to {server}")
            if len(servers) == settings["rounds"]:
                return over()
            await client.emit("up", len(servers))

        try:
            await client.connect(settings["url"], transports=transports)
            if client.transport() != transports[-1]:
                fault(f"settled on {client.transport()}")
            await client.emit("up", 0)
            await asyncio.wait_for(done, settings["seconds"])
        except socketio.exceptions.ConnectionError as error:
            fault(f"connect_error: {error}")
        except asyncio.TimeoutError:
            fault(f"after {settings['seconds']} s in round {len(servers)}")
        over()
    return {"server": servers[0] if servers else None, "faults": faults}


async def main():
    members = [member() for _ in range(settings["count"])]
    print(json.dumps(await asyncio.gather(*members)), flush=True)
    # Asked to disconnect, a client waits for the end of its poll, which a python server leaves open.
    os._exit(0)


asyncio.run(main())
