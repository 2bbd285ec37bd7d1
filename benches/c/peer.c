/*
 * The loops that an application would write with librabbitmq, the C client, as a peer that Garenne is compared with.
 *
 * Publishing sends the properties that Garenne sends and keeps a window of confirms; consuming awaits nothing and acks each delivery.
 * Like the other peers, it makes the body of each message and reads the time in it back. `cargo xtask bench` builds and runs it.
 */

/* For `memmem`. */
#define _GNU_SOURCE

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_tcp_socket.h>
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const amqp_channel_t CHANNEL = 1;
static const int FRAME_MAX = 131072;

static struct options {
    uint64_t count;
    uint64_t size;
    uint64_t window;
    uint16_t prefetch;
    const char *queue_kind;
} options = {50000, 256, 1000, 200, "quorum"};

static amqp_connection_state_t connection;
static char queue[64];
static char padding[1 << 16];

/* How long each message took, in microseconds: to its confirm, or since it was published. */
static uint64_t *latencies;

static void fail(const char *what) {
    fprintf(stderr, "error: %s\n", what);
    exit(1);
}

static void expect_normal(const char *what) {
    if (amqp_get_rpc_reply(connection).reply_type != AMQP_RESPONSE_NORMAL) fail(what);
}

static uint64_t micros(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void open_queue(void) {
    char *url = getenv("AMQP_URL");
    if (url == NULL) fail("the environment variable AMQP_URL is not set");
    url = strdup(url);
    struct amqp_connection_info info;
    if (amqp_parse_url(url, &info) != AMQP_STATUS_OK || info.ssl) fail("AMQP_URL is no amqp:// URL");

    connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    if (socket == NULL || amqp_socket_open(socket, info.host, info.port) != AMQP_STATUS_OK) fail("cannot connect");
    amqp_rpc_reply_t reply = amqp_login(connection, info.vhost, 0, FRAME_MAX, 0, AMQP_SASL_METHOD_PLAIN, info.user, info.password);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) fail("cannot log in");
    amqp_channel_open(connection, CHANNEL);
    expect_normal("cannot open a channel");
    amqp_confirm_select(connection, CHANNEL);
    expect_normal("cannot turn on confirms");

    snprintf(queue, sizeof queue, "garenne.bench.c.%llu", (unsigned long long)micros(CLOCK_REALTIME));
    amqp_table_entry_t entries[2] = {
        {amqp_cstring_bytes("x-expires"), {AMQP_FIELD_KIND_I32, {.i32 = 60000}}},
        {amqp_cstring_bytes("x-queue-type"), {AMQP_FIELD_KIND_UTF8, {.bytes = amqp_cstring_bytes(options.queue_kind)}}},
    };
    amqp_table_t arguments = {2, entries};
    amqp_queue_declare(connection, CHANNEL, amqp_cstring_bytes(queue), 0, 1, 0, 0, arguments);
    expect_normal("cannot declare the queue");
    free(url);
}

/* Writes the body of a message, and returns its length. */
static size_t body_of(char *body, size_t room, uint64_t sent) {
    int length = snprintf(body, room, "{\"queue\":\"%s\",\"sent_us\":%llu,\"padding\":\"%s\"}", queue, (unsigned long long)sent, padding);
    return (size_t)length;
}

/* Publishes the n-th message. */
static void publish(uint64_t n, uint64_t sent) {
    static char body[sizeof padding + 256];
    char id[64];
    snprintf(id, sizeof id, "%08x-%04x-7%03x-8000-%012llx", (unsigned)(sent >> 16), (unsigned)(sent & 0xffff), (unsigned)(n & 0xfff),
             (unsigned long long)n);
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG |
                  AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_TYPE_FLAG | AMQP_BASIC_APP_ID_FLAG,
        .content_type = amqp_cstring_bytes("application/json"),
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .message_id = amqp_cstring_bytes(id),
        .timestamp = sent / 1000000,
        .type = amqp_cstring_bytes("bench.sample.v1"),
        .app_id = amqp_cstring_bytes("bench"),
    };
    amqp_bytes_t bytes = {body_of(body, sizeof body, sent), body};
    if (amqp_basic_publish(connection, CHANNEL, amqp_empty_bytes, amqp_cstring_bytes(queue), 1, 0, &properties, bytes) != AMQP_STATUS_OK)
        fail("cannot publish");
}

/* Publishes all messages with a full window, and notes how long each confirm took. */
static void fill(void) {
    /* When each was sent; 0 once it is confirmed. */
    uint64_t *sent = calloc(options.count + 1, sizeof *sent);
    uint64_t published = 0, open = 0, first = 1;
    while (published < options.count || open > 0) {
        if (published < options.count && open < options.window) {
            published += 1;
            open += 1;
            sent[published] = micros(CLOCK_REALTIME);
            publish(published, sent[published]);
            continue;
        }
        amqp_frame_t frame;
        amqp_maybe_release_buffers(connection);
        if (amqp_simple_wait_frame(connection, &frame) != AMQP_STATUS_OK) fail("the connection was lost");
        if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
            fail("the broker returned or refused a message");
        amqp_basic_ack_t *ack = frame.payload.method.decoded;
        uint64_t now = micros(CLOCK_REALTIME);
        for (uint64_t n = ack->multiple ? first : ack->delivery_tag; n <= ack->delivery_tag; n++) {
            if (sent[n] == 0) continue;
            latencies[n - 1] = now - sent[n];
            sent[n] = 0;
            open -= 1;
        }
        while (first <= published && sent[first] == 0) first += 1;
    }
    free(sent);
}

/* Consumes all messages, and acks each. */
static void consume(void) {
    for (uint64_t handled = 0; handled < options.count; handled++) {
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(connection);
        if (amqp_consume_message(connection, &envelope, NULL, 0).reply_type != AMQP_RESPONSE_NORMAL) fail("the consumer ended");
        /* A body is not terminated by a zero: the time stands well before its end. */
        static const char FIELD[] = "\"sent_us\":";
        char *at = memmem(envelope.message.body.bytes, envelope.message.body.len, FIELD, sizeof FIELD - 1);
        if (at == NULL) fail("a body holds no time");
        latencies[handled] = micros(CLOCK_REALTIME) - strtoull(at + sizeof FIELD - 1, NULL, 10);
        if (amqp_basic_ack(connection, CHANNEL, envelope.delivery_tag, 0) != AMQP_STATUS_OK) fail("cannot ack");
        amqp_destroy_envelope(&envelope);
    }
}

static void subscribe(void) {
    amqp_basic_qos(connection, CHANNEL, 0, options.prefetch, 0);
    expect_normal("cannot set the prefetch");
    amqp_basic_consume(connection, CHANNEL, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    expect_normal("cannot consume");
}

static int compare(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static unsigned long long percentile(double part) {
    return latencies[(uint64_t)((double)(options.count - 1) * part)];
}

static void measure(const char *name, void (*run)(void)) {
    uint64_t started = micros(CLOCK_MONOTONIC), cpu = micros(CLOCK_PROCESS_CPUTIME_ID);
    run();
    uint64_t wall = micros(CLOCK_MONOTONIC) - started;
    cpu = micros(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    qsort(latencies, options.count, sizeof *latencies, compare);
    printf("{\"name\":\"%s\",\"count\":%llu,\"per_second\":%.1f,\"client_cpu_us_per_message\":%.3f,"
           "\"p50_us\":%llu,\"p99_us\":%llu,\"p999_us\":%llu}\n",
           name, (unsigned long long)options.count, (double)options.count * 1e6 / (double)wall, (double)cpu / (double)options.count,
           percentile(0.5), percentile(0.99), percentile(0.999));
}

int main(int argc, char **argv) {
    if (argc < 2) fail("usage: peer publish|consume-ack-each [--count N] [--size N] [--window N] [--prefetch N] [--queue-kind KIND] [--json]");
    for (int at = 2; at < argc; at++) {
        if (strcmp(argv[at], "--json") == 0) continue;
        if (at + 1 == argc) fail("an option lacks its value");
        const char *name = argv[at++];
        uint64_t value = strtoull(argv[at], NULL, 10);
        if (strcmp(name, "--queue-kind") == 0) options.queue_kind = argv[at];
        else if (strcmp(name, "--count") == 0 && value > 0) options.count = value;
        else if (strcmp(name, "--size") == 0 && value < sizeof padding) options.size = value;
        else if (strcmp(name, "--window") == 0 && value > 0) options.window = value;
        else if (strcmp(name, "--prefetch") == 0) options.prefetch = (uint16_t)value;
        else fail("an option is unknown, or its value is out of range");
    }
    latencies = calloc(options.count, sizeof *latencies);
    open_queue();
    char bare[256];
    size_t length = body_of(bare, sizeof bare, micros(CLOCK_REALTIME));
    if (length < options.size) memset(padding, 'x', options.size - length);
    if (strcmp(argv[1], "publish") == 0) {
        measure("C publish", fill);
    } else if (strcmp(argv[1], "consume-ack-each") == 0) {
        fill();
        subscribe();
        measure("C consume, ack each", consume);
    } else {
        fail("the first argument is publish or consume-ack-each");
    }
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(connection);
    free(latencies);
    return 0;
}
