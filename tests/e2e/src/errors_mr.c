// SPDX-License-Identifier: GPL-2.0-or-later
/* Bad calls on memory regions and windows, registering and reregistering. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "errors.h"

static int reg(void *addr, size_t length, int access)
{
	struct ibv_mr *mr;

	errno = 0;
	mr = ibv_reg_mr(r.pd, addr, length, access);
	if (!mr)
		return errno;
	return ibv_dereg_mr(mr);
}

static int reg_mapped(int prot, int access)
{
	void *p = mmap(NULL, SIZE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret;

	need(p != MAP_FAILED, "mmap");
	ret = reg(p, SIZE, access);
	munmap(p, SIZE);
	return ret;
}

CASE(mr_good)
{
	return reg(memory, SIZE, ALL_ACCESS);
}

CASE(mr_unknown_access)
{
	return reg(memory, SIZE, 1 << 19);
}

CASE(mr_unknown_optional_access)
{
	return reg(memory, SIZE, IBV_ACCESS_LOCAL_WRITE | 1 << 29);
}

CASE(mr_remote_write_only)
{
	return reg(memory, SIZE, IBV_ACCESS_REMOTE_WRITE);
}

CASE(mr_remote_atomic_only)
{
	return reg(memory, SIZE, IBV_ACCESS_REMOTE_ATOMIC);
}

CASE(mr_on_demand)
{
	return reg(memory, SIZE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_ON_DEMAND);
}

CASE(mr_huge_pages)
{
	return reg(memory, SIZE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_HUGETLB);
}

CASE(mr_zero_based)
{
	return reg(memory, SIZE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_ZERO_BASED);
}

CASE(mr_window_bind)
{
	return reg(memory, SIZE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_MW_BIND);
}

CASE(mr_flush_global)
{
	return reg(memory, SIZE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_FLUSH_GLOBAL);
}

CASE(mr_flush_persistent)
{
	return reg(memory, SIZE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_FLUSH_PERSISTENT);
}

CASE(mr_unmapped)
{
	void *p = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(p, SIZE);
	return reg(p, SIZE, IBV_ACCESS_LOCAL_WRITE);
}

CASE(mr_half_unmapped)
{
	uint8_t *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret;

	munmap(p + SIZE / 2, SIZE / 2);
	ret = reg(p, SIZE, IBV_ACCESS_LOCAL_WRITE);
	munmap(p, SIZE / 2);
	return ret;
}

CASE(mr_read_only_as_writable)
{
	return reg_mapped(PROT_READ, IBV_ACCESS_LOCAL_WRITE);
}

CASE(mr_read_only)
{
	return reg_mapped(PROT_READ, 0);
}

CASE(mr_no_access_memory)
{
	return reg_mapped(PROT_NONE, 0);
}

CASE(mr_zero_length)
{
	return reg(memory, 0, IBV_ACCESS_LOCAL_WRITE);
}

CASE(mr_zero_length_null)
{
	return reg(NULL, 0, IBV_ACCESS_LOCAL_WRITE);
}

CASE(mr_null)
{
	return reg(NULL, SIZE, IBV_ACCESS_LOCAL_WRITE);
}

CASE(mr_huge_length)
{
	return reg(memory, 1ull << 46, IBV_ACCESS_LOCAL_WRITE);
}

CASE(mr_wrapping_length)
{
	return reg(memory, SIZE_MAX - 4096, IBV_ACCESS_LOCAL_WRITE);
}

CASE(mr_kernel_address)
{
	return reg((void *)0xffff800000000000ull, SIZE, IBV_ACCESS_LOCAL_WRITE);
}

CASE(mr_iova_misaligned)
{
	struct ibv_mr *mr;

	errno = 0;
	mr = ibv_reg_mr_iova(r.pd, memory, SIZE, 0x10001, IBV_ACCESS_LOCAL_WRITE);
	return mr ? ibv_dereg_mr(mr) : errno;
}

CASE(mr_iova)
{
	struct ibv_mr *mr;

	errno = 0;
	mr = ibv_reg_mr_iova(r.pd, memory, SIZE, 0x10000, IBV_ACCESS_LOCAL_WRITE);
	return mr ? ibv_dereg_mr(mr) : errno;
}

/*
 * As an ordinary user who may lock less than the region has. In a process of its own, since one
 * that has once changed its user may not write to the device any more.
 */
CASE(mr_over_memlock)
{
	struct rlimit limit;
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		getrlimit(RLIMIT_MEMLOCK, &limit);
		limit.rlim_cur = 4096;
		need(!setrlimit(RLIMIT_MEMLOCK, &limit) && !setuid(65534), "becoming another user");
		_exit(reg(memory, SIZE, IBV_ACCESS_LOCAL_WRITE));
	}
	need(waitpid(pid, &status, 0) == pid && WIFEXITED(status), "waitpid");
	return WEXITSTATUS(status);
}

CASE(mr_unknown_pd)
{
	uint32_t handle = r.pd->handle;
	int ret;

	r.pd->handle = 12345;
	ret = reg(memory, SIZE, IBV_ACCESS_LOCAL_WRITE);
	r.pd->handle = handle;
	return ret;
}

CASE(mr_dereg_unknown)
{
	struct ibv_mr *mr = make_mr(&r, memory, SIZE, IBV_ACCESS_LOCAL_WRITE);
	uint32_t handle = mr->handle;
	int ret;

	mr->handle = 12345;
	ret = ibv_dereg_mr(mr);
	mr->handle = handle;
	need(ret, "dereg_mr of an unknown region");
	need(!ibv_dereg_mr(mr), "dereg_mr");
	return ret;
}

static int mw(enum ibv_mw_type type)
{
	struct ibv_mw *w;

	errno = 0;
	w = ibv_alloc_mw(r.pd, type);
	return w ? ibv_dealloc_mw(w) : errno;
}

CASE(mw_type_1)
{
	return mw(IBV_MW_TYPE_1);
}

CASE(mw_type_2)
{
	return mw(IBV_MW_TYPE_2);
}

CASE(mw_type_0)
{
	return mw(0);
}

CASE(mw_type_77)
{
	return mw(77);
}

CASE(mw_unknown_pd)
{
	uint32_t handle = r.pd->handle;
	int ret;

	r.pd->handle = 12345;
	ret = mw(IBV_MW_TYPE_2);
	r.pd->handle = handle;
	return ret;
}

/* asks the kernel: most providers refuse it themselves */
static int rereg(int flags, void *addr, size_t length, int access)
{
	struct ibv_mr *mr = make_mr(&r, memory, SIZE, IBV_ACCESS_LOCAL_WRITE);
	int ret = rereg_in_kernel(mr, flags, r.pd, addr, length, access);

	need(!ibv_dereg_mr(mr), "dereg_mr");
	return ret;
}

CASE(rereg_by_library)
{
	struct ibv_mr *mr = make_mr(&r, memory, SIZE, IBV_ACCESS_LOCAL_WRITE);
	int ret;

	errno = 0;
	ret = ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0, ALL_ACCESS);
	need(!ibv_dereg_mr(mr), "dereg_mr");
	return ret ? errno ?: ECANCELED : 0; /* IBV_REREG_MR_ERR_* */
}

CASE(rereg_access)
{
	return rereg(IBV_REREG_MR_CHANGE_ACCESS, NULL, 0, ALL_ACCESS);
}

CASE(rereg_memory)
{
	return rereg(IBV_REREG_MR_CHANGE_TRANSLATION, (char *)memory + 4096, SIZE - 4096, 0);
}

CASE(rereg_all)
{
	return rereg(IBV_REREG_MR_CHANGE_TRANSLATION | IBV_REREG_MR_CHANGE_PD |
			     IBV_REREG_MR_CHANGE_ACCESS,
		     memory, 4096, IBV_ACCESS_LOCAL_WRITE);
}

CASE(rereg_unmapped)
{
	void *p = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(p, SIZE);
	return rereg(IBV_REREG_MR_CHANGE_TRANSLATION, p, SIZE, 0);
}

CASE(rereg_nothing)
{
	return rereg(0, NULL, 0, 0);
}

CASE(rereg_unknown_access)
{
	return rereg(IBV_REREG_MR_CHANGE_ACCESS, NULL, 0, 1 << 19);
}

CASE(rereg_unknown)
{
	struct ibv_mr *mr = make_mr(&r, memory, SIZE, IBV_ACCESS_LOCAL_WRITE);
	uint32_t handle = mr->handle;
	int ret;

	mr->handle = 12345;
	ret = rereg_in_kernel(mr, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0, ALL_ACCESS);
	mr->handle = handle;
	need(!ibv_dereg_mr(mr), "dereg_mr");
	return ret;
}

/* to another protection domain, after which its old one can go */
CASE(rereg_pd)
{
	struct ibv_pd *own = r.pd, *pd = ibv_alloc_pd(r.ctx);
	struct ibv_mr *mr;
	int ret;

	need(pd, "alloc_pd");
	r.pd = pd;
	mr = make_mr(&r, memory, SIZE, IBV_ACCESS_LOCAL_WRITE);
	r.pd = own;
	ret = rereg_in_kernel(mr, IBV_REREG_MR_CHANGE_PD, own, NULL, 0, 0);
	if (ret) {
		need(!ibv_dereg_mr(mr) && !ibv_dealloc_pd(pd), "destroying MR and PD");
		return ret;
	}
	need(!ibv_dealloc_pd(pd), "dealloc_pd that the region has left");
	need(!ibv_dereg_mr(mr), "dereg_mr");
	return 0;
}
