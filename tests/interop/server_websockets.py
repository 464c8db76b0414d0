"""The interop server made with Python's websockets. See README.md for what it does.

usage: server_websockets.py CERTIFICATE KEY
"""

import asyncio
import ssl
import sys
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

MAX_SIZE = 64 << 20
SUBPROTOCOLS = ["chat.v2", "chat.v1"]

closes = asyncio.Queue()


async def echo(ws):
    async for message in ws:
        await ws.send(message)


async def ping(ws):
    waiter = await ws.ping("are you there")
    await waiter
    await ws.send("pong:are you there")
    await ws.wait_closed()


async def fragment(ws):
    async for message in ws:
        third = len(message) // 3
        await ws.send([message[:third], message[third : 2 * third], message[2 * third :]])


async def close(ws):
    query = parse_qs(urlsplit(ws.request.path).query)
    await ws.close(int(query["code"][0]), query["reason"][0])


async def wait_close(ws):
    await ws.wait_closed()
    await closes.put(f"{ws.close_code} {ws.close_reason}")


async def last_close(ws):
    await ws.send(await closes.get())
    await ws.wait_closed()


async def subprotocol(ws):
    await ws.send(str(ws.subprotocol))
    await ws.wait_closed()


HANDLERS = {
    "/echo": echo,
    "/ping": ping,
    "/fragment": fragment,
    "/deflate": echo,
    "/deflate-fragment": fragment,
    "/close": close,
    "/wait-close": wait_close,
    "/last-close": last_close,
    "/subprotocol": subprotocol,
}


async def handle(ws):
    await HANDLERS[urlsplit(ws.request.path).path](ws)


def compression(query):
    options = {name: int(values[0]) for name, values in parse_qs(query).items()}
    for name in ("server_no_context_takeover", "client_no_context_takeover"):
        options[name] = bool(options.get(name))
    return [ServerPerMessageDeflateFactory(**options)]


def process_request(connection, request):
    path = urlsplit(request.path).path
    if path.startswith("/deflate"):
        connection.protocol.available_extensions = compression(urlsplit(request.path).query)
    if path == "/refuse":
        response = connection.respond(403, "no entry")
        response.headers["X-Why"] = "because"
        return response
    if path not in HANDLERS:
        return connection.respond(404, path)
    return None


# The library's own choice refuses a client that offers nothing; every other path needs that.
def select_subprotocol(_, offered):
    return next((name for name in SUBPROTOCOLS if name in offered), None)


async def main(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    options = dict(
        process_request=process_request,
        compression=None,
        subprotocols=SUBPROTOCOLS,
        select_subprotocol=select_subprotocol,
        max_size=MAX_SIZE,
    )
    plain = await serve(handle, "127.0.0.1", 0, **options)
    tls = await serve(handle, "127.0.0.1", 0, ssl=context, **options)
    ports = [server.sockets[0].getsockname()[1] for server in (plain, tls)]
    print("PORT", *ports, flush=True)
    await asyncio.gather(plain.serve_forever(), tls.serve_forever())


asyncio.run(main(*sys.argv[1:]))
