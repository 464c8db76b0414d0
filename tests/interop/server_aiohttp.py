"""The interop server made with Python's aiohttp. See README.md for what it does.

usage: server_aiohttp.py CERTIFICATE KEY

There is no /fragment: aiohttp sets FIN on every frame that it sends.
"""

import asyncio
import ssl
import sys

from aiohttp import WSMsgType, web

MAX_SIZE = 64 << 20
SUBPROTOCOLS = ["chat.v2", "chat.v1"]

closes = asyncio.Queue()


async def open_websocket(request, **options):
    options.setdefault("compress", False)
    ws = web.WebSocketResponse(max_msg_size=MAX_SIZE, protocols=SUBPROTOCOLS, **options)
    await ws.prepare(request)
    return ws


async def echo(request, **options):
    ws = await open_websocket(request, **options)
    async for message in ws:
        if message.type == WSMsgType.TEXT:
            await ws.send_str(message.data)
        else:
            await ws.send_bytes(message.data)
    return ws


async def deflate(request):
    return await echo(request, compress=True)


async def ping(request):
    # With autoping the library would swallow the pong.
    ws = await open_websocket(request, autoping=False)
    await ws.ping(b"are you there")
    async for message in ws:
        if message.type == WSMsgType.PONG:
            await ws.send_str("pong:" + message.data.decode())
    return ws


async def close(request):
    ws = await open_websocket(request)
    await ws.close(code=int(request.query["code"]), message=request.query["reason"].encode())
    return ws


async def wait_close(request):
    ws = await open_websocket(request)
    message = await ws.receive()
    await closes.put(f"{message.data} {message.extra}")
    return ws


async def last_close(request):
    ws = await open_websocket(request)
    await ws.send_str(await closes.get())
    await ws.receive()
    return ws


async def subprotocol(request):
    ws = await open_websocket(request)
    await ws.send_str(str(ws.ws_protocol))
    await ws.receive()
    return ws


async def refuse(_):
    return web.Response(status=403, headers={"X-Why": "because"}, text="no entry")


async def main(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    app = web.Application()
    app.add_routes(
        [
            web.get("/echo", echo),
            web.get("/deflate", deflate),
            web.get("/ping", ping),
            web.get("/close", close),
            web.get("/wait-close", wait_close),
            web.get("/last-close", last_close),
            web.get("/subprotocol", subprotocol),
            web.get("/refuse", refuse),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    print("PORT", *(port for _, port in runner.addresses), flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
