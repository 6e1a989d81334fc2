"""Many asyncio connections at a time to an echo server:  echo_client.py HOST PORT CONNECTIONS"""
import asyncio, random, sys

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


async def one(number):
    data = random.Random(number).randbytes(200_000 + number)
    reader, writer = await asyncio.open_connection(host, port)

    async def send():
        for at in range(0, len(data), 7001):
            writer.write(data[at:at + 7001])
            await writer.drain()
        writer.write_eof()

    _, got = await asyncio.gather(send(), reader.read())
    writer.close()
    await writer.wait_closed()
    assert got == data, f"connection {number}: {len(got)} bytes of {len(data)}"


async def main():
    await asyncio.gather(*(one(n) for n in range(count)))
    print(f"{count} connections echoed")


asyncio.run(asyncio.wait_for(main(), 60))
