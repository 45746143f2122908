"""A proxy on loopback that adds a header to every request, for clients that cannot send a credential.

Everything else passes byte for byte: names, case, order and white space of headers, bodies, answers. Only a
`Host` or `Origin` that names the proxy itself is made to name the server, so that a foreign one stays foreign.
"""

import asyncio
import re
import threading

HEAD_END = b"\r\n\r\n"
MAX_HEAD = 1 << 20


class Proxy:
    """`with Proxy(port_of_the_server, b"Authorization: Bearer …") as port: …`"""

    def __init__(self, upstream, header):
        self.upstream, self.header = upstream, header
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        listen = asyncio.start_server(self.serve, "127.0.0.1", 0, limit=MAX_HEAD)
        self.server = asyncio.run_coroutine_threadsafe(listen, self.loop).result(10)
        self.port = self.server.sockets[0].getsockname()[1]
        return self.port

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self.close(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    async def close(self):
        self.server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def head(self, head):
        own = rb"(\r\n(?:host|origin):[ \t]*(?:https?://)?(?:127\.0\.0\.1|localhost|\[::1\])):%d(?=\r\n)" % self.port
        head = re.sub(own, rb"\g<1>:%d" % self.upstream, head, flags=re.IGNORECASE)
        name = self.header.split(b":")[0]
        if re.search(rb"\r\n" + re.escape(name) + rb":", head, re.IGNORECASE):
            return head
        return head.removesuffix(b"\r\n") + self.header + HEAD_END

    async def requests(self, source, sink):
        while True:
            head = await source.readuntil(HEAD_END)
            sink.write(self.head(head))
            length = re.search(rb"\r\ncontent-length:[ \t]*(\d+)", head, re.IGNORECASE)
            if re.search(rb"\r\ntransfer-encoding:[^\r]*chunked", head, re.IGNORECASE):
                while True:
                    size = await source.readuntil(b"\r\n")
                    body = await source.readexactly(int(size.split(b";")[0], 16) + 2)
                    sink.write(size + body)
                    if int(size.split(b";")[0], 16) == 0:
                        break
            elif length:
                sink.write(await source.readexactly(int(length[1])))
            await sink.drain()

    async def answers(self, source, sink):
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()

    async def serve(self, reader, writer):
        ends = [writer]
        try:
            back, theirs = await asyncio.open_connection("127.0.0.1", self.upstream)
            ends.append(theirs)
            ways = [asyncio.ensure_future(way) for way in (self.requests(reader, theirs), self.answers(back, writer))]
            try:
                # Whichever side ends first ends both, as a connection without the proxy would.
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass
        finally:
            for end in ends:
                end.close()
