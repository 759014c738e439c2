/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses of the VM, and GIDs by the guest's and by the host's index: see gid.c */
#ifndef HYVD_GID_H
#define HYVD_GID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define VM_MAX_ADDRESSES 32
#define GID_TEXT_LEN	 46

struct cmd;
struct device;
struct ib_uverbs_gid_entry;
struct vm;

/**
 * struct address - an address of the host's that is the VM's alone
 * @gid: the address as a GID
 * @prefix_len: of its subnet
 * @device: the host device whose netdev has it
 * @id: never another's, nor its own when it is taken and given again
 * @is_there: the netdev has it now, too
 */
struct address {
	uint8_t gid[16];
	uint32_t prefix_len;
	struct device *device;
	uint32_t id;
	bool is_there;
};

/**
 * enum ud - whether the VM may send datagrams, whose source the guest writes into queue memory, where
 * nobody checks it
 * @UD_WHERE_WHOLE: where it has no addresses of its own, and so every GID
 * @UD_ON: everywhere
 * @UD_OFF: nowhere
 */
enum ud { UD_WHERE_WHOLE, UD_ON, UD_OFF };

extern const uint8_t gid_v4_prefix[12]; /* then comes the IPv4 address, RFC 4291 2.5.5.2 */

/** gid_is_v4() - Return: whether @gid is an IPv4 address */
static inline bool gid_is_v4(const uint8_t gid[16])
{
	return !memcmp(gid, gid_v4_prefix, sizeof(gid_v4_prefix));
}

/**
 * gid_parse_address() - an address as people write it: IP, with /LEN or not, that is more than
 * link-local
 * @address: out; its device is not known yet
 *
 * Return: whether it is one.
 */
bool gid_parse_address(const char *text, struct address *address);

/** gid_print() - @text: out: a GID as an IP address */
void gid_print(const uint8_t gid[16], char text[GID_TEXT_LEN]);

/**
 * gid_add_address() - give the VM an address
 * @dev: the device that must have it, which the guest cannot find yet or which has addresses of the
 *       VM's; NULL for one of those in slots that the guest cannot find yet
 * @text: IP address, with /LEN or not
 *
 * The caller calls log_about(NULL, 0) afterwards.
 *
 * Return: 0, or a negative errno after a message that says what is wrong and what to do.
 */
int gid_add_address(struct vm *vm, struct device *dev, const char *text);

/**
 * gid_remove_address() - take an address back
 *
 * Return: 0, or a negative errno after a message that says what is wrong and what to do.
 */
int gid_remove_address(struct vm *vm, const struct device *dev, const char *text);

/** gid_remove_addresses() - take the VM's addresses on @dev back */
void gid_remove_addresses(struct vm *vm, const struct device *dev);

/** gid_addresses() - copy the VM's addresses on @dev. Return: how many there are */
unsigned int gid_addresses(struct vm *vm, const struct device *dev,
			   struct address out[VM_MAX_ADDRESSES]);

/**
 * gid_look() - see which of the VM's addresses on @dev its netdev has now. Any thread. Return: whether
 * any is there that was not, or the opposite
 */
bool gid_look(struct vm *vm, const struct device *dev);

/**
 * gid_read_table() - the host's GID table
 * @out: its entries that are not empty, for free()
 *
 * Any thread. Return: how many there are, or a negative errno.
 */
int gid_read_table(const struct device *dev, struct ib_uverbs_gid_entry **out);

/**
 * gid_read_entry() - an entry of the host's GID table
 *
 * Any thread. Return: 0; -ENODATA for an empty entry; -EINVAL for an index beyond the table; or another
 * negative errno.
 */
int gid_read_entry(const struct device *dev, uint64_t port, uint64_t index,
		   struct ib_uverbs_gid_entry *entry);

/** gid_is_allowed() - Return: whether @gid is an address of the VM on @dev */
bool gid_is_allowed(struct vm *vm, const struct device *dev, const uint8_t gid[16]);

/**
 * gid_to_host() - the host's index of a GID of the guest's table
 * @index: in: the guest's, out: the host's; the same where the guest's table mirrors the host's
 * @found: out: the entry there, for gid_was_own(); all zeros where the guest's table mirrors the host's
 *
 * Any thread. Return: 0; -EINVAL for an empty entry; -EADDRNOTAVAIL for an address that is not the
 * VM's or that the host does not have any more.
 */
int gid_to_host(struct vm *vm, const struct device *dev, uint8_t port, uint8_t *index,
		struct ib_uverbs_gid_entry *found);

/**
 * gid_was_own() - whether the index was still that GID's, and the GID the VM's, when the host's kernel
 * went by it
 * @found: gid_to_host()'s
 *
 * To be asked once a QP or AH has been given the index, and enough then: it holds the entry, and until it
 * lets go of it the kernel (core/cache.c) gives the index to no other. Any thread.
 */
bool gid_was_own(struct vm *vm, const struct device *dev, const struct ib_uverbs_gid_entry *found);

/** gid_to_guest() - the opposite. Return: the guest's index, 0 if it has none for that GID */
uint8_t gid_to_guest(const struct device *dev, uint8_t port, uint8_t index);

/** gid_allows_ud() - Return: whether the VM may send datagrams on @dev. Any thread. */
bool gid_allows_ud(const struct vm *vm, const struct device *dev);

/** gid_forget_guest() - the guest is gone, and its tables with it */
void gid_forget_guest(struct vm *vm);

/** gid_free() - free what @dev has for this */
void gid_free(struct device *dev);

int get_address_exec(struct cmd *cmd);
int set_gid_exec(struct cmd *cmd);

#endif
