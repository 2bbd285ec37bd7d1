"""Drives a broker with pika and prints what it observed, one line a check.

The same lines must come from RabbitMQ and from the embedded broker: `cargo xtask test` compares them.
Usage: smoke_pika.py amqp://user:password@host:port/vhost
"""

import sys
import uuid

import pika
from pika.exceptions import ChannelClosedByBroker, NackError, UnroutableError

RUN = uuid.uuid4().hex[:8]
DEADLINE = 20


def name(what):
    return f"pika-{what}-{RUN}"


def say(check, *observed):
    print(f"{check}: " + ", ".join(str(o).replace(RUN, "RUN") for o in observed), flush=True)


def closed_with(connection, action):
    """The code with which the broker closes the channel."""
    channel = connection.channel()
    try:
        action(channel)
    except ChannelClosedByBroker as error:
        return error.reply_code, error.reply_text
    return "open", ""


def receive(channel, queue, count, **options):
    """The next deliveries of a queue, unacknowledged."""
    got = []
    for method, properties, body in channel.consume(queue, inactivity_timeout=DEADLINE, **options):
        if method is None:
            raise SystemExit(f"no delivery from {queue} within {DEADLINE} s")
        got.append((method, properties, body))
        if len(got) == count:
            return got
    raise SystemExit(f"the consumer of {queue} was cancelled")


def point_to_point(connection):
    channel = connection.channel()
    queue = name("work")
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
    channel.confirm_delivery()
    for n in range(5):
        properties = pika.BasicProperties(delivery_mode=2, message_id=str(n))
        channel.basic_publish("", queue, f"m{n}".encode(), properties, mandatory=True)
    say("declared", channel.queue_declare(queue, passive=True).method.message_count)
    channel.basic_qos(prefetch_count=2)
    got = receive(channel, queue, 2)
    say("in order", [body for _, _, body in got], [m.redelivered for m, _, _ in got])
    channel.basic_nack(got[1][0].delivery_tag, requeue=True)
    again = receive(channel, queue, 1)
    say("requeued first", [(body, m.redelivered) for m, _, body in again])
    say("acquired", again[0][1].headers)
    channel.basic_ack(again[0][0].delivery_tag, multiple=True)
    rest = receive(channel, queue, 2)
    say("the rest", [body for _, _, body in rest])
    channel.basic_ack(rest[1][0].delivery_tag, multiple=True)
    channel.cancel()
    channel.queue_delete(queue)
    channel.close()


def verdicts(connection):
    channel = connection.channel()
    channel.confirm_delivery()
    try:
        channel.basic_publish("", name("nobody"), b"x", mandatory=True)
        say("unroutable", "confirmed")
    except UnroutableError as error:
        returned = error.messages[0]
        say("unroutable", returned.method.reply_code, returned.method.reply_text, returned.body)
    queue = name("full")
    arguments = {"x-queue-type": "classic", "x-max-length": 1, "x-overflow": "reject-publish"}
    channel.queue_declare(queue, durable=True, arguments=arguments)
    outcome = []
    for _ in range(2):
        try:
            channel.basic_publish("", queue, b"x", mandatory=True)
            outcome.append("ack")
        except NackError:
            outcome.append("nack")
    say("a full queue refuses", outcome)
    channel.queue_delete(queue)
    channel.close()


def routing(connection):
    channel = connection.channel()
    topic, headers, fanout = name("topic"), name("headers"), name("fanout")
    channel.exchange_declare(topic, "topic", durable=True)
    channel.exchange_declare(headers, "headers", durable=True)
    channel.exchange_declare(fanout, "fanout", durable=True)
    channel.exchange_bind(fanout, topic, "audit.#")
    queues = {}
    for what in ("star", "hash", "all", "any", "everything"):
        queues[what] = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queues["star"], topic, "order.*")
    channel.queue_bind(queues["hash"], topic, "order.#")
    channel.queue_bind(queues["everything"], fanout)
    channel.queue_bind(queues["all"], headers, arguments={"x-match": "all", "kind": "a", "n": 1})
    channel.queue_bind(queues["any"], headers, arguments={"x-match": "any", "kind": "a", "n": 1})
    for key in ("order", "order.eu", "order.eu.fr", "audit.order"):
        channel.basic_publish(topic, key, key.encode())
    channel.basic_publish(headers, "", b"both", pika.BasicProperties(headers={"kind": "a", "n": 1}))
    channel.basic_publish(headers, "", b"one", pika.BasicProperties(headers={"kind": "a", "n": 2}))
    for what, queue in queues.items():
        bodies = []
        while True:
            method, _, body = channel.basic_get(queue, auto_ack=True)
            if method is None:
                break
            bodies.append(body)
        say(f"routed to {what}", bodies)
    for exchange in (topic, headers, fanout):
        channel.exchange_delete(exchange)
    channel.close()


def dead_letters(connection):
    channel = connection.channel()
    source, target = name("source"), name("dead")
    channel.queue_declare(target, durable=True, arguments={"x-queue-type": "quorum"})
    arguments = {
        "x-queue-type": "classic",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": target,
        "x-message-ttl": 30_000,
    }
    channel.queue_declare(source, durable=True, arguments=arguments)
    properties = pika.BasicProperties(expiration="1", headers={"own": "kept"})
    channel.basic_publish("", source, b"expires", properties)
    dead = receive(channel, target, 1)
    channel.basic_ack(dead[0][0].delivery_tag)
    channel.cancel()
    channel.basic_publish("", source, b"rejected")
    rejected = receive(channel, source, 1)[0]
    channel.basic_reject(rejected[0].delivery_tag, requeue=False)
    channel.cancel()
    dead += receive(channel, target, 1)
    for method, properties, body in dead:
        headers = dict(properties.headers)
        for death in headers["x-death"]:
            death["time"] = "TIME"
        headers["x-death"] = [sorted(death.items()) for death in headers["x-death"]]
        say("dead", body, method.routing_key, properties.expiration, sorted(headers.items()))
    channel.cancel()
    channel.queue_delete(source)
    channel.queue_delete(target)
    channel.close()


def priorities(connection):
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True, arguments={"x-max-priority": 5}).method.queue
    for priority in (1, 5, 0, 9, 3):
        channel.basic_publish("", queue, str(priority).encode(), pika.BasicProperties(priority=priority))
    say("by priority", [body for _, _, body in receive(channel, queue, 5)])
    channel.cancel()
    channel.close()


def errors(connection):
    queue = name("errors")
    keep = connection.channel()
    keep.queue_declare(queue, durable=True, arguments={"x-queue-type": "classic"})
    other = {"x-queue-type": "classic", "x-max-length": 5}
    say("no such queue", *closed_with(connection, lambda c: c.queue_declare(name("none"), passive=True)))
    say("no such exchange", *closed_with(connection, lambda c: c.queue_bind(queue, name("none"))))
    say("other arguments", *closed_with(connection, lambda c: c.queue_declare(queue, durable=True, arguments=other)))
    say("reserved name", *closed_with(connection, lambda c: c.exchange_declare("amq.mine", "direct")))
    say("unknown tag", *closed_with(connection, lambda c: (c.basic_ack(99), c.queue_declare(queue, passive=True))))
    say("not empty", *closed_with(connection, lambda c: (c.basic_publish("", queue, b"x"), c.queue_delete(queue, if_empty=True))))
    keep.queue_delete(queue)
    keep.close()


def replies(connection):
    channel = connection.channel()
    server = channel.queue_declare("", exclusive=True).method.queue
    answers = []

    def answer(_channel, _method, properties, body):
        answers.append((body, properties.correlation_id))

    channel.basic_consume("amq.rabbitmq.reply-to", answer, auto_ack=True)
    request = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id="7")
    channel.basic_publish("", server, b"question", request)
    other = connection.channel()
    method, properties, body = None, None, None
    while method is None:
        method, properties, body = other.basic_get(server, auto_ack=True)
    say("asked", body, properties.reply_to.startswith("amq.rabbitmq.reply-to."))
    reply = pika.BasicProperties(correlation_id=properties.correlation_id)
    other.basic_publish("", properties.reply_to, b"answer", reply)
    while not answers:
        connection.process_data_events(time_limit=1)
    say("answered", answers)
    channel.close()
    other.close()


def cancelled(connection):
    channel, other = connection.channel(), connection.channel()
    queue = name("gone")
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
    told = []
    channel.add_on_cancel_callback(lambda frame: told.append(frame.method.consumer_tag))
    channel.basic_consume(queue, lambda *_: None, consumer_tag="mine")
    other.queue_delete(queue)
    while not told:
        connection.process_data_events(time_limit=1)
    say("cancelled by the broker", told)
    channel.close()
    other.close()


def main(url):
    connection = pika.BlockingConnection(pika.URLParameters(url))
    for check in (point_to_point, verdicts, routing, dead_letters, priorities, errors, replies, cancelled):
        check(connection)
    connection.close()
    say("closed", connection.is_closed)


if __name__ == "__main__":
    main(sys.argv[1])
