/* Memory that runs out, on a machine of 16 MiB. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1UL << 20)

/* Private memory, not touched yet. */
static char *map(unsigned long mib)
{
	char *at = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED) {
		perror("mmap");
		exit(99);
	}
	return at;
}

static void touch(char *at, unsigned long mib)
{
	for (unsigned long i = 0; i < mib * MIB; i += 4096)
		at[i] = (char)(i >> 12) | 1;
}

static int is_touched(const char *at, unsigned long mib)
{
	for (unsigned long i = 0; i < mib * MIB; i += 4096)
		if (at[i] != ((char)(i >> 12) | 1))
			return 0;
	return 1;
}

static void adjust(const char *adj)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);
	if (fd < 0 || write(fd, adj, strlen(adj)) < 0) {
		perror("oom_score_adj");
		exit(98);
	}
	close(fd);
}

static void tell(const char *who, int status)
{
	if (WIFSIGNALED(status))
		printf("%s was killed by signal %d\n", who, WTERMSIG(status));
	else
		printf("%s exited with status %d\n", who, WEXITSTATUS(status));
}

static void ended(const char *who, pid_t child)
{
	int status;
	if (waitpid(child, &status, 0) != child) {
		perror("waitpid");
		exit(97);
	}
	tell(who, status);
}

/* A child takes all there is; its parent has lost nothing. */
static int hog(void)
{
	char *own = map(1);
	touch(own, 1);
	pid_t child = fork();
	if (child == 0) {
		touch(map(1024), 1024);
		exit(1);
	}
	ended("hog", child);
	printf("parent %s\n", is_touched(own, 1) ? "whole" : "broken");
	/* What was freed is there for the parent. */
	char *more = map(6);
	touch(more, 6);
	printf("more %s\n", is_touched(more, 6) ? "whole" : "broken");
	return 7;
}

/* The same in a group that may have less than the machine has. */
static int group(void)
{
	char *own = map(1);
	touch(own, 1);
	pid_t child = fork();
	if (child == 0) {
		touch(map(1024), 1024);
		exit(1);
	}
	ended("hog", child);
	printf("parent %s\n", is_touched(own, 1) ? "whole" : "broken");
	return 0;
}

/* The kernel runs out in the middle of a system call that stores into the victim's memory. */
static int inside(void)
{
	pid_t child = fork();
	if (child == 0) {
		int fd = open("/dev/zero", O_RDONLY);
		char *at = map(1024);
		read(fd, at, 1024 * MIB);
		exit(1);
	}
	ended("reader", child);
	child = fork();
	if (child == 0) {
		mlock(map(1024), 1024 * MIB);
		exit(1);
	}
	ended("locker", child);
	return 0;
}

/* One child has much and waits, another wants more. Whom it hits depends on the first one's
 * adjustment. */
static int two(const char *adj)
{
	int pipes[2];
	if (pipe(pipes) != 0)
		return 96;
	pid_t waiter = fork();
	if (waiter == 0) {
		adjust(adj);
		touch(map(7), 7);
		write(pipes[1], "x", 1);
		for (;;)
			pause();
	}
	char byte;
	read(pipes[0], &byte, 1);
	pid_t taker = fork();
	if (taker == 0) {
		char *at = map(6);
		touch(at, 6);
		exit(is_touched(at, 6) ? 5 : 6);
	}
	ended("taker", taker);
	kill(waiter, SIGTERM);
	ended("waiter", waiter);
	return 0;
}

/* Shared memory counts for those who map it, and goes with the last of them. */
static int shared(void)
{
	int pipes[2];
	if (pipe(pipes) != 0)
		return 96;
	pid_t waiter = fork();
	if (waiter == 0) {
		char *at = mmap(NULL, 7 * MIB, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		touch(at, 7);
		write(pipes[1], "x", 1);
		for (;;)
			pause();
	}
	char byte;
	read(pipes[0], &byte, 1);
	char *own = map(6);
	touch(own, 6);
	printf("own %s\n", is_touched(own, 6) ? "whole" : "broken");
	ended("waiter", waiter);
	return 0;
}

/* A child of vfork takes all in its parent's memory: both die of it. */
static int borrowed(void)
{
	pid_t parent = fork();
	if (parent == 0) {
		char *at = map(1024);
		pid_t child = vfork();
		if (child == 0) {
			touch(at, 1024);
			_exit(1);
		}
		_exit(2);
	}
	ended("lender", parent);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	setvbuf(stdout, NULL, _IONBF, 0);
	if (strcmp(what, "hog") == 0)
		return hog();
	if (strcmp(what, "group") == 0)
		return group();
	if (strcmp(what, "inside") == 0)
		return inside();
	if (strcmp(what, "two") == 0 && argc > 2)
		return two(argv[2]);
	if (strcmp(what, "shared") == 0)
		return shared();
	if (strcmp(what, "borrowed") == 0)
		return borrowed();
	/* By itself: the first process is the one that is killed. */
	if (argc > 2)
		adjust(argv[2]);
	touch(map(1024), 1024);
	return 1;
}
