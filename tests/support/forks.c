/* Stands for `python` where a run is started by forks.py: hands its arguments, environment, folder and standard streams
   to the process that forks, waits, and ends as the fork did. */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

extern char **environ;
static char said[1 << 20];
static uint32_t length = 4; /* of all that is said; the first four bytes hold it */

static void say(const char *text) {
    size_t size = strlen(text) + 1;
    if (length + size > sizeof said) exit(125);
    memcpy(said + length, text, size);
    length += size;
}

int main(int count, char **arguments) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("FORKS_SOCKET");
    if (!path || strlen(path) >= sizeof address.sun_path) return 125;
    strcpy(address.sun_path, path);
    int link = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(link, (struct sockaddr *)&address, sizeof address)) return 125;
    char folder[4096], number[16];
    say(getcwd(folder, sizeof folder));
    snprintf(number, sizeof number, "%d", count - 1);
    say(number);
    for (int i = 1; i < count; i++) say(arguments[i]);
    for (char **one = environ; *one; one++) say(*one);
    memcpy(said, &length, 4);
    struct iovec part = {said, length};
    union { char room[CMSG_SPACE(3 * sizeof(int))]; struct cmsghdr align; } extra;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = extra.room, .msg_controllen = sizeof extra.room};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(3 * sizeof(int));
    memcpy(CMSG_DATA(head), (int[]){0, 1, 2}, 3 * sizeof(int));
    ssize_t sent = sendmsg(link, &message, 0);
    while (sent >= 0 && sent < length) {
        ssize_t more = write(link, said + sent, length - sent);
        if (more < 0) return 125;
        sent += more;
    }
    int32_t status;
    if (read(link, &status, 4) != 4) return 125;
    if (status < 0) kill(getpid(), -status);
    return status;
}
