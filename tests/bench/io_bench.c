/* io_bench.c - datagrams of 1,400 octets from one UDP socket to another over a pair of devices, by recvmmsg
 * and sendmmsg and by io_uring (raw system calls, one ring), in the same batches: packets for each second of
 * processor time, in turn in one run. Needs root for network namespaces of its own; where these or io_uring
 * are refused it says so and ends well. Prints one line of JSON, medians; asserts nothing about time.
 *   io_bench [SECONDS, default 3] */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/bench/bench.h"

enum { BATCH = 32, OCTETS = 1400, TURNS = 9, PORT = 7000 };

struct sockets {
    int out, in;
    struct mmsghdr send[BATCH], receive[BATCH];
    struct iovec parts[2][BATCH];
    struct sockaddr_in to;
    uint8_t data[2][BATCH][OCTETS];
};

struct ring {
    int fd;
    unsigned *sq_tail, *sq_mask, *sq_array;
    unsigned *cq_head, *cq_tail, *cq_mask;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
};

static struct sockets sockets;
static struct ring ring;

static void skip(const char *what)
{
    printf("SKIPPED: %s: %s\n", what, strerror(errno));
    exit(0);
}

/* Two namespaces with a veth pair between them; the process is in the first, and both sockets are its own. */
static void open_sockets(void)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int buffer = 4 << 20;
    if (unshare(CLONE_NEWNET) != 0)
        skip("a network namespace");
    int first = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    need(first >= 0 && unshare(CLONE_NEWNET) == 0, "the second namespace");
    int second = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    char command[256];
    snprintf(command, sizeof(command),
             "ip link add b0 type veth peer name a0 netns /proc/%d/fd/%d && ip addr add 10.9.0.2/24 dev b0 "
             "&& ip link set b0 up",
             (int)getpid(), first);
    need(second >= 0 && system(command) == 0, "a veth pair");
    sockets.in = socket(AF_INET, SOCK_DGRAM, 0);
    inet_pton(AF_INET, "10.9.0.2", &from.sin_addr);
    need(sockets.in >= 0 && bind(sockets.in, (struct sockaddr *)&from, sizeof(from)) == 0, "bind");
    setsockopt(sockets.in, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
    need(setns(first, CLONE_NEWNET) == 0 &&
             system("ip addr add 10.9.0.1/24 dev a0 && ip link set a0 up") == 0,
         "its near end");
    sockets.out = socket(AF_INET, SOCK_DGRAM, 0);
    sockets.to = from;
    need(sockets.out >= 0, "socket");
}

static void prepare(void)
{
    for (size_t i = 0; i < BATCH; i++) {
        for (size_t k = 0; k < 2; k++) {
            struct msghdr *m = k == 0 ? &sockets.send[i].msg_hdr : &sockets.receive[i].msg_hdr;
            sockets.parts[k][i] = (struct iovec){sockets.data[k][i], OCTETS};
            m->msg_iov = &sockets.parts[k][i];
            m->msg_iovlen = 1;
        }
        sockets.send[i].msg_hdr.msg_name = &sockets.to; /* as the data path does: each packet has its own */
        sockets.send[i].msg_hdr.msg_namelen = sizeof(sockets.to);
    }
}

static bool ring_open(void)
{
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    ring.fd = (int)syscall(__NR_io_uring_setup, 2 * BATCH, &p);
    if (ring.fd < 0 && errno == EINVAL) { /* before 6.1 */
        memset(&p, 0, sizeof(p));
        ring.fd = (int)syscall(__NR_io_uring_setup, 2 * BATCH, &p);
    }
    if (ring.fd < 0)
        return false;
    const int protection = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;
    uint8_t *sq = mmap(NULL, p.sq_off.array + p.sq_entries * sizeof(unsigned), protection, flags, ring.fd,
                       IORING_OFF_SQ_RING);
    uint8_t *cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), protection, flags,
                       ring.fd, IORING_OFF_CQ_RING);
    ring.sqes =
        mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), protection, flags, ring.fd, IORING_OFF_SQES);
    need(sq != MAP_FAILED && cq != MAP_FAILED && ring.sqes != MAP_FAILED, "mmap of the ring");
    ring.sq_tail = (unsigned *)(sq + p.sq_off.tail);
    ring.sq_mask = (unsigned *)(sq + p.sq_off.ring_mask);
    ring.sq_array = (unsigned *)(sq + p.sq_off.array);
    ring.cq_head = (unsigned *)(cq + p.cq_off.head);
    ring.cq_tail = (unsigned *)(cq + p.cq_off.tail);
    ring.cq_mask = (unsigned *)(cq + p.cq_off.ring_mask);
    ring.cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
    return true;
}

static void ring_batch(int fd, uint8_t opcode, struct mmsghdr *messages)
{
    unsigned tail = *ring.sq_tail, mask = *ring.sq_mask;
    for (unsigned i = 0; i < BATCH; i++, tail++) {
        ring.sqes[tail & mask] = (struct io_uring_sqe){
            .opcode = opcode, .fd = fd, .addr = (uint64_t)(uintptr_t)&messages[i].msg_hdr, .len = 1};
        ring.sq_array[tail & mask] = tail & mask;
    }
    __atomic_store_n(ring.sq_tail, tail, __ATOMIC_RELEASE);
    need(syscall(__NR_io_uring_enter, ring.fd, BATCH, BATCH, IORING_ENTER_GETEVENTS, NULL, 0) == BATCH,
         "io_uring_enter");
    unsigned head = *ring.cq_head;
    for (; head != __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE); head++)
        need(ring.cqes[head & *ring.cq_mask].res == OCTETS, "a packet by io_uring");
    __atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
}

static void by_mmsg(void *context)
{
    (void)context;
    need(sendmmsg(sockets.out, sockets.send, BATCH, 0) == BATCH, "sendmmsg");
    for (int got = 0; got < BATCH;) {
        int n = recvmmsg(sockets.in, sockets.receive, (unsigned)(BATCH - got), 0, NULL);
        need(n > 0, "recvmmsg");
        got += n;
    }
}

static void by_ring(void *context)
{
    (void)context;
    ring_batch(sockets.out, IORING_OP_SENDMSG, sockets.send);
    ring_batch(sockets.in, IORING_OP_RECVMSG, sockets.receive);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    double budget = (argc > 1 ? atof(argv[1]) : 3) * 1e9 / TURNS / 2;
    double mmsg[TURNS], uring[TURNS], ratio[TURNS];
    open_sockets();
    prepare();
    if (!ring_open())
        skip("io_uring");
    by_ring(NULL);
    for (unsigned i = 0; i < TURNS; i++) {
        mmsg[i] = measure(by_mmsg, NULL, budget);
        uring[i] = measure(by_ring, NULL, budget);
        ratio[i] = mmsg[i] / uring[i];
    }
    qsort(mmsg, TURNS, sizeof(double), by_size);
    qsort(uring, TURNS, sizeof(double), by_size);
    qsort(ratio, TURNS, sizeof(double), by_size);
    printf("{\"batch\": %d, \"octets\": %d, \"mmsg_packets_per_cpu_s\": %.0f, "
           "\"io_uring_packets_per_cpu_s\": %.0f, "
           "\"io_uring_over_mmsg\": %.3f, \"least\": %.3f, \"most\": %.3f}\n",
           BATCH, OCTETS, BATCH * 1e9 / mmsg[TURNS / 2], BATCH * 1e9 / uring[TURNS / 2], ratio[TURNS / 2],
           ratio[0], ratio[TURNS - 1]);
    return 0;
}
