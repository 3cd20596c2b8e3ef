/* sandbox_syscall.c - the system calls of a daemon that runs. The lists were made from what libuv, glibc,
 * OpenSSL, LMDB, libmicrohttpd and we call, with the older and newer twins that another libc may choose. */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/socket.h>

#include "base/compiler.h"
#include "base/sandbox.h"

#define CALL(name) SCMP_SYS(name)

static const int allowed[] = {
    /* files and descriptors */
    CALL(read), CALL(readv), CALL(pread64), CALL(preadv), CALL(preadv2), CALL(write), CALL(writev),
    CALL(pwrite64), CALL(pwritev), CALL(pwritev2), CALL(close), CALL(close_range), CALL(lseek), CALL(fstat),
    CALL(stat), CALL(lstat), CALL(newfstatat), CALL(statx), CALL(fstatfs), CALL(statfs), CALL(open),
    CALL(openat), CALL(access), CALL(faccessat), CALL(faccessat2), CALL(readlink), CALL(readlinkat),
    CALL(getdents64), CALL(getcwd), CALL(mkdir), CALL(mkdirat), CALL(rename), CALL(renameat), CALL(renameat2),
    CALL(unlink), CALL(unlinkat), CALL(link), CALL(linkat), CALL(truncate), CALL(ftruncate), CALL(fallocate),
    CALL(fadvise64), CALL(fsync), CALL(fdatasync), CALL(sync_file_range), CALL(fcntl), CALL(flock),
    CALL(ioctl), CALL(dup), CALL(dup2), CALL(dup3), CALL(pipe2), CALL(chmod), CALL(fchmod), CALL(fchmodat),
    CALL(umask), CALL(sendfile), CALL(copy_file_range),
    /* memory */
    CALL(mmap), CALL(munmap), CALL(mremap), CALL(mprotect), CALL(madvise), CALL(msync), CALL(mlock),
    CALL(mlock2), CALL(munlock), CALL(mlockall), CALL(brk), CALL(membarrier),
    /* threads, signals, identity, time */
    CALL(futex), CALL(sched_yield), CALL(sched_getaffinity), CALL(set_robust_list), CALL(get_robust_list),
    CALL(rseq), CALL(set_tid_address), CALL(gettid), CALL(getpid), CALL(getppid), CALL(getuid), CALL(geteuid),
    CALL(getgid), CALL(getegid), CALL(tgkill), CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn),
    CALL(rt_sigtimedwait), CALL(rt_sigpending), CALL(sigaltstack), CALL(restart_syscall), CALL(exit),
    CALL(exit_group), CALL(prctl), CALL(arch_prctl), CALL(getrandom), CALL(uname), CALL(sysinfo),
    CALL(getrlimit), CALL(prlimit64), CALL(getrusage), CALL(times), CALL(capget), CALL(capset),
    CALL(clock_gettime), CALL(clock_getres), CALL(clock_nanosleep), CALL(nanosleep), CALL(gettimeofday),
    CALL(time),
    /* waiting */
    CALL(epoll_create), CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_wait), CALL(epoll_pwait),
    CALL(epoll_pwait2), CALL(poll), CALL(ppoll), CALL(select), CALL(pselect6), CALL(eventfd2),
    CALL(timerfd_create), CALL(timerfd_settime),
    /* sockets; socket and socketpair themselves by family, below */
    CALL(bind), CALL(listen), CALL(accept), CALL(accept4), CALL(connect), CALL(getsockname),
    CALL(getpeername), CALL(getsockopt), CALL(setsockopt), CALL(sendto), CALL(sendmsg), CALL(sendmmsg),
    CALL(recvfrom), CALL(recvmsg), CALL(recvmmsg), CALL(shutdown)};

/* Nothing here is ever tried by a daemon that does its own work. */
static const int deadly[] = {CALL(execve), CALL(execveat),         CALL(fork),
                             CALL(vfork),  CALL(process_vm_readv), CALL(process_vm_writev)};

static const int server_families[] = {AF_UNIX, AF_INET, AF_INET6};
static const int member_families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

/* The leak sanitizer stops our threads from a process of its own (clone, ptrace). */
static int add_sanitizer(scmp_filter_ctx filter)
{
    static const int calls[] = {CALL(clone),  CALL(clone3), CALL(getdents),
                                CALL(ptrace), CALL(wait4),  CALL(kill)};
    int rc = 0;
    for (size_t i = 0; i < ARRAY_LEN(calls) && rc == 0; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    return rc;
}

static int add_threads(scmp_filter_ctx filter)
{
    if (QUORATE_SANITIZED)
        return add_sanitizer(filter);
    /* The flags of clone3 lie in memory, where a filter cannot look: glibc takes clone when it is told that
     * there is no clone3. */
    int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(ptrace), 0);
    return rc;
}

static int add_families(scmp_filter_ctx filter, const int *families, size_t count)
{
    int rc = 0;
    /* Not SCMP_A0: it leaves the second datum out, which clang minds. */
    struct scmp_arg_cmp is = {.arg = 0, .op = SCMP_CMP_EQ};
    for (size_t i = 0; i < count && rc == 0; i++) {
        is.datum_a = (scmp_datum_t)families[i];
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, is);
    }
    is.datum_a = AF_UNIX;
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1, is);
    return rc;
}

static int add_calls(scmp_filter_ctx filter)
{
    int rc = 0;
    for (size_t i = 0; i < ARRAY_LEN(allowed) && rc == 0; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; i < ARRAY_LEN(deadly) && rc == 0; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
    return rc;
}

err_t sandbox_filter(enum sandbox_role role)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return E_NO_MEMORY;
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0)
        rc = add_calls(filter);
    if (rc == 0)
        rc = add_threads(filter);
    if (rc == 0)
        rc = role == SANDBOX_SERVER || role == SANDBOX_JOINER
                 ? add_families(filter, server_families, ARRAY_LEN(server_families))
                 : add_families(filter, member_families, ARRAY_LEN(member_families));
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc == 0 ? E_OK : rc == -ENOMEM ? E_NO_MEMORY : E_UNSUPPORTED;
}
