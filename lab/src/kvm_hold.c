// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Keeps one idle KVM VM open until it is killed. The lab's host VM runs this, since under multi-threaded emulation its kernel
 * panicked ("Oops: int3") when the last KVM VM went away and a static key was patched.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0 || ioctl(kvm, KVM_CREATE_VM, 0) < 0) {
		perror("/dev/kvm");
		return 1;
	}
	for (;;)
		pause();
}
