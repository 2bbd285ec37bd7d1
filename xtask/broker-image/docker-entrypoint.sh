#!/bin/sh
# Entry point of the RabbitMQ image that `cargo xtask broker-image` builds. It keeps the contract of the official image:
# the same command, paths, ports and environment variables.
set -eu

if [ "$(id -u)" = 0 ] && [ "${1:-}" = rabbitmq-server ]; then
    # A mounted directory may belong to root.
    chown -R rabbitmq:rabbitmq /var/lib/rabbitmq
    exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups "$0" "$@"
fi

if [ "${1:-}" = rabbitmq-server ] && [ ! -s "$HOME/.erlang.cookie" ]; then
    # Before the server starts: a `docker exec .. rabbitmqctl` that came first would write the cookie as root, and the
    # server could not read it.
    (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' > "$HOME/.erlang.cookie")
    chmod 600 "$HOME/.erlang.cookie"
fi

exec "$@"
