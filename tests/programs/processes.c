/* What /proc says of this process and of another. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define TEXT 65536

static char text[TEXT];

/* The whole of a file of a process; its length, or -1. */
static ssize_t look(pid_t pid, const char *name)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	ssize_t len = 0, got;
	while (len < TEXT - 1 && (got = read(fd, text + len, TEXT - 1 - len)) > 0)
		len += got;
	text[len] = 0;
	close(fd);
	return len;
}

/* The number behind a name in the last text, from a place on. */
static long number(const char *from, const char *name)
{
	const char *at = from ? strstr(from, name) : NULL;
	return at ? strtol(at + strlen(name), NULL, 10) : -1;
}

/* The line of an address in maps or smaps. */
static char *line_of(const void *address)
{
	for (char *line = text; line && *line; line = strchr(line, '\n'), line += !!line) {
		unsigned long start, end;
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2
		    && start <= (unsigned long)address && (unsigned long)address < end)
			return line;
	}
	return NULL;
}

static int ends_with(const char *line, const char *end)
{
	size_t len = line ? strcspn(line, "\n") : 0, tail = strlen(end);
	return len >= tail && strncmp(line + len - tail, end, tail) == 0;
}

static int listed(pid_t pid)
{
	char name[16];
	int found = 0;
	snprintf(name, sizeof name, "%d", pid);
	DIR *proc = opendir("/proc");
	for (struct dirent *entry; proc && (entry = readdir(proc));)
		found += strcmp(entry->d_name, name) == 0;
	if (proc)
		closedir(proc);
	return found;
}

static void areas(void)
{
	char *heap = sbrk(PAGE), *own = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char path[] = "/tmp/pagelab-proc-XXXXXX";
	int fd = mkstemp(path);
	if (ftruncate(fd, PAGE) != 0)
		perror("ftruncate");
	char *file = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	look(getpid(), "maps");
	printf("code %d heap %d stack %d file %d\n", ends_with(line_of((void *)areas), "/processes"),
	       ends_with(line_of(heap), "[heap]"), ends_with(line_of(&fd), "[stack]"),
	       ends_with(line_of(file), path));
	unlink(path);
	look(getpid(), "maps");
	printf("deleted %d\n", ends_with(line_of(file), "(deleted)"));

	for (int i = 0; i < 3; i++)
		own[i * PAGE] = 1;
	look(getpid(), "smaps");
	char *line = line_of(own);
	printf("smaps: size %ld rss %ld private %ld anonymous %ld swap %ld\n", number(line, "Size:"),
	       number(line, "Rss:"), number(line, "Private_Dirty:"), number(line, "Anonymous:"),
	       number(line, "Swap:"));
	pid_t child = fork();
	if (child == 0)
		for (;;)
			pause();
	look(getpid(), "smaps");
	line = line_of(own);
	printf("with a child: rss %ld pss %ld shared %ld\n", number(line, "Rss:"),
	       number(line, "Pss:"), number(line, "Shared_Dirty:"));
	look(child, "smaps");
	printf("in the child: rss %ld\n", number(line_of(own), "Rss:"));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);

	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	uint64_t words[4] = {0};
	ssize_t got = pread(pagemap, words, sizeof words, (uintptr_t)own / PAGE * 8);
	printf("pagemap %zd:", got);
	for (int i = 0; i < 4; i++)
		printf(" %d%d%d", (int)(words[i] >> 63), (int)(words[i] >> 61 & 1),
		       (int)(words[i] >> 56 & 1));
	printf(" frames %d\n", (words[0] & 0xfffff) != (words[1] & 0xfffff));
	*(volatile char *)file;
	got = pread(pagemap, words, 8, (uintptr_t)file / PAGE * 8);
	printf("of a file %zd: %d%d\n", got, (int)(words[0] >> 63), (int)(words[0] >> 61 & 1));
	printf("in the middle of a word: %zd", pread(pagemap, words, 8, 4));
	printf(" %s\n", strerror(errno));
	printf("behind the end: %zd\n", pread(pagemap, words, 8, 1L << 40));
	close(pagemap);
}

static void write_to(pid_t pid, const char *value)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/oom_score_adj", pid);
	int fd = open(path, O_WRONLY);
	ssize_t done = write(fd, value, strlen(value));
	printf("write %s: %s\n", value, done < 0 ? strerror(errno) : "done");
	close(fd);
}

static void another(void)
{
	int ready[2];
	if (pipe(ready) != 0)
		return;
	pid_t child = fork();
	if (child == 0) {
		write(ready[1], "x", 1);
		for (;;)
			pause();
	}
	char byte;
	read(ready[0], &byte, 1);
	usleep(20000);
	int pid, ppid, pgrp;
	char comm[32], state;
	look(child, "stat");
	int fields = sscanf(text, "%d (%31[^)]) %c %d %d", &pid, comm, &state, &ppid, &pgrp);
	printf("stat %d: %d %s %c %d %d\n", fields, pid == child, comm, state, ppid == getpid(),
	       pgrp == getpgrp());
	int spaces = 0;
	for (char *at = text; *at; at++)
		spaces += *at == ' ';
	printf("fields %d\n", spaces + 1);
	look(child, "status");
	printf("status: %.10s, %ld %ld, size %d rss %d threads %ld\n", text,
	       number(text, "\nPid:") - child, number(text, "\nPPid:") - getpid(),
	       number(text, "\nVmSize:") > 0, number(text, "\nVmRSS:") > 0,
	       number(text, "\nThreads:"));
	ssize_t len = look(child, "cmdline");
	printf("cmdline %zd: %s\n", len, text);
	look(child, "comm");
	printf("comm %s", text);
	look(child, "statm");
	printf("statm %d\n", strtol(text, NULL, 10) > 0);
	printf("listed %d %d\n", listed(getpid()), listed(child));
	look(child, "oom_score");
	long before = strtol(text, NULL, 10);
	write_to(child, "300");
	look(child, "oom_score_adj");
	printf("adj %s", text);
	look(child, "oom_score");
	printf("score rises %d\n", strtol(text, NULL, 10) > before + 100);
	write_to(child, "1001");
	write_to(child, "-1001");
	look(getpid(), "oom_score_adj");
	printf("own adj is not the child's %d\n", strcmp(text, "300\n") != 0);

	kill(child, SIGKILL);
	siginfo_t info;
	waitid(P_PID, child, &info, WEXITED | WNOWAIT);
	look(child, "stat");
	sscanf(text, "%d (%31[^)]) %c", &pid, comm, &state);
	printf("zombie %c, maps %zd, cmdline %zd\n", state, look(child, "maps"),
	       look(child, "cmdline"));
	waitpid(child, NULL, 0);
	len = look(child, "stat");
	printf("gone %zd %s, ", len, strerror(errno));
	printf("listed %d\n", listed(child));
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	areas();
	another();
	return 0;
}
