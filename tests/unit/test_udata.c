// SPDX-License-Identifier: GPL-2.0-or-later
/* udata.c and provider.h: which provider data passes, and what becomes of the pointers in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "udata.h"

/* two pointers in one operation, a third in another */
static const struct hyv_provider model = {
	.name = "model",
	.udata_in = { [HYV_OP_MODIFY_SRQ] = 24, [HYV_OP_CREATE_CQ] = 8 },
	.pointers = {
		{ HYV_OP_MODIFY_SRQ, HYV_POINTER_OUT, 0, 16 },
		{ HYV_OP_CREATE_CQ, HYV_POINTER_OUT, 0, 4 },
		{ HYV_OP_MODIFY_SRQ, HYV_POINTER_OUT, 16, 8 },
	},
};

static uint8_t in[64], out[64];

static const char *accept_udata(struct udata *udata, const struct hyv_provider *provider,
				uint32_t op, uint32_t in_len, uint32_t out_len)
{
	*udata = (struct udata){ .in = in, .in_len = in_len, .out = out, .out_len = out_len };
	return udata_accept(udata, in, provider, op);
}

static uint64_t pointer_at(uint32_t offset)
{
	uint64_t address;

	memcpy(&address, in + offset, sizeof(address));
	return address;
}

static void set_pointer(uint32_t offset, uint64_t address)
{
	memcpy(in + offset, &address, sizeof(address));
}

static int clear(void **state)
{
	(void)state;
	memset(in, 0, sizeof(in));
	return 0;
}

static void unknown_bytes_are_refused_unless_zero(void **state)
{
	struct udata udata;
	uint32_t i;

	(void)state;
	assert_null(accept_udata(&udata, &model, HYV_OP_CREATE_CQ, 64, 8));
	for (i = 8; i < 64; i++) {
		in[i] = 1;
		assert_non_null(accept_udata(&udata, &model, HYV_OP_CREATE_CQ, 64, 8));
		assert_null(accept_udata(&udata, &model, HYV_OP_CREATE_CQ, i, 8));
		in[i] = 0;
	}
	in[0] = 1;
	assert_non_null(accept_udata(&udata, &model, HYV_OP_CREATE_QP, 1, 0));
}

static void no_address_of_the_guest_is_left(void **state)
{
	struct udata udata;

	(void)state;
	set_pointer(0, 0xdead0000);
	set_pointer(16, 0xbeef0000);
	assert_null(accept_udata(&udata, &model, HYV_OP_MODIFY_SRQ, 24, 40));
	assert_int_equal(udata.out_len, 16);
	assert_int_equal(pointer_at(0), (uintptr_t)out + 16);
	assert_int_equal(pointer_at(16), (uintptr_t)out + 32);
}

static void a_pointer_that_is_null_stays_so_and_has_no_bytes(void **state)
{
	struct udata udata;

	(void)state;
	set_pointer(16, 1);
	assert_null(accept_udata(&udata, &model, HYV_OP_MODIFY_SRQ, 24, 8));
	assert_int_equal(udata.out_len, 0);
	assert_int_equal(pointer_at(0), 0);
	assert_int_equal(pointer_at(16), (uintptr_t)out);
}

static void no_room_for_what_comes_back_is_refused(void **state)
{
	struct udata udata;

	(void)state;
	set_pointer(0, 1);
	set_pointer(16, 1);
	assert_non_null(accept_udata(&udata, &model, HYV_OP_MODIFY_SRQ, 24, 23));
	assert_null(accept_udata(&udata, &model, HYV_OP_MODIFY_SRQ, 24, 24));
}

static void a_pointer_cut_short_is_none(void **state)
{
	struct udata udata;

	(void)state;
	set_pointer(16, 0x4242424242424242);
	assert_null(accept_udata(&udata, &model, HYV_OP_MODIFY_SRQ, 23, 8));
	assert_int_equal(udata.out_len, 8);
	assert_int_equal(pointer_at(16), 0x4242424242424242);
}

/* a pointer that udata_in does not cover would be refused as unknown, or worse, partly passed */
static void every_descriptor_knows_its_pointers(void **state)
{
	const struct hyv_provider *p;
	uint32_t i;

	(void)state;
	for (p = hyv_providers; p < hyv_providers + sizeof(hyv_providers) / sizeof(*p); p++) {
		assert_ptr_equal(hyv_provider_find(p->driver_id, p->abi_version), p);
		assert_null(hyv_provider_find(p->driver_id, p->abi_version + 1));
		assert_string_equal(hyv_driver_name(p->driver_id), p->name);
		for (i = 0; i < HYV_PROVIDER_POINTERS && p->pointers[i].kind; i++)
			assert_true(p->udata_in[p->pointers[i].op] >= p->pointers[i].offset + 8);
	}
}

/* what rxe_modify_srq_cmd and siw_ureq_reg_mr have, and nothing else: a row with one byte too many is a guest's pointer in the host's kernel */
static void soft_devices_take_these_bytes_and_no_other(void **state)
{
	static const struct {
		const char *name;
		uint32_t op;
		uint32_t len;
		bool is_pointer;
	} known[] = { { "rxe", HYV_OP_MODIFY_SRQ, 8, true }, { "siw", HYV_OP_REG_MR, 1, false } };
	const struct hyv_provider *p, *end = hyv_providers + sizeof(hyv_providers) / sizeof(*p);
	struct udata udata;
	uint32_t op, i, len, k;

	(void)state;
	for (k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
		for (p = hyv_providers; p < end && strcmp(p->name, known[k].name) != 0; p++)
			;
		assert_ptr_not_equal(p, end);
		for (op = 0; op < HYV_OP_COUNT; op++) {
			len = op == known[k].op ? known[k].len : 0;
			for (i = 0; i < sizeof(in); i++) {
				memset(in, 0, sizeof(in));
				in[i] = 1;
				if (i < len)
					assert_null(accept_udata(&udata, p, op, 64, 64));
				else
					assert_non_null(accept_udata(&udata, p, op, 64, 64));
				if (i < len && known[k].is_pointer)
					assert_int_equal(pointer_at(0), (uintptr_t)out + 64 - 16);
			}
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(unknown_bytes_are_refused_unless_zero, clear),
		cmocka_unit_test_setup(no_address_of_the_guest_is_left, clear),
		cmocka_unit_test_setup(a_pointer_that_is_null_stays_so_and_has_no_bytes, clear),
		cmocka_unit_test_setup(no_room_for_what_comes_back_is_refused, clear),
		cmocka_unit_test_setup(a_pointer_cut_short_is_none, clear),
		cmocka_unit_test(every_descriptor_knows_its_pointers),
		cmocka_unit_test(soft_devices_take_these_bytes_and_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
