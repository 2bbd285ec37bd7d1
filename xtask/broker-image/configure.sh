#!/bin/sh
# Runs inside the new root file system (chroot): user and group ids are those of the image, not of the host.
set -eu

# Debian's wrapper in /usr/sbin sends the log to a file; the scripts of the server itself print it.
ln -sfn /usr/lib/rabbitmq/lib/rabbitmq_server-* /opt/rabbitmq

# The cookie is the shared secret of a cluster: each container makes its own.
rm -f /var/lib/rabbitmq/.erlang.cookie
chown -R rabbitmq:rabbitmq /etc/rabbitmq /var/lib/rabbitmq /var/log/rabbitmq

rm -rf /var/cache/apt/archives /var/lib/apt/lists /usr/share/doc /usr/share/man /usr/share/locale
mkdir -p /var/cache/apt/archives/partial /var/lib/apt/lists/partial
