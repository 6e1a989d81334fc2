"""An asyncio server that gives back what it gets:  echo_server.py PORT BIND…"""
import asyncio, sys


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def main():
    servers = [await asyncio.start_server(echo, bind, int(sys.argv[1])) for bind in sys.argv[2:]]
    print("ready", flush=True)
    await asyncio.gather(*(s.serve_forever() for s in servers))


asyncio.run(main())
