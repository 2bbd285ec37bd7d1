"""Drives a broker with aio-pika and prints what it observed, one line a check.

The same lines must come from RabbitMQ and from the embedded broker: `cargo xtask test` compares them.
Usage: smoke_aio_pika.py amqp://user:password@host:port/vhost
"""

import asyncio
import sys
import uuid

import aio_pika
from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.exceptions import DeliveryError, PublishError

RUN = uuid.uuid4().hex[:8]
DEADLINE = 20


def name(what):
    return f"aio-{what}-{RUN}"


def say(check, *observed):
    print(f"{check}: " + ", ".join(str(o).replace(RUN, "RUN") for o in observed), flush=True)


async def many_publishes(connection):
    """Publishes concurrently on one channel; each outcome is its own."""
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    queue = await channel.declare_queue(name("many"), durable=True, arguments={"x-queue-type": "quorum"})

    async def publish(n):
        key = queue.name if n % 10 else name("nobody")
        try:
            await channel.default_exchange.publish(
                Message(str(n).encode(), message_id=str(n), delivery_mode=DeliveryMode.PERSISTENT), key
            )
            return "confirmed"
        except (PublishError, DeliveryError):
            return "returned"

    outcomes = await asyncio.gather(*(publish(n) for n in range(200)))
    say("verdicts", all((outcome == "returned") == (n % 10 == 0) for n, outcome in enumerate(outcomes)))
    await channel.set_qos(prefetch_count=50)
    seen = []
    async with queue.iterator(timeout=DEADLINE) as messages:
        async for message in messages:
            seen.append(int(message.body))
            await message.ack()
            if len(seen) == 180:
                break
    say("all consumed in order", seen == sorted(seen), len(seen))
    await queue.delete(if_unused=False, if_empty=False)
    await channel.close()


async def publish_subscribe(connection):
    channel = await connection.channel()
    exchange = await channel.declare_exchange(name("events"), ExchangeType.FANOUT, durable=True)
    queues = [await channel.declare_queue(exclusive=True) for _ in range(3)]
    for queue in queues:
        await queue.bind(exchange)
    await exchange.publish(Message(b"news", content_type="text/plain", headers={"n": 1}), "")
    for queue in queues:
        message = await queue.get(timeout=DEADLINE)
        say("subscriber", message.body, message.content_type, message.headers, message.routing_key)
        await message.ack()
    await exchange.delete()
    await channel.close()


async def rejected(connection):
    channel = await connection.channel()
    dead = await channel.declare_queue(name("dead"), durable=True)
    source = await channel.declare_queue(
        name("source"),
        durable=True,
        arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": 1,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dead.name,
        },
    )
    await channel.default_exchange.publish(Message(b"poison"), source.name)
    counts = []
    for _ in range(2):
        message = await source.get(timeout=DEADLINE)
        counts.append(dict(message.headers))
        await message.reject(requeue=True)
    say("attempts", counts)
    message = None
    while message is None:
        message = await dead.get(timeout=DEADLINE, fail=False)
    death = message.headers["x-death"][0]
    say("gave up", message.body, death["reason"], death["count"], message.headers["x-first-death-queue"])
    await message.ack()
    await source.delete(if_unused=False, if_empty=False)
    await dead.delete(if_unused=False, if_empty=False)
    await channel.close()


async def errors(connection):
    channel = await connection.channel()
    try:
        await channel.get_queue(name("none"))
        say("missing queue", "found")
    except aio_pika.exceptions.ChannelNotFoundEntity as error:
        say("missing queue", str(error))
    channel = await connection.channel()
    try:
        await channel.declare_queue(name("bad"), arguments={"x-message-ttl": -1}, exclusive=True)
        say("bad argument", "declared")
    except aio_pika.exceptions.ChannelPreconditionFailed as error:
        say("bad argument", str(error))


async def main(url):
    connection = await aio_pika.connect(url, timeout=DEADLINE)
    async with connection:
        for check in (many_publishes, publish_subscribe, rejected, errors):
            await asyncio.wait_for(check(connection), 3 * DEADLINE)
    say("closed", connection.is_closed)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
