/* Sockets inside the machine: UNIX ones, descriptors and credentials sent along, TCP and UDP over
 * loopback. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void show(const char *what, long value)
{
    if (value < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld\n", what, value);
}

static void shows(const char *what, long value)
{
    show(what, value < 0 ? value : 0);
}

static void events(const char *what, int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
    poll(&one, 1, 0);
    printf("%s: events %#x\n", what, one.revents);
}

static void text(int fd, int flags)
{
    char bytes[64] = {0};
    long n = recv(fd, bytes, sizeof bytes - 1, flags);
    show("recv", n);
    if (n > 0)
        printf("  %s\n", bytes);
}

static void pairs(void)
{
    int s[2];
    shows("pair", socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    events("fresh", s[0]);
    show("send", send(s[0], "hello", 5, 0));
    show("write", write(s[0], " there", 6));
    events("readable", s[1]);
    text(s[1], MSG_PEEK);
    text(s[1], 0);
    text(s[1], MSG_DONTWAIT);
    shows("shut", shutdown(s[0], SHUT_WR));
    events("shut writer", s[0]);
    events("at its end", s[1]);
    text(s[1], 0);
    show("broken", send(s[0], "x", 1, MSG_NOSIGNAL));
    show("other way", send(s[1], "back", 4, 0));
    close(s[1]);
    events("closed", s[0]);
    text(s[0], 0);
    text(s[0], 0);
    close(s[0]);

    shows("pair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
    char block[4096] = {0};
    long total = 0, n;
    while ((n = write(s[0], block, sizeof block)) > 0)
        total += n;
    printf("full: %s %d\n", strerrorname_np(errno), total > 100000);
    events("full", s[0]);
    while ((n = read(s[1], block, sizeof block)) > 0)
        total -= n;
    printf("left %ld\n", total);
    events("room", s[0]);
    show("unread", send(s[1], "x", 1, 0));
    close(s[0]);
    show("reset", send(s[1], "y", 1, MSG_NOSIGNAL));
    close(s[1]);

    shows("packets", socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
    show("send", send(s[0], "one", 3, 0));
    show("send", send(s[0], "twotwo", 6, 0));
    text(s[1], 0);
    char four[4];
    struct iovec iov = {four, 4};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    show("truncated", recvmsg(s[1], &header, 0));
    printf("flags %#x\n", header.msg_flags);
    close(s[0]);
    text(s[1], 0);
    close(s[1]);

    shows("datagrams", socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    show("send", send(s[0], "", 0, 0));
    show("send", send(s[0], "datagram", 8, 0));
    text(s[1], 0);
    text(s[1], 0);
    close(s[0]);
    show("nobody", send(s[1], "x", 1, 0));
    close(s[1]);
    show("no inet pairs", socketpair(AF_INET, SOCK_STREAM, 0, s));
    show("no socket", send(0, "x", 1, 0));
}

static void rights(void)
{
    int s[2], ends[2];
    shows("pair", socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    if (pipe(ends))
        exit(1);
    union {
        char bytes[CMSG_SPACE(2 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {"fds", 3};
    struct msghdr out = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
                         .msg_controllen = CMSG_SPACE(2 * sizeof(int))};
    struct cmsghdr *one = CMSG_FIRSTHDR(&out);
    one->cmsg_level = SOL_SOCKET;
    one->cmsg_type = SCM_RIGHTS;
    one->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(one), ends, sizeof ends);
    show("sendmsg", sendmsg(s[0], &out, 0));
    close(ends[1]);
    int on = 1;
    shows("passcred", setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    char bytes[16] = {0};
    struct iovec into = {bytes, sizeof bytes};
    struct msghdr in = {.msg_iov = &into, .msg_iovlen = 1, .msg_control = control.bytes,
                        .msg_controllen = sizeof control.bytes};
    show("recvmsg", recvmsg(s[1], &in, MSG_CMSG_CLOEXEC));
    for (one = CMSG_FIRSTHDR(&in); one; one = CMSG_NXTHDR(&in, one)) {
        if (one->cmsg_type == SCM_RIGHTS) {
            int got[2];
            memcpy(got, CMSG_DATA(one), sizeof got);
            printf("rights %zu cloexec %d\n", (size_t)one->cmsg_len, fcntl(got[1], F_GETFD));
            show("write", write(got[1], "through", 7));
            close(got[0]);
            close(got[1]);
        } else {
            struct ucred who;
            memcpy(&who, CMSG_DATA(one), sizeof who);
            printf("credentials %d %d\n", who.pid == getpid(), who.uid == geteuid());
        }
    }
    show("read", read(ends[0], bytes, sizeof bytes));
    show("end", read(ends[0], bytes, sizeof bytes));
    show("send", send(s[0], "plain", 5, 0));
    in.msg_controllen = 4;
    show("recvmsg", recvmsg(s[1], &in, 0));
    printf("flags %#x\n", in.msg_flags);
    struct ucred peer;
    socklen_t len = sizeof peer;
    shows("peercred", getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &peer, &len));
    printf("peer %d\n", peer.pid == getpid());
    close(s[0]);
    close(s[1]);
    close(ends[0]);
}

static void names(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    sprintf(name.sun_path + 1, "pagewalk-%d", getpid());
    socklen_t len = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name.sun_path + 1);
    int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    events("unconnected", client);
    show("nobody", connect(client, (void *)&name, len));
    shows("bind", bind(server, (void *)&name, len));
    show("twice", bind(server, (void *)&name, len));
    show("refused", connect(client, (void *)&name, len));
    shows("listen", listen(server, 1));
    events("listening", server);
    shows("connect", connect(client, (void *)&name, len));
    events("waiting", server);
    show("send", send(client, "early", 5, 0));
    struct sockaddr_un from;
    socklen_t from_len = sizeof from;
    int accepted = accept(server, (void *)&from, &from_len);
    printf("from %d bytes, family %d\n", from_len, from.sun_family);
    text(accepted, 0);
    from_len = sizeof from;
    shows("peer", getpeername(client, (void *)&from, &from_len));
    printf("its name %d\n", from_len == len && !memcmp(&from, &name, len));
    show("again", connect(client, (void *)&name, len));
    close(client);
    close(accepted);
    int first = socket(AF_UNIX, SOCK_STREAM, 0);
    shows("connect", connect(first, (void *)&name, len));
    close(server);
    text(first, 0);
    close(first);
    int box = socket(AF_UNIX, SOCK_DGRAM, 0), sender = socket(AF_UNIX, SOCK_DGRAM, 0);
    shows("bind", bind(box, (void *)&name, len));
    show("sendto", sendto(sender, "letter", 6, 0, (void *)&name, len));
    from_len = sizeof from;
    char bytes[8];
    show("recvfrom", recvfrom(box, bytes, 8, 0, (void *)&from, &from_len));
    printf("from %d bytes\n", from_len);
    show("wrong kind", connect(server = socket(AF_UNIX, SOCK_STREAM, 0), (void *)&name, len));
    close(server);
    close(box);
    show("gone", sendto(sender, "x", 1, 0, (void *)&name, len));
    close(sender);
}

static struct sockaddr_in local(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int port_of(int fd)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    getsockname(fd, (void *)&address, &len);
    return ntohs(address.sin_port);
}

static void tcp(void)
{
    int server = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    shows("reuse", setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    struct sockaddr_in address = local(0);
    shows("bind", bind(server, (void *)&address, sizeof address));
    shows("listen", listen(server, 8));
    address = local(port_of(server));
    printf("a port %d\n", address.sin_port != 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (void *)&address, sizeof address))
            _exit(1);
        char block[1000];
        memset(block, 'a', sizeof block);
        for (int i = 0; i < 1000; i++)
            if (write(fd, block, sizeof block) != sizeof block)
                _exit(2);
        shutdown(fd, SHUT_WR);
        char answer[8] = {0};
        if (recv(fd, answer, 4, MSG_WAITALL) != 4 || strcmp(answer, "done"))
            _exit(3);
        _exit(0);
    }
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    int fd = accept4(server, (void *)&from, &len, SOCK_CLOEXEC);
    printf("from %s %d\n", inet_ntoa(from.sin_addr), len);
    char block[4096];
    long total = 0, n;
    while ((n = read(fd, block, sizeof block)) > 0)
        total += n;
    show("received", total);
    show("answer", write(fd, "do", 2));
    show("answer", write(fd, "ne", 2));
    int status;
    waitpid(child, &status, 0);
    printf("child %d\n", WEXITSTATUS(status));
    shows("nodelay", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    int value = 0;
    len = sizeof value;
    shows("get", getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len));
    printf("%d %d\n", value, len);
    shows("type", getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len));
    printf("%d\n", value);
    shows("unknown", setsockopt(fd, SOL_SOCKET, 999, &on, sizeof on));
    close(fd);

    int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    show("in progress", connect(client, (void *)&address, sizeof address));
    struct pollfd waiting = {.fd = client, .events = POLLOUT};
    poll(&waiting, 1, 5000);
    printf("events %#x\n", waiting.revents);
    len = sizeof value;
    getsockopt(client, SOL_SOCKET, SO_ERROR, &value, &len);
    printf("error %d\n", value);
    show("connected", connect(client, (void *)&address, sizeof address));
    show("again", connect(client, (void *)&address, sizeof address));
    show("nothing", recv(client, &value, 1, 0));
    fd = accept(server, 0, 0);
    close(client);
    show("end", read(fd, block, 1));
    close(fd);
    int second = socket(AF_INET, SOCK_STREAM, 0);
    show("in use", bind(second, (void *)&address, sizeof address));
    close(server);
    show("refused", connect(second, (void *)&address, sizeof address));
    show("not connected", send(second, "x", 1, MSG_NOSIGNAL));
    close(second);
}

static void udp(void)
{
    static char large[70000];
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = local(0), from;
    shows("bind", bind(a, (void *)&address, sizeof address));
    address = local(port_of(a));
    show("sendto", sendto(b, "ping", 4, 0, (void *)&address, sizeof address));
    show("sendto", sendto(b, "longer", 6, 0, (void *)&address, sizeof address));
    socklen_t len = sizeof from;
    char bytes[16] = {0};
    show("recvfrom", recvfrom(a, bytes, sizeof bytes, 0, (void *)&from, &len));
    printf("%s from %s, its port %d\n", bytes, inet_ntoa(from.sin_addr),
           ntohs(from.sin_port) == port_of(b));
    show("truncated", recv(a, bytes, 2, MSG_TRUNC));
    show("back", sendto(a, "pong", 4, 0, (void *)&from, sizeof from));
    shows("connect", connect(b, (void *)&address, sizeof address));
    text(b, 0);
    show("empty", send(b, "", 0, 0));
    show("recv", recv(a, bytes, sizeof bytes, 0));
    show("too long", send(b, large, sizeof large, 0));
    close(a);
    show("lost", send(b, "x", 1, 0));
    show("told", send(b, "x", 1, 0));
    struct timeval little = {0, 10000};
    shows("timeout", setsockopt(b, SOL_SOCKET, SO_RCVTIMEO, &little, sizeof little));
    show("in time", recv(b, bytes, 1, 0));
    close(b);
    a = socket(AF_INET, SOCK_DGRAM, 0);
    show("no address", send(a, "x", 1, 0));
    struct mmsghdr many[3];
    struct iovec iov[3] = {{"a", 1}, {"bb", 2}, {"ccc", 3}};
    address = local(0);
    bind(a, (void *)&address, sizeof address);
    address = local(port_of(a));
    memset(many, 0, sizeof many);
    for (int i = 0; i < 3; i++) {
        many[i].msg_hdr.msg_iov = &iov[i];
        many[i].msg_hdr.msg_iovlen = 1;
        many[i].msg_hdr.msg_name = &address;
        many[i].msg_hdr.msg_namelen = sizeof address;
    }
    show("sendmmsg", sendmmsg(a, many, 3, 0));
    char into[3][8];
    for (int i = 0; i < 3; i++) {
        iov[i] = (struct iovec){into[i], 8};
        many[i].msg_hdr.msg_name = 0;
        many[i].msg_hdr.msg_namelen = 0;
    }
    show("recvmmsg", recvmmsg(a, many, 3, MSG_DONTWAIT, 0));
    printf("%u %u %u\n", many[0].msg_len, many[1].msg_len, many[2].msg_len);
    close(a);
    show("family", socket(77, SOCK_STREAM, 0));
    show("protocol", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    pairs();
    rights();
    names();
    tcp();
    udp();
    return 0;
}
