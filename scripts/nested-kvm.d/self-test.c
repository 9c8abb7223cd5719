/* The self-test of nested-kvm: starts a VM (vm), or measures a loop (clock). */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <x86intrin.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

/* Adds 2 and 3 in real mode, sends the sum to port 0x10 and halts. */
static int vm(void)
{
	static const uint8_t code[] = {
		0xb0, 0x02,		/* mov al, 2 */
		0x04, 0x03,		/* add al, 3 */
		0xe6, 0x10,		/* out 0x10, al */
		0xf4,			/* hlt */
	};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return fail("/dev/kvm");
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return fail("KVM_GET_API_VERSION");
	int vmfd = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vmfd < 0)
		return fail("KVM_CREATE_VM");
	uint8_t *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return fail("mmap");
	memcpy(memory, code, sizeof(code));
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = 0x1000,
		.memory_size = 4096,
		.userspace_addr = (uintptr_t)memory,
	};
	if (ioctl(vmfd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return fail("KVM_SET_USER_MEMORY_REGION");
	int vcpu = ioctl(vmfd, KVM_CREATE_VCPU, 0);
	if (vcpu < 0)
		return fail("KVM_CREATE_VCPU");
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_run *run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		return fail("mmap of the vCPU");
	struct kvm_sregs sregs;
	if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		return fail("KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	struct kvm_regs regs = { .rip = 0x1000, .rflags = 2 };
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(vcpu, KVM_SET_REGS, &regs) < 0)
		return fail("KVM_SET_REGS");
	int sum = -1;
	for (;;) {
		if (ioctl(vcpu, KVM_RUN, 0) < 0)
			return fail("KVM_RUN");
		if (run->exit_reason == KVM_EXIT_HLT)
			break;
		if (run->exit_reason != KVM_EXIT_IO) {
			fprintf(stderr, "KVM_RUN: exit reason %u\n", run->exit_reason);
			return 1;
		}
		sum = *((uint8_t *)run + run->io.data_offset);
	}
	printf("a VM computed 2 + 3 = %d and halted\n", sum);
	return sum != 5;
}

/* A million turns of a loop of two instructions, by two clocks. */
static int measure(void)
{
	struct timespec before, after;
	uint64_t turns = 1000000;
	clock_gettime(CLOCK_MONOTONIC, &before);
	uint64_t start = __rdtsc();
	__asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(turns) : : "cc");
	uint64_t end = __rdtsc();
	clock_gettime(CLOCK_MONOTONIC, &after);
	printf("2000000 instructions: %lu by rdtsc, %ld by CLOCK_MONOTONIC\n", end - start,
	       (after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "vm") == 0)
		return vm();
	if (argc == 2 && strcmp(argv[1], "clock") == 0)
		return measure();
	fprintf(stderr, "usage: self-test vm|clock\n");
	return 2;
}
