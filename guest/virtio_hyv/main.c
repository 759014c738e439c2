// SPDX-License-Identifier: GPL-2.0
/*
 * The module: binds to the virtio device of a hyvd, registers the RDMA devices that it offers, and
 * takes them away again, be it that the host takes them back, that the virtio device goes or that
 * the daemon dies.
 *
 * The daemon's end is found by its sign of life (doorbell.c), since nothing else says it: QEMU
 * keeps the virtio device when its back-end is gone. Then every caller is let go and the devices
 * are unregistered at once; but the life sign goes out while the daemon's process still dies, and
 * only when that is over has the host kernel let go of the guest's memory. So what is pinned stays
 * so for DEATH_THROES.
 *
 * Suspending the guest is refused: the host's objects could not be taken along.
 */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "virtio_hyv.h"

#define LIFE_INTERVAL	(HZ / 4)
#define PLUG_DELAY	(HZ / 10)	/* what the daemon tells meanwhile is seen to at once */
#define RETRY_SHIFT_MAX	6		/* a minute: how seldom a slot is looked at that cannot be */
#define DEATH_THROES_MS	2000
#define GOODBYE_MS	5000	/* for the host to destroy what the devices held */
#define PATIENCE	(30 * HZ)	/* for the host to answer what runs when the virtio device goes */

static int hello(struct hyv_dev *hyv)
{
	struct hyv_resp_hello *resp;
	struct hyv_req_hello *req;
	struct hyv_cmd *cmd;
	u32 num_slots;
	int ret;

	cmd = hyv_cmd_alloc(hyv, HYV_OP_HELLO, 0, 0);
	if (!cmd)
		return -ENOMEM;
	req = hyv_cmd_req(cmd);
	req->version = cpu_to_le32(HYV_WIRE_VERSION);
	ret = hyv_cmd_call(cmd);
	if (ret)
		goto out;

	resp = hyv_cmd_resp(cmd);
	num_slots = le32_to_cpu(resp->num_devices);
	hyv->window_size = le64_to_cpu(resp->window_size);
	if (!resp->life || hyv->window_size > hyv->window.len ||
	    hyv->window_size < HYV_DOORBELLS_SIZE || num_slots > HYV_MAX_DEVICES) {
		ret = -EIO;
		goto out;
	}
	hyv->num_slots = num_slots;
	WRITE_ONCE(hyv->life, le64_to_cpu(resp->life));
out:
	hyv_cmd_put(cmd);
	return ret;
}

/* not part of probe: the daemon may take its time, and modprobe should not */
static void start(struct work_struct *work)
{
	struct hyv_dev *hyv = container_of(work, struct hyv_dev, start_work);
	int ret;

	ret = hello(hyv);
	if (ret) {
		hyv_err(hyv, "hyvd does not say hello (%d); see its log on the host\n", ret);
		return;
	}
	ret = hyv_doorbell_init(hyv);
	if (ret) {
		hyv_err(hyv, "the window does not show hyvd's doorbells (%d); see its log on the host\n",
			ret);
		return;
	}
	queue_delayed_work(hyv->wq, &hyv->life_work, LIFE_INTERVAL);
	bitmap_fill(hyv->changed, hyv->num_slots);
	enable_delayed_work(&hyv->plug_work);
	queue_delayed_work(hyv->wq, &hyv->plug_work, 0);
}

/**
 * hyv_plug_soon() - have @hyv->plug_work look at what was noted for it
 * @hyv: device
 *
 * The delay bounds how often a daemon can have that done. Any context.
 */
void hyv_plug_soon(struct hyv_dev *hyv)
{
	queue_delayed_work(hyv->wq, &hyv->plug_work, PLUG_DELAY);
}

/* Return: whether a slot could not be looked at for a reason that may pass */
static bool look_in_vain(struct hyv_dev *hyv, u32 slot)
{
	int ret = hyv_ibdev_look(hyv, slot);

	if (!ret || READ_ONCE(hyv->dead))
		return false;
	if (!hyv->num_failures)
		hyv_err(hyv, "the host's device %u cannot be looked at (%d): trying again\n", slot,
			ret);
	set_bit(slot, hyv->failed);
	return true;
}

/* a slot that changes again meanwhile is looked at again */
static void plug(struct work_struct *work)
{
	struct hyv_dev *hyv = container_of(to_delayed_work(work), struct hyv_dev, plug_work);
	bool looked = false, failed = false;
	u32 slot;

	for (slot = 0; slot < hyv->num_slots; slot++) {
		if (test_and_clear_bit(slot, hyv->changed)) {
			looked = true;
			failed |= look_in_vain(hyv, slot);
		}
		hyv_ibdev_tell(hyv, slot);
	}
	if (failed)
		WRITE_ONCE(hyv->retry_at,
			   jiffies + (HZ << min(hyv->num_failures++, RETRY_SHIFT_MAX)));
	else if (looked)
		hyv->num_failures = 0;
}

static void retry(struct hyv_dev *hyv)
{
	u32 slot;

	if (time_before(jiffies, READ_ONCE(hyv->retry_at)))
		return;
	for_each_set_bit(slot, hyv->failed, HYV_MAX_DEVICES) {
		clear_bit(slot, hyv->failed);
		set_bit(slot, hyv->changed);
		hyv_plug_soon(hyv);
	}
}

/* for good */
static void unregister_all(struct hyv_dev *hyv)
{
	u32 slot;

	disable_delayed_work_sync(&hyv->plug_work);
	for (slot = 0; slot < hyv->num_slots; slot++)
		hyv_ibdev_unregister(hyv, slot);
}

static void watch_life(struct work_struct *work)
{
	struct hyv_dev *hyv = container_of(to_delayed_work(work), struct hyv_dev, life_work);

	if (hyv_doorbell_alive(hyv) && !hyv_vq_broken(hyv)) {
		/* what found no memory for its descriptors has no interrupt to wait for */
		hyv_cmd_flush(hyv);
		retry(hyv);
		queue_delayed_work(hyv->wq, &hyv->life_work, LIFE_INTERVAL);
		return;
	}

	hyv_err(hyv, "hyvd has died: its RDMA devices go; restart it and plug the device again\n");
	hyv_cmd_fail_all(hyv);
	virtio_break_device(hyv->vdev);
	flush_work(&hyv->start_work);
	unregister_all(hyv);
	msleep(DEATH_THROES_MS);
	virtio_reset_device(hyv->vdev);
	flush_work(&hyv->reap_work);
	hyv_cmd_drain(hyv);
}

/* a daemon that lives and does not answer holds up nobody who wants the virtio device gone */
static void give_up(struct work_struct *work)
{
	struct hyv_dev *hyv = container_of(to_delayed_work(work), struct hyv_dev, give_up_work);

	hyv_err(hyv, "hyvd does not answer: going without it\n");
	hyv_cmd_fail_all(hyv);
}

static int check_config(struct virtio_device *vdev)
{
	u32 magic, version;

	virtio_cread_le(vdev, struct hyv_config, magic, &magic);
	virtio_cread_le(vdev, struct hyv_config, version, &version);
	if (magic != HYV_MAGIC) {
		dev_err(&vdev->dev, "not a HyV device: magic number %#x, not %#x\n",
			magic, HYV_MAGIC);
		return -ENODEV;
	}
	if (version != HYV_WIRE_VERSION) {
		dev_err(&vdev->dev, "hyvd speaks version %u of the protocol, virtio_hyv version %u: install the same release of HyV on host and guest\n",
			version, HYV_WIRE_VERSION);
		return -EPROTONOSUPPORT;
	}
	if (virtio_has_feature(vdev, VIRTIO_F_ACCESS_PLATFORM)) {
		dev_err(&vdev->dev, "guest memory behind an IOMMU is not supported: set iommu_platform=off for this device\n");
		return -EOPNOTSUPP;
	}
	return 0;
}

static int probe(struct virtio_device *vdev)
{
	struct hyv_dev *hyv;
	int ret;

	ret = check_config(vdev);
	if (ret)
		return ret;

	hyv = kzalloc(sizeof(*hyv), GFP_KERNEL);
	if (!hyv)
		return -ENOMEM;
	hyv->vdev = vdev;
	vdev->priv = hyv;
	spin_lock_init(&hyv->lock);
	spin_lock_init(&hyv->event_lock);
	INIT_LIST_HEAD(&hyv->on_ring);
	INIT_LIST_HEAD(&hyv->backlog);
	INIT_LIST_HEAD(&hyv->answered);
	INIT_LIST_HEAD(&hyv->kept);
	xa_init_flags(&hyv->objects, XA_FLAGS_LOCK_IRQ);
	INIT_WORK(&hyv->event_work, hyv_vq_take_events);
	INIT_WORK(&hyv->start_work, start);
	INIT_DELAYED_WORK(&hyv->plug_work, plug);
	disable_delayed_work(&hyv->plug_work);
	INIT_WORK(&hyv->reap_work, hyv_cmd_reap);
	INIT_DELAYED_WORK(&hyv->life_work, watch_life);
	INIT_DELAYED_WORK(&hyv->give_up_work, give_up);

	if (!virtio_get_shm_region(vdev, &hyv->window, HYV_WINDOW_SHMID) ||
	    hyv->window.len < HYV_DOORBELLS_SIZE) {
		hyv_err(hyv, "no shared-memory region: QEMU 11.1 or newer and a hyvd that offers one are needed\n");
		ret = -ENODEV;
		goto err_free;
	}
	if (!devm_request_mem_region(&vdev->dev, hyv->window.addr, hyv->window.len,
				     KBUILD_MODNAME)) {
		hyv_err(hyv, "the shared-memory region is in use by another driver\n");
		ret = -EBUSY;
		goto err_free;
	}

	hyv->wq = alloc_workqueue(KBUILD_MODNAME, WQ_UNBOUND, 0);
	if (!hyv->wq) {
		ret = -ENOMEM;
		goto err_free;
	}
	ret = hyv_vq_init(hyv);
	if (ret)
		goto err_destroy_wq;

	virtio_device_ready(vdev);
	queue_work(hyv->wq, &hyv->start_work);
	return 0;

err_destroy_wq:
	destroy_workqueue(hyv->wq);
err_free:
	kfree(hyv);
	return ret;
}

/*
 * First everyone who uses the devices goes, then the host is given time to destroy what they held,
 * then the device is reset: from there on the host touches no memory of ours.
 */
static void remove(struct virtio_device *vdev)
{
	struct hyv_dev *hyv = vdev->priv;
	unsigned int ms;

	/* a daemon that has not even said hello holds up nothing */
	if (!READ_ONCE(hyv->life))
		hyv_cmd_fail_all(hyv);
	queue_delayed_work(hyv->wq, &hyv->give_up_work, PATIENCE);
	cancel_work_sync(&hyv->start_work);
	unregister_all(hyv); /* which may wait for the daemon: it is watched until then */
	cancel_delayed_work_sync(&hyv->life_work);
	cancel_delayed_work_sync(&hyv->give_up_work);
	for (ms = 0; ms < GOODBYE_MS && !READ_ONCE(hyv->dead) && !hyv_cmd_idle(hyv); ms += 20)
		msleep(20);

	hyv_cmd_fail_all(hyv);
	/* what the host writes into the rings from here on is not looked at any more */
	virtio_break_device(vdev);
	virtio_reset_device(vdev);
	destroy_workqueue(hyv->wq);
	hyv_cmd_drain(hyv);
	hyv_vq_exit(hyv);
	hyv_doorbell_exit(hyv);
	xa_destroy(&hyv->objects);
	kfree(hyv);
}

#ifdef CONFIG_PM_SLEEP
static int freeze(struct virtio_device *vdev)
{
	dev_err(&vdev->dev, "cannot suspend: unload virtio_hyv before, load it again afterwards\n");
	return -EBUSY;
}

static int restore(struct virtio_device *vdev)
{
	return 0;
}
#endif

static const struct virtio_device_id id_table[] = {
	{ HYV_VIRTIO_ID, VIRTIO_DEV_ANY_ID },
	{ 0 },
};
MODULE_DEVICE_TABLE(virtio, id_table);

static struct virtio_driver virtio_hyv_driver = {
	.driver.name = KBUILD_MODNAME,
	.id_table = id_table,
	.probe = probe,
	.remove = remove,
#ifdef CONFIG_PM_SLEEP
	.freeze = freeze,
	.restore = restore,
#endif
};
module_virtio_driver(virtio_hyv_driver);

/* 7.2 and newer need ib_uverbs for nothing but the character devices that applications open */
MODULE_SOFTDEP("pre: ib_uverbs");
MODULE_DESCRIPTION("HyV: the host's RDMA devices in a virtual machine");
MODULE_LICENSE("GPL");
